// SPDX-License-Identifier: GPL-2.0

//! Loopback network devices.
//!
//! Any number of loopbacks in a network namespace, beside the in-tree `lo`: each has addresses,
//! traffic and counters of its own. They are made with `ip link add NAME type rlo`.
//!
//! The counterpart in C is `drivers/net/loopback.c`.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use netdev::{
    addrconf,
    compat,
    extack::ExtAck,
    link::{
        self,
        Attributes, //
    },
    rtnl,
    stats::{
        LinkStats,
        Packet, //
    },
    Device,
    DropReason,
    Feature,
    Operations,
    Rx,
    Setup,
    SkBuff,
    Tx, //
};

#[path = "rust_loopback/addresses.rs"]
mod addresses;
#[path = "rust_loopback/ethtool.rs"]
mod ethtool;
#[cfg(CONFIG_KUNIT = "y")]
#[path = "rust_loopback/tests.rs"]
mod tests;
#[path = "rust_loopback/xdp.rs"]
mod xdp;

module! {
    type: LoopbackModule,
    name: "rust_loopback",
    authors: ["rust_loopback developers"],
    description: "Loopback network devices",
    license: "GPL",
    alias: ["rtnl-link-rlo"],
    params: {
        numdevs: u32 {
            default: 1,
            description: "Number of devices (rlo0, rlo1, ...) made in the initial network namespace when the module is loaded",
        },
    },
}

/// MTU of a new device in bytes, `lo`'s.
const MTU: u32 = 64 * 1024;

/// Largest packet for segmentation in bytes (`GSO_MAX_SIZE`): any that the stack can build.
const TSO_MAX_SIZE: u32 = 8 * 65535;

/// A loopback device. It has no state beyond what every device has.
struct Loopback;

impl Operations for Loopback {
    type Ethtool = Self;
    type Xdp = Self;

    fn setup(dev: &mut Setup<'_>) {
        dev.set_loopback();
        dev.set_mtu(MTU, 0, 0);
        dev.set_live_addr_change();
        dev.set_no_queue();
        dev.set_lltx();
        dev.keep_dst();
        dev.set_features(
            Feature::Sg
                | Feature::FragList
                | Feature::GsoSoftware
                | Feature::HwCsum
                | Feature::RxCsum
                | Feature::SctpCrc
                | Feature::HighDma
                | Feature::VlanChallenged
                | Feature::Loopback,
            Feature::GsoSoftware.into(),
        );
        dev.set_tso_max_size(TSO_MAX_SIZE);
    }

    fn new() -> impl PinInit<Self, Error> {
        Ok(Self)
    }

    #[inline]
    fn start_xmit<'a>(dev: &'a Device<Self>, skb: SkBuff<'a>) -> Tx<'a> {
        if !dev.is_plain() {
            return xmit_queued(dev, skb);
        }
        match skb.into_rx(dev, None) {
            Ok(skb) => {
                let packet = skb.packet();
                finish(dev, packet, skb.netif_rx())
            }
            Err(skb) => drop_short(dev, skb),
        }
    }

    fn get_stats64(dev: &Device<Self>, stats: &mut LinkStats) {
        let counters = dev.lstats_read();
        stats.set_rx(counters);
        stats.set_tx(counters);
    }
}

/// Sends a packet on a device that has several queues or an XDP program.
#[inline(never)]
fn xmit_queued<'a>(dev: &'a Device<Loopback>, skb: SkBuff<'a>) -> Tx<'a> {
    let rx_queue = dev.rx_queue_for(skb.tx_queue());
    match skb.into_rx(dev, Some(rx_queue)) {
        Ok(skb) => {
            let packet = skb.packet();
            let received = match dev.xdp_queues(&skb) {
                Some(queues) => queues.receive(dev, skb),
                None => skb.netif_rx(),
            };
            finish(dev, packet, received)
        }
        Err(skb) => drop_short(dev, skb),
    }
}

/// Counts a packet that arrived.
#[inline]
fn finish<'a>(dev: &Device<Loopback>, packet: Packet, received: Rx<'a>) -> Tx<'a> {
    match received {
        Rx::Success(tx) => {
            dev.lstats_add(packet, &tx);
            tx
        }
        Rx::Drop(tx) => tx,
    }
}

/// Drops a packet without an Ethernet header.
fn drop_short<'a>(dev: &Device<Loopback>, skb: SkBuff<'a>) -> Tx<'a> {
    dev.tx_dropped_inc();
    skb.free(DropReason::PktTooSmall)
}

#[vtable]
impl link::Kind for Loopback {
    const KIND: &'static CStr = c"rlo";

    fn validate(attributes: &Attributes<'_>, extack: &mut ExtAck<'_>) -> Result {
        attributes.check_ethernet_address(extack)
    }
}

/// The module: while it is loaded, devices of the kind can be created.
#[pin_data]
struct LoopbackModule {
    /// Dropped before `addresses`, which all devices are subject to.
    #[pin]
    link: link::Registration<Loopback>,
    #[pin]
    addresses: addrconf::Registration<Loopback>,
}

impl kernel::InPlaceModule for LoopbackModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            addresses <- addrconf::Registration::new(),
            link <- link::Registration::new(),
        })
        .pin_chain(|this| {
            // RTNL is taken for each, so that others get it in between.
            (0..compat::parameter::<u32>(module_parameters::numdevs.value()))
                .try_for_each(|_| this.link.create(&rtnl::lock(), c"rlo%d"))
        })
    }
}
