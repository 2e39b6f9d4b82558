// SPDX-License-Identifier: GPL-2.0

//! Kinds of devices that can be created with `ip link add`.
//!
//! C header: [`include/net/rtnetlink.h`](srctree/include/net/rtnetlink.h).

use crate::{
    bindings,
    device::{
        Adapter,
        Operations, //
    },
    loopback,
    rtnl::Rtnl, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};

/// A kind of devices.
///
/// C counterpart: `struct rtnl_link_ops`.
pub trait Kind: Operations {
    /// The name of the kind, as in `ip link add type KIND`. The module should have the alias
    /// `rtnl-link-KIND`, so that it is loaded when a device of the kind is asked for.
    const KIND: &'static CStr;
}

/// The registration of a kind of devices. Dropping it removes all devices of the kind, in all
/// network namespaces, and waits until they are gone.
///
/// # Invariants
///
/// `ops` is registered with `rtnl_link_register()`.
#[pin_data(PinnedDrop)]
pub struct Registration<T: Kind> {
    #[pin]
    ops: Opaque<bindings::rtnl_link_ops>,
    _kind: PhantomData<T>,
}

// SAFETY: The operations table can be unregistered from any thread.
unsafe impl<T: Kind> Send for Registration<T> {}
// SAFETY: Shared references only pass the table's address on, which is the core's to use.
unsafe impl<T: Kind> Sync for Registration<T> {}

impl<T: Kind> Registration<T> {
    /// Registers the kind (`rtnl_link_register()`).
    ///
    /// May sleep; RTNL must not be held. Fails with `EEXIST` if a kind of this name is there.
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: The initialiser is successful when the table was registered.
            ops <- Opaque::try_ffi_init(|slot: *mut bindings::rtnl_link_ops| {
                let ops = bindings::rtnl_link_ops {
                    kind: T::KIND.as_char_ptr(),
                    priv_size: Adapter::<T>::PRIV_SIZE,
                    setup: Some(Adapter::<T>::setup),
                    newlink: Some(Self::newlink),
                    dellink: Some(Self::dellink),
                    ..pin_init::zeroed()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(ops) };
                // SAFETY: The table is complete, and pinned until it is unregistered.
                to_result(unsafe { bindings::rtnl_link_register(slot) })
            }),
            _kind: PhantomData,
        })
    }

    /// Creates a device of the kind in the initial network namespace, as
    /// `ip link add name NAME type KIND` does there.
    ///
    /// `name` may contain one `%d`, in which case the first free number takes its place. Errors are
    /// those of the driver's [`Operations::new`] and of `register_netdevice()`: `EEXIST` for a name
    /// that is taken, `EINVAL` for one that cannot be, `ENOMEM`, and so on.
    pub fn create(&self, _rtnl: &Rtnl, name: &CStr) -> Result {
        let mut attributes = [ptr::null_mut(); bindings::__IFLA_MAX as usize];
        // SAFETY: The operations are registered by the type invariants, no attribute is given, and
        // RTNL is held, which the token proves.
        let dev = from_err_ptr(unsafe {
            bindings::rtnl_create_link(
                &raw mut bindings::init_net,
                name.as_char_ptr(),
                bindings::NET_NAME_ENUM as u8,
                self.ops.get(),
                attributes.as_mut_ptr(),
                ptr::null_mut(),
            )
        })?;

        // SAFETY: The device was just made for this kind, and RTNL is held.
        to_result(unsafe { Self::register(dev) })
            // SAFETY: The registration failed, nobody refers to the device.
            .inspect_err(|_| unsafe { bindings::free_netdev(dev) })?;

        // SAFETY: The device is registered and RTNL held. With no flags to change this cannot fail;
        // it announces the device.
        to_result(unsafe { bindings::rtnl_configure_link(dev, ptr::null(), 0, ptr::null()) })
    }

    /// Registers a device.
    ///
    /// # Safety
    ///
    /// `dev` was made by `rtnl_create_link()` for this kind and is not registered; RTNL is held.
    unsafe fn register(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: By the safety requirements.
        let ret = unsafe { bindings::register_netdevice(dev) };
        if ret == 0 {
            // SAFETY: The device was just registered, and RTNL is still held.
            unsafe { loopback::registered(dev) };
        }
        ret
    }

    /// `rtnl_link_ops::newlink`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device that it made for this kind, under RTNL.
    unsafe extern "C" fn newlink(
        dev: *mut bindings::net_device,
        _params: *mut bindings::rtnl_newlink_params,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::register(dev) }
    }

    /// `rtnl_link_ops::dellink`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a registered device of this kind, under RTNL.
    unsafe extern "C" fn dellink(dev: *mut bindings::net_device, head: *mut bindings::list_head) {
        // SAFETY: By the safety requirements.
        unsafe { loopback::unregistering(dev) };
        // SAFETY: As above; `head` is the core's list of devices to remove, or null.
        unsafe { bindings::unregister_netdevice_queue(dev, head) };
    }
}

#[pinned_drop]
impl<T: Kind> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The table is registered by the type invariants. RTNL is not held: the guard
        // cannot be alive here, since a module is unloaded by a task that holds no lock.
        unsafe { bindings::rtnl_link_unregister(self.ops.get()) };
    }
}
