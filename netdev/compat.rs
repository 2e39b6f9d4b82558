// SPDX-License-Identifier: GPL-2.0

//! What differs between the kernel series that the sources are for, 7.2 and 7.3.
//!
//! `Kbuild` sets `kernel_7_2` for the earlier one. All else is written for the later one, and needs
//! nothing that the earlier one lacks.

use core::borrow::Borrow;
use kernel::{
    bindings,
    prelude::*, //
};

/// Makes a value in its place (`pin_init::raw_try_init()`).
///
/// # Safety
///
/// `slot` is valid for writes and does not move until its value is dropped. If an error is
/// returned there is no value.
#[inline(always)]
pub(crate) unsafe fn raw_try_init<T, E>(slot: *mut T, init: impl PinInit<T, E>) -> Result<(), E> {
    // SAFETY: By the safety requirements.
    #[cfg(not(kernel_7_2))]
    unsafe {
        pin_init::raw_try_init(slot, init)
    }
    // SAFETY: By the safety requirements.
    #[cfg(kernel_7_2)]
    unsafe {
        init.__pinned_init(slot)
    }
}

/// The value of a module parameter: `value()` is a reference in 7.2.
#[inline]
pub fn parameter<T: Copy>(value: impl Borrow<T>) -> T {
    *value.borrow()
}

/// Functions for errors that 7.2 has no constants for.
macro_rules! errors {
    ($($name:ident: $errno:ident, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            #[inline]
            pub fn $name() -> Error {
                Error::from_errno(-(bindings::$errno as c_int))
            }
        )*
    };
}

errors! {
    eaddrnotavail: EADDRNOTAVAIL, "Cannot assign requested address.";
    enobufs: ENOBUFS, "No buffer space available.";
    enodata: ENODATA, "No data available.";
    eopnotsupp: EOPNOTSUPP, "Operation not supported.";
}
