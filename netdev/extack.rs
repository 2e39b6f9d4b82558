// SPDX-License-Identifier: GPL-2.0

//! Extended acknowledgements: why netlink refused something, in a sentence.
//!
//! C header: [`include/linux/netlink.h`](srctree/include/linux/netlink.h).

use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// Where the sentence goes (`struct netlink_ext_ack`), if somebody will read it.
///
/// # Invariants
///
/// The pointer, if any, is valid and not used by anybody else during `'a`.
pub struct ExtAck<'a> {
    extack: Option<NonNull<bindings::netlink_ext_ack>>,
    _request: PhantomData<&'a mut bindings::netlink_ext_ack>,
}

impl ExtAck<'_> {
    /// Takes the pointer that a callback was given, which may be null.
    ///
    /// # Safety
    ///
    /// `extack` is null, or valid and not used by anybody else for the lifetime of the value.
    pub(crate) unsafe fn from_raw(extack: *mut bindings::netlink_ext_ack) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            extack: NonNull::new(extack),
            _request: PhantomData,
        }
    }

    /// Refuses a request: says why (`NL_SET_ERR_MSG()`) and returns the error.
    pub fn refuse<T>(&mut self, error: Error, why: &'static CStr) -> Result<T> {
        if let Some(extack) = self.extack {
            // SAFETY: The pointer is valid by the type invariants; the text is static, and the
            // request ends before the module could be unloaded.
            unsafe { (*extack.as_ptr())._msg = why.as_char_ptr() };
        }
        Err(error)
    }
}
