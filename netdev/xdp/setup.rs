// SPDX-License-Identifier: GPL-2.0

//! Attaching programs, binding pools, and what follows from it.

use super::{
    count,
    hints,
    napi::{
        Queue,
        FRAME,
        RETURNED, //
    },
    Counter,
    Counters,
    Operations,
    PolledQueues,
    Program,
    QueueMap,
    PAGE, //
};
use crate::{
    bindings,
    device::{
        self,
        Device, //
    },
    extack::ExtAck,
    rtnl::Rtnl,
    skbuff::RxSkBuff,
    stats::Path,
    xsk::{
        self,
        Pool, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    alloc::KVVec,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    }, //
};

/// Sizes of the rings, and how many descriptors of AF_XDP sockets are taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Packets that the ring of a queue holds.
    pub(crate) ring: u32,
    /// Descriptors.
    pub(crate) batch: u32,
}

impl Sizes {
    /// Those of a new device: the ring holds as many packets as the backlog of a CPU by default
    /// (`net.core.netdev_max_backlog`), rounded up.
    pub(super) const DEFAULT: Self = Self {
        ring: 1024,
        batch: xsk::BATCH as u32,
    };

    /// The least: a batch has to hold a packet of several frames.
    const MIN: Self = Self {
        ring: 64,
        batch: xsk::MAX_SEGMENTS,
    };

    /// The largest.
    pub(crate) const MAX: Self = Self {
        ring: 16384,
        batch: xsk::BATCH as u32,
    };
}

/// Frames that are put into a ring at once; `DEV_MAP_BULK_SIZE` come at a time.
const XMIT_MAX: usize = 16;

/// What the core does to packets of the stack for devices that do not do it themselves.
const OFFLOADS: u64 =
    bindings::NETIF_F_GSO_SOFTWARE | bindings::NETIF_F_HW_CSUM | bindings::NETIF_F_SCTP_CRC;

/// Bytes beyond the MTU that a frame may have: its Ethernet header and a VLAN tag.
const HEADERS: u32 = bindings::ETH_HLEN + bindings::VLAN_HLEN;

/// Bytes beyond the MTU that a pool's packets must have room for, as in `xp_assign_dev()`.
const POOL_HEADERS: u32 = bindings::ETH_HLEN + 2 * bindings::VLAN_HLEN + 4;

/// What a device keeps for XDP.
///
/// # Invariants
///
/// `queues` is null, or was made by `KBox::into_raw`, and is freed a grace period after it was
/// replaced.
pub(crate) struct State<T> {
    queues: Atomic<*mut PolledQueues<T>>,
    /// Whether packets of the stack go through the rings: the device is up and has the queues. With
    /// a pool they do without a program, too, since a generic program may redirect them to its
    /// sockets, which is for one poll at a time to do.
    rings: Atomic<bool>,
    /// Whether packets come without offloads, for a program.
    no_offloads: Atomic<bool>,
    /// The [`QueueMap`].
    pub(super) pairs: Atomic<bool>,
    /// [`Sizes::ring`].
    pub(super) ring_size: Atomic<u32>,
    /// [`Sizes::batch`].
    pub(super) batch: Atomic<u32>,
    pub(super) counters: KVVec<Counters>,
    /// What the driver has set as the largest MTU.
    max_mtu: u32,
}

impl<T> State<T> {
    /// The state of a new device, with as many receive queues.
    pub(crate) fn new(supported: bool, rx_queues: u32, max_mtu: u32) -> Result<Self> {
        let mut counters = KVVec::new();
        if supported {
            for _ in 0..rx_queues {
                counters.push(
                    [const { Atomic::new(0) }; Counter::NAMES.len()],
                    GFP_KERNEL_ACCOUNT,
                )?;
            }
        }
        Ok(Self {
            queues: Atomic::new(ptr::null_mut()),
            rings: Atomic::new(false),
            no_offloads: Atomic::new(false),
            pairs: Atomic::new(false),
            ring_size: Atomic::new(Sizes::DEFAULT.ring),
            batch: Atomic::new(Sizes::DEFAULT.batch),
            counters,
            max_mtu,
        })
    }

    /// The queues, if there are any. The caller is in an RCU section or has RTNL.
    #[inline]
    pub(super) fn queues(&self) -> Option<&PolledQueues<T>> {
        // SAFETY: By the type invariants.
        unsafe { self.queues.load(Acquire).as_ref() }
    }

    /// Which receive queue what is sent on a queue arrives on.
    #[inline]
    pub(crate) fn map(&self) -> QueueMap {
        if self.pairs.load(Relaxed) {
            QueueMap::Pairs
        } else {
            QueueMap::Same
        }
    }

    /// The counters of a queue, in the order of [`Counter::NAMES`].
    pub(crate) fn counters(&self, index: usize) -> Option<[u64; Counter::NAMES.len()]> {
        self.counters
            .get(index)
            .map(|counters| counters.each_ref().map(|counter| counter.load(Relaxed)))
    }

    /// What queues have dropped without a program that decided so.
    pub(crate) fn drops(&self, queues: Range<usize>) -> Drops {
        let mut drops = Drops::default();
        for counters in self.counters.get(queues).unwrap_or_default() {
            let sum = |of: &[Counter]| -> u64 {
                of.iter()
                    .map(|counter| counters[*counter as usize].load(Relaxed))
                    .sum()
            };
            let overruns = sum(&[Counter::RingFull, Counter::XskDropped]);
            drops.overruns += overruns;
            drops.all += overruns + sum(&[Counter::Errors, Counter::XskTooLong]);
        }
        drops
    }
}

/// Packets that were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drops {
    /// All of them.
    pub(crate) all: u64,
    /// Those for which there was no room, in a ring or with the receiver.
    pub(crate) overruns: u64,
}

impl<T: device::Operations> Device<T> {
    /// The queues that packets of the stack go to, while the device is up and has any. The packet
    /// proves that it is being transmitted: queues live on until that has ended.
    #[inline]
    pub fn xdp_queues<'a>(&'a self, _skb: &RxSkBuff<'a>) -> Option<&'a PolledQueues<T>> {
        let state = self.xdp();
        if state.rings.load(Relaxed) {
            state.queues()
        } else {
            None
        }
    }

    /// Which receive queue what is sent on a queue arrives on.
    pub fn queue_map(&self, _rtnl: &Rtnl) -> QueueMap {
        self.xdp().map()
    }

    /// Changes which receive queue what is sent on a queue arrives on. May sleep.
    pub fn set_queue_map(&self, map: QueueMap, rtnl: &Rtnl) {
        let state = self.xdp();
        let change = || state.pairs.store(map == QueueMap::Pairs, Relaxed);
        match state.queues() {
            Some(queues) => queues.quiesced(rtnl, |queues| {
                change();
                // SAFETY: No poll runs.
                unsafe { queues.distribute(self) };
                self.link_napi(queues, rtnl);
            }),
            None => change(),
        }
    }

    /// The sizes of rings and batches.
    pub(crate) fn sizes(&self, _rtnl: &Rtnl) -> Sizes {
        Sizes {
            ring: self.xdp().ring_size.load(Relaxed),
            batch: self.xdp().batch.load(Relaxed),
        }
    }

    /// Changes the sizes of rings and batches. May sleep. Fails with `EINVAL` for sizes that cannot
    /// be, and with `ENOMEM`; a part of the rings may have the new size then.
    pub(crate) fn set_sizes(&self, sizes: Sizes, rtnl: &Rtnl) -> Result {
        let state = self.xdp();
        if !(Sizes::MIN.ring..=Sizes::MAX.ring).contains(&sizes.ring)
            || !(Sizes::MIN.batch..=Sizes::MAX.batch).contains(&sizes.batch)
        {
            return Err(EINVAL);
        }
        if let Some(queues) = state
            .queues()
            .filter(|_| sizes.ring != self.sizes(rtnl).ring)
        {
            queues.quiesced(rtnl, |queues| {
                queues.queues.iter().try_for_each(|queue| {
                    // SAFETY: The ring is valid, and no poll consumes from it.
                    to_result(unsafe {
                        bindings::netdev_helper_ring_resize(queue.ring.get(), sizes.ring as c_int)
                    })
                })
            })?;
        }
        state.ring_size.store(sizes.ring, Relaxed);
        state.batch.store(sizes.batch, Relaxed);
        Ok(())
    }

    /// Tells the core which NAPI instance polls a queue, so that sockets can poll it themselves.
    fn link_napi(&self, queues: &PolledQueues<T>, _rtnl: &Rtnl) {
        let most = self.num_queues();
        for queue in &queues.queues {
            let index = queue.index as u32;
            let other = queues.other_side(self, queue.index);
            // SAFETY: The instances were added to the device, the indices are those of its queues,
            // and RTNL is held.
            unsafe {
                bindings::netif_queue_set_napi(
                    self.as_raw(),
                    index,
                    bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX,
                    queue.napi.get(),
                );
                if let Some(other) = queues.queues.get(other).filter(|_| index < most.tx) {
                    bindings::netif_queue_set_napi(
                        self.as_raw(),
                        index,
                        bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_TX,
                        other.napi.get(),
                    );
                }
            }
        }
    }

    /// Undoes [`link_napi`](Self::link_napi).
    fn unlink_napi(&self, _rtnl: &Rtnl) {
        let most = self.num_queues();
        let rx = (0..most.rx).map(|i| (i, bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX));
        let tx = (0..most.tx).map(|i| (i, bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_TX));
        for (index, kind) in Iterator::chain(rx, tx) {
            // SAFETY: The index is that of a queue, and RTNL is held.
            unsafe { bindings::netif_queue_set_napi(self.as_raw(), index, kind, ptr::null_mut()) };
        }
    }

    /// The queues, which are made if there are none.
    fn make_queues(&self, rtnl: &Rtnl) -> Result<&PolledQueues<T>> {
        let state = self.xdp();
        if state.queues().is_none() {
            let queues = KBox::into_raw(PolledQueues::new(self)?);
            state.queues.store(queues, Release);
            // SAFETY: They were just made.
            let queues = unsafe { &*queues };
            self.link_napi(queues, rtnl);
            if self.is_up(rtnl) {
                queues.enable(rtnl);
            }
        }
        state.queues().ok_or(ENOMEM)
    }

    /// Removes the queues if they are not needed any more.
    fn remove_unused_queues(&self, rtnl: &Rtnl) {
        let state = self.xdp();
        let Some(queues) = state.queues() else { return };
        if queues.program().is_some() || queues.has_pools(rtnl) {
            return;
        }
        self.use_rings(false);
        queues.drain(rtnl);
        queues.disable(rtnl);
        self.unlink_napi(rtnl);
        let raw = state.queues.xchg(ptr::null_mut(), Relaxed);
        // SAFETY: All of them are initialised, and disabled. This waits for those who still see
        // them.
        unsafe { queues.exit(queues.queues.len()) };
        // SAFETY: By the type invariants of `State`; a grace period has passed.
        drop(unsafe { KBox::from_raw(raw) });
    }

    /// Lets packets of the stack go through the rings, or not any more. In the latter case waits
    /// until nobody puts a packet into one.
    fn use_rings(&self, on: bool) {
        let state = self.xdp();
        if state.rings.load(Relaxed) != on {
            state.rings.store(on, Release);
            self.set_plain(!on);
            if !on {
                // SAFETY: May be called under RTNL. `ndo_start_xmit` and `ndo_xdp_xmit` run in RCU
                // read sections.
                unsafe { bindings::synchronize_net() };
            }
        }
    }

    /// `ndo_open`: the device is up.
    pub(crate) fn xdp_open(&self, rtnl: &Rtnl) {
        if let Some(queues) = self.xdp().queues() {
            queues.enable(rtnl);
            self.use_rings(true);
        }
    }

    /// `ndo_stop`: the device is down.
    pub(crate) fn xdp_stop(&self, rtnl: &Rtnl) {
        if let Some(queues) = self.xdp().queues() {
            self.use_rings(false);
            queues.disable(rtnl);
            // No frames come any more: the core has waited for those who saw a running device.
            queues.queues.iter().for_each(Queue::purge);
        }
    }

    /// The largest MTU that the program allows, 0 for any.
    fn xdp_max_mtu(&self, program: Option<Program<'_>>) -> u32 {
        // SAFETY: May be called from anywhere.
        let linear = unsafe { bindings::netdev_helper_xdp_max_linear() };
        let program = program.map(|program| {
            let frags = if program.has_frags() {
                bindings::MAX_SKB_FRAGS * PAGE
            } else {
                0
            };
            linear + frags - HEADERS
        });
        let driver = Some(self.xdp().max_mtu).filter(|limit| *limit != 0);
        [program, driver].into_iter().flatten().min().unwrap_or(0)
    }

    /// Sets the largest MTU to what the program allows. The core refuses to exceed it.
    fn limit_mtu(&self, _rtnl: &Rtnl) {
        let program = self.xdp().queues().and_then(PolledQueues::program);
        let limit = self.xdp_max_mtu(program);
        // SAFETY: The device is valid; the field is written under RTNL.
        unsafe { (&raw mut (*self.as_raw()).max_mtu).write_volatile(limit) };
    }

    /// `ndo_change_mtu`: refuses an MTU that the pools have no room for with `EINVAL`.
    fn change_mtu(&self, mtu: u32, rtnl: &Rtnl) -> Result {
        let limit = self
            .xdp()
            .queues()
            .and_then(|queues| queues.pool_limit(rtnl));
        if limit.is_some_and(|limit| mtu.saturating_add(POOL_HEADERS) > limit) {
            self.info_ratelimited(c"the MTU is too large for the frames of an AF_XDP socket");
            return Err(EINVAL);
        }
        // SAFETY: The device is valid; the field is written under RTNL, and read in parallel.
        unsafe { (&raw mut (*self.as_raw()).mtu).write_volatile(mtu) };
        Ok(())
    }

    /// The MTU.
    fn mtu(&self, _rtnl: &Rtnl) -> u32 {
        // SAFETY: The device is valid, and the MTU is changed under RTNL.
        unsafe { (*self.as_raw()).mtu }
    }

    /// Lets the core compute the features anew, see [`fix_features`](Self::xdp_fix_features).
    fn update_features(&self, _rtnl: &Rtnl) {
        let dev = self.as_raw();
        // SAFETY: The device is valid, and RTNL is held. Features that cannot be switched are lost
        // when they are left out once, unless they are wanted.
        unsafe {
            (*dev).wanted_features |= (*dev).features & OFFLOADS & !(*dev).hw_features;
            bindings::netdev_update_features(dev);
        }
    }

    /// `ndo_fix_features`: a program is to see packets as they would be on a wire.
    fn xdp_fix_features(&self, features: u64) -> u64 {
        if self.xdp().no_offloads.load(Relaxed) {
            features & !OFFLOADS
        } else {
            features
        }
    }

    /// `XDP_SETUP_PROG`: attaches a program, of which this takes over a reference, replaces it, or
    /// detaches it.
    ///
    /// # Safety
    ///
    /// `program` is null or valid. On success its reference is taken over.
    unsafe fn setup_prog(
        &self,
        program: *mut bindings::bpf_prog,
        extack: &mut ExtAck<'_>,
        rtnl: &Rtnl,
    ) -> Result {
        let state = self.xdp();
        let new = NonNull::new(program).map(|program| Program(program, PhantomData));
        if let Some(new) = new {
            let limit = self.xdp_max_mtu(Some(new));
            if limit != 0 && self.mtu(rtnl) > limit {
                return extack.refuse(
                    ERANGE,
                    if new.has_frags() {
                        c"The MTU is too large for XDP"
                    } else {
                        c"The MTU is too large for an XDP program without multi-buffer (xdp.frags)"
                    },
                );
            }
        }
        let queues = match (new, state.queues()) {
            (None, None) => return Ok(()),
            (Some(_), None) => self.make_queues(rtnl)?,
            (_, Some(queues)) => queues,
        };

        if new.is_none() {
            // What is in the rings was sent with the program in place.
            if !queues.has_pools(rtnl) {
                self.use_rings(false);
            }
            queues.drain(rtnl);
        } else if queues.program().is_none() {
            state.no_offloads.store(true, Relaxed);
            self.update_features(rtnl);
            // SAFETY: May be called under RTNL. What was sent with offloads is on the backlog then,
            // or in a ring.
            unsafe { bindings::synchronize_net() };
            queues.drain(rtnl);
        }
        let old = queues.program.xchg(program, kernel::sync::atomic::Full);
        if new.is_none() {
            state.no_offloads.store(false, Relaxed);
            self.update_features(rtnl);
        } else if self.is_up(rtnl) {
            self.use_rings(true);
        }
        self.limit_mtu(rtnl);
        if !old.is_null() {
            // SAFETY: May be called under RTNL. No poll uses it any more then.
            unsafe { bindings::synchronize_net() };
            // SAFETY: The reference was the queues'.
            unsafe { bindings::bpf_prog_put(old) };
        }
        self.remove_unused_queues(rtnl);
        Ok(())
    }

    /// `XDP_SETUP_XSK_POOL`: binds a pool to a queue, or, if it is null, unbinds it.
    ///
    /// # Safety
    ///
    /// `pool` is null, or valid until this was called with null for the same queue, which has no
    /// other pool meanwhile.
    unsafe fn setup_pool(
        &self,
        pool: *mut bindings::xsk_buff_pool,
        index: usize,
        rtnl: &Rtnl,
    ) -> Result {
        match NonNull::new(pool) {
            Some(pool) => {
                let in_use = self.real_num_queues();
                if index >= in_use.rx.min(in_use.tx) as usize {
                    return Err(EINVAL);
                }
                let queues = self.make_queues(rtnl)?;
                let queue = queues.queues.get(index).ok_or(EINVAL)?;
                // SAFETY: By the safety requirements. The queues are not removed while there is a
                // pool.
                let result = unsafe { Pool::enable(pool, queue.xsk_rxq.get()) };
                if let Ok(pool) = result {
                    // SAFETY: The pool was just enabled. No poll runs within `quiesced`.
                    queues.quiesced(rtnl, |queues| unsafe {
                        (*queue.xsk_rxq.get()).frag_size = pool.frag_step();
                        let (tx, rx) = pool.split();
                        queue.pool_limit.set(rx.max_len());
                        queue.pool.set(Some(pool));
                        if let Some(sides) = queues.sides(index) {
                            sides.rx = Some(rx);
                        }
                        if let Some(sides) = queues.sides(queues.other_side(self, index)) {
                            sides.tx = Some(tx);
                        }
                    });
                }
                if result.is_ok() && self.is_up(rtnl) {
                    self.use_rings(true);
                }
                self.remove_unused_queues(rtnl);
                result.map(|_| ())
            }
            None => {
                let queues = self.xdp().queues().ok_or(EINVAL)?;
                // SAFETY: No poll runs.
                let pool = queues.quiesced(rtnl, |queues| unsafe {
                    let pool = queues.sides(index)?.rx.take()?.pool();
                    queues.queues.get(index)?.pool.set(None);
                    for i in 0..queues.queues.len() {
                        if let Some(sides) = queues.sides(i) {
                            sides.tx.take_if(|tx| tx.pool() == pool);
                        }
                    }
                    Some(pool)
                });
                // SAFETY: Both sides are gone.
                unsafe { pool.ok_or(EINVAL)?.disable() };
                self.remove_unused_queues(rtnl);
                Ok(())
            }
        }
    }

    /// Prepares for fewer receive queues: no packet is put into the ring of one that is not in use
    /// any more.
    pub(crate) fn xdp_drain(&self, rx_queues: u32, rtnl: &Rtnl) {
        if let Some(queues) = self.xdp().queues() {
            if queues.enabled.load(Relaxed) {
                queues
                    .queues
                    .iter()
                    .skip(rx_queues as usize)
                    .for_each(|queue| queue.drain(rtnl));
                // SAFETY: May be called under RTNL. Polls are RCU read sections.
                unsafe { bindings::synchronize_net() };
            }
        }
    }

    /// The number of queues has changed.
    pub(crate) fn xdp_queues_changed(&self, rtnl: &Rtnl) {
        if let Some(queues) = self.xdp().queues() {
            // SAFETY: No poll runs.
            queues.quiesced(rtnl, |queues| unsafe { queues.distribute(self) });
            self.link_napi(queues, rtnl);
        }
    }

    /// `ndo_xsk_wakeup`: user space has put descriptors into its rings. While NAPI is disabled for
    /// a moment there is nothing to do: all queues are polled when it is enabled.
    fn xsk_wakeup(&self, index: usize, flags: u32) -> Result {
        let state = self.xdp();
        let queues = state.queues().ok_or(ENXIO)?;
        let queue = queues.queues.get(index).ok_or(ENXIO)?;
        if let Some(counters) = state.counters.get(index) {
            count(counters, Counter::XskWakeups, 1);
        }
        if flags & bindings::XDP_WAKEUP_TX != 0 {
            if let Some(other) = queues.queues.get(queues.other_side(self, index)) {
                other.schedule();
            }
        }
        if flags & bindings::XDP_WAKEUP_RX != 0 {
            queue.schedule();
        }
        Ok(())
    }

    /// `ndo_xdp_xmit`: takes frames until one does not fit, and returns how many.
    ///
    /// # Safety
    ///
    /// The frames are valid, and those that are taken are owned by the device from then on. Bottom
    /// halves are disabled.
    unsafe fn xdp_xmit(&self, frames: &[*mut bindings::xdp_frame], flush: bool) -> usize {
        // The core looks at IFF_UP, which goes after `ndo_stop` only.
        // SAFETY: The device is valid.
        if !unsafe { bindings::netdev_helper_running(self.as_raw()) } {
            return 0;
        }
        // While NAPI is disabled for a moment, frames wait in the ring.
        let queues = self.xdp().queues();
        // SAFETY: May be called from anywhere.
        let cpu = unsafe { bindings::netdev_helper_cpu() };
        let index = (cpu % self.rx_queues().max(1)) as usize;
        let path = Path::turned(index as u16, index as u16);
        // What is counted of a frame.
        let frame_len = |frame| {
            // SAFETY: The frames are valid by the safety requirements.
            unsafe { bindings::netdev_helper_xdp_frame_len(frame) }
                .saturating_sub(bindings::ETH_HLEN)
        };

        let Some((queues, queue)) =
            queues.and_then(|queues| Some((queues, queues.queues.get(index)?)))
        else {
            // Nothing is polled: the stack takes them at once.
            let mut taken = 0;
            for frame in frames.iter() {
                let len = frame_len(*frame);
                // SAFETY: The frame is valid and becomes part of the skb.
                let skb = unsafe { bindings::xdp_build_skb_from_frame(*frame, self.as_raw()) };
                if skb.is_null() {
                    break;
                }
                // SAFETY: The skb is owned and ready to be received; bottom halves are disabled.
                // The core counts it if it is dropped.
                if unsafe { bindings::__netif_rx(skb) } == bindings::NET_RX_SUCCESS as i32 {
                    // SAFETY: The device is registered, the rest by the safety requirements.
                    unsafe { self.lstats_add_many(1, len, path) };
                }
                taken += 1;
            }
            return taken;
        };

        // A program of this device that redirects to the device would see its packets for ever.
        let own = queues
            .queues
            .iter()
            .any(|queue| queue.polling.load(Relaxed) == cpu + 1);
        let tag = FRAME | if own { RETURNED } else { 0 };
        // They belong to the other side once they are in the ring.
        let mut lens = [0; XMIT_MAX];
        let mut tagged = [ptr::null_mut::<c_void>(); XMIT_MAX];
        let (mut taken, mut bytes) = (0, 0);
        for chunk in frames.chunks(XMIT_MAX) {
            for ((place, len), frame) in tagged.iter_mut().zip(&mut lens).zip(chunk) {
                *len = frame_len(*frame);
                *place = frame.cast::<c_void>().map_addr(|addr| addr | tag);
            }
            // SAFETY: The ring is valid, and takes over those that it has room for.
            let produced = unsafe {
                bindings::netdev_helper_ring_produce_many(
                    queue.ring.get(),
                    tagged.as_mut_ptr(),
                    chunk.len() as u32,
                )
            } as usize;
            taken += produced;
            bytes += lens.iter().take(produced).sum::<u32>();
            if produced < chunk.len() {
                break;
            }
        }
        // SAFETY: The device is registered, the rest by the safety requirements.
        unsafe { self.lstats_add_many(taken as u32, bytes, path) };
        if let Some(counters) = self.xdp().counters.get(index) {
            count(counters, Counter::Xmit, taken);
            count(counters, Counter::RingFull, frames.len() - taken);
        }
        if flush {
            queue.schedule_atomic();
        }
        taken
    }
}

/// The C callbacks for a driver.
pub(crate) struct Adapter<T>(PhantomData<T>);

impl<T: device::Operations> Adapter<T> {
    /// Adds the callbacks to the operations table of the driver's devices.
    pub(crate) const fn add_to(ops: bindings::net_device_ops) -> bindings::net_device_ops {
        if !<T::Xdp as Operations<T>>::SUPPORTED {
            return ops;
        }
        bindings::net_device_ops {
            ndo_open: Some(Self::open),
            ndo_stop: Some(Self::stop),
            ndo_fix_features: Some(Self::fix_features),
            ndo_change_mtu: Some(Self::change_mtu),
            ndo_bpf: Some(Self::bpf),
            ndo_xdp_xmit: Some(Self::xdp_xmit),
            ndo_xsk_wakeup: Some(Self::xsk_wakeup),
            ..ops
        }
    }

    /// Tells the core what is supported.
    pub(crate) fn setup(dev: &mut bindings::net_device) {
        if <T::Xdp as Operations<T>>::SUPPORTED {
            dev.xdp_features = bindings::netdev_xdp_act_NETDEV_XDP_ACT_BASIC
                | bindings::netdev_xdp_act_NETDEV_XDP_ACT_REDIRECT
                | bindings::netdev_xdp_act_NETDEV_XDP_ACT_NDO_XMIT
                | bindings::netdev_xdp_act_NETDEV_XDP_ACT_XSK_ZEROCOPY
                | bindings::netdev_xdp_act_NETDEV_XDP_ACT_RX_SG
                | bindings::netdev_xdp_act_NETDEV_XDP_ACT_NDO_XMIT_SG;
            dev.xdp_zc_max_segs = xsk::MAX_SEGMENTS;
            dev.xdp_metadata_ops = &hints::OPS;
            dev.xsk_tx_metadata_ops = &xsk::TX_METADATA_OPS;
        }
    }

    /// `ndo_open`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn open(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: A device is opened between its registration and its removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        // SAFETY: By the safety requirements.
        dev.xdp_open(&unsafe { Rtnl::assume_held() });
        0
    }

    /// `ndo_stop`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn stop(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: A device is closed between its registration and its removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        // SAFETY: By the safety requirements.
        dev.xdp_stop(&unsafe { Rtnl::assume_held() });
        0
    }

    /// `ndo_fix_features`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn fix_features(dev: *mut bindings::net_device, features: u64) -> u64 {
        // SAFETY: The features are computed after `ndo_init`, and not after the removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        dev.xdp_fix_features(features)
    }

    /// `ndo_change_mtu`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn change_mtu(dev: *mut bindings::net_device, mtu: c_int) -> c_int {
        // SAFETY: The core changes devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        // SAFETY: By the safety requirements.
        let rtnl = unsafe { Rtnl::assume_held() };
        from_result(|| {
            dev.change_mtu(mtu as u32, &rtnl)?;
            Ok(0)
        })
    }

    /// `ndo_bpf`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn bpf(
        dev: *mut bindings::net_device,
        request: *mut bindings::netdev_bpf,
    ) -> c_int {
        // SAFETY: The core asks devices between their registration and the end of their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        // SAFETY: By the safety requirements.
        let rtnl = unsafe { Rtnl::assume_held() };
        from_result(|| {
            // SAFETY: The core passes a structure of its own, with the fields of the command. A
            // pool is valid until it is disabled; a program comes with a reference.
            unsafe {
                match (*request).command {
                    bindings::bpf_netdev_command_XDP_SETUP_PROG => {
                        let args = (*request).__bindgen_anon_1.__bindgen_anon_1;
                        dev.setup_prog(args.prog, &mut ExtAck::from_raw(args.extack), &rtnl)?;
                    }
                    bindings::bpf_netdev_command_XDP_SETUP_XSK_POOL => {
                        let args = (*request).__bindgen_anon_1.xsk;
                        dev.setup_pool(args.pool, args.queue_id.into(), &rtnl)?;
                    }
                    _ => return Err(EINVAL),
                }
            }
            Ok(0)
        })
    }

    /// `ndo_xdp_xmit`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, with bottom halves disabled.
    unsafe extern "C" fn xdp_xmit(
        dev: *mut bindings::net_device,
        count: c_int,
        frames: *mut *mut bindings::xdp_frame,
        flags: u32,
    ) -> c_int {
        // SAFETY: A device transmits between its registration and its removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        if flags & !bindings::XDP_XMIT_FLUSH != 0 {
            return EINVAL.to_errno();
        }
        // SAFETY: The core passes as many pointers.
        let frames = unsafe { core::slice::from_raw_parts(frames, count as usize) };
        // SAFETY: The frames are valid, and the core frees those that are not taken.
        unsafe { dev.xdp_xmit(frames, flags & bindings::XDP_XMIT_FLUSH != 0) as c_int }
    }

    /// `ndo_xsk_wakeup`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, in an RCU section.
    unsafe extern "C" fn xsk_wakeup(
        dev: *mut bindings::net_device,
        queue: u32,
        flags: u32,
    ) -> c_int {
        // SAFETY: Sockets are unbound before the device is removed.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        from_result(|| {
            dev.xsk_wakeup(queue as usize, flags)?;
            Ok(0)
        })
    }
}
