// SPDX-License-Identifier: GPL-2.0

//! What a device answers to ethtool.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h).

use crate::{
    bindings,
    device::{
        self,
        Device, //
    }, //
};
use core::marker::PhantomData;
use kernel::prelude::*;

/// The driver's callbacks for ethtool (`struct ethtool_ops`).
///
/// Software timestamps are reported for all devices: [`SkBuff::into_rx`] takes the transmit ones.
///
/// [`SkBuff::into_rx`]: crate::SkBuff::into_rx
pub trait Operations<T> {
    /// Name of the driver (`ethtool -i`), up to 31 bytes.
    const DRIVER: &'static CStr;

    /// Whether there is a link (`get_link`).
    ///
    /// Runs under RTNL.
    fn get_link(dev: &Device<T>) -> bool;
}

/// The C callbacks for a driver.
pub(crate) struct Adapter<T>(PhantomData<T>);

impl<T: device::Operations> Adapter<T> {
    /// The operations table of the driver's devices.
    pub(crate) const ETHTOOL_OPS: bindings::ethtool_ops = bindings::ethtool_ops {
        get_drvinfo: Some(Self::get_drvinfo),
        get_link: Some(Self::get_link),
        get_ts_info: Some(bindings::ethtool_op_get_ts_info),
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
        // SAFETY: The core passes a zeroed structure of its own.
        let driver = unsafe { &mut (*info).driver };
        let name = T::Ethtool::DRIVER.to_bytes();
        // The last byte stays NUL.
        for (to, from) in driver[..31].iter_mut().zip(name) {
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
}
