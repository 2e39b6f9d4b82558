// SPDX-License-Identifier: GPL-2.0

//! What a device answers to ethtool.
//!
//! Numbers of queues (`ethtool -l`, `-L`), the statistics of each queue (`ethtool -S`), with those
//! of XDP if the driver supports it, and software timestamps (`ethtool -T`) are there for every
//! device. The rest is up to the driver, which implements [`Operations`].
//!
//! All callbacks run under RTNL, see [`Rtnl`].
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h).

use crate::{
    bindings,
    compat,
    device::{
        self,
        Device,
        Queues, //
    },
    extack::ExtAck,
    rtnl::Rtnl,
    stats::Direction,
    xdp, //
};
use core::{
    fmt::Write as _,
    marker::PhantomData,
    slice, //
};
use kernel::{
    error::{
        from_result,
        VTABLE_DEFAULT_ERROR, //
    },
    fmt,
    prelude::*,
    str::NullTerminatedFormatter,
    ModuleMetadata, //
};

/// Bytes of a name in a set of strings, with its NUL (`ETH_GSTRING_LEN`).
const GSTRING_LEN: usize = bindings::ETH_GSTRING_LEN as usize;

/// The driver's callbacks for ethtool (`struct ethtool_ops`).
///
/// `ethtool -i` shows the name of the module that implements this.
#[vtable]
pub trait Operations<T> {
    /// The driver's module, `crate::LocalModule`.
    type OwnerModule: ModuleMetadata;

    /// The names of the private flags, bit 0 first; up to 31 bytes each, up to 32 of them.
    const PRIV_FLAGS: &'static [&'static CStr] = &[];

    /// Whether there is a link (`get_link`).
    fn get_link(dev: &Device<T>) -> bool;

    /// The private flags that are on (`get_priv_flags`), a bit for each name.
    fn get_priv_flags(_dev: &Device<T>, _rtnl: &Rtnl) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets all private flags (`set_priv_flags`).
    ///
    /// There is no extack here: what a refusal means has to go to the log, see
    /// [`Device::info_ratelimited`].
    fn set_priv_flags(_dev: &Device<T>, _flags: u32, _rtnl: &Rtnl) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The statistics of the queues in use, in the order in which `ethtool -S` shows them.
///
/// RTNL keeps their number as it is between the callbacks of one request.
fn queue_stats(queues: Queues) -> impl Iterator<Item = (Direction, u32)> + Clone {
    let rx = (0..queues.rx).map(|i| (Direction::Rx, i));
    let tx = (0..queues.tx).map(|i| (Direction::Tx, i));
    Iterator::chain(rx, tx)
}

/// Values for each queue: packets and bytes.
const VALUES_PER_QUEUE: usize = 2;

/// The names of what XDP counts for each receive queue.
fn xdp_names<T: device::Operations>() -> &'static [&'static str] {
    if <T::Xdp as xdp::Operations<T>>::SUPPORTED {
        &xdp::Counter::NAMES
    } else {
        &[]
    }
}

/// The number of values for as many queues: at most 18 for each of 4096 receive queues, and two for
/// each transmit queue.
fn count_stats<T: device::Operations>(queues: Queues) -> usize {
    queue_stats(queues).count() * VALUES_PER_QUEUE + queues.rx as usize * xdp_names::<T>().len()
}

/// Writes a name into its place in a set of strings, up to the first piece that does not fit.
fn put_name(place: &mut [u8; GSTRING_LEN], name: fmt::Arguments<'_>) {
    if let Some(mut place) = NullTerminatedFormatter::new(place) {
        // The only error is that a piece does not fit.
        let _ = place.write_fmt(name);
    }
}

/// The C callbacks for a driver.
pub(crate) struct Adapter<T>(PhantomData<T>);

impl<T: device::Operations> Adapter<T> {
    /// Whether there are private flags. What the core demands of them is checked here.
    const PRIV_FLAGS: bool = {
        let flags = T::Ethtool::PRIV_FLAGS;
        assert!(flags.len() <= 32);
        assert!(flags.is_empty() != T::Ethtool::HAS_GET_PRIV_FLAGS);
        assert!(flags.is_empty() != T::Ethtool::HAS_SET_PRIV_FLAGS);
        !flags.is_empty()
    };

    /// The operations table of the driver's devices.
    pub(crate) const ETHTOOL_OPS: bindings::ethtool_ops = bindings::ethtool_ops {
        get_drvinfo: Some(Self::get_drvinfo),
        get_link: Some(Self::get_link),
        get_ts_info: Some(bindings::ethtool_op_get_ts_info),
        get_channels: Some(Self::get_channels),
        set_channels: Some(Self::set_channels),
        get_ringparam: if <T::Xdp as xdp::Operations<T>>::SUPPORTED {
            Some(Self::get_ringparam)
        } else {
            None
        },
        set_ringparam: if <T::Xdp as xdp::Operations<T>>::SUPPORTED {
            Some(Self::set_ringparam)
        } else {
            None
        },
        get_sset_count: Some(Self::get_sset_count),
        get_strings: Some(Self::get_strings),
        get_ethtool_stats: Some(Self::get_ethtool_stats),
        get_priv_flags: if Self::PRIV_FLAGS {
            Some(Self::get_priv_flags)
        } else {
            None
        },
        set_priv_flags: if Self::PRIV_FLAGS {
            Some(Self::set_priv_flags)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// `ethtool_ops::get_drvinfo`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`.
    unsafe extern "C" fn get_drvinfo(
        _dev: *mut bindings::net_device,
        info: *mut bindings::ethtool_drvinfo,
    ) {
        // SAFETY: The core passes a structure of its own, in which the names are zeroed.
        let driver = unsafe { &mut (*info).driver };
        let name = <T::Ethtool as Operations<T>>::OwnerModule::NAME.to_bytes();
        let room = driver.len() - 1;
        for (to, from) in driver[..room].iter_mut().zip(name) {
            *to = *from as c_char;
        }
    }

    /// `ethtool_ops::get_link`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`.
    unsafe extern "C" fn get_link(dev: *mut bindings::net_device) -> u32 {
        // SAFETY: The core asks devices between their registration and their removal.
        T::Ethtool::get_link(unsafe { Device::from_raw(dev) }).into()
    }

    /// `ethtool_ops::get_channels`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`.
    unsafe extern "C" fn get_channels(
        dev: *mut bindings::net_device,
        channels: *mut bindings::ethtool_channels,
    ) {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        let (most, now) = (dev.num_queues(), dev.real_num_queues());
        // SAFETY: The core passes a structure of its own.
        unsafe {
            (*channels).max_rx = most.rx;
            (*channels).max_tx = most.tx;
            (*channels).rx_count = now.rx;
            (*channels).tx_count = now.tx;
        }
    }

    /// `ethtool_ops::set_channels`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn set_channels(
        dev: *mut bindings::net_device,
        channels: *mut bindings::ethtool_channels,
    ) -> c_int {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        // SAFETY: The core passes a structure of its own.
        let channels = unsafe { &*channels };
        // SAFETY: By the safety requirements.
        let rtnl = unsafe { Rtnl::assume_held() };
        from_result(|| {
            dev.set_real_num_queues(
                Queues {
                    rx: channels.rx_count,
                    tx: channels.tx_count,
                },
                &rtnl,
            )?;
            Ok(0)
        })
    }

    /// `ethtool_ops::get_ringparam`: the packets that the ring of a queue holds for XDP, and the
    /// descriptors of AF_XDP sockets that are taken at once.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn get_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        _kernel_ring: *mut bindings::kernel_ethtool_ringparam,
        _extack: *mut bindings::netlink_ext_ack,
    ) {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        // SAFETY: By the safety requirements.
        let now = dev.sizes(&unsafe { Rtnl::assume_held() });
        // SAFETY: The core passes a structure of its own.
        unsafe {
            (*ring).rx_max_pending = xdp::Sizes::MAX.ring;
            (*ring).tx_max_pending = xdp::Sizes::MAX.batch;
            (*ring).rx_pending = now.ring;
            (*ring).tx_pending = now.batch;
        }
    }

    /// `ethtool_ops::set_ringparam`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn set_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        _kernel_ring: *mut bindings::kernel_ethtool_ringparam,
        extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        // SAFETY: The core passes structures of its own.
        let (ring, mut extack) = unsafe { (&*ring, ExtAck::from_raw(extack)) };
        // SAFETY: By the safety requirements.
        let rtnl = unsafe { Rtnl::assume_held() };
        let sizes = xdp::Sizes {
            ring: ring.rx_pending,
            batch: ring.tx_pending,
        };
        from_result(|| match dev.set_sizes(sizes, &rtnl) {
            Ok(()) => Ok(0),
            Err(error) if error == EINVAL => {
                extack.refuse(error, c"The least sizes are 64 for rx and 18 for tx")
            }
            Err(error) => Err(error),
        })
    }

    /// `ethtool_ops::get_sset_count`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn get_sset_count(dev: *mut bindings::net_device, set: c_int) -> c_int {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        let count = match set as u32 {
            bindings::ethtool_stringset_ETH_SS_STATS => count_stats::<T>(dev.real_num_queues()),
            // A set that is there but empty makes the core warn.
            bindings::ethtool_stringset_ETH_SS_PRIV_FLAGS if !T::Ethtool::PRIV_FLAGS.is_empty() => {
                T::Ethtool::PRIV_FLAGS.len()
            }
            _ => return compat::eopnotsupp().to_errno(),
        };
        count as c_int
    }

    /// `ethtool_ops::get_strings`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL, with room for as many
    /// names as `get_sset_count` has told under the same lock.
    unsafe extern "C" fn get_strings(dev: *mut bindings::net_device, set: u32, data: *mut u8) {
        // SAFETY: By the safety requirements.
        let count = unsafe { Self::get_sset_count(dev, set as c_int) };
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: By the safety requirements there is room for `count` names.
        let names = unsafe { slice::from_raw_parts_mut(data.cast::<[u8; GSTRING_LEN]>(), count) };
        if set == bindings::ethtool_stringset_ETH_SS_PRIV_FLAGS {
            for (place, name) in names.iter_mut().zip(T::Ethtool::PRIV_FLAGS) {
                put_name(place, fmt!("{}", name.to_str().unwrap_or("?")));
            }
            return;
        }
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        let queues = dev.real_num_queues();
        let values = queue_stats(queues);
        let split = values.clone().count() * VALUES_PER_QUEUE;
        let (names, xdp_places) = names.split_at_mut(split.min(names.len()));
        for (places, (direction, i)) in names.chunks_exact_mut(VALUES_PER_QUEUE).zip(values) {
            let direction = match direction {
                Direction::Rx => "rx",
                Direction::Tx => "tx",
            };
            put_name(&mut places[0], fmt!("{direction}_queue_{i}_packets"));
            put_name(&mut places[1], fmt!("{direction}_queue_{i}_bytes"));
        }
        let xdp_names = xdp_names::<T>();
        for (i, places) in xdp_places
            .chunks_exact_mut(xdp_names.len().max(1))
            .enumerate()
        {
            for (place, name) in places.iter_mut().zip(xdp_names) {
                put_name(place, fmt!("rx_queue_{i}_{name}"));
            }
        }
    }

    /// `ethtool_ops::get_ethtool_stats`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL, with room for as many
    /// values as `get_sset_count` has told under the same lock.
    unsafe extern "C" fn get_ethtool_stats(
        dev: *mut bindings::net_device,
        _stats: *mut bindings::ethtool_stats,
        data: *mut u64,
    ) {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev: &Device<T> = unsafe { Device::from_raw(dev) };
        let queues = dev.real_num_queues();
        let count = count_stats::<T>(queues);
        // SAFETY: By the safety requirements there is room for `count` values.
        let values = unsafe { slice::from_raw_parts_mut(data, count) };
        let split = queue_stats(queues).count() * VALUES_PER_QUEUE;
        let (values, xdp_places) = values.split_at_mut(split);
        for (places, (direction, i)) in values
            .chunks_exact_mut(VALUES_PER_QUEUE)
            .zip(queue_stats(queues))
        {
            let counters = dev.queue_counters(direction, i as usize);
            places.copy_from_slice(&[counters.packets, counters.bytes]);
        }
        let per_queue = xdp_names::<T>().len().max(1);
        for (i, places) in xdp_places.chunks_exact_mut(per_queue).enumerate() {
            // Zero where there are none, as the core has left them.
            for (place, value) in places
                .iter_mut()
                .zip(dev.xdp().counters(i).unwrap_or_default())
            {
                *place = value;
            }
        }
    }

    /// `ethtool_ops::get_priv_flags`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn get_priv_flags(dev: *mut bindings::net_device) -> u32 {
        // SAFETY: By the safety requirements.
        let rtnl = unsafe { Rtnl::assume_held() };
        // SAFETY: The core asks devices between their registration and their removal.
        T::Ethtool::get_priv_flags(unsafe { Device::from_raw(dev) }, &rtnl)
    }

    /// `ethtool_ops::set_priv_flags`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`, under RTNL.
    unsafe extern "C" fn set_priv_flags(dev: *mut bindings::net_device, flags: u32) -> c_int {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev = unsafe { Device::from_raw(dev) };
        // SAFETY: By the safety requirements.
        let rtnl = unsafe { Rtnl::assume_held() };
        from_result(|| {
            T::Ethtool::set_priv_flags(dev, flags, &rtnl)?;
            Ok(0)
        })
    }
}

#[kunit_tests(netdev_ethtool)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_place() {
        let mut place = [b'?'; GSTRING_LEN];
        put_name(&mut place, fmt!("rx_queue_{}_bytes", 12));
        assert!(place.starts_with(b"rx_queue_12_bytes\0"));

        let mut place = [b'?'; GSTRING_LEN];
        put_name(
            &mut place,
            fmt!("a name of thirty-one {}{}", "characters", "!"),
        );
        assert_eq!(&place, b"a name of thirty-one characters\0");
    }

    #[test]
    fn receive_queues_come_first() {
        let mut order = queue_stats(Queues { rx: 2, tx: 1 });
        assert!(order.next() == Some((Direction::Rx, 0)));
        assert!(order.next() == Some((Direction::Rx, 1)));
        assert!(order.next() == Some((Direction::Tx, 0)));
        assert!(order.next().is_none());
    }
}
