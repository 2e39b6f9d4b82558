// SPDX-License-Identifier: GPL-2.0

//! What ethtool shows and switches.

use super::Loopback;
use kernel::{
    bits::bit_u32,
    prelude::*, //
};
use netdev::{
    ethtool,
    rtnl::Rtnl,
    xdp::QueueMap,
    Device, //
};

/// The private flag `own-traffic`: the traffic of the device's addresses goes through it, not
/// through `lo`.
pub(super) const OWN_TRAFFIC: u32 = bit_u32(0);

/// The private flag `queue-pairs`: what is sent on a queue arrives on the other queue of its pair
/// (0 and 1, 2 and 3, ...), not on the same one.
pub(super) const QUEUE_PAIRS: u32 = bit_u32(1);

#[vtable]
impl ethtool::Operations<Self> for Loopback {
    type OwnerModule = crate::LocalModule;

    const PRIV_FLAGS: &'static [&'static CStr] = &[c"own-traffic", c"queue-pairs"];

    /// A loopback is always connected to itself.
    fn get_link(_dev: &Device<Self>) -> bool {
        true
    }

    fn get_priv_flags(dev: &Device<Self>, rtnl: &Rtnl) -> u32 {
        let mut flags = 0;
        if dev.own_traffic(rtnl) {
            flags |= OWN_TRAFFIC;
        }
        if dev.queue_map(rtnl) == QueueMap::Pairs {
            flags |= QUEUE_PAIRS;
        }
        flags
    }

    fn set_priv_flags(dev: &Device<Self>, flags: u32, rtnl: &Rtnl) -> Result {
        let own_traffic = flags & OWN_TRAFFIC != 0;
        if own_traffic != dev.own_traffic(rtnl) {
            dev.set_own_traffic(own_traffic, rtnl).inspect_err(|_| {
                dev.info_ratelimited(if dev.is_up(rtnl) {
                    c"own-traffic cannot be changed while the device is up: bring it down first"
                } else {
                    c"own-traffic cannot be on for a port of a VRF: release it from the VRF first"
                })
            })?;
        }
        let map = if flags & QUEUE_PAIRS != 0 {
            QueueMap::Pairs
        } else {
            QueueMap::Same
        };
        if map != dev.queue_map(rtnl) {
            dev.set_queue_map(map, rtnl);
        }
        Ok(())
    }
}
