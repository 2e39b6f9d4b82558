// SPDX-License-Identifier: GPL-2.0

//! Devices and their operations.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h).

use crate::{
    bindings,
    ethtool,
    skbuff::{
        SkBuff,
        Tx, //
    },
    stats::LinkStats, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::from_result,
    impl_flags,
    prelude::*,
    types::Opaque, //
};

impl_flags!(
    /// A set of features of a device (`netdev_features_t`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features(u64);

    /// A feature of a device, or a group of them.
    ///
    /// C header:
    /// [`include/linux/netdev_features.h`](srctree/include/linux/netdev_features.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Feature {
        /// Packets with data in page fragments (`NETIF_F_SG`).
        Sg = bindings::NETIF_F_SG,
        /// Packets with a list of further packets (`NETIF_F_FRAGLIST`).
        FragList = bindings::NETIF_F_FRAGLIST,
        /// All segmentation that the stack can also do itself (`NETIF_F_GSO_SOFTWARE`).
        GsoSoftware = bindings::NETIF_F_GSO_SOFTWARE,
        /// Any checksum is filled in by the device (`NETIF_F_HW_CSUM`).
        HwCsum = bindings::NETIF_F_HW_CSUM,
        /// Checksums of received packets are verified (`NETIF_F_RXCSUM`).
        RxCsum = bindings::NETIF_F_RXCSUM,
        /// The CRC32c of SCTP is filled in (`NETIF_F_SCTP_CRC`).
        SctpCrc = bindings::NETIF_F_SCTP_CRC,
        /// Data anywhere in memory (`NETIF_F_HIGHDMA`).
        HighDma = bindings::NETIF_F_HIGHDMA,
        /// No VLAN can be put on the device (`NETIF_F_VLAN_CHALLENGED`).
        VlanChallenged = bindings::NETIF_F_VLAN_CHALLENGED,
        /// What is sent comes back (`NETIF_F_LOOPBACK`).
        Loopback = bindings::NETIF_F_LOOPBACK,
    }
);

/// What a driver does: the private data of a device, and the callbacks.
///
/// The implementing type is the private data. It is made when the device is registered and dropped
/// after the device is gone; in between, callbacks that run in parallel share it.
///
/// C counterpart: `struct net_device_ops`.
pub trait Operations: Sized + Send + Sync + 'static {
    /// The driver's callbacks for ethtool.
    type Ethtool: ethtool::Operations<Self>;

    /// Configures a new device (`rtnl_link_ops::setup`).
    ///
    /// The device is in the state in which `ether_setup()` leaves it. Runs before queues,
    /// private data and name exist, and cannot fail.
    fn setup(dev: &mut Setup<'_>);

    /// Makes the private data of a device that is being registered (`ndo_init`).
    ///
    /// Runs under RTNL; may sleep. An error ends the registration.
    fn new() -> impl PinInit<Self, Error>;

    /// Sends a packet (`ndo_start_xmit`).
    ///
    /// Runs on several CPUs in parallel for a device with [`Setup::set_lltx`]. Bottom halves are
    /// disabled, sometimes interrupts too; must not sleep.
    fn start_xmit<'a>(dev: &'a Device<Self>, skb: SkBuff<'a>) -> Tx<'a>;

    /// Reports the statistics (`ndo_get_stats64`).
    ///
    /// May run in parallel with everything else; must not sleep.
    fn get_stats64(dev: &Device<Self>, stats: &mut LinkStats);
}

/// A device, seen from a callback (`struct net_device`).
///
/// A driver gets borrowed references for the time of a call and can keep none: a device that is
/// referred to could not be removed.
///
/// # Invariants
///
/// - The device was made by [`link::Registration`] for the driver `T`.
/// - It has passed `ndo_init` and its per-CPU statistics are allocated; it has not reached
///   `priv_destructor`.
#[repr(transparent)]
pub struct Device<T> {
    dev: Opaque<bindings::net_device>,
    _driver: PhantomData<T>,
}

impl<T> Device<T> {
    /// Creates a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// The device fulfils the type invariants during `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(dev: *mut bindings::net_device) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*dev.cast() }
    }

    /// The raw pointer to the device.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::net_device {
        self.dev.get()
    }
}

/// The configuration of a new device, which exists in [`Operations::setup`] only.
///
/// # Invariants
///
/// The device was just allocated and is known to nobody else.
pub struct Setup<'a> {
    dev: &'a mut bindings::net_device,
}

impl Setup<'_> {
    /// Makes the device a loopback, as `gen_lo_setup()` does: type `ARPHRD_LOOPBACK`, no
    /// broadcast, no multicast, bound to its network namespace.
    ///
    /// `IFF_LOOPBACK` appears when the device has been registered, and goes before it is
    /// unregistered.
    pub fn set_loopback(&mut self) {
        self.dev.type_ = bindings::ARPHRD_LOOPBACK as u16;
        // IFF_NOARP stands in for IFF_LOOPBACK during the registration.
        self.dev.flags = bindings::net_device_flags_IFF_NOARP;
        self.dev.broadcast.fill(0);
        self.dev.set_netns_immutable(1);
    }

    /// Makes the device the one over which the traffic of its own local addresses goes, where
    /// that of other devices' addresses goes over `lo`.
    ///
    /// The device is an L3 master without a table of its own (`IFF_L3MDEV_MASTER`): the lookup of
    /// a route stays the same, but `l3mdev_master_dev_rcu()`, which the IP layers ask for the
    /// output device of a local address, answers with the device itself.
    pub fn set_own_traffic(&mut self) {
        const OPS: bindings::l3mdev_ops = pin_init::zeroed();

        self.dev.l3mdev_ops = &OPS;
        self.change_priv_flags(bindings::netdev_priv_flags_IFF_L3MDEV_MASTER, 0);
    }

    /// Sets the MTU in bytes, and the range within which it can be changed; a maximum of 0 means
    /// that there is none.
    pub fn set_mtu(&mut self, mtu: u32, min: u32, max: u32) {
        self.dev.mtu = mtu;
        self.dev.min_mtu = min;
        self.dev.max_mtu = max;
    }

    /// Lets the device work without a queueing discipline by default (`IFF_NO_QUEUE`).
    pub fn set_no_queue(&mut self) {
        self.change_priv_flags(bindings::netdev_priv_flags_IFF_NO_QUEUE, 0);
    }

    /// Allows the hardware address to change while the device is up (`IFF_LIVE_ADDR_CHANGE`).
    pub fn set_live_addr_change(&mut self) {
        self.change_priv_flags(bindings::netdev_priv_flags_IFF_LIVE_ADDR_CHANGE, 0);
    }

    /// Lets [`Operations::start_xmit`] run in parallel on all CPUs, without the transmit lock.
    pub fn set_lltx(&mut self) {
        self.fast_flags().set_lltx(1);
    }

    /// Leaves packets their route when they are sent (`netif_keep_dst()`).
    pub fn keep_dst(&mut self) {
        self.change_priv_flags(
            0,
            bindings::netdev_priv_flags_IFF_XMIT_DST_RELEASE
                | bindings::netdev_priv_flags_IFF_XMIT_DST_RELEASE_PERM,
        );
    }

    /// Sets the features that are on, and those of them that can be switched (`hw_features`).
    pub fn set_features(&mut self, features: Features, switchable: Features) {
        self.dev.features = features.into();
        self.dev.hw_features = switchable.into();
    }

    /// Sets the largest packet in bytes that the device takes for segmentation
    /// (`netif_set_tso_max_size()`), up to `GSO_MAX_SIZE`.
    pub fn set_tso_max_size(&mut self, size: u32) {
        // SAFETY: The device is valid and not yet known to anybody else.
        unsafe { bindings::netif_set_tso_max_size(self.dev, size) };
    }

    /// The bit fields with `priv_flags`.
    fn fast_flags(&mut self) -> &mut bindings::net_device__bindgen_ty_1__bindgen_ty_1 {
        // SAFETY: Both variants of the union (`struct_group()`) are the same bit fields.
        unsafe { &mut self.dev.__bindgen_anon_1.__bindgen_anon_1 }
    }

    /// Sets and clears bits of `priv_flags`.
    fn change_priv_flags(
        &mut self,
        set: bindings::netdev_priv_flags,
        clear: bindings::netdev_priv_flags,
    ) {
        let flags = self.fast_flags();
        flags.set_priv_flags(flags.priv_flags() & !(clear as usize) | set as usize);
    }
}

/// The C callbacks for a driver.
pub(crate) struct Adapter<T>(PhantomData<T>);

impl<T: Operations> Adapter<T> {
    /// Size of the private data in bytes, for `rtnl_link_ops::priv_size`.
    pub(crate) const PRIV_SIZE: usize = {
        // `netdev_priv()` is aligned to NETDEV_ALIGN, 32 bytes.
        assert!(align_of::<T>() <= 32);
        size_of::<T>()
    };

    /// The operations table of the driver's devices.
    const NET_DEVICE_OPS: bindings::net_device_ops = bindings::net_device_ops {
        ndo_init: Some(Self::init),
        ndo_start_xmit: Some(Self::start_xmit),
        ndo_get_stats64: Some(Self::get_stats64),
        ndo_set_mac_address: Some(bindings::eth_mac_addr),
        ..pin_init::zeroed()
    };

    /// The place of the private data (`netdev_priv()`).
    ///
    /// # Safety
    ///
    /// `dev` is a valid device of the driver `T`.
    unsafe fn private(dev: *mut bindings::net_device) -> *mut T {
        // SAFETY: By the safety requirements; the data follow the device in one allocation.
        unsafe { (&raw mut (*dev).priv_).cast() }
    }

    /// `rtnl_link_ops::setup`.
    ///
    /// # Safety
    ///
    /// Called by `alloc_netdev_mqs()` only, with the `rtnl_link_ops` of the driver `T`.
    pub(crate) unsafe extern "C" fn setup(dev: *mut bindings::net_device) {
        // SAFETY: The device is valid and zeroed, and not yet known to anybody else.
        unsafe { bindings::ether_setup(dev) };
        // SAFETY: As above.
        let dev = unsafe { &mut *dev };
        dev.netdev_ops = &Self::NET_DEVICE_OPS;
        dev.ethtool_ops = &ethtool::Adapter::<T>::ETHTOOL_OPS;
        dev.needs_free_netdev = true;
        dev.priv_destructor = Some(Self::destroy);
        dev.set_pcpu_stat_type(bindings::netdev_stat_type_NETDEV_PCPU_STAT_LSTATS);

        // INVARIANT: As above.
        let mut setup = Setup { dev };
        // A packet that `start_xmit` is given is owned, never shared.
        setup.change_priv_flags(0, bindings::netdev_priv_flags_IFF_TX_SKB_SHARING);
        T::setup(&mut setup);
    }

    /// `ndo_init`.
    ///
    /// # Safety
    ///
    /// Called by `register_netdevice()` only, for a device of the driver `T`.
    unsafe extern "C" fn init(dev: *mut bindings::net_device) -> c_int {
        from_result(|| {
            // SAFETY: The device is valid and its queues are allocated.
            unsafe { bindings::netdev_helper_lockdep_set_classes(dev) };
            // SAFETY: The device is one of the driver `T`.
            let private = unsafe { Self::private(dev) };
            // SAFETY: The place is large enough and aligned (`PRIV_SIZE`), uninitialised, and does
            // not move. On success it is dropped by `destroy`, before it is freed.
            unsafe { pin_init::raw_try_init(private, T::new()) }?;
            Ok(0)
        })
    }

    /// `priv_destructor`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`: exactly once after `init`
    /// succeeded, by `register_netdevice()` if that fails later, by `netdev_run_todo()` otherwise.
    unsafe extern "C" fn destroy(dev: *mut bindings::net_device) {
        // SAFETY: `init` made the private data, no callback runs any more, and this is the only
        // place that drops them.
        unsafe { core::ptr::drop_in_place(Self::private(dev)) };
    }

    /// `ndo_start_xmit`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`.
    unsafe extern "C" fn start_xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: The core passes the ownership of a valid packet, unshared because
        // IFF_TX_SKB_SHARING is off, with bottom halves or interrupts disabled.
        let skb = unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: A device transmits between its registration and its removal.
        let _tx = T::start_xmit(unsafe { Device::from_raw(dev) }, skb);
        bindings::netdev_tx_NETDEV_TX_OK
    }

    /// `ndo_get_stats64`.
    ///
    /// # Safety
    ///
    /// Called by the core only, for a device of the driver `T`.
    unsafe extern "C" fn get_stats64(
        dev: *mut bindings::net_device,
        stats: *mut bindings::rtnl_link_stats64,
    ) {
        // SAFETY: The core asks devices between their registration and their removal.
        let dev = unsafe { Device::from_raw(dev) };
        // SAFETY: The core passes a zeroed structure of its own.
        T::get_stats64(dev, unsafe { LinkStats::from_raw(stats) });
    }
}
