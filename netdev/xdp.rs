// SPDX-License-Identifier: GPL-2.0

//! XDP, and the queues that NAPI polls for it.
//!
//! While a device has a program, or a queue with a pool of AF_XDP frames, it has a
//! [`Queue`](napi::PolledQueues) that NAPI polls for each of its receive queues. What arrives there
//! is taken by the driver's [`Operations::poll`]:
//!
//! - packets of the stack and frames that were redirected to the device, which a ring holds
//!   ([`Context::next`]);
//! - what user space sends on AF_XDP sockets ([`Poll::tx`]), which goes into the frames of the
//!   receiving side ([`Poll::rx`]).
//!
//! A packet is a [`Buff`] on which a [`Program`] is run; each method that disposes of it consumes
//! it.
//!
//! The configuration is changed under RTNL. What only the poll uses is changed while NAPI is
//! disabled.
//!
//! C header: [`include/net/xdp.h`](srctree/include/net/xdp.h).

use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

mod buff;
mod hints;
mod napi;
mod setup;

pub(crate) use setup::{
    Adapter,
    Sizes,
    State, //
};

pub use buff::{
    Buff,
    FrameBuff,
    SkbBuff,
    XskBuff, //
};
pub use napi::{
    Context,
    Packet,
    Poll,
    PolledQueues,
    RingSkb, //
};

/// Bytes of a page.
const PAGE: u32 = kernel::page::PAGE_SIZE as u32;

/// What a driver does with packets that pass XDP.
///
/// C counterpart: the callbacks `ndo_bpf`, `ndo_xdp_xmit`, `ndo_xsk_wakeup` and NAPI's `poll`.
pub trait Operations<T> {
    /// Whether the driver supports XDP.
    const SUPPORTED: bool = true;

    /// Handles up to `budget` packets of a queue and returns how many; `budget` if there are more.
    ///
    /// Runs for each queue on one CPU at a time, with bottom halves disabled; must not sleep.
    fn poll(poll: &mut Poll<'_, T>, budget: usize) -> usize;
}

/// For drivers without XDP.
pub struct Unsupported;

impl<T> Operations<T> for Unsupported {
    const SUPPORTED: bool = false;

    fn poll(_poll: &mut Poll<'_, T>, _budget: usize) -> usize {
        0
    }
}

/// What is counted for each queue and shown by `ethtool -S`, beside packets and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Packets that the program let pass to the stack (`XDP_PASS`).
    Pass,
    /// Packets that the program dropped (`XDP_DROP`).
    Drop,
    /// Packets with an error of the program (`XDP_ABORTED`, or an action that is none).
    Aborted,
    /// Packets that the program sent again (`XDP_TX`).
    Tx,
    /// Packets that the program redirected (`XDP_REDIRECT`).
    Redirect,
    /// Packets that could not be redirected.
    RedirectErrors,
    /// Packets that could not be given to the program, or to the stack after it.
    Errors,
    /// Frames that other devices' programs redirected here (`ndo_xdp_xmit`).
    Xmit,
    /// Packets and frames that were dropped because the ring was full.
    RingFull,
    /// Packets that went from one AF_XDP socket's frames into another's.
    XskPackets,
    /// Their bytes.
    XskBytes,
    /// Packets of AF_XDP sockets that went to the program or the stack since nobody has bound
    /// frames to the receiving queue.
    XskNoReceiver,
    /// Packets of AF_XDP sockets that were dropped because they are longer than the receiver's
    /// frames allow, or are no packets.
    XskTooLong,
    /// Packets of AF_XDP sockets that were dropped because the receiver took nothing for too long.
    XskDropped,
    /// How often the sender was held back because the receiver had no empty frames or a full RX
    /// ring.
    XskStalls,
    /// How often user space woke the queue (`ndo_xsk_wakeup`).
    XskWakeups,
}

impl Counter {
    /// Whether others than the poll count it.
    #[inline]
    fn is_shared(self) -> bool {
        matches!(self, Self::Xmit | Self::RingFull | Self::XskWakeups)
    }

    /// Their names, in order. With `rx_queue_4095_` before it, one has up to 31 bytes.
    pub(crate) const NAMES: [&'static str; 16] = [
        "xdp_pass",
        "xdp_drop",
        "xdp_aborted",
        "xdp_tx",
        "xdp_redirect",
        "xdp_redirect_err",
        "xdp_errors",
        "xdp_xmit",
        "xdp_ring_full",
        "xsk_packets",
        "xsk_bytes",
        "xsk_no_receiver",
        "xsk_too_long",
        "xsk_dropped",
        "xsk_stalls",
        "xsk_wakeups",
    ];
}

/// The counters of a queue.
type Counters = [Atomic<u64>; Counter::NAMES.len()];

/// Which receive queue what is sent on a transmit queue arrives on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueMap {
    /// The one with the same number.
    #[default]
    Same,
    /// That of the pair: 0 and 1, 2 and 3, and so on. A queue that is alone is its own pair.
    Pairs,
}

impl QueueMap {
    /// The queue on the other side of the queue `index`, of `count` queues.
    #[inline]
    pub(crate) fn other_side(self, index: usize, count: usize) -> usize {
        match self {
            Self::Pairs if index ^ 1 < count => index ^ 1,
            _ => index,
        }
    }
}

/// What a program decided on a packet (`enum xdp_action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It met an error.
    Aborted,
    /// The packet is to be dropped.
    Drop,
    /// The packet goes to the stack.
    Pass,
    /// The packet goes out again where it came in.
    Tx,
    /// The packet goes to where the program has noted down.
    Redirect,
    /// No action.
    Invalid(u32),
}

impl From<u32> for Action {
    #[inline]
    fn from(action: u32) -> Self {
        match action {
            bindings::xdp_action_XDP_ABORTED => Self::Aborted,
            bindings::xdp_action_XDP_DROP => Self::Drop,
            bindings::xdp_action_XDP_PASS => Self::Pass,
            bindings::xdp_action_XDP_TX => Self::Tx,
            bindings::xdp_action_XDP_REDIRECT => Self::Redirect,
            action => Self::Invalid(action),
        }
    }
}

/// The program that is attached to the device (`struct bpf_prog`), during a poll.
///
/// # Invariants
///
/// The pointer is to a program that stays valid during `'p`.
#[derive(Clone, Copy)]
pub struct Program<'p>(
    NonNull<bindings::bpf_prog>,
    PhantomData<&'p bindings::bpf_prog>,
);

impl Program<'_> {
    /// The raw pointer.
    #[inline]
    fn as_ptr(self) -> *mut bindings::bpf_prog {
        self.0.as_ptr()
    }

    /// Whether it handles packets in several pieces (`xdp.frags`).
    #[inline]
    fn has_frags(self) -> bool {
        // SAFETY: The program is valid by the type invariants.
        unsafe { bindings::netdev_helper_xdp_prog_has_frags(self.as_ptr()) }
    }
}

/// Adds to a counter that several CPUs change.
#[inline]
fn count(counters: &Counters, counter: Counter, n: usize) {
    counters[counter as usize].fetch_add(n as u64, Relaxed);
}

#[kunit_tests(netdev_xdp)]
mod tests {
    use super::*;
    use crate::testing::Probe;

    #[test]
    fn queues_have_another_side() {
        for index in 0..3 {
            assert_eq!(QueueMap::Same.other_side(index, 3), index);
        }
        let pairs = [0, 1, 2, 3].map(|index| QueueMap::Pairs.other_side(index, 4));
        assert_eq!(pairs, [1, 0, 3, 2]);
        // One that is alone.
        let odd = [0, 1, 2].map(|index| QueueMap::Pairs.other_side(index, 3));
        assert_eq!(odd, [1, 0, 2]);
        assert_eq!(QueueMap::Pairs.other_side(0, 1), 0);
    }

    #[test]
    fn actions_have_the_numbers_of_the_program() {
        assert_eq!(Action::from(0), Action::Aborted);
        assert_eq!(Action::from(1), Action::Drop);
        assert_eq!(Action::from(2), Action::Pass);
        assert_eq!(Action::from(3), Action::Tx);
        assert_eq!(Action::from(4), Action::Redirect);
        assert_eq!(Action::from(5), Action::Invalid(5));
        assert_eq!(Action::from(u32::MAX), Action::Invalid(u32::MAX));
    }

    #[test]
    fn counters_have_names() {
        assert_eq!(Counter::XskWakeups as usize + 1, Counter::NAMES.len());
        let longest = Counter::NAMES.iter().map(|name| name.len()).max();
        // With the longest prefix and a terminator.
        assert!(longest.unwrap_or(0) + "rx_queue_4095_".len() < bindings::ETH_GSTRING_LEN as usize);
        for (i, name) in Counter::NAMES.iter().enumerate() {
            assert!(!Counter::NAMES[..i].contains(name));
        }
        assert_eq!(Counter::NAMES[Counter::RingFull as usize], "xdp_ring_full");
        assert_eq!(Counter::NAMES[Counter::XskDropped as usize], "xsk_dropped");
    }

    #[test]
    fn drops_are_those_of_the_queues() -> Result {
        let state = State::<Probe>::new(true, 3, 0)?;
        for (queue, counter, n) in [
            (0, Counter::RingFull, 1),
            (0, Counter::Drop, 100),
            (1, Counter::XskDropped, 2),
            (1, Counter::XskTooLong, 4),
            (2, Counter::Errors, 8),
        ] {
            count(&state.counters[queue], counter, n);
        }
        let drops = |all, overruns| setup::Drops { all, overruns };
        assert_eq!(state.drops(0..1), drops(1, 1));
        assert_eq!(state.drops(1..2), drops(6, 2));
        assert_eq!(state.drops(0..3), drops(15, 3));
        assert_eq!(state.drops(3..3), drops(0, 0));
        // What does not exist has dropped nothing.
        assert_eq!(state.drops(3..4), drops(0, 0));
        assert_eq!(state.counters(3), None);
        Ok(())
    }
}
