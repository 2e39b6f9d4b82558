// SPDX-License-Identifier: GPL-2.0

//! localhost stays with `lo`.
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
use netdev::addrconf::{
    Origin,
    Validator, //
};

impl Validator for Loopback {
    fn validate_inet(address: Ipv4Addr, origin: Origin) -> Result {
        not_by_itself(address == Ipv4Addr::LOCALHOST, origin)
    }

    fn validate_inet6(address: Ipv6Addr, origin: Origin) -> Result {
        not_by_itself(address == Ipv6Addr::LOCALHOST, origin)
    }
}

/// Refuses localhost unless a user asked for it.
fn not_by_itself(localhost: bool, origin: Origin) -> Result {
    if localhost && origin == Origin::Kernel {
        Err(EPERM)
    } else {
        Ok(())
    }
}
