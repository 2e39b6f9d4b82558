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

#[kunit_tests(netdev_extack)]
mod tests {
    use super::*;
    use crate::testing::with_request;

    #[test]
    fn a_refusal_has_a_sentence() -> Result {
        let (result, sentence) = with_request(None, |_, mut extack| {
            extack.refuse::<()>(EBUSY, c"The device is up")
        })?;
        assert_eq!(result, Err(EBUSY));
        assert_eq!(&*sentence, b"The device is up");
        Ok(())
    }

    #[test]
    fn a_long_sentence_is_cut() -> Result {
        const LONG: &CStr = c"0123456789012345678901234567890123456789\
            012345678901234567890123456789012345678901234567890123456789";
        let (_, sentence) = with_request(None, |_, mut extack| extack.refuse::<()>(EINVAL, LONG))?;
        assert_eq!(sentence.len(), 79);
        assert!(LONG.to_bytes().starts_with(&sentence));
        Ok(())
    }

    #[test]
    fn nobody_has_to_listen() {
        // SAFETY: A null pointer is allowed.
        let mut extack = unsafe { ExtAck::from_raw(core::ptr::null_mut()) };
        assert_eq!(extack.refuse::<()>(EPERM, c"unheard"), Err(EPERM));
    }
}
