// SPDX-License-Identifier: GPL-2.0

//! What becomes of packets that pass XDP.
//!
//! What is sent on a queue arrives on the one that the queue map tells: the same, or that of the
//! pair. There the device's program decides. `XDP_TX` sends the packet once more: it arrives on the
//! other side of its queue, and goes to the stack. The program does not see it again, nor a frame
//! that it redirected to its own device, so that nothing goes round for ever.

use super::Loopback;
use kernel::{
    prelude::*,
    time::Delta, //
};
use netdev::{
    compat,
    xdp::{
        Action,
        Buff,
        Context,
        Counter,
        Operations,
        Packet,
        Poll,
        RingSkb, //
    },
    xsk::{
        FillError,
        RxPool,
        TxPool, //
    }, //
};

/// How long the sender of AF_XDP packets is held back by a receiver that takes nothing. After that
/// the receiver counts as gone until it takes something: its packets are dropped.
const PATIENCE: Delta = Delta::from_secs(1);

/// Length of an Ethernet header in bytes, which is not counted.
const ETH_HLEN: usize = 14;

impl Operations<Self> for Loopback {
    fn poll(poll: &mut Poll<'_, Self>, budget: usize) -> usize {
        let Poll { context, tx, rx } = poll;
        // Half of it for the ring first, so that AF_XDP does not take all.
        let received = receive(context, budget / 2);
        let left = budget - received;
        let (sent, all) = match (tx, rx) {
            (Some(tx), Some(rx)) => forward(context, tx, rx, left),
            (Some(tx), None) => inject(context, tx, left),
            (None, Some(rx)) => {
                rx.wake();
                (0, false)
            }
            (None, None) => (0, false),
        };
        // Without packets of the stack in between, a batch of sockets is often the whole budget.
        // NAPI takes one less for the end, and saves a poll that would find nothing.
        if all && sent == left && received < budget / 2 {
            return budget - 1;
        }
        received + sent + receive(context, left - sent)
    }
}

/// Handles up to `budget` packets of the ring.
fn receive(context: &Context<'_, Loopback>, budget: usize) -> usize {
    for done in 0..budget {
        match context.next() {
            Some(Packet::Skb(skb)) => receive_skb(context, skb),
            Some(Packet::Frame(frame)) => decide_or_drop(context, frame),
            Some(Packet::Returned(frame)) => pass(context, frame, None),
            None => return done,
        }
    }
    budget
}

/// Handles a packet of the stack.
fn receive_skb<'p>(context: &Context<'p, Loopback>, skb: RingSkb<'p>) {
    let Some(program) = context.program() else {
        return skb.receive();
    };
    match context.buff(skb, program) {
        Ok(buff) => decide_or_drop(context, buff),
        Err(_) => context.count(Counter::Errors, 1),
    }
}

/// Hands a packet to the stack.
fn pass<'p>(context: &Context<'p, Loopback>, buff: impl Buff<'p>, queue: Option<usize>) {
    if buff.receive(context, queue).is_err() {
        context.count(Counter::Errors, 1);
    }
}

/// Lets the program decide on a packet whose sender cannot be held back.
fn decide_or_drop<'p>(context: &Context<'p, Loopback>, buff: impl Buff<'p>) {
    if decide(context, buff).is_err() {
        context.count(Counter::RedirectErrors, 1);
    }
}

/// The RX ring of the AF_XDP socket that a packet was redirected to is full.
struct Full;

/// Lets the program decide on a packet.
#[inline]
fn decide<'p>(context: &Context<'p, Loopback>, mut buff: impl Buff<'p>) -> Result<(), Full> {
    let Some(program) = context.program() else {
        pass(context, buff, None);
        return Ok(());
    };
    if !context.accepts(&buff, program) {
        context.count(Counter::Errors, 1);
        buff.discard();
        return Ok(());
    }
    match buff.run(context, program) {
        Action::Redirect => match buff.redirect(context, program) {
            Ok(()) => context.count(Counter::Redirect, 1),
            Err(error) if error == compat::enobufs() => return Err(Full),
            Err(_) => context.count(Counter::RedirectErrors, 1),
        },
        Action::Pass => {
            context.count(Counter::Pass, 1);
            pass(context, buff, None);
        }
        Action::Tx => {
            context.count(Counter::Tx, 1);
            pass(context, buff, Some(context.other_side()));
        }
        Action::Drop => {
            context.count(Counter::Drop, 1);
            buff.discard();
        }
        action @ (Action::Aborted | Action::Invalid(_)) => {
            context.count(Counter::Aborted, 1);
            context.exception(program, action);
            buff.discard();
        }
    }
    Ok(())
}

/// Whether there is nothing to send, in which case user space has to say when there is.
fn is_empty(tx: &mut TxPool, batch: usize) -> bool {
    tx.peek(batch) == 0 && !tx.sleep(batch)
}

/// Sends up to `budget` packets of AF_XDP sockets into the frames of the receiving side. Returns
/// how many, and whether none is left.
///
/// When there is no empty frame, or no room in the RX ring, the packet stays where it is, and the
/// sender is held back: it gets its frame back when the packet has arrived.
fn forward(
    context: &Context<'_, Loopback>,
    tx: &mut TxPool,
    rx: &mut RxPool,
    budget: usize,
) -> (usize, bool) {
    let (mut done, mut arrived, mut bytes) = (0, 0, 0);
    let (mut stalled, mut told) = (false, false);
    let batch = context.batch();
    if tx.peek(batch) != 0 {
        tx.wake();
    }
    while done < budget && !stalled {
        let left = tx.peek(batch);
        if left == 0 {
            if tx.sleep(batch) {
                continue;
            }
            break;
        }
        let mut buffers = rx.alloc(left.min(budget - done));
        while done < budget {
            let Some(packet) = tx.packet() else { break };
            let (count, len) = (packet.count(), packet.len() as usize);
            let full = match buffers.fill(&packet) {
                Ok(buff) => decide(context, buff).is_err(),
                Err(FillError::NoBuffers) => true,
                Err(FillError::Unfit) => {
                    context.count(Counter::XskTooLong, 1);
                    tx.advance(count);
                    done += 1;
                    continue;
                }
            };
            if !full {
                arrived += 1;
                bytes += len;
            } else if arrived == 0 && buffers.stuck_for(PATIENCE) {
                context.count(Counter::XskDropped, 1);
                tx.advance(count);
                done += 1;
                // The frames that it has not filled are free again, for the next one.
                break;
            } else if told {
                stalled = true;
                break;
            } else {
                // Both sides are told to wake the queue before the last attempt, so that it comes
                // after what they did without knowing.
                tx.hold();
                told = true;
                buffers.sleep();
                break;
            }
            tx.advance(count);
            done += 1;
        }
    }
    let all = !stalled && (done < budget || is_empty(tx, batch));
    tx.complete();
    if arrived != 0 {
        // None is shorter than its header.
        bytes -= arrived * ETH_HLEN;
        rx.flowing();
        context.count(Counter::XskPackets, arrived);
        context.count(Counter::XskBytes, bytes);
        context.lstats_add(arrived, bytes);
    }
    if !stalled {
        rx.wake();
    } else {
        context.count(Counter::XskStalls, 1);
        if !rx.uses_need_wakeup() {
            // Nobody will say when there are frames again.
            return (budget, false);
        }
    }
    (done, all)
}

/// Sends up to `budget` packets of AF_XDP sockets to a queue that no frames are bound to, as
/// packets of the stack. Returns how many, and whether none is left.
fn inject(context: &Context<'_, Loopback>, tx: &mut TxPool, budget: usize) -> (usize, bool) {
    let (mut done, mut bytes) = (0, 0);
    let batch = context.batch();
    while done < budget && !is_empty(tx, batch) {
        let Some(packet) = tx.packet() else { break };
        let (count, len) = (packet.count(), packet.len() as usize);
        match context.copy(&packet) {
            Ok(skb) => {
                bytes += len.saturating_sub(ETH_HLEN);
                receive_skb(context, skb);
            }
            Err(_) => context.count(Counter::Errors, 1),
        }
        tx.advance(count);
        done += 1;
    }
    let all = done < budget || is_empty(tx, batch);
    tx.complete();
    if done != 0 {
        context.count(Counter::XskNoReceiver, done);
        context.lstats_add(done, bytes);
    }
    (done, all)
}
