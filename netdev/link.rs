// SPDX-License-Identifier: GPL-2.0

//! Kinds of devices that can be created with `ip link add`.
//!
//! C header: [`include/net/rtnetlink.h`](srctree/include/net/rtnetlink.h).

use crate::{
    bindings,
    compat,
    device::{
        Adapter,
        Operations, //
    },
    extack::ExtAck,
    loopback,
    rtnl::Rtnl, //
};
use core::{
    marker::PhantomData,
    ptr,
    slice, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    prelude::*,
    types::Opaque, //
};

/// A kind of devices.
///
/// C counterpart: `struct rtnl_link_ops`.
#[vtable]
pub trait Kind: Operations {
    /// The name of the kind, as in `ip link add type KIND`. The module should have the alias
    /// `rtnl-link-KIND`, so that it is loaded when a device of the kind is asked for.
    const KIND: &'static CStr;

    /// Checks what was asked for a new or an existing device (`validate`), beyond what the core
    /// checks. Runs before RTNL is taken.
    fn validate(_attributes: &Attributes<'_>, _extack: &mut ExtAck<'_>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The attributes of a netlink request for a device (`IFLA_*`).
///
/// # Invariants
///
/// The pointer is to a table with `IFLA_MAX + 1` places, each null or an attribute that the core
/// has checked against its policy, for the lifetime `'a`.
pub struct Attributes<'a>(
    *mut *mut bindings::nlattr,
    PhantomData<&'a bindings::nlattr>,
);

impl<'a> Attributes<'a> {
    /// Takes the table that a callback was given.
    ///
    /// # Safety
    ///
    /// The table fulfils the type invariants during `'a`.
    pub(crate) unsafe fn from_raw(table: *mut *mut bindings::nlattr) -> Self {
        // INVARIANT: By the safety requirements.
        Self(table, PhantomData)
    }

    /// The hardware address that the device is to have (`IFLA_ADDRESS`), of any length.
    pub fn address(&self) -> Option<&'a [u8]> {
        // SAFETY: The place is in the table by the type invariants.
        let attribute = unsafe { *self.0.add(bindings::IFLA_ADDRESS as usize) };
        // SAFETY: An attribute that is there is valid by the type invariants.
        let len = unsafe { attribute.as_ref() }?.nla_len;
        // The header, `NLA_HDRLEN`, is as long as the structure.
        let header = size_of::<bindings::nlattr>();
        let len = usize::from(len).saturating_sub(header);
        // SAFETY: As above; the data follow the header.
        Some(unsafe { slice::from_raw_parts(attribute.cast::<u8>().add(header), len) })
    }

    /// Refuses a hardware address that an Ethernet device could not be given later
    /// (`eth_mac_addr()`): one that is not of 6 bytes (`EINVAL`) or not unicast (`EADDRNOTAVAIL`).
    pub fn check_ethernet_address(&self, extack: &mut ExtAck<'_>) -> Result {
        match self.address() {
            Some(address) if address.len() != bindings::ETH_ALEN as usize => {
                extack.refuse(EINVAL, c"The hardware address has to have 6 bytes")
            }
            Some(address) if address[0] & 1 != 0 => extack.refuse(
                compat::eaddrnotavail(),
                c"The hardware address cannot be a multicast address",
            ),
            _ => Ok(()),
        }
    }
}

/// The registration of a kind of devices. Dropping it removes all devices of the kind, in all
/// network namespaces, and waits until they are gone.
///
/// It has to be dropped by a task that does not hold RTNL, which would wait for itself. As with any
/// registration, leaking it (`mem::forget()`) leaves callbacks behind when the module is unloaded.
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
                    validate: if T::HAS_VALIDATE {
                        Some(Self::validate)
                    } else {
                        None
                    },
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

    /// Creates a device of the kind in the initial network namespace, named by the kernel
    /// (`NET_NAME_ENUM`).
    ///
    /// `name` may contain one `%d`, in which case the first free number takes its place. Errors are
    /// those of the driver's [`Operations::new`] and of `register_netdevice()`: `EEXIST` for a name
    /// that is taken, `EINVAL` for one that cannot be, `ENOMEM`, and so on.
    pub fn create(&self, _rtnl: &Rtnl, name: &CStr) -> Result {
        // alloc_netdev_mqs() has a BUG_ON() for a longer name.
        if name.to_bytes().len() >= bindings::IFNAMSIZ as usize {
            return Err(EINVAL);
        }
        let mut attributes = [ptr::null_mut(); bindings::__IFLA_MAX as usize];
        // SAFETY: The operations are registered by the type invariants, no attribute is given, the
        // name is short enough, and RTNL is held, which the token proves.
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
    /// `dev` was allocated with the `setup` of this kind and is not registered; RTNL is held.
    pub(crate) unsafe fn register(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: By the safety requirements.
        let ret = unsafe { bindings::register_netdevice(dev) };
        if ret == 0 {
            // SAFETY: The device was just registered, and RTNL is still held.
            unsafe { loopback::registered(dev) };
        }
        ret
    }

    /// `rtnl_link_ops::validate`.
    ///
    /// # Safety
    ///
    /// Called by the core only, with the attributes of a request.
    unsafe extern "C" fn validate(
        attributes: *mut *mut bindings::nlattr,
        _data: *mut *mut bindings::nlattr,
        extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let mut extack = unsafe { ExtAck::from_raw(extack) };
        // SAFETY: By the safety requirements.
        let attributes = unsafe { Attributes::from_raw(attributes) };
        from_result(|| {
            T::validate(&attributes, &mut extack)?;
            Ok(0)
        })
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
        // SAFETY: The table is registered by the type invariants.
        unsafe { bindings::rtnl_link_unregister(self.ops.get()) };
    }
}

#[kunit_tests(netdev_link)]
mod tests {
    use super::*;
    use crate::testing::with_request;

    /// What is answered to a request with a hardware address, and the sentence.
    fn check(address: Option<&[u8]>) -> Result<(Result, KVec<u8>)> {
        with_request(address, |attributes, mut extack| {
            attributes.check_ethernet_address(&mut extack)
        })
    }

    #[test]
    fn an_attribute_is_there_or_not() -> Result {
        let (absent, _) = with_request(None, |attributes, _| attributes.address().is_none())?;
        assert!(absent);
        let bytes: &[u8] = &[2, 0, 0, 0, 0, 9];
        let (same, _) = with_request(Some(bytes), |attributes, _| {
            attributes.address() == Some(bytes)
        })?;
        assert!(same);
        let (empty, _) =
            with_request(Some(&[]), |attributes, _| attributes.address() == Some(&[]))?;
        assert!(empty);
        Ok(())
    }

    #[test]
    fn addresses_of_a_device_pass() -> Result {
        for address in [None, Some(&[0; 6][..]), Some(&[2, 0, 0, 0, 0, 1][..])] {
            let (result, sentence) = check(address)?;
            assert_eq!(result, Ok(()));
            assert!(sentence.is_empty());
        }
        Ok(())
    }

    #[test]
    fn addresses_of_another_length_are_refused() -> Result {
        for len in [0, 1, 5, 7, 32] {
            let (result, sentence) = check(Some(&[0; 32][..len]))?;
            assert_eq!(result, Err(EINVAL));
            assert_eq!(&*sentence, b"The hardware address has to have 6 bytes");
        }
        Ok(())
    }

    #[test]
    fn multicast_addresses_are_refused() -> Result {
        for address in [[1, 0, 0, 0, 0, 0], [0xff; 6]] {
            let (result, sentence) = check(Some(&address))?;
            assert_eq!(result, Err(EADDRNOTAVAIL));
            assert_eq!(
                &*sentence,
                b"The hardware address cannot be a multicast address"
            );
        }
        Ok(())
    }
}
