// SPDX-License-Identifier: GPL-2.0

//! What programs can ask for about a packet.
//!
//! C header: [`include/net/xdp.h`](srctree/include/net/xdp.h).

use crate::{
    bindings,
    compat, //
};
use core::ptr;
use kernel::{
    prelude::*,
    time::{
        ClockSource,
        RealTime, //
    }, //
};

/// The operations table of devices.
pub(super) static OPS: bindings::xdp_metadata_ops = bindings::xdp_metadata_ops {
    xmo_rx_timestamp: Some(rx_timestamp),
    xmo_rx_hash: Some(rx_hash),
    // A VLAN's tag is part of the packet.
    xmo_rx_vlan_tag: None,
};

/// `xdp_metadata_ops::xmo_rx_timestamp`: the time, in nanoseconds of `CLOCK_REALTIME`. A packet
/// arrives when the program gets it.
///
/// # Safety
///
/// Called by programs only, with a place of theirs.
unsafe extern "C" fn rx_timestamp(_: *const bindings::xdp_md, timestamp: *mut u64) -> c_int {
    // SAFETY: By the safety requirements.
    unsafe { *timestamp = RealTime::ktime_get() as u64 };
    0
}

/// `xdp_metadata_ops::xmo_rx_hash`: the flow's hash, of a packet of the stack. Fails with `ENODATA`
/// for others.
///
/// # Safety
///
/// Called by programs of a device only, for a packet that they run on, with places of theirs.
unsafe extern "C" fn rx_hash(
    packet: *const bindings::xdp_md,
    hash: *mut u32,
    rss_type: *mut bindings::xdp_rss_hash_type,
) -> c_int {
    let buff: *const bindings::netdev_xdp_buff = packet.cast();
    // SAFETY: Packets of all sources have the skb, or null, in the same place: see the assertion in
    // the helpers.
    let Some(skb) = ptr::NonNull::new(unsafe { (*buff).skb }) else {
        return compat::enodata().to_errno();
    };
    let mut l4 = false;
    // SAFETY: The skb is valid while a program runs on it.
    let value = unsafe { bindings::netdev_helper_skb_hash(skb.as_ptr(), &mut l4) };
    // SAFETY: By the safety requirements.
    unsafe {
        *hash = value;
        *rss_type = if l4 {
            bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_ANY
        } else {
            bindings::xdp_rss_hash_type_XDP_RSS_TYPE_NONE
        };
    }
    0
}
