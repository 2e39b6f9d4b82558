// SPDX-License-Identifier: GPL-2.0

//! `IFF_LOOPBACK` on a device that is not `lo`.
//!
//! `ip6_route_dev_notify()` takes every device that has the flag at `NETDEV_REGISTER` for the
//! namespace's `lo`: it moves the null entries of the IPv6 routing tables to it, without releasing
//! the reference on `lo`, and drops what it took at `NETDEV_UNREGISTER`. The namespace could then
//! not be removed any more. So the flag is set when the registration is complete and cleared before
//! the removal begins. During the registration `IFF_NOARP` has the effects that the address
//! configuration looks for.

use crate::bindings;

/// Whether the device was set up as a loopback.
///
/// # Safety
///
/// `dev` is a valid device.
pub(crate) unsafe fn is_loopback(dev: *mut bindings::net_device) -> bool {
    // SAFETY: By the safety requirements; the type does not change any more.
    u32::from(unsafe { (*dev).type_ }) == bindings::ARPHRD_LOOPBACK
}

/// Replaces one of the device's flags by another one.
///
/// # Safety
///
/// `dev` is a valid device, and RTNL is held.
unsafe fn replace_flag(dev: *mut bindings::net_device, old: u32, new: u32) {
    // SAFETY: `dev` is valid. The flags are written under RTNL only, and read in parallel, hence
    // the volatile write.
    unsafe { (&raw mut (*dev).flags).write_volatile((*dev).flags & !old | new) };
}

/// Completes the registration of a device.
///
/// # Safety
///
/// `register_netdevice(dev)` has just succeeded, and RTNL has been held since before.
pub(crate) unsafe fn registered(dev: *mut bindings::net_device) {
    // SAFETY: The device is valid, and RTNL is held.
    unsafe {
        if !is_loopback(dev) {
            return;
        }
        replace_flag(
            dev,
            bindings::net_device_flags_IFF_NOARP,
            bindings::net_device_flags_IFF_LOOPBACK,
        );
        // What register_netdevice() and its notifiers do differently for a loopback.
        (*dev).hw_features &= !bindings::NETIF_F_NOCACHE_COPY;
        bindings::netdev_helper_loopback_conf(dev);
    }
}

/// Prepares the removal of a device: closes it, so that nothing sees it up without the flag, and
/// clears the flag.
///
/// Its addresses go at `NETDEV_UNREGISTER`, with `fib_disable_ip()`, which flushes the routes of
/// the device whatever their type. The flag is missing in the `RTM_DELLINK` message, too.
///
/// # Safety
///
/// `dev` is a registered device, and RTNL is held.
pub(crate) unsafe fn unregistering(dev: *mut bindings::net_device) {
    // SAFETY: The device is valid, and RTNL is held.
    unsafe {
        if !is_loopback(dev) {
            return;
        }
        bindings::dev_close(dev);
        replace_flag(
            dev,
            bindings::net_device_flags_IFF_LOOPBACK,
            bindings::net_device_flags_IFF_NOARP,
        );
    }
}
