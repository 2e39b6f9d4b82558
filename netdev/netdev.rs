// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! A safe abstraction for drivers of virtual network devices, those that `ip link add` creates.
//!
//! A driver consists of
//!
//! - a type with the private data of a device, which implements [`Operations`]: how a device is
//!   set up, how its data is made, how it sends a packet and what it reports;
//! - an implementation of [`link::Kind`] that gives the kind its name;
//! - a [`link::Registration`] in the module's struct. Dropping it removes all devices of the kind,
//!   in every network namespace.
//!
//! A packet is owned by the driver from [`Operations::start_xmit`] on, which has to return a
//! [`Tx`]; only the methods that dispose of a packet make one.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/rtnetlink.h`](srctree/include/net/rtnetlink.h).

mod bindings;
mod device;
mod loopback;
mod skbuff;

pub mod addrconf;
pub mod compat;
pub mod ethtool;
pub mod extack;
pub mod link;
pub mod rtnl;
pub mod stats;
#[cfg(CONFIG_KUNIT = "y")]
pub mod testing;
pub mod xdp;
pub mod xsk;

pub use device::{
    Device,
    Feature,
    Features,
    Operations,
    Queues,
    Setup, //
};
pub use skbuff::{
    DropReason,
    Rx,
    RxSkBuff,
    SkBuff,
    Tx, //
};

/// Prefix of the log messages of this crate.
const __LOG_PREFIX: &[u8] = b"netdev\0";
