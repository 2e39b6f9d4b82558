// SPDX-License-Identifier: GPL-2.0

//! A device that swallows what is sent on it: the smallest driver on `netdev`.
//!
//! As the in-tree `dummy`, it makes a route or an address count as being there without a link.
//! Devices are made with `ip link add NAME type rsink`.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use netdev::{
    ethtool,
    extack::ExtAck,
    link::{
        self,
        Attributes, //
    },
    stats::LinkStats,
    xdp,
    Device,
    Feature,
    Operations,
    Setup,
    SkBuff,
    Tx, //
};

module! {
    type: SinkModule,
    name: "rust_sink",
    authors: ["rust_loopback developers"],
    description: "Sink network devices",
    license: "GPL",
    alias: ["rtnl-link-rsink"],
}

/// A sink device. It has no state beyond what every device has.
struct Sink;

impl Operations for Sink {
    type Ethtool = Self;
    type Xdp = xdp::Unsupported;

    fn setup(dev: &mut Setup<'_>) {
        dev.set_noarp();
        dev.set_mtu(1500, 0, 0);
        dev.set_live_addr_change();
        dev.set_no_queue();
        dev.set_lltx();
        dev.set_features(
            Feature::Sg
                | Feature::FragList
                | Feature::GsoSoftware
                | Feature::HwCsum
                | Feature::HighDma,
            Feature::Sg | Feature::FragList | Feature::GsoSoftware | Feature::HwCsum,
        );
        dev.set_random_address();
    }

    fn new() -> impl PinInit<Self, Error> {
        Ok(Self)
    }

    fn start_xmit<'a>(dev: &'a Device<Self>, skb: SkBuff<'a>) -> Tx<'a> {
        let packet = skb.packet();
        let tx = skb.consume();
        dev.lstats_add(packet, &tx);
        tx
    }

    fn get_stats64(dev: &Device<Self>, stats: &mut LinkStats) {
        stats.set_tx(dev.lstats_read());
    }
}

#[vtable]
impl ethtool::Operations<Self> for Sink {
    type OwnerModule = crate::LocalModule;

    fn get_link(_dev: &Device<Self>) -> bool {
        true
    }
}

#[vtable]
impl link::Kind for Sink {
    const KIND: &'static CStr = c"rsink";

    fn validate(attributes: &Attributes<'_>, extack: &mut ExtAck<'_>) -> Result {
        attributes.check_ethernet_address(extack)
    }
}

/// The module: while it is loaded, devices of the kind can be created.
#[pin_data]
struct SinkModule {
    #[pin]
    link: link::Registration<Sink>,
}

impl kernel::InPlaceModule for SinkModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            link <- link::Registration::new(),
        })
    }
}
