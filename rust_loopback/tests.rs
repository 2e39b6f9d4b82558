// SPDX-License-Identifier: GPL-2.0

//! KUnit suite of the driver. It runs when the module is loaded on a kernel with KUnit.

use super::{
    ethtool::OWN_TRAFFIC,
    Loopback, //
};
use kernel::prelude::*;
use netdev::{
    addrconf::{
        Origin,
        Validator, //
    },
    ethtool::Operations as _,
    link::Kind,
    rtnl,
    stats::Counters,
    testing::{
        with_device,
        with_request,
        Configuration,
        Statistics, //
    },
    Device,
    Queues, //
};

#[kunit_tests(netdev_rlo)]
mod suite {
    use super::*;

    /// One queue of each kind, as by default.
    const ONE: Queues = Queues { rx: 1, tx: 1 };

    /// Length of an Ethernet header in bytes, which is not counted.
    const HEADER: usize = 14;

    /// A frame for the device itself, with an IPv4 header that the stack throws away.
    const FRAME: [u8; 1000] = {
        let mut frame = [0; 1000];
        frame[12] = 0x08;
        frame
    };

    /// The statistics of packets that all arrived, and bytes.
    fn arrived(packets: u64, bytes: usize) -> Statistics {
        let counters = Counters {
            packets,
            bytes: bytes as u64,
        };
        Statistics {
            rx: counters,
            tx: counters,
            ..Statistics::default()
        }
    }

    /// Brings the device up or down.
    fn set_up(dev: &Device<Loopback>, up: bool) -> Result {
        dev.set_up(up, &rtnl::lock())
    }

    /// The private flags.
    fn flags(dev: &Device<Loopback>) -> u32 {
        Loopback::get_priv_flags(dev, &rtnl::lock())
    }

    /// Sets the private flags.
    fn set_flags(dev: &Device<Loopback>, flags: u32) -> Result {
        Loopback::set_priv_flags(dev, flags, &rtnl::lock())
    }

    #[test]
    fn a_new_device_is_set_up_like_lo() -> Result {
        with_device::<Loopback, _>(ONE, |dev| {
            let (mut ours, lo) = (dev.configuration(), Configuration::of_lo());
            assert_eq!(ours.mtu, [65536, 0, 0]);
            assert!(ours.priv_flags & Configuration::OWN_TRAFFIC != 0);
            assert!(lo.priv_flags & Configuration::OWN_TRAFFIC == 0);
            assert!(ours.priv_flags & Configuration::NO_NETPOLL != 0);
            // What differs: own traffic, no netpoll, and that lo is up.
            ours.priv_flags &= !(Configuration::OWN_TRAFFIC | Configuration::NO_NETPOLL);
            ours.flags |= lo.flags & Configuration::UP;
            assert_eq!(ours, lo);
        })
    }

    #[test]
    fn packets_arrive_and_are_counted_without_their_header() -> Result {
        with_device::<Loopback, _>(ONE, |dev| {
            assert_eq!(set_up(dev, true), Ok(()));
            let before = dev.statistics();
            let mut bytes = 0;
            for len in [HEADER, HEADER + 1, 60, FRAME.len()] {
                assert_eq!(dev.transmit(&FRAME[..len], len, 0), Ok(()));
                bytes += len - HEADER;
            }
            // The header has to be linear, the rest not.
            assert_eq!(dev.transmit(&FRAME, HEADER, 0), Ok(()));
            bytes += FRAME.len() - HEADER;
            assert_eq!(before, Statistics::default());
            assert_eq!(dev.statistics(), arrived(5, bytes));
        })
    }

    #[test]
    fn frames_without_a_header_are_dropped() -> Result {
        with_device::<Loopback, _>(ONE, |dev| {
            assert_eq!(set_up(dev, true), Ok(()));
            for (len, headlen) in [
                (0, 0),
                (1, 1),
                (HEADER - 1, HEADER - 1),
                (1000, 0),
                (1000, 13),
            ] {
                assert_eq!(dev.transmit(&FRAME[..len], headlen, 0), Ok(()));
            }
            let dropped = Statistics {
                tx_dropped: 5,
                ..Statistics::default()
            };
            assert_eq!(dev.statistics(), dropped);
        })
    }

    #[test]
    fn a_device_that_is_down_receives_nothing() -> Result {
        with_device::<Loopback, _>(ONE, |dev| {
            assert_eq!(dev.transmit(&FRAME, 60, 0), Ok(()));
            assert_eq!(dev.transmit(&FRAME, 60, 0), Ok(()));
            let dropped = Statistics {
                rx_dropped: 2,
                ..Statistics::default()
            };
            assert_eq!(dev.statistics(), dropped);
        })
    }

    #[test]
    fn packets_of_all_queues_are_counted_once() -> Result {
        with_device::<Loopback, _>(Queues { rx: 2, tx: 3 }, |dev| {
            assert_eq!(set_up(dev, true), Ok(()));
            for queue in 0..3 {
                assert_eq!(dev.transmit(&FRAME[..60], 60, queue), Ok(()));
            }
            assert_eq!(dev.statistics(), arrived(3, 3 * (60 - HEADER)));
        })
    }

    #[test]
    fn own_traffic_is_on_at_first() -> Result {
        with_device::<Loopback, _>(ONE, |dev| assert_eq!(flags(dev), OWN_TRAFFIC))
    }

    #[test]
    fn own_traffic_changes_while_the_device_is_down() -> Result {
        with_device::<Loopback, _>(ONE, |dev| {
            assert_eq!(set_flags(dev, 0), Ok(()));
            assert_eq!(flags(dev), 0);
            assert!(dev.configuration().priv_flags & Configuration::OWN_TRAFFIC == 0);
            assert_eq!(set_flags(dev, OWN_TRAFFIC), Ok(()));
            assert_eq!(flags(dev), OWN_TRAFFIC);
            assert!(dev.configuration().priv_flags & Configuration::OWN_TRAFFIC != 0);
        })
    }

    #[test]
    fn own_traffic_stays_while_the_device_is_up() -> Result {
        with_device::<Loopback, _>(ONE, |dev| {
            for state in [OWN_TRAFFIC, 0] {
                assert_eq!(set_flags(dev, state), Ok(()));
                assert_eq!(set_up(dev, true), Ok(()));
                assert_eq!(set_flags(dev, state ^ OWN_TRAFFIC), Err(EBUSY));
                assert_eq!(flags(dev), state);
                // What does not change anything is no change.
                assert_eq!(set_flags(dev, state), Ok(()));
                assert_eq!(set_up(dev, false), Ok(()));
            }
        })
    }

    #[test]
    fn localhost_is_refused_to_the_kernel_only() -> Result {
        use core::net::{
            Ipv4Addr,
            Ipv6Addr, //
        };

        with_device::<Loopback, _>(ONE, |dev| {
            let v4 = |address, origin: Origin<'_>| {
                Loopback::validate_inet(dev, address, origin, &rtnl::lock())
            };
            assert_eq!(v4(Ipv4Addr::LOCALHOST, Origin::Kernel), Err(EPERM));
            assert_eq!(v4(Ipv4Addr::new(127, 0, 0, 2), Origin::Kernel), Ok(()));
            assert_eq!(v4(Ipv4Addr::new(10, 0, 0, 1), Origin::Kernel), Ok(()));
            let (asked, sentence) = with_request(None, |_, extack| {
                v4(Ipv4Addr::LOCALHOST, Origin::Netlink(extack))
            })?;
            assert_eq!(asked, Ok(()));
            assert!(sentence.is_empty());

            let v6 = |address, origin: Origin<'_>| {
                Loopback::validate_inet6(dev, address, origin, &rtnl::lock())
            };
            assert_eq!(v6(Ipv6Addr::LOCALHOST, Origin::Kernel), Err(EPERM));
            let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
            assert_eq!(v6(link_local, Origin::Kernel), Ok(()));
            let (asked, _) = with_request(None, |_, extack| {
                v6(Ipv6Addr::LOCALHOST, Origin::Netlink(extack))
            })?;
            assert_eq!(asked, Ok(()));
            Ok(())
        })?
    }

    #[test]
    fn bind_to_an_ipv6_address_is_warned_of() -> Result {
        use core::net::Ipv6Addr;

        with_device::<Loopback, _>(ONE, |dev| {
            let warned = |address| {
                with_request(None, |_, extack| {
                    Loopback::validate_inet6(dev, address, Origin::Netlink(extack), &rtnl::lock())
                })
                .map(|(result, sentence)| (result, sentence.starts_with(b"IPv6 bind() needs")))
            };
            let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
            assert_eq!(warned(global)?, (Ok(()), true));
            assert_eq!(warned(link_local)?, (Ok(()), false));
            assert_eq!(set_flags(dev, 0), Ok(()));
            assert_eq!(warned(global)?, (Ok(()), false));
            Ok(())
        })?
    }

    #[test]
    fn a_request_with_a_bad_address_is_refused() -> Result {
        let validate =
            |address: &[u8]| with_request(Some(address), |a, mut e| Loopback::validate(a, &mut e));
        assert_eq!(validate(&[2, 0, 0, 0, 0, 1])?.0, Ok(()));
        assert_eq!(validate(&[2, 0, 0, 0, 1])?.0, Err(EINVAL));
        assert_eq!(validate(&[1, 0, 0, 0, 0, 1])?.0, Err(EADDRNOTAVAIL));
        Ok(())
    }
}
