// SPDX-License-Identifier: GPL-2.0

//! Devices and their operations.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h).

use crate::{
    bindings,
    compat,
    ethtool,
    loopback,
    rtnl::Rtnl,
    skbuff::{
        SkBuff,
        Tx, //
    },
    stats::{
        self,
        LinkStats,
        QueueStats, //
    },
    xdp, //
};
use core::{
    any::TypeId,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    impl_flags,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
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
/// after the device is gone; in between, callbacks that run in parallel share it. Its destructor
/// may sleep. It may neither take RTNL nor rely on it: RTNL is held if the registration failed.
///
/// C counterpart: `struct net_device_ops`.
pub trait Operations: Sized + Send + Sync + 'static {
    /// The driver's callbacks for ethtool.
    type Ethtool: ethtool::Operations<Self>;

    /// What the driver does for XDP; [`xdp::Unsupported`] for nothing.
    type Xdp: xdp::Operations<Self>;

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
    /// disabled, sometimes interrupts instead; must not sleep.
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
/// - The device was made by [`Registration`](crate::link::Registration) for the driver `T`.
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

    /// What the abstraction and the driver keep with the device.
    #[inline]
    fn private(&self) -> &Private<T> {
        // SAFETY: The private data were initialised in `ndo_init` and are valid until
        // `priv_destructor`, by the type invariants.
        unsafe { &*Private::of(self.as_raw()) }
    }

    /// Whether a device is one of the driver `T`.
    ///
    /// # Safety
    ///
    /// `dev` is a valid device whose private data, if any, are those of a driver on this
    /// abstraction; they were made or are zeroed.
    pub(crate) unsafe fn is_driver_of(dev: *mut bindings::net_device) -> bool
    where
        T: 'static,
    {
        // SAFETY: Private data begin with the identity of the driver's type, and any bytes are one.
        unsafe { *Private::<T>::of(dev).cast::<TypeId>() == TypeId::of::<T>() }
    }

    /// The driver's private data.
    #[inline]
    pub fn data(&self) -> &T {
        &self.private().data
    }

    /// The counters of the queues, if the device has several.
    #[inline]
    pub(crate) fn queue_stats(&self) -> Option<&QueueStats> {
        self.private().queue_stats.as_ref()
    }

    /// What is kept for XDP.
    #[inline]
    pub(crate) fn xdp(&self) -> &xdp::State<T> {
        &self.private().xdp
    }

    /// Whether the device has one queue of each kind, and no XDP program: packets go by nothing but
    /// the backlog, and are counted for the device only.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.private().plain.load(Relaxed)
    }

    /// Sets what [`is_plain`](Self::is_plain) tells, as far as XDP is concerned.
    pub(crate) fn set_plain(&self, plain: bool) {
        let plain = plain && self.queue_stats().is_none();
        self.private().plain.store(plain, Relaxed);
    }

    /// The number of receive queues that packets may be recorded for.
    #[inline]
    pub(crate) fn rx_queues(&self) -> u32 {
        self.private().rx_queues.load(Relaxed)
    }

    /// The index of the queue that a packet from the transmit queue `tx_queue` arrives on, by the
    /// device's [`QueueMap`](xdp::QueueMap), modulo the number in use.
    #[inline]
    pub fn rx_queue_for(&self, tx_queue: u16) -> u16 {
        // There is at least one queue, and there are at most 4096.
        let in_use = self.rx_queues().max(1) as usize;
        let map = self.xdp().map();
        map.other_side(usize::from(tx_queue) % in_use, in_use) as u16
    }

    /// The numbers of queues in use.
    pub fn real_num_queues(&self) -> Queues {
        let dev = self.as_raw();
        // SAFETY: The device is valid. The fields are written under RTNL and may be read in
        // parallel, hence the volatile reads.
        unsafe {
            Queues {
                rx: (&raw const (*dev).real_num_rx_queues).read_volatile(),
                tx: (&raw const (*dev).real_num_tx_queues).read_volatile(),
            }
        }
    }

    /// The numbers of queues that the device was made with (`numrxqueues`, `numtxqueues`).
    pub fn num_queues(&self) -> Queues {
        // SAFETY: The device is valid, and the fields do not change after `alloc_netdev_mqs()`.
        unsafe { Queues::allocated(self.as_raw()) }
    }

    /// Sets the numbers of queues in use (`netif_set_real_num_queues()`).
    ///
    /// May sleep. Fails with `EINVAL` for none or for more than [`num_queues`](Self::num_queues),
    /// with `ENOMEM` when the queues' objects cannot be made, and with `EBUSY` when there would be
    /// fewer receive queues while a generic XDP program is attached; the numbers stay as they were
    /// then.
    pub fn set_real_num_queues(&self, queues: Queues, rtnl: &Rtnl) -> Result
    where
        T: Operations,
    {
        let most = self.num_queues();
        if !(1..=most.rx).contains(&queues.rx) || !(1..=most.tx).contains(&queues.tx) {
            return Err(EINVAL);
        }

        let in_use = &self.private().rx_queues;
        let before = self.real_num_queues();
        if queues.rx < before.rx {
            // do_xdp_generic() warns about packets on the backlog whose queue is gone, and nothing
            // that is exported empties the backlog.
            // SAFETY: The device is valid, and the pointer is written under RTNL.
            if !unsafe { (*self.as_raw()).xdp_prog }.is_null() {
                return Err(EBUSY);
            }
            // So does get_rps_cpu() about packets that come to the backlog afterwards.
            in_use.store(queues.rx, Relaxed);
            // SAFETY: May be called under RTNL. `ndo_start_xmit` runs in RCU read sections, or with
            // bottom halves or interrupts disabled, which amounts to the same.
            unsafe { bindings::synchronize_net() };
            self.xdp_drain(queues.rx, rtnl);
        }
        // SAFETY: The device is valid, RTNL is held, and the numbers were checked.
        let ret =
            unsafe { bindings::netif_set_real_num_queues(self.as_raw(), queues.tx, queues.rx) };
        in_use.store(self.real_num_queues().rx, Relaxed);
        self.xdp_queues_changed(rtnl);
        to_result(ret)
    }

    /// Whether the device is up (`netif_running()` under RTNL).
    pub fn is_up(&self, _rtnl: &Rtnl) -> bool {
        // SAFETY: The device is valid, and RTNL keeps the flag as it is.
        unsafe { (*self.as_raw()).flags & bindings::net_device_flags_IFF_UP != 0 }
    }

    /// `priv_flags`.
    fn priv_flags(&self, _rtnl: &Rtnl) -> u32 {
        // SAFETY: The device is valid, and the bit fields are written under RTNL.
        let flags = unsafe {
            bindings::net_device__bindgen_ty_1__bindgen_ty_1::priv_flags_raw(
                (&raw const (*self.as_raw()).__bindgen_anon_1).cast(),
            )
        };
        // The field has 32 bits.
        flags as u32
    }

    /// Whether the device is the output device of its own local addresses, see
    /// [`Setup::set_loopback`].
    pub fn own_traffic(&self, rtnl: &Rtnl) -> bool {
        self.priv_flags(rtnl) & bindings::netdev_priv_flags_IFF_L3MDEV_MASTER != 0
    }

    /// Makes the device the output device of its own local addresses, or `lo`.
    ///
    /// Only for a device that was set up with [`Setup::set_loopback`], else `EOPNOTSUPP`. Fails
    /// with `EBUSY` while the device is up, since packets may be under way, and while it is a port
    /// of a VRF, which is an L3 master itself.
    ///
    /// Policy rules that name the device (`ip rule ... oif`) keep what it was when they were added.
    pub fn set_own_traffic(&self, on: bool, rtnl: &Rtnl) -> Result {
        let dev = self.as_raw();
        // SAFETY: The device is valid, and its type is not changed after `setup`.
        if !unsafe { loopback::is_loopback(dev) } {
            return Err(compat::eopnotsupp());
        }
        if self.is_up(rtnl) || self.is_vrf_port(rtnl) {
            return Err(EBUSY);
        }
        // SAFETY: The device is valid and RTNL is held.
        unsafe { bindings::netdev_helper_set_l3mdev_master(dev, on) };
        Ok(())
    }

    /// Whether the device is a port of a VRF (`netif_is_l3_slave()`).
    pub fn is_vrf_port(&self, rtnl: &Rtnl) -> bool {
        self.priv_flags(rtnl) & bindings::netdev_priv_flags_IFF_L3MDEV_SLAVE != 0
    }

    /// Whether sockets may be bound to any IPv6 address in the device's network namespace
    /// (`net.ipv6.ip_nonlocal_bind`).
    pub fn ipv6_nonlocal_bind(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::netdev_helper_ipv6_nonlocal_bind(self.as_raw()) }
    }

    /// Writes a line with the device's name to the kernel's log (`netdev_info()`), unless there
    /// are too many.
    pub fn info_ratelimited(&self, text: &CStr) {
        // SAFETY: The device is valid, the text is a string.
        unsafe { bindings::netdev_helper_info_ratelimited(self.as_raw(), text.as_char_ptr()) };
    }
}

/// Numbers of queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Receive queues.
    pub rx: u32,
    /// Transmit queues.
    pub tx: u32,
}

impl Queues {
    /// The numbers that a device was allocated with.
    ///
    /// # Safety
    ///
    /// `dev` is a valid device.
    unsafe fn allocated(dev: *mut bindings::net_device) -> Self {
        // SAFETY: By the safety requirements.
        unsafe {
            Self {
                rx: (*dev).num_rx_queues,
                tx: (*dev).num_tx_queues,
            }
        }
    }
}

/// What is kept with a device, in the place that `netdev_priv()` points to.
#[pin_data]
#[repr(C)]
struct Private<T> {
    /// That of `T`. The first, where it is found without knowing `T`.
    id: TypeId,
    /// Counters for each queue, if there are several.
    queue_stats: Option<QueueStats>,
    /// Number of receive queues that packets may be recorded for; never more than are in use.
    rx_queues: Atomic<u32>,
    /// See [`Device::is_plain`].
    plain: Atomic<bool>,
    /// For XDP.
    xdp: xdp::State<T>,
    /// The driver's.
    #[pin]
    data: T,
}

impl<T> Private<T> {
    /// Size in bytes, for `rtnl_link_ops::priv_size`.
    const SIZE: usize = {
        // `net_device::priv` is aligned to a cache line, which has at least 32 bytes.
        assert!(align_of::<Self>() <= 32);
        size_of::<Self>()
    };

    /// The place of the private data (`netdev_priv()`).
    ///
    /// # Safety
    ///
    /// `dev` is a valid device of the driver `T`.
    #[inline]
    unsafe fn of(dev: *mut bindings::net_device) -> *mut Self {
        // SAFETY: By the safety requirements; the data follow the device in one allocation.
        unsafe { (&raw mut (*dev).priv_).cast() }
    }
}

impl<T: Operations> Private<T> {
    /// Makes the private data of a device with as many queues, and with the largest MTU that the
    /// driver has set.
    fn new(queues: Queues, max_mtu: u32) -> impl PinInit<Self, Error> {
        let plain = queues == Queues { rx: 1, tx: 1 };
        try_pin_init!(Self {
            id: TypeId::of::<T>(),
            queue_stats: if plain {
                None
            } else {
                Some(QueueStats::new(queues.rx as usize, queues.tx as usize)?)
            },
            rx_queues: Atomic::new(queues.rx),
            plain: Atomic::new(plain),
            xdp: xdp::State::new(<T::Xdp as xdp::Operations<T>>::SUPPORTED, queues.rx, max_mtu)?,
            data <- T::new(),
        })
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
    ///
    /// Unlike `lo`, the device is the one over which the traffic of its own local addresses goes;
    /// [`Device::set_own_traffic`] changes that. It is an L3 master without a table of its own
    /// (`IFF_L3MDEV_MASTER`): the lookup of a route stays the same, but
    /// `l3mdev_master_dev_rcu()`, which the IP layers ask for the output device of a local
    /// address, answers with the device itself.
    pub fn set_loopback(&mut self) {
        const L3MDEV_OPS: bindings::l3mdev_ops = pin_init::zeroed();

        self.dev.type_ = bindings::ARPHRD_LOOPBACK as u16;
        // IFF_NOARP stands in for IFF_LOOPBACK during the registration.
        self.dev.flags = bindings::net_device_flags_IFF_NOARP;
        self.dev.broadcast.fill(0);
        self.dev.set_netns_immutable(1);
        // Only for a loopback: ipvlan would replace the operations of another device, and leave
        // its own behind. It refuses loopbacks.
        self.dev.l3mdev_ops = &L3MDEV_OPS;
        self.change_priv_flags(bindings::netdev_priv_flags_IFF_L3MDEV_MASTER, 0);
    }

    /// Lets the device do without address resolution, broadcast and multicast (`IFF_NOARP`).
    pub fn set_noarp(&mut self) {
        self.dev.flags = bindings::net_device_flags_IFF_NOARP;
    }

    /// Gives the device a random hardware address (`eth_hw_addr_random()`).
    pub fn set_random_address(&mut self) {
        // SAFETY: The device is valid and not yet known to anybody else; its address list was made
        // by `alloc_netdev_mqs()` before `setup`.
        unsafe { bindings::netdev_helper_eth_hw_addr_random(self.dev) };
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
    /// (`netif_set_tso_max_size()`), up to `GSO_MAX_SIZE` and not less than TCP's headers need.
    pub fn set_tso_max_size(&mut self, size: u32) {
        let size = size.max(bindings::MAX_TCP_HEADER + 1);
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
    /// Size of the private data in bytes.
    pub(crate) const PRIV_SIZE: usize = Private::<T>::SIZE;

    /// The operations table of the driver's devices.
    const NET_DEVICE_OPS: bindings::net_device_ops =
        xdp::Adapter::<T>::add_to(bindings::net_device_ops {
            ndo_init: Some(Self::init),
            ndo_start_xmit: Some(Self::start_xmit),
            ndo_get_stats64: Some(Self::get_stats64),
            ndo_set_mac_address: Some(bindings::eth_mac_addr),
            ..pin_init::zeroed()
        });

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
        dev.stat_ops = &stats::Adapter::<T>::STAT_OPS;
        dev.needs_free_netdev = true;
        dev.priv_destructor = Some(Self::destroy);
        dev.set_pcpu_stat_type(bindings::netdev_stat_type_NETDEV_PCPU_STAT_LSTATS);
        xdp::Adapter::<T>::setup(dev);

        // INVARIANT: As above.
        let mut setup = Setup { dev };
        // A packet that `start_xmit` is given is owned, never shared. netpoll, which disables
        // interrupts instead of bottom halves, would make `__netif_rx()` warn; it can still send by
        // a teql device above.
        setup.change_priv_flags(
            bindings::netdev_priv_flags_IFF_DISABLE_NETPOLL,
            bindings::netdev_priv_flags_IFF_TX_SKB_SHARING,
        );
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
            let (private, queues, max_mtu) =
                unsafe { (Private::of(dev), Queues::allocated(dev), (*dev).max_mtu) };
            // SAFETY: The place is large enough and aligned (`Private::SIZE`), uninitialised, and
            // does not move. On success it is dropped by `destroy`, before it is freed.
            unsafe { compat::raw_try_init(private, Private::<T>::new(queues, max_mtu)) }?;
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
        unsafe { core::ptr::drop_in_place(Private::<T>::of(dev)) };
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

#[kunit_tests(netdev_device)]
mod tests {
    use super::*;
    use crate::{
        rtnl,
        testing::{
            fail_registration,
            with_device,
            Probe, //
        }, //
    };

    /// One queue of each kind.
    const ONE: Queues = Queues { rx: 1, tx: 1 };

    #[test]
    fn private_data_live_as_long_as_the_device() -> Result {
        assert_eq!(Probe::live(), 0);
        with_device::<Probe, _>(ONE, |dev| {
            assert_eq!(Probe::live(), 1);
            assert_eq!(dev.data().value, Probe::VALUE);
        })?;
        assert_eq!(Probe::live(), 0);
        Ok(())
    }

    #[test]
    fn private_data_go_when_the_registration_fails() {
        assert_eq!(fail_registration::<Probe>(), Err(EBUSY));
        assert_eq!(Probe::live(), 0);
    }

    #[test]
    fn queues_in_use_stay_within_those_allocated() -> Result {
        let most = Queues { rx: 3, tx: 4 };
        with_device::<Probe, _>(most, |dev| {
            assert_eq!(dev.num_queues(), most);
            assert_eq!(dev.real_num_queues(), most);
            for (rx, tx) in [(0, 1), (1, 0), (4, 4), (3, 5), (u32::MAX, 1)] {
                assert_eq!(
                    dev.set_real_num_queues(Queues { rx, tx }, &rtnl::lock()),
                    Err(EINVAL)
                );
                assert_eq!(dev.real_num_queues(), most);
            }
            for (rx, tx) in [(1, 1), (3, 1), (1, 4), (3, 4)] {
                let queues = Queues { rx, tx };
                assert_eq!(dev.set_real_num_queues(queues, &rtnl::lock()), Ok(()));
                assert_eq!(dev.real_num_queues(), queues);
                assert_eq!(dev.num_queues(), most);
            }
        })
    }

    #[test]
    fn packets_arrive_on_a_queue_in_use() -> Result {
        with_device::<Probe, _>(Queues { rx: 3, tx: 4 }, |dev| {
            let rx_queues = || [0, 1, 2, 3, u16::MAX].map(|tx| dev.rx_queue_for(tx));
            assert_eq!(rx_queues(), [0, 1, 2, 0, 0]);
            let two = Queues { rx: 2, tx: 4 };
            assert_eq!(dev.set_real_num_queues(two, &rtnl::lock()), Ok(()));
            assert_eq!(rx_queues(), [0, 1, 0, 1, 1]);
        })
    }

    #[test]
    fn one_queue_needs_no_counters_of_its_own() -> Result {
        with_device::<Probe, _>(ONE, |dev| assert!(dev.queue_stats().is_none()))?;
        with_device::<Probe, _>(Queues { rx: 1, tx: 2 }, |dev| {
            assert!(dev.queue_stats().is_some());
        })
    }

    #[test]
    fn own_traffic_is_for_loopbacks() -> Result {
        with_device::<Probe, _>(ONE, |dev| {
            assert!(!dev.own_traffic(&rtnl::lock()));
            assert_eq!(dev.set_own_traffic(true, &rtnl::lock()), Err(EOPNOTSUPP));
        })
    }

    #[test]
    fn the_device_knows_whether_it_is_up() -> Result {
        with_device::<Probe, _>(ONE, |dev| {
            assert!(!dev.is_up(&rtnl::lock()));
            assert_eq!(dev.set_up(true, &rtnl::lock()), Ok(()));
            assert!(dev.is_up(&rtnl::lock()));
            assert_eq!(dev.set_up(false, &rtnl::lock()), Ok(()));
            assert!(!dev.is_up(&rtnl::lock()));
        })
    }
}
