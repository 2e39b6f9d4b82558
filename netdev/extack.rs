// SPDX-License-Identifier: GPL-2.0

//! Extended acknowledgements: why netlink refused something, or what a user should know, in a
//! sentence.
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

    /// Refuses a request: says why, in up to 79 bytes (`NL_SET_ERR_MSG_FMT()`), and returns the
    /// error.
    pub fn refuse<T>(&mut self, error: Error, why: &'static CStr) -> Result<T> {
        self.set(why);
        Err(error)
    }

    /// Adds a warning to a request that is granted, in up to 79 bytes.
    pub fn warn(&mut self, warning: &'static CStr) {
        self.set(warning);
    }

    /// Sets the sentence.
    fn set(&mut self, sentence: &'static CStr) {
        if let Some(extack) = self.extack {
            // The answer is sent when the module's code is not protected any more: copy the text.
            // SAFETY: The pointer is valid by the type invariants.
            let extack = unsafe { &mut *extack.as_ptr() };
            let room = extack._msg_buf.len() - 1;
            let text = &sentence.to_bytes()[..sentence.to_bytes().len().min(room)];
            for (to, from) in extack._msg_buf.iter_mut().zip(text) {
                *to = *from as c_char;
            }
            extack._msg_buf[text.len()] = 0;
            extack._msg = extack._msg_buf.as_ptr();
        }
    }
}
