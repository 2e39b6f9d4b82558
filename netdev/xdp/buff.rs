// SPDX-License-Identifier: GPL-2.0

//! Packets that a program can be run on.

use super::{
    Action,
    Context,
    Program, //
};
use crate::{
    bindings,
    skbuff::DropReason,
    xsk, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A packet that a program can be run on.
pub trait Buff<'p>: Sized {
    /// Whether it is in several pieces, which only a program with `xdp.frags` handles.
    fn has_frags(&self) -> bool;

    /// Runs the program.
    fn run<T>(&mut self, context: &Context<'p, T>, program: Program<'p>) -> Action;

    /// Hands the packet to the stack, as it arrived on the device on the queue `queue`, or that of
    /// the poll. Fails if there is no memory; the packet is gone then.
    fn receive<T>(self, context: &Context<'p, T>, queue: Option<usize>) -> Result;

    /// Sends the packet to where the program has decided (`xdp_do_redirect()`). Fails if it cannot
    /// go there; the packet is gone then, with `ENOBUFS` because an AF_XDP socket's RX ring is
    /// full.
    fn redirect<T>(self, context: &Context<'p, T>, program: Program<'p>) -> Result;

    /// Drops the packet.
    fn discard(self);
}

/// A packet of the stack.
///
/// # Invariants
///
/// `buff.skb` is owned. After [`Context::buff`] it lies in pages of the queue's page pool, which
/// `buff.xdp` describes.
#[must_use = "a packet has to be passed on or dropped"]
pub struct SkbBuff<'p> {
    pub(super) buff: bindings::netdev_xdp_buff,
    pub(super) _poll: PhantomData<&'p mut bindings::sk_buff>,
}

impl<'p> Buff<'p> for SkbBuff<'p> {
    fn has_frags(&self) -> bool {
        // A packet in several pieces was refused when the buffer was made.
        false
    }

    #[inline]
    fn run<T>(&mut self, _context: &Context<'p, T>, program: Program<'p>) -> Action {
        // SAFETY: Program and buffer are valid by their type invariants, and this is a poll.
        unsafe { bindings::netdev_helper_xdp_run(program.as_ptr(), &mut self.buff.xdp) }.into()
    }

    fn receive<T>(mut self, context: &Context<'p, T>, queue: Option<usize>) -> Result {
        // SAFETY: The skb is owned, and the buffer describes its data, by the type invariants.
        unsafe { bindings::netdev_helper_xdp_update_skb(&mut self.buff, context.dev.as_raw()) };
        context.gro_receive(self.buff.skb, queue);
        Ok(())
    }

    fn redirect<T>(mut self, context: &Context<'p, T>, program: Program<'p>) -> Result {
        context.flush.set(true);
        // SAFETY: The skb is owned and in pages of the page pool that the buffer's rxq tells, by
        // the type invariants. Both are given up, and this is a poll.
        to_result(unsafe {
            bindings::netdev_helper_xdp_redirect_skb(
                &mut self.buff,
                context.dev.as_raw(),
                program.as_ptr(),
            )
        })
    }

    fn discard(self) {
        // SAFETY: The skb is owned and given up.
        unsafe { bindings::dev_kfree_skb_any_reason(self.buff.skb, DropReason::Xdp as u32) };
    }
}

/// A frame that was redirected to the device (`struct xdp_frame`).
///
/// # Invariants
///
/// `frame` is owned; once a program ran, `xdp` describes its data, and its memory is of the type
/// that `rxq` has.
#[must_use = "a packet has to be passed on or dropped"]
pub struct FrameBuff<'p> {
    pub(super) frame: NonNull<bindings::xdp_frame>,
    pub(super) buff: bindings::netdev_xdp_buff,
    pub(super) rxq: bindings::xdp_rxq_info,
    pub(super) ran: bool,
    pub(super) _poll: PhantomData<&'p mut bindings::xdp_frame>,
}

impl<'p> FrameBuff<'p> {
    /// The buffer, with a pointer to where the rxq is now.
    fn xdp(&mut self) -> &mut bindings::xdp_buff {
        self.buff.xdp.rxq = &mut self.rxq;
        &mut self.buff.xdp
    }
}

impl<'p> Buff<'p> for FrameBuff<'p> {
    fn has_frags(&self) -> bool {
        // SAFETY: The frame is valid by the type invariants.
        unsafe { bindings::netdev_helper_xdp_frame_has_frags(self.frame.as_ptr()) }
    }

    fn run<T>(&mut self, _context: &Context<'p, T>, program: Program<'p>) -> Action {
        self.ran = true;
        // SAFETY: Program and frame are valid by their type invariants, and this is a poll.
        unsafe {
            bindings::netdev_helper_xdp_run_frame(
                program.as_ptr(),
                &mut self.buff,
                self.frame.as_ptr(),
                &mut self.rxq,
            )
        }
        .into()
    }

    fn receive<T>(mut self, context: &Context<'p, T>, queue: Option<usize>) -> Result {
        if self.ran {
            let frame = self.frame.as_ptr();
            // SAFETY: The frame is owned, and the buffer describes it, by the type invariants.
            let ret = unsafe { bindings::netdev_helper_xdp_update_frame(self.xdp(), frame) };
            if let Err(error) = to_result(ret) {
                self.discard();
                return Err(error);
            }
        }
        // SAFETY: The frame is owned by the type invariants.
        let skb = unsafe {
            bindings::xdp_build_skb_from_frame(self.frame.as_ptr(), context.dev.as_raw())
        };
        if skb.is_null() {
            // SAFETY: The frame is still owned, and is given up.
            unsafe { bindings::xdp_return_frame(self.frame.as_ptr()) };
            return Err(ENOMEM);
        }
        context.gro_receive(skb, Some(queue.unwrap_or(context.queue.index)));
        Ok(())
    }

    fn redirect<T>(mut self, context: &Context<'p, T>, program: Program<'p>) -> Result {
        context.flush.set(true);
        let dev = context.dev.as_raw();
        let xdp: *mut _ = self.xdp();
        // SAFETY: The buffer describes a frame that is owned, by the type invariants, and this is
        // a poll.
        let result = to_result(unsafe { bindings::xdp_do_redirect(dev, xdp, program.as_ptr()) });
        if result.is_err() {
            self.discard();
        }
        result
    }

    fn discard(mut self) {
        if self.ran {
            // The frame may not be where it was.
            // SAFETY: The buffer describes memory that is owned, and is given up.
            unsafe { bindings::xdp_return_buff(self.xdp()) };
        } else {
            // SAFETY: The frame is owned and given up.
            unsafe { bindings::xdp_return_frame(self.frame.as_ptr()) };
        }
    }
}

/// A packet in frames of an AF_XDP socket.
///
/// # Invariants
///
/// `xdp` is an allocated buffer of a pool whose rxq is that of the queue that is polled, and
/// belongs to this.
#[must_use = "a packet has to be passed on or dropped"]
pub struct XskBuff<'p> {
    xdp: NonNull<bindings::xdp_buff>,
    _poll: xsk::Brand<'p>,
}

impl XskBuff<'_> {
    /// Takes over a buffer.
    ///
    /// # Safety
    ///
    /// `xdp` fulfils the type invariants.
    #[inline]
    pub(crate) unsafe fn from_raw(xdp: *mut bindings::xdp_buff) -> Self {
        Self {
            // SAFETY: By the safety requirements.
            xdp: unsafe { NonNull::new_unchecked(xdp) },
            _poll: PhantomData,
        }
    }
}

impl<'p> Buff<'p> for XskBuff<'p> {
    #[inline]
    fn has_frags(&self) -> bool {
        // SAFETY: The buffer is valid by the type invariants.
        unsafe { bindings::netdev_helper_xsk_has_frags(self.xdp.as_ptr()) }
    }

    #[inline]
    fn run<T>(&mut self, _context: &Context<'p, T>, program: Program<'p>) -> Action {
        // SAFETY: Program and buffer are valid by their type invariants, and this is a poll.
        unsafe { bindings::netdev_helper_xdp_run(program.as_ptr(), self.xdp.as_ptr()) }.into()
    }

    fn receive<T>(self, context: &Context<'p, T>, queue: Option<usize>) -> Result {
        // SAFETY: The buffer is owned by the type invariants; on success it is given up.
        let skb = unsafe {
            bindings::netdev_helper_xsk_build_skb(self.xdp.as_ptr(), context.dev.as_raw())
        };
        if skb.is_null() {
            self.discard();
            return Err(ENOMEM);
        }
        context.gro_receive(skb, Some(queue.unwrap_or(context.queue.index)));
        Ok(())
    }

    #[inline]
    fn redirect<T>(self, context: &Context<'p, T>, program: Program<'p>) -> Result {
        context.flush.set(true);
        // SAFETY: The buffer is owned by the type invariants, and given up; this is a poll.
        let ret = unsafe {
            bindings::netdev_helper_xsk_redirect(
                context.dev.as_raw(),
                self.xdp.as_ptr(),
                program.as_ptr(),
            )
        };
        // Not inlined, and hardly ever needed.
        if ret != 0 {
            return to_result(ret);
        }
        Ok(())
    }

    fn discard(self) {
        // SAFETY: The buffer is owned by the type invariants, and given up.
        unsafe { bindings::netdev_helper_xsk_free(self.xdp.as_ptr()) };
    }
}
