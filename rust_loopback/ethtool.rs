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
    Device, //
};

/// The private flag `own-traffic`: the traffic of the device's addresses goes through it, not
/// through `lo`.
pub(super) const OWN_TRAFFIC: u32 = bit_u32(0);

#[vtable]
impl ethtool::Operations<Self> for Loopback {
    const PRIV_FLAGS: &'static [&'static CStr] = &[c"own-traffic"];

    /// A loopback is always connected to itself.
    fn get_link(_dev: &Device<Self>) -> bool {
        true
    }

    fn get_priv_flags(dev: &Device<Self>, rtnl: &Rtnl) -> u32 {
        if dev.own_traffic(rtnl) {
            OWN_TRAFFIC
        } else {
            0
        }
    }

    fn set_priv_flags(dev: &Device<Self>, flags: u32, rtnl: &Rtnl) -> Result {
        let own_traffic = flags & OWN_TRAFFIC != 0;
        if own_traffic == dev.own_traffic(rtnl) {
            return Ok(());
        }
        dev.set_own_traffic(own_traffic, rtnl).inspect_err(|_| {
            dev.info_ratelimited(if dev.is_up(rtnl) {
                c"own-traffic cannot be changed while the device is up: bring it down first"
            } else {
                c"own-traffic cannot be on for a port of a VRF: release it from the VRF first"
            })
        })
    }
}
