// SPDX-License-Identifier: GPL-2.0

//! A say in the addresses that a device gets.
//!
//! C headers: [`include/linux/inetdevice.h`](srctree/include/linux/inetdevice.h),
//! [`include/net/addrconf.h`](srctree/include/net/addrconf.h).

use crate::{
    bindings,
    device::Device,
    extack::ExtAck,
    link,
    rtnl::Rtnl, //
};
use core::{
    marker::PhantomData,
    net::{
        Ipv4Addr,
        Ipv6Addr, //
    },
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// Who wants to add an address.
pub enum Origin<'a> {
    /// The kernel itself, or the ioctl `SIOCSIFADDR`, which cannot be told apart.
    Kernel,
    /// A netlink request, such as that of `ip addr add`, which can be given an answer.
    Netlink(ExtAck<'a>),
}

/// What is asked before an address is added to a device.
///
/// Runs under RTNL, may sleep. An error refuses the address.
pub trait Validator: link::Kind {
    /// An IPv4 address is about to be added: `ifa_address`, which is the peer's where there is one.
    fn validate_inet(
        dev: &Device<Self>,
        address: Ipv4Addr,
        origin: Origin<'_>,
        rtnl: &Rtnl,
    ) -> Result;

    /// An IPv6 address is about to be added. Those of router advertisements and those that follow
    /// a conflict are not asked for.
    fn validate_inet6(
        dev: &Device<Self>,
        address: Ipv6Addr,
        origin: Origin<'_>,
        rtnl: &Rtnl,
    ) -> Result;
}

/// The registration of a [`Validator`] with IPv4 and IPv6. Dropping it ends it.
#[pin_data]
pub struct Registration<T: Validator> {
    #[pin]
    inet: Notifier<Inet<T>>,
    #[pin]
    inet6: Notifier<Inet6<T>>,
}

impl<T: Validator> Registration<T> {
    /// Registers the validator of a kind, whose devices can be created before and after.
    ///
    /// May sleep; RTNL must not be held.
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inet <- Notifier::new(),
            inet6 <- Notifier::new(),
        })
    }
}

/// What a chain calls for each address.
type Call = unsafe extern "C" fn(*mut bindings::notifier_block, c_ulong, *mut c_void) -> c_int;

/// A chain of validators.
trait Chain {
    /// What is called for each address.
    const CALL: Call;

    /// Puts a block on the chain.
    ///
    /// # Safety
    ///
    /// The block is complete, and stays where it is until it was taken off.
    unsafe fn register(block: *mut bindings::notifier_block) -> c_int;

    /// Takes a block off the chain, and waits until it is not used any more.
    ///
    /// # Safety
    ///
    /// The block is on the chain.
    unsafe fn unregister(block: *mut bindings::notifier_block) -> c_int;
}

/// A place on a chain.
///
/// # Invariants
///
/// The block is on the chain.
#[pin_data(PinnedDrop)]
struct Notifier<C: Chain> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    _chain: PhantomData<C>,
}

// SAFETY: A block can be taken off by any thread.
unsafe impl<C: Chain> Send for Notifier<C> {}
// SAFETY: There are no methods that take a shared reference.
unsafe impl<C: Chain> Sync for Notifier<C> {}

impl<C: Chain> Notifier<C> {
    /// Puts a new block on the chain.
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: The initialiser is successful when the block is on the chain.
            block <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                let block = bindings::notifier_block {
                    notifier_call: Some(C::CALL),
                    ..pin_init::zeroed()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(block) };
                // SAFETY: The block is complete, and pinned until it is taken off.
                to_result(unsafe { C::register(slot) })
            }),
            _chain: PhantomData,
        })
    }
}

#[pinned_drop]
impl<C: Chain> PinnedDrop for Notifier<C> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The block is on the chain by the type invariants.
        unsafe { C::unregister(self.block.get()) };
    }
}

/// Whether a device is one of the kind `T`.
///
/// # Safety
///
/// `dev` is a valid device.
unsafe fn is_of_kind<T: link::Kind>(dev: *mut bindings::net_device) -> bool {
    // SAFETY: By the safety requirements. The operations of a device outlive it.
    let Some(ops) = (unsafe { (*dev).rtnl_link_ops.as_ref() }) else {
        return false;
    };
    // Not the text, which another module may have given to its own kind: the string of this one.
    // SAFETY: Only `link::Registration` makes devices of this string's kind, with private data of
    // a driver on this abstraction. They are made before the device can have addresses.
    ptr::eq(ops.kind, T::KIND.as_char_ptr()) && unsafe { Device::<T>::is_driver_of(dev) }
}

/// Who asks, as far as it can be told: only a netlink request has room for an answer.
///
/// # Safety
///
/// `extack` is null, or valid and not used by anybody else during `'a`.
unsafe fn origin<'a>(extack: *mut bindings::netlink_ext_ack) -> Origin<'a> {
    if extack.is_null() {
        Origin::Kernel
    } else {
        // SAFETY: By the safety requirements.
        Origin::Netlink(unsafe { ExtAck::from_raw(extack) })
    }
}

/// What a notifier returns for a result (`notifier_from_errno()`).
fn notifier_result(result: Result) -> c_int {
    match result {
        Ok(()) => bindings::NOTIFY_OK as c_int,
        Err(error) => {
            (bindings::NOTIFY_STOP_MASK | bindings::NOTIFY_OK) as c_int - error.to_errno()
        }
    }
}

/// The chain for IPv4 addresses.
struct Inet<T>(PhantomData<T>);

impl<T: Validator> Inet<T> {
    /// Called for every IPv4 address that is about to be added.
    ///
    /// # Safety
    ///
    /// `info` is what the chain passes, `struct in_validator_info`.
    unsafe extern "C" fn call(
        _block: *mut bindings::notifier_block,
        _event: c_ulong,
        info: *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let info = unsafe { &*info.cast::<bindings::in_validator_info>() };
        // SAFETY: The address is for a device that is registered.
        let dev = unsafe { (*info.ivi_dev).dev };
        // SAFETY: As above.
        if !unsafe { is_of_kind::<T>(dev) } {
            return bindings::NOTIFY_DONE as c_int;
        }
        let address = Ipv4Addr::from(u32::from_be(info.ivi_addr));
        // SAFETY: The device is one of the kind, and registered.
        let dev = unsafe { Device::from_raw(dev) };
        // SAFETY: What the chain passes is the request's own, during the call.
        let origin = unsafe { origin(info.extack) };
        // SAFETY: Addresses are added under RTNL.
        let rtnl = unsafe { Rtnl::assume_held() };
        notifier_result(T::validate_inet(dev, address, origin, &rtnl))
    }
}

impl<T: Validator> Chain for Inet<T> {
    const CALL: Call = Self::call;

    unsafe fn register(block: *mut bindings::notifier_block) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::register_inetaddr_validator_notifier(block) }
    }

    unsafe fn unregister(block: *mut bindings::notifier_block) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::unregister_inetaddr_validator_notifier(block) }
    }
}

/// The chain for IPv6 addresses.
struct Inet6<T>(PhantomData<T>);

impl<T: Validator> Inet6<T> {
    /// Called for every IPv6 address that is about to be added.
    ///
    /// # Safety
    ///
    /// `info` is what the chain passes, `struct in6_validator_info`.
    unsafe extern "C" fn call(
        _block: *mut bindings::notifier_block,
        _event: c_ulong,
        info: *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let info = unsafe { &*info.cast::<bindings::in6_validator_info>() };
        // SAFETY: The address is for a device that is registered.
        let dev = unsafe { (*info.i6vi_dev).dev };
        // SAFETY: As above.
        if !unsafe { is_of_kind::<T>(dev) } {
            return bindings::NOTIFY_DONE as c_int;
        }
        // SAFETY: All variants of the union are the same 16 bytes.
        let address = Ipv6Addr::from(unsafe { info.i6vi_addr.in6_u.u6_addr8 });
        // SAFETY: The device is one of the kind, and registered.
        let dev = unsafe { Device::from_raw(dev) };
        // SAFETY: What the chain passes is the request's own, during the call.
        let origin = unsafe { origin(info.extack) };
        // SAFETY: The chain is called for addresses that are added under RTNL: those that are added
        // in atomic context skip it.
        let rtnl = unsafe { Rtnl::assume_held() };
        notifier_result(T::validate_inet6(dev, address, origin, &rtnl))
    }
}

impl<T: Validator> Chain for Inet6<T> {
    const CALL: Call = Self::call;

    unsafe fn register(block: *mut bindings::notifier_block) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::register_inet6addr_validator_notifier(block) }
    }

    unsafe fn unregister(block: *mut bindings::notifier_block) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::unregister_inet6addr_validator_notifier(block) }
    }
}

#[kunit_tests(netdev_addrconf)]
mod tests {
    use super::*;

    /// What the chain makes of an answer (`notifier_to_errno()`).
    fn to_errno(answer: c_int) -> c_int {
        let answer = answer & !(bindings::NOTIFY_STOP_MASK as c_int);
        if answer > bindings::NOTIFY_OK as c_int {
            bindings::NOTIFY_OK as c_int - answer
        } else {
            0
        }
    }

    #[test]
    fn refusals_end_the_chain_with_their_error() {
        for error in [EPERM, EADDRNOTAVAIL, EINVAL] {
            let answer = notifier_result(Err(error));
            assert!(answer & bindings::NOTIFY_STOP_MASK as c_int != 0);
            assert_eq!(to_errno(answer), error.to_errno());
        }
    }

    #[test]
    fn consent_lets_the_chain_go_on() {
        let answer = notifier_result(Ok(()));
        assert!(answer & bindings::NOTIFY_STOP_MASK as c_int == 0);
        assert_eq!(to_errno(answer), 0);
    }

    #[test]
    fn who_asks_is_known_by_the_room_for_an_answer() {
        let mut extack: bindings::netlink_ext_ack = pin_init::zeroed();
        // SAFETY: Nobody else uses the local variable.
        let netlink = unsafe { origin(&mut extack) };
        assert!(matches!(netlink, Origin::Netlink(_)));
        // SAFETY: A null pointer is allowed.
        let kernel = unsafe { origin(core::ptr::null_mut()) };
        assert!(matches!(kernel, Origin::Kernel));
    }
}
