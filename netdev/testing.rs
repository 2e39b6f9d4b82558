// SPDX-License-Identifier: GPL-2.0

//! What KUnit suites of this abstraction and of its drivers are made with: registered devices,
//! packets, and a look at what became of both.
//!
//! A check that fails ends the thread of its test without running destructors. So a check is never
//! made while a lock is held: `assert!(f(&rtnl::lock()))` releases it in time,
//! `let rtnl = rtnl::lock()` before a check does not.
//!
//! C headers: [`include/kunit/test.h`](srctree/include/kunit/test.h),
//! [`include/kunit/resource.h`](srctree/include/kunit/resource.h).

use crate::{
    bindings,
    device::{
        Adapter,
        Device,
        Operations,
        Queues,
        Setup, //
    },
    ethtool,
    extack::ExtAck,
    link::{
        Attributes,
        Kind,
        Registration, //
    },
    loopback,
    rtnl::{
        self,
        Rtnl, //
    },
    skbuff::{
        SkBuff,
        Tx, //
    },
    stats::{
        Counters,
        LinkStats, //
    },
    xdp, //
};
use core::ptr;
use kernel::{
    error::to_result,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// Allocates a device of the driver `T` and registers it in the initial network namespace, with the
/// interface index `ifindex` or, for 0, the next one.
fn register<T: Kind>(queues: Queues, ifindex: c_int) -> Result<*mut bindings::net_device> {
    // SAFETY: The size is that of the driver's private data, and `setup` is the driver's.
    let dev = unsafe {
        bindings::alloc_netdev_mqs(
            Adapter::<T>::PRIV_SIZE as c_int,
            c"kunit%d".as_char_ptr(),
            bindings::NET_NAME_ENUM as u8,
            Some(Adapter::<T>::setup),
            queues.tx,
            queues.rx,
        )
    };
    if dev.is_null() {
        return Err(ENOMEM);
    }
    // SAFETY: The device is not yet known to anybody else.
    unsafe { (*dev).ifindex = ifindex };

    let registered = {
        let _rtnl = rtnl::lock();
        // SAFETY: The device was just allocated for the driver, and RTNL is held.
        to_result(unsafe { Registration::<T>::register(dev) })
    };
    // SAFETY: The registration failed, nobody refers to the device.
    registered.inspect_err(|_| unsafe { bindings::free_netdev(dev) })?;
    Ok(dev)
}

/// Runs `test` with a registered device of the driver `T`, in the initial network namespace.
///
/// The device is removed afterwards, also when a check of the test fails. Must be called from a
/// KUnit test, without RTNL.
pub fn with_device<T: Kind, R>(queues: Queues, test: impl FnOnce(&Device<T>) -> R) -> Result<R> {
    // SAFETY: May be called from any task.
    let kunit = unsafe { kernel::bindings::kunit_get_current_test() };
    if kunit.is_null() {
        return Err(EINVAL);
    }
    let dev = register::<T>(queues, 0)?;
    // From here on the end of the test, however it comes, removes the device.
    // SAFETY: `remove` expects the device that it is given here; if it cannot be noted down, it is
    // called at once.
    to_result(unsafe {
        kernel::bindings::kunit_add_action_or_reset(kunit, Some(remove), dev.cast())
    })?;
    // SAFETY: The device is registered and has its private data until `remove` is called, after
    // the end of the borrow.
    let result = test(unsafe { Device::from_raw(dev) });
    // SAFETY: The action was added above. It is taken off and called now.
    unsafe { kernel::bindings::kunit_release_action(kunit, Some(remove), dev.cast()) };
    Ok(result)
}

/// Tries to register a device of the driver `T` with the interface index of `lo`, which fails with
/// `EBUSY` after `ndo_init`.
pub fn fail_registration<T: Kind>() -> Result {
    let dev = register::<T>(Queues { rx: 1, tx: 1 }, bindings::LOOPBACK_IFINDEX as c_int)?;
    // SAFETY: The device is registered, against expectation.
    unsafe { remove(dev.cast()) };
    Ok(())
}

/// Unregisters a device of [`with_device`], which frees it.
///
/// # Safety
///
/// `dev` is a registered device. RTNL is not held by this task.
unsafe extern "C" fn remove(dev: *mut c_void) {
    let dev = dev.cast();
    let _rtnl = rtnl::lock();
    // SAFETY: By the safety requirements; RTNL is held.
    unsafe {
        loopback::unregistering(dev);
        bindings::unregister_netdevice_queue(dev, ptr::null_mut());
    }
}

/// How a device is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Hardware type (`ARPHRD_*`).
    pub hardware_type: u16,
    /// Flags (`IFF_*`), as `ip link` shows them.
    pub flags: u32,
    /// MTU in bytes, the least and the largest one that can be set.
    pub mtu: [u32; 3],
    /// Length of the link layer's header in bytes.
    pub hard_header_len: u16,
    /// The hardware address, as far as it goes, and that for broadcasts.
    pub addresses: [[u8; 6]; 2],
    /// The features that are on (`NETIF_F_*`).
    pub features: u64,
    /// The features that can be switched.
    pub hw_features: u64,
    /// Largest packet for segmentation, in bytes.
    pub tso_max_size: u32,
    /// The private flags (`IFF_*` of `enum netdev_priv_flags`).
    pub priv_flags: u32,
    /// Packets are sent without the transmit lock.
    pub lltx: bool,
    /// The device stays in its network namespace.
    pub netns_immutable: bool,
}

impl Configuration {
    /// The flag of [`priv_flags`](Self::priv_flags) that own traffic sets.
    pub const OWN_TRAFFIC: u32 = bindings::netdev_priv_flags_IFF_L3MDEV_MASTER;

    /// The flag of [`priv_flags`](Self::priv_flags) of a device that netpoll does not use.
    pub const NO_NETPOLL: u32 = bindings::netdev_priv_flags_IFF_DISABLE_NETPOLL;

    /// The flag of [`flags`](Self::flags) of a device that is up.
    pub const UP: u32 = bindings::net_device_flags_IFF_UP;

    /// That of the initial network namespace's `lo`. Takes RTNL.
    pub fn of_lo() -> Self {
        // SAFETY: This `lo` is never removed.
        unsafe { Self::of(bindings::netdev_helper_test_lo()) }
    }

    /// Reads it from a device. Takes RTNL.
    ///
    /// # Safety
    ///
    /// `dev` is a valid device.
    unsafe fn of(dev: *mut bindings::net_device) -> Self {
        type Fast = bindings::net_device__bindgen_ty_1__bindgen_ty_1;

        let _rtnl = rtnl::lock();
        // SAFETY: By the safety requirements. What is read is written under RTNL. Both variants of
        // the union (`struct_group()`) are the same bit fields, and a hardware address has room for
        // 32 bytes.
        unsafe {
            let fast: *const Fast = (&raw const (*dev).__bindgen_anon_1).cast();
            Self {
                hardware_type: (*dev).type_,
                flags: (*dev).flags,
                mtu: [(*dev).mtu, (*dev).min_mtu, (*dev).max_mtu],
                hard_header_len: (*dev).hard_header_len,
                addresses: [
                    (*dev).dev_addr.cast::<[u8; 6]>().read(),
                    (&raw const (*dev).broadcast).cast::<[u8; 6]>().read(),
                ],
                features: (*dev).features,
                hw_features: (*dev).hw_features,
                tso_max_size: (*dev).tso_max_size,
                priv_flags: Fast::priv_flags_raw(fast) as u32,
                lltx: Fast::lltx_raw(fast) != 0,
                netns_immutable: bindings::net_device::netns_immutable_raw(dev) != 0,
            }
        }
    }
}

/// What the core reports of a device (`dev_get_stats()`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Received packets and bytes.
    pub rx: Counters,
    /// Transmitted packets and bytes.
    pub tx: Counters,
    /// Packets that were dropped when they arrived.
    pub rx_dropped: u64,
    /// Packets that were dropped in transmission.
    pub tx_dropped: u64,
}

impl<T> Device<T> {
    /// How the device is set up. Takes RTNL.
    pub fn configuration(&self) -> Configuration {
        // SAFETY: The device is valid by the type invariants.
        unsafe { Configuration::of(self.as_raw()) }
    }

    /// Brings the device up or down (`dev_change_flags()`).
    pub fn set_up(&self, up: bool, _rtnl: &Rtnl) -> Result {
        if up {
            // SAFETY: The device is registered, and RTNL is held.
            return to_result(unsafe { bindings::dev_open(self.as_raw(), ptr::null_mut()) });
        }
        // SAFETY: As above.
        unsafe { bindings::dev_close(self.as_raw()) };
        Ok(())
    }

    /// Sends a frame on one of the device's queues: calls `ndo_start_xmit` with a packet that has
    /// the first `headlen` bytes in its linear part and the others in page fragments.
    ///
    /// May sleep. Fails with `ENOMEM`, and with `EINVAL` for a queue that does not exist.
    pub fn transmit(&self, frame: &[u8], headlen: usize, queue: u16) -> Result {
        if u32::from(queue) >= self.num_queues().tx || headlen > frame.len() {
            return Err(EINVAL);
        }
        // SAFETY: The device is registered, the frame is as long as told and the linear part not
        // longer, and the queue exists.
        to_result(unsafe {
            bindings::netdev_helper_test_xmit(
                self.as_raw(),
                frame.as_ptr().cast(),
                frame.len() as u32,
                headlen as u32,
                queue,
            )
        })
    }

    /// What the core reports of the device.
    pub fn statistics(&self) -> Statistics {
        let mut stats: bindings::rtnl_link_stats64 = pin_init::zeroed();
        // SAFETY: The device is registered, the structure is a local variable.
        unsafe { bindings::dev_get_stats(self.as_raw(), &mut stats) };
        Statistics {
            rx: Counters {
                packets: stats.rx_packets,
                bytes: stats.rx_bytes,
            },
            tx: Counters {
                packets: stats.tx_packets,
                bytes: stats.tx_bytes,
            },
            rx_dropped: stats.rx_dropped,
            tx_dropped: stats.tx_dropped,
        }
    }
}

/// Runs `path` as on the packet path: with bottom halves disabled, and the proof of a packet that
/// was disposed of.
///
/// `path` must not sleep and must not make checks.
pub(crate) fn with_tx<R>(path: impl FnOnce(&Tx<'_>) -> R) -> R {
    // SAFETY: May be called from any context, and is undone below.
    unsafe { bindings::netdev_helper_test_bh_disable() };
    let result = path(&Tx::of_test());
    // SAFETY: Undoes the above.
    unsafe { bindings::netdev_helper_test_bh_enable() };
    result
}

/// Passes the attributes of a netlink request with an optional hardware address to `callback`, and
/// returns what that returns with the sentence that it left.
///
/// The address has at most 32 bytes, else it is `EINVAL`.
pub fn with_request<R>(
    address: Option<&[u8]>,
    callback: impl FnOnce(&Attributes<'_>, ExtAck<'_>) -> R,
) -> Result<(R, KVec<u8>)> {
    /// An attribute with room for its data, aligned as in a message.
    #[repr(C, align(4))]
    struct Address(bindings::nlattr, [u8; 32]);

    let mut attribute = Address(pin_init::zeroed(), [0; 32]);
    let mut table = [ptr::null_mut(); bindings::__IFLA_MAX as usize];
    if let Some(address) = address {
        attribute
            .1
            .get_mut(..address.len())
            .ok_or(EINVAL)?
            .copy_from_slice(address);
        attribute.0.nla_len = (size_of::<bindings::nlattr>() + address.len()) as u16;
        attribute.0.nla_type = bindings::IFLA_ADDRESS as u16;
        table[bindings::IFLA_ADDRESS as usize] = (&raw mut attribute).cast();
    }
    let mut extack: bindings::netlink_ext_ack = pin_init::zeroed();

    // SAFETY: The table has the size that is asked for, and its attribute is complete.
    let attributes = unsafe { Attributes::from_raw(table.as_mut_ptr()) };
    // SAFETY: Nobody else uses the local variable.
    let result = callback(&attributes, unsafe { ExtAck::from_raw(&mut extack) });

    let mut sentence = KVec::new();
    if !extack._msg.is_null() {
        // SAFETY: A sentence is a string, which lies in `extack` or is static.
        let text = unsafe { CStr::from_char_ptr(extack._msg) };
        sentence.extend_from_slice(text.to_bytes(), GFP_KERNEL)?;
    }
    Ok((result, sentence))
}

/// A driver for the tests of this crate, whose private data are counted.
pub(crate) struct Probe {
    /// Tells the data from uninitialised memory.
    pub(crate) value: u32,
}

impl Probe {
    /// What [`value`](Self::value) is.
    pub(crate) const VALUE: u32 = 0x6c6f_6f70;

    /// How many devices have private data now.
    pub(crate) fn live() -> u32 {
        LIVE.load(Relaxed)
    }
}

/// See [`Probe::live`].
static LIVE: Atomic<u32> = Atomic::new(0);

impl Drop for Probe {
    fn drop(&mut self) {
        LIVE.store(LIVE.load(Relaxed) - 1, Relaxed);
    }
}

/// Stands in for the module of a driver.
pub(crate) struct ProbeModule;

impl kernel::ModuleMetadata for ProbeModule {
    const NAME: &'static CStr = c"kunit_probe";
    const THIS_MODULE: ThisModule = {
        // SAFETY: A null pointer stands for code that is never unloaded; nothing takes a reference.
        unsafe { ThisModule::from_ptr(ptr::null_mut()) }
    };
}

impl Operations for Probe {
    type Ethtool = Self;
    type Xdp = xdp::Unsupported;

    fn setup(dev: &mut Setup<'_>) {
        dev.set_noarp();
        dev.set_lltx();
    }

    fn new() -> impl PinInit<Self, Error> {
        LIVE.store(LIVE.load(Relaxed) + 1, Relaxed);
        Ok(Self { value: Self::VALUE })
    }

    fn start_xmit<'a>(_dev: &'a Device<Self>, skb: SkBuff<'a>) -> Tx<'a> {
        skb.consume()
    }

    fn get_stats64(dev: &Device<Self>, stats: &mut LinkStats) {
        stats.set_tx(dev.lstats_read());
    }
}

#[vtable]
impl ethtool::Operations<Self> for Probe {
    type OwnerModule = ProbeModule;

    fn get_link(_dev: &Device<Self>) -> bool {
        true
    }
}

#[vtable]
impl Kind for Probe {
    type OwnerModule = ProbeModule;

    const KIND: &'static CStr = c"kunit";
}
