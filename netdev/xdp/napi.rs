// SPDX-License-Identifier: GPL-2.0

//! Queues that NAPI polls.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/linux/ptr_ring.h`](srctree/include/linux/ptr_ring.h).

use super::{
    count,
    Action,
    Buff,
    Counter,
    Counters,
    FrameBuff,
    Operations,
    Program,
    Sizes,
    SkbBuff,
    PAGE, //
};
use crate::{
    bindings,
    device::{
        self,
        Device, //
    },
    rtnl::Rtnl,
    skbuff::{
        DropReason,
        Rx,
        RxSkBuff, //
    },
    stats::Path,
    xsk::{
        Pool,
        RxPool,
        TxPacket,
        TxPool, //
    }, //
};
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    alloc::KVVec,
    error::to_result,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
    types::Opaque, //
};

/// Tags of what a ring holds: a frame, not an skb.
pub(super) const FRAME: usize = bindings::NETDEV_RING_FRAME as usize;
/// A frame that came from a program of the device.
pub(super) const RETURNED: usize = bindings::NETDEV_RING_RETURNED as usize;
/// All of them.
const TAGS: usize = bindings::NETDEV_RING_TAGS as usize;

/// What the ring of a queue holds.
pub enum Packet<'p> {
    /// A packet of the stack.
    Skb(RingSkb<'p>),
    /// A frame.
    Frame(FrameBuff<'p>),
    /// A frame that a program of this device has redirected to the device itself.
    Returned(FrameBuff<'p>),
}

/// A packet of the stack that no buffer was made of yet.
///
/// # Invariants
///
/// The skb is owned, and ready to be received by the device.
#[must_use = "a packet has to be passed on or dropped"]
pub struct RingSkb<'p>(
    NonNull<bindings::sk_buff>,
    PhantomData<&'p mut bindings::sk_buff>,
);

impl RingSkb<'_> {
    /// Hands the packet to the stack (`netif_receive_skb()`).
    pub fn receive(self) {
        // SAFETY: The skb is owned and ready to be received, and bottom halves are disabled, as
        // this is a poll.
        unsafe { bindings::netif_receive_skb(self.0.as_ptr()) };
    }
}

/// A poll of a queue, the argument of [`Operations::poll`].
pub struct Poll<'p, T> {
    /// The queue and what belongs to it.
    pub context: Context<'p, T>,
    /// The sockets that send to this queue, if the other side has a pool.
    pub tx: Option<&'p mut TxPool>,
    /// The frames that this queue receives into, if it has a pool.
    pub rx: Option<&'p mut RxPool>,
}

/// The queue that is being polled. It exists during a poll only: bottom halves are disabled, and
/// the BPF context of a poll is set up.
pub struct Context<'p, T> {
    pub(super) dev: &'p Device<T>,
    queues: &'p PolledQueues<T>,
    pub(super) queue: &'p Queue<T>,
    program: Option<Program<'p>>,
    counters: &'p Counters,
    pub(super) flush: Cell<bool>,
}

impl<'p, T> Context<'p, T> {
    /// The attached program.
    #[inline]
    pub fn program(&self) -> Option<Program<'p>> {
        self.program
    }

    /// How many descriptors of AF_XDP sockets are taken at once.
    #[inline]
    pub fn batch(&self) -> usize {
        self.dev.xdp().batch.load(Relaxed) as usize
    }

    /// The queue that what is sent on this one arrives on.
    pub fn other_side(&self) -> usize {
        self.queues.other_side(self.dev, self.queue.index)
    }

    /// Counts for the queue.
    #[inline]
    pub fn count(&self, counter: Counter, n: usize) {
        if counter.is_shared() {
            count(self.counters, counter, n);
        } else {
            let counter = self.counters[counter as usize].as_ptr();
            // SAFETY: The counter is valid, and nobody else changes it: only the poll of its queue
            // counts what is not shared, on one CPU at a time.
            unsafe { bindings::netdev_helper_count(counter, n as u64) };
        }
    }

    /// Counts packets that the device sent to itself, beside those of the stack.
    pub fn lstats_add(&self, packets: usize, bytes: usize) {
        let path = Path::turned(self.other_side() as u16, self.queue.index as u16);
        // SAFETY: A device that is polled is registered, and bottom halves are disabled.
        unsafe { self.dev.lstats_add_many(packets as u32, bytes as u32, path) };
    }

    /// Takes the next packet off the ring.
    #[inline]
    pub fn next(&self) -> Option<Packet<'p>> {
        // SAFETY: The ring is valid while the queue exists, and the poll is its only consumer.
        let entry = unsafe { bindings::netdev_helper_ring_consume(self.queue.ring.get()) };
        let tag = entry as usize & TAGS;
        let entry = NonNull::new(entry.map_addr(|addr| addr & !TAGS))?;
        if tag & FRAME == 0 {
            return Some(Packet::Skb(RingSkb(entry.cast(), PhantomData)));
        }
        let frame = FrameBuff {
            frame: entry.cast(),
            buff: pin_init::zeroed(),
            rxq: bindings::xdp_rxq_info {
                // How much room there is behind its fragments is not known.
                frag_size: 0,
                // SAFETY: It was written when the queue was made.
                ..unsafe { *self.queue.rxq.get() }
            },
            ran: false,
            _poll: PhantomData,
        };
        Some(if tag & RETURNED == 0 {
            Packet::Frame(frame)
        } else {
            Packet::Returned(frame)
        })
    }

    /// Makes a buffer of a packet of the stack, for `program`. Fails with `ENOMEM`, and with
    /// `EMSGSIZE` if it is too long; the packet is dropped and gone then.
    pub fn buff(&self, skb: RingSkb<'p>, program: Program<'p>) -> Result<SkbBuff<'p>> {
        let mut buff = SkbBuff {
            buff: pin_init::zeroed(),
            _poll: PhantomData,
        };
        // SAFETY: The skb is owned and was received; page pool and rxq are those of the queue that
        // is polled.
        let ret = unsafe {
            bindings::netdev_helper_xdp_from_skb(
                &mut buff.buff,
                skb.0.as_ptr(),
                self.queue.page_pool,
                self.queue.rxq.get(),
                program.has_frags(),
            )
        };
        if let Err(error) = to_result(ret) {
            buff.discard();
            return Err(error);
        }
        Ok(buff)
    }

    /// Whether the program can be given the packet: one in several pieces needs one that handles
    /// them.
    #[inline]
    pub fn accepts(&self, buff: &impl Buff<'p>, program: Program<'p>) -> bool {
        !buff.has_frags() || program.has_frags()
    }

    /// Makes a packet of the stack of one that an AF_XDP socket sends.
    pub fn copy(&self, packet: &TxPacket<'_>) -> Result<RingSkb<'p>> {
        let len = packet.len();
        if !packet.is_valid() {
            return Err(EINVAL);
        }
        // SAFETY: The device is valid.
        let skb = unsafe { bindings::netdev_helper_xsk_alloc_skb(self.dev.as_raw(), len) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        // SAFETY: The skb was just made, with room for `len` bytes.
        if let Err(error) = unsafe { packet.store(skb.as_ptr()) } {
            // SAFETY: The skb is owned and given up.
            unsafe { bindings::dev_kfree_skb_any_reason(skb.as_ptr(), DropReason::Xdp as u32) };
            return Err(error);
        }
        // SAFETY: The skb is owned, its linear part begins with an Ethernet header.
        unsafe { bindings::netdev_helper_xsk_skb_done(skb.as_ptr(), self.dev.as_raw()) };
        Ok(RingSkb(skb, PhantomData))
    }

    /// Traces that the program met an error with the packet, or returned no action
    /// (`trace_xdp_exception()`, `bpf_warn_invalid_xdp_action()`).
    pub fn exception(&self, program: Program<'p>, action: Action) {
        let dev = self.dev.as_raw();
        let action = match action {
            Action::Invalid(action) => {
                // SAFETY: Device and program are valid.
                unsafe { bindings::bpf_warn_invalid_xdp_action(dev, program.as_ptr(), action) };
                action
            }
            Action::Aborted => bindings::xdp_action_XDP_ABORTED,
            Action::Drop => bindings::xdp_action_XDP_DROP,
            Action::Pass => bindings::xdp_action_XDP_PASS,
            Action::Tx => bindings::xdp_action_XDP_TX,
            Action::Redirect => bindings::xdp_action_XDP_REDIRECT,
        };
        // SAFETY: Device and program are valid.
        unsafe { bindings::netdev_helper_xdp_exception(dev, program.as_ptr(), action) };
    }

    /// Hands an skb to the stack (`napi_gro_receive()`).
    pub(super) fn gro_receive(&self, skb: *mut bindings::sk_buff, queue: Option<usize>) {
        if let Some(queue) = queue {
            // SAFETY: The skb is owned by the caller. As skb_record_rx_queue() does; there are at
            // most 4096 queues.
            unsafe { (*skb).queue_mapping = queue as u16 + 1 };
        }
        // SAFETY: The caller gives up an skb that is ready to be received, and this is a poll of
        // this NAPI instance.
        unsafe { bindings::netdev_helper_napi_gro_receive(self.queue.napi.get(), skb) };
    }
}

/// How long a ring is waited for at most, in milliseconds.
const DRAIN_MS: u32 = 1000;

/// A queue: a NAPI instance and what it polls.
///
/// # Invariants
///
/// - `napi`, `rxq`, `xsk_rxq`, `ring` and `page_pool` are initialised, and the queue is at a fixed
///   place, from [`Queue::init`] to [`Queue::exit`].
/// - `sides` is used by the poll, or while NAPI is disabled under RTNL; `pool` and `pool_limit` are
///   used under RTNL.
pub(super) struct Queue<T> {
    pub(super) napi: Opaque<bindings::napi_struct>,
    pub(super) rxq: Opaque<bindings::xdp_rxq_info>,
    pub(super) xsk_rxq: Opaque<bindings::xdp_rxq_info>,
    pub(super) ring: Opaque<bindings::ptr_ring>,
    page_pool: *mut bindings::page_pool,
    dev: *mut bindings::net_device,
    pub(super) index: usize,
    /// The CPU that polls, plus one; 0 if none does.
    pub(super) polling: Atomic<u32>,
    pub(super) sides: UnsafeCell<Sides>,
    /// The pool that is bound to the queue. Changed under RTNL.
    pub(super) pool: Cell<Option<Pool>>,
    /// The largest packet that it has room for.
    pub(super) pool_limit: Cell<u32>,
    _driver: PhantomData<T>,
}

/// The sides of pools that a queue uses.
#[derive(Default)]
pub(super) struct Sides {
    pub(super) tx: Option<TxPool>,
    pub(super) rx: Option<RxPool>,
}

// SAFETY: The members that are not synchronised by themselves are used by one at a time, by the
// type invariants.
unsafe impl<T> Send for Queue<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Queue<T> {}

impl<T: device::Operations> Queue<T> {
    /// A queue that is not yet initialised.
    fn new(dev: *mut bindings::net_device, index: usize) -> Self {
        Self {
            napi: Opaque::new(pin_init::zeroed()),
            rxq: Opaque::new(pin_init::zeroed()),
            xsk_rxq: Opaque::new(pin_init::zeroed()),
            ring: Opaque::new(pin_init::zeroed()),
            page_pool: ptr::null_mut(),
            dev,
            index,
            polling: Atomic::new(0),
            sides: UnsafeCell::new(Sides::default()),
            pool: Cell::new(None),
            pool_limit: Cell::new(0),
            _driver: PhantomData,
        }
    }

    /// Initialises the queue. NAPI is disabled then. May sleep.
    ///
    /// # Safety
    ///
    /// The queue is not initialised and does not move until [`exit`](Self::exit), which is called
    /// if and only if this succeeds, before the device goes. RTNL is held.
    unsafe fn init(&mut self, ring_size: u32) -> Result {
        let (dev, index) = (self.dev, self.index as u32);
        // SAFETY: The device is valid.
        let pool = unsafe { bindings::netdev_helper_page_pool_create(dev, Sizes::DEFAULT.ring) };
        self.page_pool = kernel::error::from_err_ptr(pool)?;
        // SAFETY: The ring is not yet used, and the sizes are those of the queue.
        let result = to_result(unsafe {
            bindings::netdev_helper_ring_init(self.ring.get(), ring_size as c_int)
        })
        .and_then(|()| {
            // SAFETY: Neither rxq is registered.
            unsafe {
                to_result(bindings::__xdp_rxq_info_reg(
                    self.rxq.get(),
                    dev,
                    index,
                    0,
                    PAGE,
                ))
                .and_then(|()| {
                    to_result(bindings::xdp_rxq_info_reg_mem_model(
                        self.rxq.get(),
                        bindings::xdp_mem_type_MEM_TYPE_PAGE_POOL,
                        self.page_pool.cast(),
                    ))
                    .inspect_err(|_| bindings::xdp_rxq_info_unreg(self.rxq.get()))
                })
                .inspect_err(|_| bindings::netdev_helper_ring_free(self.ring.get()))
            }
        });
        if let Err(error) = result {
            // SAFETY: The pool was just made, and nobody uses it.
            unsafe { bindings::page_pool_destroy(self.page_pool) };
            return Err(error);
        }
        // SAFETY: The rxq is not registered. Neither call can fail: there is a device, and this
        // type of memory has no allocator.
        unsafe {
            bindings::__xdp_rxq_info_reg(self.xsk_rxq.get(), dev, index, 0, 0);
            bindings::xdp_rxq_info_reg_mem_model(
                self.xsk_rxq.get(),
                bindings::xdp_mem_type_MEM_TYPE_XSK_BUFF_POOL,
                ptr::null_mut(),
            );
        }
        // SAFETY: The instance is zeroed and does not move; the device has a configuration for each
        // queue.
        unsafe { bindings::netdev_helper_napi_add(dev, self.napi.get(), Some(Self::poll), index) };
        Ok(())
    }

    /// Undoes [`init`](Self::init), except for the ring's memory. NAPI is disabled.
    ///
    /// # Safety
    ///
    /// The queue is initialised, and RTNL is held. After `synchronize_net()`,
    /// [`free`](Self::free) has to be called.
    unsafe fn exit(&self) {
        // SAFETY: The instance was added, and is disabled.
        unsafe { bindings::netdev_helper_napi_del(self.napi.get()) };
    }

    /// Frees the ring and the page pool.
    ///
    /// # Safety
    ///
    /// As for [`exit`](Self::exit), after which a grace period has passed.
    unsafe fn free(&self) {
        // SAFETY: Nobody uses the queue any more.
        unsafe {
            bindings::netdev_helper_ring_free(self.ring.get());
            bindings::xdp_rxq_info_unreg(self.xsk_rxq.get());
            // Destroys the page pool once, which also counts this as a user of it.
            bindings::xdp_rxq_info_unreg(self.rxq.get());
            bindings::page_pool_destroy(self.page_pool);
        }
    }

    /// Drops what the ring holds. NAPI is disabled, so that this is the only consumer.
    pub(super) fn purge(&self) {
        // SAFETY: The ring is valid, and this is its only consumer.
        unsafe { bindings::netdev_helper_ring_purge(self.ring.get()) };
    }

    /// Waits until the ring has been emptied by polls, of which the last may still run, or for
    /// [`DRAIN_MS`]: frames may still come. NAPI is enabled. May sleep.
    pub(super) fn drain(&self, _rtnl: &Rtnl) {
        for _ in 0..DRAIN_MS {
            // SAFETY: The ring is valid, and gets other memory under RTNL only.
            if unsafe { bindings::netdev_helper_ring_empty(self.ring.get()) } {
                break;
            }
            self.schedule();
            // SAFETY: May sleep.
            unsafe { bindings::msleep(1) };
        }
    }

    /// Schedules NAPI, from process context.
    pub(super) fn schedule(&self) {
        // SAFETY: The instance is valid.
        unsafe { bindings::netdev_helper_napi_schedule(self.napi.get()) };
    }

    /// Schedules NAPI where bottom halves or interrupts are disabled.
    #[inline]
    pub(super) fn schedule_atomic(&self) {
        // SAFETY: The instance is valid.
        unsafe { bindings::netdev_helper_napi_schedule_atomic(self.napi.get()) };
    }

    /// NAPI's `poll`.
    ///
    /// # Safety
    ///
    /// Called by NAPI only, for an initialised queue of a device of the driver `T`.
    unsafe extern "C" fn poll(napi: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // Only netpoll, which the device does without, has a budget of none.
        let Ok(budget @ 1..) = usize::try_from(budget) else {
            return 0;
        };
        // SAFETY: `napi` is the first part of an `Opaque` in a queue.
        let queue: &Self = unsafe { &*kernel::container_of!(Opaque::cast_from(napi), Self, napi) };
        // SAFETY: The queue exists between `ndo_init` and `priv_destructor` of its device.
        let dev: &Device<T> = unsafe { Device::from_raw(queue.dev) };
        let state = dev.xdp();
        let (Some(queues), Some(counters)) = (state.queues(), state.counters.get(queue.index))
        else {
            return 0;
        };

        // SAFETY: The poll runs on one CPU at a time, and not while NAPI is disabled.
        let sides = unsafe { &mut *queue.sides.get() };
        // SAFETY: This is the poll.
        let cpu = unsafe {
            bindings::netdev_helper_xdp_begin();
            bindings::netdev_helper_cpu()
        };
        queue.polling.store(cpu + 1, Relaxed);
        let mut poll = Poll {
            context: Context {
                dev,
                queues,
                queue,
                program: queues.program(),
                counters,
                flush: Cell::new(false),
            },
            tx: sides.tx.as_mut(),
            rx: sides.rx.as_mut(),
        };
        let done = T::Xdp::poll(&mut poll, budget);
        // SAFETY: This is the end of what was begun above.
        unsafe { bindings::netdev_helper_xdp_end(poll.context.flush.get()) };
        queue.polling.store(0, Relaxed);

        let done = done.min(budget);
        // Who added to a ring meanwhile has made NAPI run again.
        // SAFETY: The instance is valid, and this is its poll.
        if done < budget && unsafe { bindings::napi_complete_done(napi, done as c_int) } {
            return done as c_int;
        }
        // A sender that polls its own queue is served by the other side's.
        // SAFETY: As above.
        if unsafe { bindings::netdev_helper_napi_in_busy_poll(napi) } {
            if let Some(other) = queues.queues.get(queues.other_side(dev, queue.index)) {
                if other.index != queue.index {
                    other.schedule_atomic();
                }
            }
        }
        done as c_int
    }
}

/// The queues of a device that has a program or a pool.
///
/// # Invariants
///
/// - All queues are initialised.
/// - `program` is null, or a program of which this has a reference.
pub struct PolledQueues<T> {
    pub(super) queues: KVVec<Queue<T>>,
    pub(super) program: Atomic<*mut bindings::bpf_prog>,
    /// Whether NAPI is enabled. Changed under RTNL.
    pub(super) enabled: Atomic<bool>,
}

impl<T> PolledQueues<T> {
    /// The attached program.
    #[inline]
    pub(super) fn program<'p>(&'p self) -> Option<Program<'p>> {
        // INVARIANT: It is put after a grace period, and polls are RCU sections.
        NonNull::new(self.program.load(Acquire)).map(|program| Program(program, PhantomData))
    }

    /// The queue that what is sent on the queue `index` arrives on.
    pub(super) fn other_side(&self, dev: &Device<T>, index: usize) -> usize {
        let in_use = (dev.rx_queues() as usize).min(self.queues.len());
        dev.xdp().map().other_side(index, in_use)
    }
}

impl<T: device::Operations> PolledQueues<T> {
    /// Makes the queues of a device. NAPI is disabled then. May sleep; RTNL is held.
    pub(super) fn new(dev: &Device<T>) -> Result<KBox<Self>> {
        let count = dev.num_queues().rx as usize;
        let mut queues = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
        for index in 0..count {
            queues.push(Queue::new(dev.as_raw(), index), GFP_KERNEL_ACCOUNT)?;
        }
        let mut this = KBox::new(
            Self {
                queues,
                program: Atomic::new(ptr::null_mut()),
                enabled: Atomic::new(false),
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        for index in 0..count {
            let result = this
                .queues
                .get_mut(index)
                .ok_or(EINVAL)
                // SAFETY: The queues lie in an allocation that is not made larger. Those before are
                // ended below if one fails, and all when they are removed.
                .and_then(|queue| unsafe { queue.init(dev.xdp().ring_size.load(Relaxed)) });
            if let Err(error) = result {
                // SAFETY: These were initialised, and nobody knows them.
                unsafe { this.exit(index) };
                return Err(error);
            }
        }
        Ok(this)
    }

    /// Ends the first `count` queues.
    ///
    /// # Safety
    ///
    /// They are initialised and not used any more; NAPI is disabled, and RTNL held.
    pub(super) unsafe fn exit(&self, count: usize) {
        for queue in self.queues.iter().take(count) {
            // SAFETY: By the safety requirements.
            unsafe { queue.exit() };
        }
        // SAFETY: May be called under RTNL.
        unsafe { bindings::synchronize_net() };
        for queue in self.queues.iter().take(count) {
            // SAFETY: A grace period has passed.
            unsafe { queue.free() };
        }
    }

    /// Enables NAPI, under RTNL.
    pub(super) fn enable(&self, _rtnl: &Rtnl) {
        if !self.enabled.load(Relaxed) {
            for queue in &self.queues {
                // SAFETY: The instance is valid and disabled.
                unsafe { bindings::napi_enable(queue.napi.get()) };
            }
            self.enabled.store(true, Release);
            for queue in &self.queues {
                queue.schedule();
            }
        }
    }

    /// Waits until polls have emptied the rings, see [`Queue::drain`].
    pub(super) fn drain(&self, rtnl: &Rtnl) {
        if self.enabled.load(Relaxed) {
            self.queues.iter().for_each(|queue| queue.drain(rtnl));
        }
    }

    /// Disables NAPI, under RTNL. Waits for polls that are running. Returns whether it was enabled.
    pub(super) fn disable(&self, _rtnl: &Rtnl) -> bool {
        let enabled = self.enabled.load(Relaxed);
        if enabled {
            self.enabled.store(false, Relaxed);
            for queue in &self.queues {
                // SAFETY: The instance is valid and enabled.
                unsafe { bindings::napi_disable(queue.napi.get()) };
            }
        }
        enabled
    }

    /// Runs `f` with what only polls use, while there are none.
    pub(super) fn quiesced<R>(&self, rtnl: &Rtnl, f: impl FnOnce(&Self) -> R) -> R {
        let enabled = self.disable(rtnl);
        let result = f(self);
        if enabled {
            self.enable(rtnl);
        }
        result
    }

    /// The sides of pools that a queue uses.
    ///
    /// # Safety
    ///
    /// Within [`quiesced`](Self::quiesced), and the only reference.
    pub(super) unsafe fn sides(&self, index: usize) -> Option<&mut Sides> {
        let queue = self.queues.get(index)?;
        // SAFETY: By the safety requirements.
        Some(unsafe { &mut *queue.sides.get() })
    }

    /// Lets each pool send to the queue that its own sends to now.
    ///
    /// # Safety
    ///
    /// Within [`quiesced`](Self::quiesced).
    pub(super) unsafe fn distribute(&self, dev: &Device<T>) {
        for index in 0..self.queues.len() {
            let other = self.other_side(dev, index);
            // SAFETY: By the safety requirements.
            let Some(pool) = (unsafe { self.sides(index) })
                .and_then(|sides| sides.rx.as_ref())
                .map(RxPool::pool)
            else {
                continue;
            };
            // SAFETY: By the safety requirements; each reference ends before the next.
            let at = (0..self.queues.len()).find(|i| unsafe {
                self.sides(*i)
                    .and_then(|sides| sides.tx.as_ref())
                    .is_some_and(|tx| tx.pool() == pool)
            });
            let Some(at) = at.filter(|at| *at != other) else {
                continue;
            };
            // The place may be that of one that has to go on itself: exchange them.
            // SAFETY: As above.
            let moved = unsafe { self.sides(at) }.and_then(|sides| sides.tx.take());
            // SAFETY: As above.
            let displaced = unsafe { self.sides(other) }
                .and_then(|sides| core::mem::replace(&mut sides.tx, moved));
            // SAFETY: As above.
            if let Some(sides) = unsafe { self.sides(at) } {
                sides.tx = displaced;
            }
        }
    }

    /// Whether a queue has a pool.
    pub(super) fn has_pools(&self, _rtnl: &Rtnl) -> bool {
        self.queues.iter().any(|queue| queue.pool.get().is_some())
    }

    /// The largest packet that the pools have room for, if there are any that sockets use. That of
    /// a socket that was closed stays until a work item of the core unbinds it.
    pub(super) fn pool_limit(&self, rtnl: &Rtnl) -> Option<u32> {
        self.queues
            .iter()
            .filter(|queue| queue.pool.get().is_some_and(|pool| pool.is_used(rtnl)))
            .map(|queue| queue.pool_limit.get())
            .min()
    }

    /// Puts a received packet into the ring of the queue that it was recorded for. On failure it
    /// was dropped, and counted in `rx_dropped`.
    pub fn receive<'a>(&self, dev: &Device<T>, skb: RxSkBuff<'a>) -> Rx<'a> {
        let index = usize::from(skb.packet().path.rx().saturating_sub(1));
        let Some(queue) = self.queues.get(index) else {
            dev.rx_dropped_inc();
            return Rx::Drop(skb.free(DropReason::FullRing));
        };
        // SAFETY: The ring is valid, and takes over the packet unless it is full.
        if unsafe { bindings::netdev_helper_ring_produce(queue.ring.get(), skb.as_raw().cast()) }
            != 0
        {
            if let Some(counters) = dev.xdp().counters.get(index) {
                count(counters, Counter::RingFull, 1);
            }
            dev.rx_dropped_inc();
            return Rx::Drop(skb.free(DropReason::FullRing));
        }
        queue.schedule_atomic();
        Rx::Success(skb.queued())
    }
}
