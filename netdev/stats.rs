// SPDX-License-Identifier: GPL-2.0

//! Statistics of a device.
//!
//! Every device of this abstraction has the per-CPU, lockless packet and byte counters of
//! `struct pcpu_lstats`; the core allocates and frees them (`NETDEV_PCPU_STAT_LSTATS`). A device
//! with several queues has one more for each of them. Queue statistics are reported through
//! netdev-genl (`qstats-get`) and `ethtool -S`.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/netdev_queues.h`](srctree/include/net/netdev_queues.h).

use crate::{
    bindings,
    device::{
        self,
        Device, //
    },
    skbuff::Tx,
    xdp, //
};
use core::{
    marker::PhantomData,
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    alloc::KVVec,
    prelude::*,
    types::Opaque, //
};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of packets.
    pub packets: u64,
    /// Number of bytes, as the driver counted them.
    pub bytes: u64,
}

impl Counters {
    /// The sum, modulo 2^64 as in C.
    pub fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }
}

/// What is counted of a packet. Taken before the packet is handed on, counted afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Length in bytes.
    pub(crate) len: u32,
    /// The queues that it goes over.
    pub(crate) path: Path,
}

/// The queues that a packet goes over. By default they are not recorded.
///
/// The index of the transmit queue plus one is in the lower half, or 0 for none; the upper half is
/// the same for the receive queue, as `skb_record_rx_queue()` writes it. It is one number because
/// the packet path keeps it in a register. There are at most 4096 queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(u32);

impl Path {
    /// Sent on the queue `tx`.
    #[inline]
    pub(crate) fn sent(tx: u16) -> Self {
        Self(u32::from(tx.wrapping_add(1)))
    }

    /// Sent on the queue `tx` and received on the queue `rx`.
    #[inline]
    pub(crate) fn turned(tx: u16, rx: u16) -> Self {
        Self(Self::sent(tx).0 | Self::sent(rx).0 << 16)
    }

    /// The queue that it is transmitted on, plus one.
    #[inline]
    fn tx(self) -> u16 {
        self.0 as u16
    }

    /// The queue that it is received on, plus one.
    #[inline]
    pub(crate) fn rx(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// The statistics that [`Operations::get_stats64`] fills in (`struct rtnl_link_stats64`).
///
/// The core adds the drops that it counts itself.
///
/// [`Operations::get_stats64`]: crate::Operations::get_stats64
#[repr(transparent)]
pub struct LinkStats(Opaque<bindings::rtnl_link_stats64>);

impl LinkStats {
    /// Creates a reference from the argument of `ndo_get_stats64`.
    ///
    /// # Safety
    ///
    /// `ptr` is valid and not accessed by anybody else during `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::rtnl_link_stats64) -> &'a mut Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &mut *ptr.cast() }
    }

    /// What a driver reports for its device at this moment.
    fn of<T: device::Operations>(dev: &Device<T>) -> Self {
        let mut stats = Self(Opaque::new(pin_init::zeroed()));
        T::get_stats64(dev, &mut stats);
        stats
    }

    /// Sets the received packets and bytes.
    pub fn set_rx(&mut self, rx: Counters) {
        let stats = self.0.get();
        // SAFETY: The pointer is valid, and the access exclusive.
        unsafe {
            (*stats).rx_packets = rx.packets;
            (*stats).rx_bytes = rx.bytes;
        }
    }

    /// Sets the transmitted packets and bytes.
    pub fn set_tx(&mut self, tx: Counters) {
        let stats = self.0.get();
        // SAFETY: The pointer is valid, and the access exclusive.
        unsafe {
            (*stats).tx_packets = tx.packets;
            (*stats).tx_bytes = tx.bytes;
        }
    }

    /// The counters of one direction.
    fn get(&self, direction: Direction) -> Counters {
        // SAFETY: The pointer is valid, and nobody writes during the shared borrow.
        let stats = unsafe { &*self.0.get() };
        match direction {
            Direction::Rx => Counters {
                packets: stats.rx_packets,
                bytes: stats.rx_bytes,
            },
            Direction::Tx => Counters {
                packets: stats.tx_packets,
                bytes: stats.tx_bytes,
            },
        }
    }
}

/// Received or transmitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Received.
    Rx,
    /// Transmitted.
    Tx,
}

/// A set of per-CPU counters.
///
/// # Invariants
///
/// The pointer is to a `struct pcpu_lstats` in per-CPU memory that this owns.
struct PerCpu(NonNull<bindings::pcpu_lstats>);

// SAFETY: Per-CPU memory can be used and freed from any thread.
unsafe impl Send for PerCpu {}
// SAFETY: Each CPU changes its own counters only, and readers see them consistently.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    /// Allocates counters at zero (`netdev_alloc_pcpu_stats()`). May sleep.
    fn new() -> Result<Self> {
        // SAFETY: May be called from any context that may sleep.
        let stats = unsafe { bindings::netdev_helper_pcpu_lstats_alloc() };
        // INVARIANT: The memory was just allocated.
        Ok(Self(NonNull::new(stats).ok_or(ENOMEM)?))
    }

    /// Counts a packet on the current CPU. `_tx` proves that the task stays on it.
    fn add(&self, len: u32, _tx: &Tx<'_>) {
        // SAFETY: Bottom halves or interrupts are disabled by the invariants of `Tx`.
        unsafe { self.add_many(1, len) };
    }

    /// Counts packets and their bytes on the current CPU.
    ///
    /// # Safety
    ///
    /// Bottom halves or interrupts are disabled.
    unsafe fn add_many(&self, packets: u32, bytes: u32) {
        // SAFETY: The memory is valid by the type invariants; the rest by the safety requirements.
        unsafe { bindings::netdev_helper_pcpu_lstats_add(self.0.as_ptr(), packets, bytes) };
    }

    /// The sum over all CPUs.
    fn read(&self) -> Counters {
        let mut sum = Counters::default();
        // SAFETY: The memory is valid by the type invariants, the other pointers are to local
        // variables.
        unsafe {
            bindings::netdev_helper_pcpu_lstats_read(
                self.0.as_ptr(),
                &mut sum.packets,
                &mut sum.bytes,
            )
        };
        sum
    }
}

impl Drop for PerCpu {
    fn drop(&mut self) {
        // SAFETY: The memory is owned by the type invariants.
        unsafe { bindings::free_percpu(self.0.as_ptr().cast()) };
    }
}

/// The counters of the queues of a device that has several.
pub(crate) struct QueueStats {
    rx: KVVec<PerCpu>,
    tx: KVVec<PerCpu>,
}

impl QueueStats {
    /// Allocates the counters for as many queues. May sleep.
    pub(crate) fn new(rx: usize, tx: usize) -> Result<Self> {
        let counters = |count| -> Result<KVVec<PerCpu>> {
            let mut counters = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
            for _ in 0..count {
                counters.push(PerCpu::new()?, GFP_KERNEL_ACCOUNT)?;
            }
            Ok(counters)
        };
        Ok(Self {
            rx: counters(rx)?,
            tx: counters(tx)?,
        })
    }

    /// The counters of all queues of one direction, used ones or not.
    fn of(&self, direction: Direction) -> &KVVec<PerCpu> {
        match direction {
            Direction::Rx => &self.rx,
            Direction::Tx => &self.tx,
        }
    }

    /// Counts a packet on its queues.
    fn add(&self, packet: Packet, tx: &Tx<'_>) {
        self.on(packet.path)
            .for_each(|queue| queue.add(packet.len, tx));
    }

    /// The counters of the queues of a path.
    fn on(&self, path: Path) -> impl Iterator<Item = &PerCpu> {
        let tx = path.tx().checked_sub(1);
        let rx = path.rx().checked_sub(1);
        Iterator::chain(
            tx.and_then(|i| self.tx.get(usize::from(i))).into_iter(),
            rx.and_then(|i| self.rx.get(usize::from(i))),
        )
    }
}

impl<T> Device<T> {
    /// Counts a packet on the current CPU (`dev_lstats_add()`), and on its queues if they are
    /// recorded and the device has several.
    ///
    /// `tx` proves that this is the packet path, where the task stays on its CPU.
    #[inline]
    pub fn lstats_add(&self, packet: Packet, tx: &Tx<'_>) {
        // SAFETY: A device that transmits is registered, so that its `lstats` are allocated. Bottom
        // halves or interrupts are disabled by the invariants of `Tx`.
        unsafe { bindings::netdev_helper_lstats_add(self.as_raw(), packet.len) };
        if packet.path != Path::default() {
            if let Some(queues) = self.queue_stats() {
                queues.add(packet, tx);
            }
        }
    }

    /// Counts packets and their bytes, as [`lstats_add`](Self::lstats_add) does, that went over the
    /// same queues.
    ///
    /// # Safety
    ///
    /// The device is registered, and bottom halves or interrupts are disabled.
    pub(crate) unsafe fn lstats_add_many(&self, packets: u32, bytes: u32, path: Path) {
        // SAFETY: The `lstats` are allocated; the rest by the safety requirements.
        unsafe {
            let lstats = (*self.as_raw()).__bindgen_anon_2.lstats;
            bindings::netdev_helper_pcpu_lstats_add(lstats, packets, bytes);
        }
        if let Some(queues) = self.queue_stats() {
            for queue in queues.on(path) {
                // SAFETY: By the safety requirements.
                unsafe { queue.add_many(packets, bytes) };
            }
        }
    }

    /// The sum of what [`lstats_add`](Self::lstats_add) counted on all CPUs (`dev_lstats_read()`).
    ///
    /// Each CPU's pair of counters is read consistently. May be called from any context.
    pub fn lstats_read(&self) -> Counters {
        let mut sum = Counters::default();
        // SAFETY: The device is registered, so that its `lstats` are allocated; the other pointers
        // are to local variables.
        unsafe { bindings::dev_lstats_read(self.as_raw(), &mut sum.packets, &mut sum.bytes) };
        sum
    }

    /// Counts a packet that was dropped in transmission (`dev_core_stats_tx_dropped_inc()`).
    pub fn tx_dropped_inc(&self) {
        self.core_stats_inc(core::mem::offset_of!(
            bindings::net_device_core_stats,
            tx_dropped
        ));
    }

    /// Counts a packet that was dropped in reception (`dev_core_stats_rx_dropped_inc()`).
    pub(crate) fn rx_dropped_inc(&self) {
        self.core_stats_inc(core::mem::offset_of!(
            bindings::net_device_core_stats,
            rx_dropped
        ));
    }

    /// Adds one to the counter at that place.
    fn core_stats_inc(&self, offset: usize) {
        // SAFETY: The device is valid, and the offset is that of a counter. May be called from any
        // context.
        unsafe { bindings::netdev_core_stats_inc(self.as_raw(), offset as u32) };
    }
}

impl<T: device::Operations> Device<T> {
    /// The counters of a queue. One that is alone has counted what the device has.
    pub(crate) fn queue_counters(&self, direction: Direction, index: usize) -> Counters {
        match self.queue_stats() {
            Some(queues) => queues
                .of(direction)
                .get(index)
                .map_or(Counters::default(), PerCpu::read),
            None => LinkStats::of(self).get(direction),
        }
    }

    /// What the device has counted beyond the first `live` queues.
    fn base_counters(&self, direction: Direction, live: usize) -> Counters {
        match self.queue_stats() {
            Some(queues) => queues
                .of(direction)
                .iter()
                .skip(live)
                .map(PerCpu::read)
                .fold(Counters::default(), Counters::plus),
            None => Counters::default(),
        }
    }
}

/// Tells what receive queues have dropped, if the driver counts it.
fn set_drops<T: device::Operations>(
    dev: &Device<T>,
    queues: Range<usize>,
    stats: &mut bindings::netdev_queue_stats_rx,
) {
    if <T::Xdp as xdp::Operations<T>>::SUPPORTED {
        let drops = dev.xdp().drops(queues);
        stats.hw_drops = drops.all;
        stats.hw_drop_overruns = drops.overruns;
    }
}

/// The C callbacks for a driver.
pub(crate) struct Adapter<T>(PhantomData<T>);

impl<T: device::Operations> Adapter<T> {
    /// The operations table of the driver's devices.
    pub(crate) const STAT_OPS: bindings::netdev_stat_ops = bindings::netdev_stat_ops {
        get_queue_stats_rx: Some(Self::get_queue_stats_rx),
        get_queue_stats_tx: Some(Self::get_queue_stats_tx),
        get_base_stats: Some(Self::get_base_stats),
    };

    /// `netdev_stat_ops::get_queue_stats_rx`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn get_queue_stats_rx(
        dev: *mut bindings::net_device,
        index: c_int,
        stats: *mut bindings::netdev_queue_stats_rx,
    ) {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        let counters = dev.queue_counters(Direction::Rx, index as usize);
        // SAFETY: The core passes a structure of its own. What is not set counts as not collected.
        unsafe {
            (*stats).packets = counters.packets;
            (*stats).bytes = counters.bytes;
            set_drops(dev, index as usize..index as usize + 1, &mut *stats);
        }
    }

    /// `netdev_stat_ops::get_queue_stats_tx`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn get_queue_stats_tx(
        dev: *mut bindings::net_device,
        index: c_int,
        stats: *mut bindings::netdev_queue_stats_tx,
    ) {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        let counters = dev.queue_counters(Direction::Tx, index as usize);
        // SAFETY: The core passes a structure of its own. What is not set counts as not collected.
        unsafe {
            (*stats).packets = counters.packets;
            (*stats).bytes = counters.bytes;
        }
    }

    /// `netdev_stat_ops::get_base_stats`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn get_base_stats(
        dev: *mut bindings::net_device,
        rx: *mut bindings::netdev_queue_stats_rx,
        tx: *mut bindings::netdev_queue_stats_tx,
    ) {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        let queues = dev.real_num_queues();
        let (rx_base, tx_base) = (
            dev.base_counters(Direction::Rx, queues.rx as usize),
            dev.base_counters(Direction::Tx, queues.tx as usize),
        );
        // SAFETY: The core passes structures of its own.
        unsafe {
            (*rx).packets = rx_base.packets;
            (*rx).bytes = rx_base.bytes;
            (*tx).packets = tx_base.packets;
            (*tx).bytes = tx_base.bytes;
            set_drops(
                dev,
                queues.rx as usize..dev.num_queues().rx as usize,
                &mut *rx,
            );
        }
    }
}

#[kunit_tests(netdev_stats)]
mod tests {
    use super::*;
    use crate::{
        device::Queues,
        rtnl,
        testing::{
            with_device,
            with_tx,
            Probe, //
        }, //
    };

    /// A number of packets and bytes.
    fn counters(packets: u64, bytes: u64) -> Counters {
        Counters { packets, bytes }
    }

    /// What is counted of a packet.
    fn packet(len: u32, tx: u16, rx: Option<u16>) -> Packet {
        Packet {
            len,
            path: rx.map_or(Path::sent(tx), |rx| Path::turned(tx, rx)),
        }
    }

    #[test]
    fn sums_wrap_as_in_c() {
        assert_eq!(counters(1, 10).plus(counters(2, 20)), counters(3, 30));
        assert_eq!(
            counters(u64::MAX, u64::MAX - 1).plus(counters(1, 3)),
            counters(0, 1)
        );
    }

    #[test]
    fn counters_have_64_bits() -> Result {
        let counters = PerCpu::new()?;
        assert_eq!(counters.read(), Counters::default());
        with_tx(|tx| {
            counters.add(u32::MAX, tx);
            counters.add(u32::MAX, tx);
            counters.add(1, tx);
        });
        let sum = counters.read();
        assert_eq!(sum.packets, 3);
        assert_eq!(sum.bytes, 2 * u64::from(u32::MAX) + 1);
        Ok(())
    }

    #[test]
    fn packets_are_counted_on_their_queues() -> Result {
        let stats = QueueStats::new(2, 3)?;
        with_tx(|tx| {
            stats.add(packet(100, 2, Some(0)), tx);
            stats.add(packet(20, 0, None), tx);
            // Of queues that do not exist nothing is counted.
            stats.add(packet(5, 3, Some(2)), tx);
        });
        let read = |direction, i: usize| stats.of(direction)[i].read();
        assert_eq!(read(Direction::Rx, 0), counters(1, 100));
        assert_eq!(read(Direction::Rx, 1), counters(0, 0));
        assert_eq!(read(Direction::Tx, 0), counters(1, 20));
        assert_eq!(read(Direction::Tx, 1), counters(0, 0));
        assert_eq!(read(Direction::Tx, 2), counters(1, 100));
        Ok(())
    }

    #[test]
    fn queues_out_of_use_count_for_the_device() -> Result {
        with_device::<Probe, _>(Queues { rx: 3, tx: 3 }, |dev| {
            with_tx(|tx| {
                for queue in 0..3 {
                    dev.lstats_add(packet(100 << queue, queue, Some(queue)), tx);
                }
            });
            let one = Queues { rx: 1, tx: 2 };
            assert_eq!(dev.set_real_num_queues(one, &rtnl::lock()), Ok(()));
            assert_eq!(dev.lstats_read(), counters(3, 700));
            assert_eq!(dev.base_counters(Direction::Rx, 1), counters(2, 600));
            assert_eq!(dev.base_counters(Direction::Tx, 2), counters(1, 400));
            assert_eq!(dev.queue_counters(Direction::Rx, 0), counters(1, 100));
            assert_eq!(dev.queue_counters(Direction::Tx, 1), counters(1, 200));
            assert_eq!(dev.queue_counters(Direction::Tx, 9), counters(0, 0));
        })
    }

    #[test]
    fn one_queue_has_counted_what_the_device_has() -> Result {
        with_device::<Probe, _>(Queues { rx: 1, tx: 1 }, |dev| {
            with_tx(|tx| dev.lstats_add(packet(60, 0, None), tx));
            // The driver reports what it sends, and receives nothing.
            assert_eq!(dev.queue_counters(Direction::Tx, 0), counters(1, 60));
            assert_eq!(dev.queue_counters(Direction::Rx, 0), counters(0, 0));
            assert_eq!(dev.base_counters(Direction::Tx, 1), counters(0, 0));
        })
    }

    #[test]
    fn drops_in_transmission_reach_the_core() -> Result {
        with_device::<Probe, _>(Queues { rx: 1, tx: 1 }, |dev| {
            dev.tx_dropped_inc();
            dev.tx_dropped_inc();
            let stats = dev.statistics();
            assert_eq!(stats.tx_dropped, 2);
            assert_eq!(stats.rx_dropped, 0);
            assert_eq!(stats.tx, counters(0, 0));
        })
    }
}
