// SPDX-License-Identifier: GPL-2.0

//! Statistics of a device.
//!
//! Every device of this abstraction has the per-CPU, lockless packet and byte counters of
//! `struct pcpu_lstats`; the core allocates and frees them (`NETDEV_PCPU_STAT_LSTATS`).
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h).

use crate::{
    bindings,
    device::Device,
    skbuff::Tx, //
};
use kernel::types::Opaque;

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of packets.
    pub packets: u64,
    /// Number of bytes, as the driver counted them.
    pub bytes: u64,
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
}

impl<T> Device<T> {
    /// Counts a packet of `len` bytes on the current CPU (`dev_lstats_add()`).
    ///
    /// `_tx` proves that this is the packet path, where the task stays on its CPU.
    #[inline]
    pub fn lstats_add(&self, len: u32, _tx: &Tx<'_>) {
        // SAFETY: A device that transmits is registered, so that its `lstats` are allocated. Bottom
        // halves or interrupts are disabled by the invariants of `Tx`.
        unsafe { bindings::netdev_helper_lstats_add(self.as_raw(), len) };
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
        let offset = core::mem::offset_of!(bindings::net_device_core_stats, tx_dropped);
        // SAFETY: The device is valid, and the offset is that of a counter. May be called from any
        // context.
        unsafe { bindings::netdev_core_stats_inc(self.as_raw(), offset as u32) };
    }
}
