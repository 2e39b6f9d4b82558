// SPDX-License-Identifier: GPL-2.0

//! The RTNL mutex.
//!
//! C header: [`include/linux/rtnetlink.h`](srctree/include/linux/rtnetlink.h).

use crate::bindings;
use core::marker::PhantomData;

/// Proof that the RTNL mutex is held.
///
/// RTNL serialises the configuration of all network devices. What needs it takes a `&Rtnl`.
///
/// # Invariants
///
/// While a value of this type exists, the current task holds `rtnl_mutex`.
pub struct Rtnl {
    /// Locks are released by the task that took them.
    _not_send: PhantomData<*mut ()>,
}

impl Rtnl {
    /// A token for a callback that the core runs under RTNL.
    ///
    /// For ethtool, XDP and netdev-genl the core takes the device's own lock in its place if
    /// `netdev_need_ops_lock()`: no device of this abstraction has what asks for that
    /// (`queue_mgmt_ops`, `net_shaper_ops`, `request_ops_lock`).
    ///
    /// # Safety
    ///
    /// The current task holds RTNL for the lifetime of the value.
    pub(crate) unsafe fn assume_held() -> Self {
        // SAFETY: May be called from any context.
        debug_assert!(unsafe { bindings::rtnl_is_locked() } != 0);
        // INVARIANT: By the safety requirements.
        Self {
            _not_send: PhantomData,
        }
    }
}

/// The RTNL mutex, taken by [`lock()`]. Dropping it releases the mutex.
///
/// Releasing it also finishes the removal of devices that was begun under it (`netdev_run_todo()`),
/// which waits until nobody refers to them.
pub struct RtnlGuard(Rtnl);

/// Takes the RTNL mutex (`rtnl_lock()`).
///
/// May sleep. Must not be called where RTNL is held already: the mutex does not nest.
pub fn lock() -> RtnlGuard {
    // SAFETY: May be called from any process context.
    unsafe { bindings::rtnl_lock() };
    // SAFETY: The mutex was just taken, and is held until the guard is dropped.
    RtnlGuard(unsafe { Rtnl::assume_held() })
}

impl core::ops::Deref for RtnlGuard {
    type Target = Rtnl;

    fn deref(&self) -> &Rtnl {
        &self.0
    }
}

impl Drop for RtnlGuard {
    fn drop(&mut self) {
        // SAFETY: The mutex is held by this task, as the token in this guard proves.
        unsafe { bindings::rtnl_unlock() };
    }
}
