// SPDX-License-Identifier: GPL-2.0

//! Socket buffers.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h).

use crate::{
    bindings,
    device::Device,
    stats::{
        Packet,
        Path, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// Length of an Ethernet header in bytes (`ETH_HLEN`).
const ETH_HLEN: u32 = bindings::ETH_HLEN;

/// A packet to transmit, a `struct sk_buff` that the driver owns.
///
/// It has to be disposed of within the call of [`Operations::start_xmit`] that it was given to;
/// every method that does so consumes it and leads to a [`Tx`]. There is no destructor: a packet
/// does not vanish without the reason being told.
///
/// [`Operations::start_xmit`]: crate::Operations::start_xmit
///
/// # Invariants
///
/// - The pointer is to a valid `sk_buff` that nobody else frees or changes.
/// - During `'a`, bottom halves or interrupts are disabled on the current CPU.
#[must_use = "a packet has to be passed on, consumed or dropped"]
pub struct SkBuff<'a> {
    skb: NonNull<bindings::sk_buff>,
    _xmit: PhantomData<&'a mut bindings::sk_buff>,
}

/// Proof that a packet was disposed of, the return value of [`Operations::start_xmit`].
///
/// [`Operations::start_xmit`]: crate::Operations::start_xmit
///
/// # Invariants
///
/// During `'a`, bottom halves or interrupts are disabled on the current CPU.
#[must_use = "Operations::start_xmit has to return it"]
pub struct Tx<'a>(PhantomData<&'a mut bindings::sk_buff>);

#[cfg(CONFIG_KUNIT = "y")]
impl Tx<'_> {
    /// The proof for a test that has disabled bottom halves.
    pub(crate) fn of_test() -> Self {
        Self(PhantomData)
    }
}

/// Why a packet was dropped (`enum skb_drop_reason`), as `kfree_skb` tracing and drop monitors
/// show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum DropReason {
    /// The packet is too small (`SKB_DROP_REASON_PKT_TOO_SMALL`).
    PktTooSmall = bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_SMALL,
    /// XDP dropped it (`SKB_DROP_REASON_XDP`).
    Xdp = bindings::skb_drop_reason_SKB_DROP_REASON_XDP,
    /// The ring of its queue is full (`SKB_DROP_REASON_FULL_RING`).
    FullRing = bindings::skb_drop_reason_SKB_DROP_REASON_FULL_RING,
    /// The device was brought down (`SKB_DROP_REASON_DEV_READY`).
    DevReady = bindings::skb_drop_reason_SKB_DROP_REASON_DEV_READY,
}

#[expect(clippy::len_without_is_empty, reason = "no packet is empty")]
impl<'a> SkBuff<'a> {
    /// Takes over the packet that `ndo_start_xmit` was given.
    ///
    /// # Safety
    ///
    /// The caller passes the ownership of `skb`, which is not shared, and bottom halves or
    /// interrupts stay disabled during `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            skb,
            _xmit: PhantomData,
        }
    }

    /// Gives up the ownership.
    #[inline]
    fn into_raw(self) -> *mut bindings::sk_buff {
        self.skb.as_ptr()
    }

    /// The packet's length in bytes, with the data in fragments.
    #[inline]
    pub fn len(&self) -> u32 {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { (*self.skb.as_ptr()).len }
    }

    /// The bytes of the packet in its linear part (`skb_headlen()`).
    #[inline]
    pub fn headlen(&self) -> u32 {
        // SAFETY: The pointer is valid by the type invariants.
        let data_len = unsafe { (*self.skb.as_ptr()).data_len };
        // `len` is never less than `data_len`; __skb_pull() has a BUG_ON() for that.
        self.len().wrapping_sub(data_len)
    }

    /// Ends the life of a packet that reached its destination: takes the software transmit
    /// timestamp and frees it (`dev_consume_skb_any()`).
    pub fn consume(self) -> Tx<'a> {
        // SAFETY: The packet is owned by the type invariants, and the ownership is given up. The
        // function may be called from any context.
        unsafe { bindings::netdev_helper_skb_consume(self.into_raw()) };
        // INVARIANT: By the invariants of `self`.
        Tx(PhantomData)
    }

    /// Drops the packet for a reason (`dev_kfree_skb_any_reason()`).
    ///
    /// Counting the drop is left to the caller, see
    /// [`Device::tx_dropped_inc`].
    pub fn free(self, reason: DropReason) -> Tx<'a> {
        // SAFETY: The packet is owned by the type invariants, and the ownership is given up. The
        // function may be called from any context.
        unsafe { bindings::dev_kfree_skb_any_reason(self.into_raw(), reason as u32) };
        // INVARIANT: By the invariants of `self`.
        Tx(PhantomData)
    }

    /// The queue that the packet is transmitted on (`skb_get_queue_mapping()`).
    #[inline]
    pub fn tx_queue(&self) -> u16 {
        // SAFETY: The pointer is valid by the type invariants.
        unsafe { (*self.skb.as_ptr()).queue_mapping }
    }

    /// What is counted of the packet when it was transmitted, and not received.
    #[inline]
    pub fn packet(&self) -> Packet {
        Packet {
            len: self.len(),
            path: Path::sent(self.tx_queue()),
        }
    }

    /// Turns the packet round: it ends its transmission and arrives at `dev`.
    ///
    /// Does what `loopback_xmit()` does before `__netif_rx()`: takes the software transmit
    /// timestamp (there is no PHY to take one), clears it in the packet, releases the sending
    /// socket, makes the reference to the route a counted one, and sets protocol and packet type
    /// from the Ethernet header, which is pulled (`eth_type_trans()`). With `rx_queue` the packet
    /// is recorded for that receive queue, and counted for both queues; see
    /// [`Device::rx_queue_for`].
    ///
    /// Packets of AF_PACKET and BPF can be of any shape: one without an Ethernet header
    /// in its linear part is given back as it was.
    #[inline]
    pub fn into_rx<T>(
        self,
        dev: &'a Device<T>,
        rx_queue: Option<u16>,
    ) -> Result<RxSkBuff<'a>, Self> {
        if self.headlen() < ETH_HLEN {
            return Err(self);
        }

        let mut path = Path::default();
        if let Some(rx_queue) = rx_queue {
            path = Path::turned(self.tx_queue(), rx_queue);
            // SAFETY: The packet is owned by the type invariants. As skb_record_rx_queue() does.
            unsafe { (*self.skb.as_ptr()).queue_mapping = path.rx() };
        }

        // SAFETY: The packet is owned, unshared and being transmitted by the type invariants, and
        // its linear part holds the 14 bytes that are read and pulled as in `eth_type_trans()`, as
        // was checked above. `dev` is a valid device; packets on the backlog that still refer to it
        // when it is unregistered are flushed by the core.
        unsafe { bindings::netdev_helper_skb_into_rx(self.skb.as_ptr(), dev.as_raw()) };

        // INVARIANT: The socket was released, the route is counted, and the device, the MAC header
        // and the packet type are what `eth_type_trans()` makes of them.
        Ok(RxSkBuff { skb: self, path })
    }
}

/// A packet that is ready to be received.
///
/// # Invariants
///
/// The packet belongs to no socket, its route (if any) is counted, and its device, MAC header,
/// packet type and protocol are set.
#[must_use = "a packet has to be passed on, consumed or dropped"]
pub struct RxSkBuff<'a> {
    skb: SkBuff<'a>,
    path: Path,
}

/// What became of a packet that was handed to the receive path.
pub enum Rx<'a> {
    /// It was queued (`NET_RX_SUCCESS`).
    Success(Tx<'a>),
    /// It was dropped, which the core has counted in `rx_dropped` (`NET_RX_DROP`).
    Drop(Tx<'a>),
}

impl<'a> RxSkBuff<'a> {
    /// What is counted of the packet: its length is that without the Ethernet header.
    #[inline]
    pub fn packet(&self) -> Packet {
        Packet {
            len: self.skb.len(),
            path: self.path,
        }
    }

    /// The packet, whose ownership is passed on with [`queued`](Self::queued).
    pub(crate) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.skb.skb.as_ptr()
    }

    /// Gives up the ownership to the queue of the device that the packet was put into.
    pub(crate) fn queued(self) -> Tx<'a> {
        // INVARIANT: By the invariants of `self`.
        Tx(PhantomData)
    }

    /// Drops the packet for a reason.
    pub(crate) fn free(self, reason: DropReason) -> Tx<'a> {
        self.skb.free(reason)
    }

    /// Queues the packet on the backlog of the current CPU (`__netif_rx()`).
    #[inline]
    pub fn netif_rx(self) -> Rx<'a> {
        // SAFETY: The packet is owned and ready to be received by the type invariants, and the
        // function takes the ownership. It demands disabled bottom halves, for the softirq that it
        // raises would wait otherwise; disabled interrupts are enough for the backlog itself, which
        // enqueue_to_backlog() protects by them.
        let ret = unsafe { bindings::__netif_rx(self.skb.into_raw()) };
        // INVARIANT: By the invariants of `self`.
        let tx = Tx(PhantomData);
        if ret == bindings::NET_RX_SUCCESS as i32 {
            Rx::Success(tx)
        } else {
            Rx::Drop(tx)
        }
    }
}
