// SPDX-License-Identifier: GPL-2.0

//! localhost stays with `lo`, and what binding to an IPv6 address takes.
//!
//! The kernel gives 127.0.0.1/8 to every `IFF_LOOPBACK` device that goes up, and `::1` to every
//! device of type `ARPHRD_LOOPBACK`. A second holder would take localhost over when `lo` is
//! brought down and up again, and become the source of multicast from 127.0.0.1.

use super::Loopback;
use core::net::{
    Ipv4Addr,
    Ipv6Addr, //
};
use kernel::prelude::*;
use netdev::{
    addrconf::{
        Origin,
        Validator, //
    },
    rtnl::Rtnl,
    Device, //
};

impl Validator for Loopback {
    fn validate_inet(
        _dev: &Device<Self>,
        address: Ipv4Addr,
        origin: Origin<'_>,
        _rtnl: &Rtnl,
    ) -> Result {
        match origin {
            Origin::Kernel if address == Ipv4Addr::LOCALHOST => Err(EPERM),
            _ => Ok(()),
        }
    }

    fn validate_inet6(
        dev: &Device<Self>,
        address: Ipv6Addr,
        origin: Origin<'_>,
        rtnl: &Rtnl,
    ) -> Result {
        match origin {
            Origin::Kernel if address == Ipv6Addr::LOCALHOST => Err(EPERM),
            // __ipv6_chk_addr_and_flags() does not find the address of an L3 master for a socket
            // that is not bound to the device; a link-local address always comes with a device.
            Origin::Netlink(mut extack)
                if dev.own_traffic(rtnl)
                    && !address.is_unicast_link_local()
                    && !dev.ipv6_nonlocal_bind() =>
            {
                extack.warn(
                    c"IPv6 bind() needs net.ipv6.ip_nonlocal_bind or IPV6_FREEBIND with own-traffic",
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
