// SPDX-License-Identifier: GPL-2.0

//! AF_XDP zero-copy: pools of frames that belong to user space.
//!
//! A pool is bound to a queue and has two sides, each with one owner: [`TxPool`] takes descriptors
//! off the TX rings and completes them, [`RxPool`] takes empty frames off the fill ring. A frame
//! that is received is an [`XskBuff`], which is in one place at a time.
//!
//! User space can write to its frames at any time, and to the rings, too. Descriptors are copied
//! and checked by the core before they are seen here; data is read once and never relied on.
//!
//! C headers: [`include/net/xdp_sock_drv.h`](srctree/include/net/xdp_sock_drv.h),
//! [`include/net/xsk_buff_pool.h`](srctree/include/net/xsk_buff_pool.h).

use crate::{
    bindings,
    rtnl::Rtnl,
    xdp::XskBuff, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};
use kernel::{
    error::to_result,
    prelude::*,
    time::{
        ClockSource,
        Delta,
        Instant,
        Monotonic,
        RealTime, //
    }, //
};

/// How many descriptors are taken at once; not less than a packet may have.
pub const BATCH: usize = 64;

/// The most frames of a packet.
pub(crate) const MAX_SEGMENTS: u32 = bindings::MAX_SKB_FRAGS + 1;

/// A pool that was bound to a queue for zero-copy (`struct xsk_buff_pool`).
///
/// # Invariants
///
/// The pool is valid until `ndo_bpf` returns from disabling it, and was made ready by
/// [`Pool::enable`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pool(NonNull<bindings::xsk_buff_pool>);

impl Pool {
    /// Makes a pool ready for use.
    ///
    /// # Safety
    ///
    /// `pool` is being enabled by `ndo_bpf`, and will be given to [`disable`](Self::disable) before
    /// or when it is disabled. `rxq` outlives that.
    pub(crate) unsafe fn enable(
        pool: NonNull<bindings::xsk_buff_pool>,
        rxq: *mut bindings::xdp_rxq_info,
    ) -> Result<Self> {
        // SAFETY: The pool is valid by the safety requirements, and not yet used.
        to_result(unsafe { bindings::netdev_helper_xsk_pool_map(pool.as_ptr()) })?;
        // SAFETY: As above; `rxq` is valid while the pool is in use.
        unsafe { bindings::netdev_helper_xsk_pool_set_rxq(pool.as_ptr(), rxq) };
        // INVARIANT: By the safety requirements.
        Ok(Self(pool))
    }

    /// Undoes [`enable`](Self::enable).
    ///
    /// # Safety
    ///
    /// Both sides of the pool are gone, and `ndo_bpf` has not returned from disabling it.
    pub(crate) unsafe fn disable(self) {
        // SAFETY: The pool is valid by the type invariants, and nobody uses it.
        unsafe { bindings::netdev_helper_xsk_pool_unmap(self.0.as_ptr()) };
    }

    /// The two sides.
    ///
    /// # Safety
    ///
    /// Called once after [`enable`](Self::enable); both are dropped before
    /// [`disable`](Self::disable).
    pub(crate) unsafe fn split(self) -> (TxPool, RxPool) {
        // SAFETY: The pool is valid by the type invariants.
        let (frame_size, sg) = unsafe {
            (
                bindings::netdev_helper_xsk_pool_frame_size(self.0.as_ptr()),
                bindings::netdev_helper_xsk_pool_is_sg(self.0.as_ptr()),
            )
        };
        (
            TxPool {
                pool: self,
                completed: 0,
                next: 0,
                end: 0,
            },
            RxPool {
                pool: self,
                frame_size,
                max_segments: if sg { MAX_SEGMENTS } else { 1 },
                stuck: None,
                empty: [ptr::null_mut(); BATCH],
            },
        )
    }

    /// How far the frames of a packet of several are apart, for programs that lengthen it
    /// (`xsk_pool_get_rx_frag_step()`).
    pub(crate) fn frag_step(self) -> u32 {
        // SAFETY: The pool is valid by the type invariants, and these fields do not change.
        unsafe {
            let pool = self.as_ptr();
            if (*pool).unaligned {
                0
            } else {
                (*pool).chunk_size
            }
        }
    }

    /// Whether sockets use the pool. When the last one is closed it is unbound a little later. May
    /// sleep.
    pub(crate) fn is_used(self, _rtnl: &Rtnl) -> bool {
        // SAFETY: The pool is valid by the type invariants, and RTNL is held.
        unsafe { bindings::netdev_helper_xsk_pool_is_used(self.as_ptr()) }
    }

    /// The raw pointer.
    #[inline]
    fn as_ptr(self) -> *mut bindings::xsk_buff_pool {
        self.0.as_ptr()
    }

    /// Whether user space wants to be told when a ring has to be looked at
    /// (`XDP_USE_NEED_WAKEUP`).
    #[inline]
    fn uses_need_wakeup(self) -> bool {
        // SAFETY: The pool is valid by the type invariants, and the flag is set before it is
        // enabled.
        unsafe { (*self.as_ptr()).uses_need_wakeup }
    }
}

/// The sending side of a pool: its TX rings and its completion ring.
///
/// # Invariants
///
/// - Nobody else takes descriptors of the pool.
/// - `completed <= next <= end`, and the descriptors `completed..end` of `tx_descs` were taken off
///   the TX rings and not completed.
pub struct TxPool {
    pool: Pool,
    completed: u32,
    next: u32,
    end: u32,
}

// SAFETY: The pool can be used from any CPU, by one at a time.
unsafe impl Send for TxPool {}

impl TxPool {
    /// The pool.
    pub(crate) fn pool(&self) -> Pool {
        self.pool
    }

    /// Takes descriptors off the TX rings (`xsk_tx_peek_release_desc_batch()`), unless some are
    /// left: up to `max`. Returns how many there are.
    #[inline]
    pub fn peek(&mut self, max: usize) -> usize {
        if self.next == self.end {
            self.complete();
            let max = max.min(BATCH) as u32;
            // SAFETY: The pool is valid, and this is the only taker, by the type invariants.
            self.end = unsafe { bindings::xsk_tx_peek_release_desc_batch(self.pool.as_ptr(), max) };
            (self.completed, self.next) = (0, 0);
        }
        self.left()
    }

    /// How many descriptors are left.
    #[inline]
    fn left(&self) -> usize {
        self.end.wrapping_sub(self.next) as usize
    }

    /// The descriptors that are left.
    #[inline]
    fn descriptors(&self) -> &[bindings::xdp_desc] {
        if self.next == self.end {
            return &[];
        }
        // SAFETY: The core wrote as many descriptors, by the type invariants, and changes them only
        // when it is asked for more, which takes `&mut self`.
        unsafe {
            slice::from_raw_parts(
                (*self.pool.as_ptr()).tx_descs.add(self.next as usize),
                self.left(),
            )
        }
    }

    /// The next packet, of those that [`peek`](Self::peek) took. It stays the next one until
    /// [`advance`](Self::advance).
    ///
    /// A last packet whose end is missing is one, too, and does not fit into any buffer.
    #[inline]
    pub fn packet(&self) -> Option<TxPacket<'_>> {
        let left = self.descriptors();
        let descriptors = match left.first()? {
            first if first.options == 0 => slice::from_ref(first),
            _ => many(left),
        };
        Some(TxPacket {
            pool: self.pool,
            descriptors,
        })
    }

    /// Goes on to the next packet; `count` is the number of descriptors of this one
    /// ([`TxPacket::count`]).
    #[inline]
    pub fn advance(&mut self, count: usize) {
        if self.descriptors().first().is_some_and(has_metadata) {
            self.stamp();
        }
        self.next = self.next.wrapping_add(count as u32).min(self.end);
    }

    /// Tells user space the time at which the next packet went, if it has asked for it.
    #[inline(never)]
    fn stamp(&self) {
        if let Some((_, Some(meta))) = self.packet().map(|packet| packet.requests()) {
            // SAFETY: The metadata lie in the memory of the pool, which is mapped.
            unsafe { bindings::netdev_helper_xsk_tx_metadata_complete(meta, &TX_METADATA_OPS) };
        }
    }

    /// Gives the frames of packets that were advanced over back to user space
    /// (`xsk_tx_completed()`).
    #[inline]
    pub fn complete(&mut self) {
        if self.next != self.completed {
            // SAFETY: The pool is valid, and as many descriptors were taken and not completed, by
            // the type invariants.
            unsafe {
                bindings::xsk_tx_completed(
                    self.pool.as_ptr(),
                    self.next.wrapping_sub(self.completed),
                );
            }
            self.completed = self.next;
        }
    }

    /// Tells user space that it has to wake the device for packets to be sent.
    pub fn hold(&mut self) {
        // SAFETY: The pool is valid by the type invariants, and bottom halves are disabled: both
        // sides are used by polls only.
        unsafe { bindings::netdev_helper_xsk_need_wakeup(self.pool.as_ptr(), true, true) };
    }

    /// As [`hold`](Self::hold), and looks again. Returns whether there are packets that were put
    /// there meanwhile, in which case user space is told the opposite; as [`peek`](Self::peek).
    pub fn sleep(&mut self, max: usize) -> bool {
        self.hold();
        // The flag is seen before the ring is read, or what was put into the ring is seen here.
        // SAFETY: May be called from anywhere.
        unsafe { bindings::netdev_helper_smp_mb() };
        if self.peek(max) == 0 {
            return false;
        }
        self.wake();
        true
    }

    /// Tells user space that packets are sent without it waking the device.
    pub fn wake(&mut self) {
        // SAFETY: The pool is valid by the type invariants, and bottom halves are disabled: both
        // sides are used by polls only.
        unsafe { bindings::netdev_helper_xsk_need_wakeup(self.pool.as_ptr(), true, false) };
    }
}

/// Whether the packet goes on with the next descriptor.
#[inline]
fn is_continued(desc: &bindings::xdp_desc) -> bool {
    desc.options & bindings::XDP_PKT_CONTD != 0
}

/// Whether there are requests before the packet.
#[inline]
fn has_metadata(desc: &bindings::xdp_desc) -> bool {
    desc.options & bindings::XDP_TX_METADATA != 0
}

/// The first packet of `left`, which may have several descriptors. All, if its end is missing.
#[inline(never)]
fn many(left: &[bindings::xdp_desc]) -> &[bindings::xdp_desc] {
    left.iter()
        .position(|desc| !is_continued(desc))
        .and_then(|end| left.get(..=end))
        .unwrap_or(left)
}

/// The operations table of devices, for requests that come with packets
/// (`struct xsk_tx_metadata`): to fill in a checksum, and for the time at which a packet went.
pub(crate) static TX_METADATA_OPS: bindings::xsk_tx_metadata_ops = bindings::xsk_tx_metadata_ops {
    tmo_request_timestamp: None,
    tmo_fill_timestamp: Some(fill_timestamp),
    tmo_request_checksum: Some(request_checksum),
    tmo_request_launch_time: None,
};

/// Where a checksum begins, and how far behind that it goes, in bytes.
type Checksum = (u16, u16);

/// `xsk_tx_metadata_ops::tmo_fill_timestamp`: nanoseconds of `CLOCK_REALTIME`.
extern "C" fn fill_timestamp(_: *mut c_void) -> u64 {
    RealTime::ktime_get() as u64
}

/// `xsk_tx_metadata_ops::tmo_request_checksum`.
///
/// # Safety
///
/// `checksum` is a valid `Option<Checksum>`.
unsafe extern "C" fn request_checksum(start: u16, offset: u16, checksum: *mut c_void) {
    // SAFETY: By the safety requirements.
    unsafe { *checksum.cast::<Option<Checksum>>() = Some((start, offset)) };
}

/// A packet that user space sends: one descriptor or several (`struct xdp_desc`).
pub struct TxPacket<'a> {
    pool: Pool,
    descriptors: &'a [bindings::xdp_desc],
}

#[expect(clippy::len_without_is_empty, reason = "no packet is empty")]
impl TxPacket<'_> {
    /// The number of its descriptors.
    #[inline]
    pub fn count(&self) -> usize {
        self.descriptors.len()
    }

    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> u32 {
        match self.descriptors {
            [one] => one.len,
            many => many.iter().map(|desc| desc.len).sum(),
        }
    }

    /// Whether it has an end, and an Ethernet header.
    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        self.descriptors
            .last()
            .is_some_and(|last| !is_continued(last))
            && self.len() >= bindings::ETH_HLEN
    }

    /// Where the data of a descriptor begin, for `len` bytes (`xp_raw_get_data()`).
    #[inline]
    fn data(&self, desc: &bindings::xdp_desc) -> Option<*const c_void> {
        // SAFETY: The pool is valid by its type invariants, and these fields do not change.
        let (unaligned, size, addrs) = unsafe {
            let pool = self.pool.as_ptr();
            ((*pool).unaligned, (*pool).addrs_cnt, (*pool).addrs)
        };
        let offset = if unaligned {
            (desc.addr & bindings::XSK_UNALIGNED_BUF_ADDR_MASK)
                + (desc.addr >> bindings::XSK_UNALIGNED_BUF_OFFSET_SHIFT)
        } else {
            desc.addr
        };
        // The core has checked it.
        if offset.checked_add(desc.len.into())? > size {
            return None;
        }
        Some(addrs.wrapping_add(offset as usize))
    }

    /// What user space asks for: a checksum, and the time, which belongs to where the pointer is.
    fn requests(&self) -> (Option<Checksum>, Option<*mut bindings::xsk_tx_metadata>) {
        let mut checksum: Option<Checksum> = None;
        // SAFETY: The pool is valid by its type invariants, and this field does not change.
        let len = usize::from(unsafe { (*self.pool.as_ptr()).tx_metadata_len });
        let Some(first) = self.descriptors.first() else {
            return (None, None);
        };
        if len == 0 || !has_metadata(first) {
            return (None, None);
        }
        let Some(data) = self.data(first) else {
            return (None, None);
        };
        // SAFETY: The core has checked that the metadata before the data lie in the memory of the
        // pool, too. `checksum` is what the callback wants.
        let meta = unsafe {
            bindings::netdev_helper_xsk_tx_metadata_request(
                self.pool.as_ptr(),
                data.wrapping_sub(len).cast_mut().cast(),
                &TX_METADATA_OPS,
                ptr::from_mut(&mut checksum).cast(),
            )
        };
        (checksum, (!meta.is_null()).then_some(meta))
    }

    /// The checksum to fill in, if it is in the packet.
    fn checksum(&self) -> Option<Checksum> {
        self.requests().0.filter(|(start, offset)| {
            u32::from(*start) + u32::from(*offset) + size_of::<u16>() as u32 <= self.len()
        })
    }

    /// The pieces of the packet: where they are, and their length.
    fn pieces(&self) -> impl Iterator<Item = Option<(*const c_void, u32)>> + '_ {
        self.descriptors
            .iter()
            .map(|desc| Some((self.data(desc)?, desc.len)))
    }

    /// Writes the packet to the beginning of an skb.
    ///
    /// # Safety
    ///
    /// `skb` is valid, owned by the caller, and at least as long.
    pub(crate) unsafe fn store(&self, skb: *mut bindings::sk_buff) -> Result {
        let mut offset = 0;
        for piece in self.pieces() {
            let (data, len) = piece.ok_or(EINVAL)?;
            // SAFETY: The piece lies in the memory of the pool, which is mapped. The skb is as
            // long, by the safety requirements.
            to_result(unsafe { bindings::skb_store_bits(skb, offset, data, len as c_int) })?;
            offset += len as c_int;
        }
        if let Some((start, offset)) = self.checksum() {
            // SAFETY: The skb is valid, and as long. It is left as it is if the checksum is not in
            // its linear part.
            unsafe { bindings::skb_partial_csum_set(skb, start, offset) };
        }
        Ok(())
    }
}

/// Why a packet was not put into receive buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillError {
    /// There are not enough empty frames.
    NoBuffers,
    /// The packet is longer than the frames of a packet, or is none.
    Unfit,
}

/// The receiving side of a pool: its fill ring.
///
/// # Invariants
///
/// Nobody else takes frames of the pool.
pub struct RxPool {
    pool: Pool,
    frame_size: u32,
    max_segments: u32,
    /// Since when it takes nothing.
    stuck: Option<Instant<Monotonic>>,
    /// Room for what [`Buffers`] holds.
    empty: [*mut bindings::xdp_buff; BATCH],
}

// SAFETY: The pool can be used from any CPU, by one at a time.
unsafe impl Send for RxPool {}

impl RxPool {
    /// The pool.
    pub(crate) fn pool(&self) -> Pool {
        self.pool
    }

    /// The longest packet in bytes, from its Ethernet header on.
    pub fn max_len(&self) -> u32 {
        self.frame_size.saturating_mul(self.max_segments)
    }

    /// Takes up to `count` empty frames off the fill ring (`xsk_buff_alloc_batch()`).
    #[inline]
    pub fn alloc(&mut self, count: usize) -> Buffers<'_> {
        let mut buffers = Buffers {
            pool: self,
            next: 0,
            end: 0,
        };
        buffers.refill(count);
        buffers
    }

    /// Notes that packets arrive.
    #[inline]
    pub fn flowing(&mut self) {
        self.stuck = None;
    }

    /// Whether user space wakes the device when it is told to (`XDP_USE_NEED_WAKEUP`).
    pub fn uses_need_wakeup(&self) -> bool {
        self.pool.uses_need_wakeup()
    }

    /// Tells user space that empty frames are taken without it waking the device.
    pub fn wake(&mut self) {
        // SAFETY: The pool is valid by the type invariants, and bottom halves are disabled: both
        // sides are used by polls only.
        unsafe { bindings::netdev_helper_xsk_need_wakeup(self.pool.as_ptr(), false, false) };
    }
}

/// Empty frames. Those that are not used go back to the pool.
///
/// # Invariants
///
/// The buffers `next..end` of `pool.empty` were allocated from the pool. Each is used by nobody
/// else, unless user space has put its frame onto the fill ring twice: then the same buffer is
/// there twice, is filled twice and shown twice, and goes back once, as `xp_free()` sees to.
pub struct Buffers<'a> {
    pool: &'a mut RxPool,
    next: usize,
    end: usize,
}

impl Buffers<'_> {
    /// Replaces the buffers, of which none are left, by up to `count` new ones.
    fn refill(&mut self, count: usize) {
        let count = count.min(BATCH) as u32;
        // SAFETY: The pool is valid, and this is the only taker, by the type invariants; there is
        // room for as many.
        let count = unsafe {
            bindings::netdev_helper_xsk_alloc_batch(
                self.pool.pool.as_ptr(),
                self.pool.empty.as_mut_ptr(),
                count,
            )
        };
        self.next = 0;
        self.end = (count as usize).min(BATCH);
    }

    /// Takes one.
    #[inline]
    fn pop(&mut self) -> Option<*mut bindings::xdp_buff> {
        if self.next == self.end {
            return None;
        }
        let xdp = *self.pool.empty.get(self.next)?;
        self.next += 1;
        Some(xdp)
    }

    /// Copies a packet into buffers. There is one packet at a time, since the pool has one list for
    /// all its fragments.
    #[inline]
    pub fn fill(&mut self, packet: &TxPacket<'_>) -> Result<XskBuff<'_>, FillError> {
        match packet.descriptors {
            [one] if one.options == 0 && packet.is_valid() && one.len <= self.pool.frame_size => {
                let data = packet.data(one).ok_or(FillError::Unfit)?;
                let xdp = self.pop().ok_or(FillError::NoBuffers)?;
                // SAFETY: The buffer was just allocated and holds `frame_size` bytes; the source
                // lies in the memory of its pool, which is mapped.
                unsafe { bindings::netdev_helper_xsk_fill(xdp, data, one.len) };
                // SAFETY: The buffer is allocated and filled.
                Ok(unsafe { XskBuff::from_raw(xdp) })
            }
            _ => self.fill_many(packet),
        }
    }

    /// Copies a packet of several descriptors, or one that needs several buffers.
    #[inline(never)]
    fn fill_many(&mut self, packet: &TxPacket<'_>) -> Result<XskBuff<'_>, FillError> {
        let frame_size = self.pool.frame_size;
        let needed = packet.len().div_ceil(frame_size);
        if !packet.is_valid() || needed > self.pool.max_segments {
            return Err(FillError::Unfit);
        }
        let mut taken = [ptr::null_mut(); MAX_SEGMENTS as usize];
        let taken = taken.get_mut(..needed as usize).ok_or(FillError::Unfit)?;
        let mut count = 0;
        while count < taken.len() {
            let Some(xdp) = self.pop().or_else(|| {
                self.refill(needed as usize - count);
                self.pop()
            }) else {
                break;
            };
            // User space can put a frame onto the fill ring twice. It is in use already, then.
            // SAFETY: The buffer was allocated.
            let listed = unsafe { bindings::netdev_helper_xsk_is_listed(xdp) };
            if listed || taken.iter().take(count).any(|other| *other == xdp) {
                continue;
            }
            // SAFETY: The buffer was just allocated.
            unsafe { bindings::netdev_helper_xsk_fill(xdp, ptr::null(), 0) };
            if let Some(place) = taken.get_mut(count) {
                *place = xdp;
            }
            count += 1;
        }
        let free = |taken: &[*mut bindings::xdp_buff]| {
            for xdp in taken {
                // SAFETY: The buffer was allocated above and is in no packet.
                unsafe { bindings::netdev_helper_xsk_free(*xdp) };
            }
        };
        if count < taken.len() {
            free(taken.get(..count).unwrap_or(&[]));
            return Err(FillError::NoBuffers);
        }

        let (mut to, mut room) = (0, frame_size);
        for piece in packet.pieces() {
            let Some((mut data, mut len)) = piece else {
                free(taken);
                return Err(FillError::Unfit);
            };
            while len > 0 {
                if room == 0 {
                    (to, room) = (to + 1, frame_size);
                }
                let part = len.min(room);
                // There are enough: the lengths were added up before.
                let Some(xdp) = taken.get(to) else { break };
                // SAFETY: The buffer holds `frame_size` bytes, of which `room` are free; the source
                // has `len` more bytes.
                unsafe { bindings::netdev_helper_xsk_append(*xdp, data, part) };
                data = data.wrapping_add(part as usize);
                len -= part;
                room -= part;
            }
        }

        if let Some((start, offset)) = packet.checksum() {
            // SAFETY: The buffers hold the packet, and the checksum is in it.
            unsafe {
                bindings::netdev_helper_xsk_checksum(
                    taken.as_mut_ptr(),
                    needed,
                    start.into(),
                    offset.into(),
                );
            }
        }

        let (head, frags) = taken.split_first().ok_or(FillError::Unfit)?;
        for (index, frag) in (0..).zip(frags) {
            // SAFETY: Both buffers are allocated and different, the fragment is in no list, those
            // of the packet before were passed on with it, and there are at most `MAX_SKB_FRAGS`.
            unsafe { bindings::netdev_helper_xsk_add_frag(*head, *frag, index) };
        }
        // SAFETY: The buffer is allocated and filled, and has its fragments.
        Ok(unsafe { XskBuff::from_raw(*head) })
    }
}

impl Drop for Buffers<'_> {
    #[inline]
    fn drop(&mut self) {
        while let Some(xdp) = self.pop() {
            // SAFETY: The buffer was allocated, and goes back once. It has no fragments: its flags
            // may be those of its last use.
            unsafe {
                bindings::netdev_helper_xsk_fill(xdp, ptr::null(), 0);
                bindings::netdev_helper_xsk_free(xdp);
            }
        }
    }
}

impl Buffers<'_> {
    /// Notes that a packet could not be put into a frame or an RX ring. Returns whether this is so
    /// for longer than `patience`.
    pub fn stuck_for(&mut self, patience: Delta) -> bool {
        let since = *self.pool.stuck.get_or_insert_with(Instant::now);
        since.elapsed() > patience
    }

    /// Tells user space that it has to wake the device when there are empty frames again. What
    /// was put onto the rings before user space sees this is seen here afterwards.
    pub fn sleep(&mut self) {
        // SAFETY: The pool is valid by the type invariants, and bottom halves are disabled: both
        // sides are used by polls only.
        unsafe {
            bindings::netdev_helper_xsk_need_wakeup(self.pool.pool.as_ptr(), false, true);
            bindings::netdev_helper_smp_mb();
        }
    }
}

/// Keeps [`XskBuff`] from being there when the next one is filled.
pub(crate) type Brand<'a> = PhantomData<&'a mut RxPool>;

#[kunit_tests(netdev_xsk)]
mod tests {
    use super::*;

    /// A descriptor of a packet.
    fn desc(addr: u64, options: u32) -> bindings::xdp_desc {
        bindings::xdp_desc {
            addr,
            len: 100,
            options,
        }
    }

    /// The addresses of the first packet's descriptors.
    fn first(left: &[bindings::xdp_desc]) -> (usize, u64) {
        let first = many(left);
        (first.len(), first.last().map_or(0, |desc| desc.addr))
    }

    #[test]
    fn a_packet_ends_with_its_last_descriptor() {
        let more = bindings::XDP_PKT_CONTD;
        let metadata = bindings::XDP_TX_METADATA;
        assert_eq!(first(&[desc(1, metadata), desc(2, 0)]), (1, 1));
        assert_eq!(first(&[desc(1, more), desc(2, 0), desc(3, 0)]), (2, 2));
        assert_eq!(
            first(&[desc(1, more | metadata), desc(2, more), desc(3, 0)]),
            (3, 3)
        );
        // The end is missing.
        assert_eq!(first(&[desc(1, more), desc(2, more)]), (2, 2));
    }

    /// The bytes of a packet in two buffers, with a checksum from `start` on.
    fn summed(packet: [u8; 12], split: usize, start: u32, offset: u32) -> [u8; 12] {
        let mut packet = packet;
        let data = packet.as_mut_ptr();
        let buffer = |from: usize, to: usize| bindings::xdp_buff {
            data: data.wrapping_add(from).cast(),
            data_end: data.wrapping_add(to).cast(),
            ..pin_init::zeroed()
        };
        let (mut head, mut frag) = (buffer(0, split), buffer(split, packet.len()));
        let mut both: [*mut bindings::xdp_buff; 2] = [&mut head, &mut frag];
        // SAFETY: The buffers are parts of the packet, and the checksum is in it.
        unsafe { bindings::netdev_helper_xsk_checksum(both.as_mut_ptr(), 2, start, offset) };
        packet
    }

    #[test]
    fn a_checksum_may_be_anywhere() {
        // The example of RFC 1071, section 3, behind a place for the checksum.
        let packet = [9, 9, 0, 0, 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        let mut expected = packet;
        expected[2..4].copy_from_slice(&[0x22, 0x0d]);
        for split in 1..packet.len() {
            assert_eq!(summed(packet, split, 2, 0), expected);
        }
        // At the end, and over nothing but itself.
        let zeros = [0; 12];
        let mut expected = zeros;
        expected[10..].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(summed(zeros, 11, 4, 6), expected);
    }
}
