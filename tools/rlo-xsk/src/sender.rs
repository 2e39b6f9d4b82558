// SPDX-License-Identifier: GPL-2.0

//! Sends the frames of a stream, in batches and at a rate.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::args::Shape;
use crate::clock;
use crate::frame::Writer;
use crate::pace::Pacer;
use crate::xsk::Port;

/// How long a thread sleeps before it looks whether the run has ended.
pub const NAP: Duration = Duration::from_millis(100);
/// How long to wait, at the end, for what is still on its way.
pub const LAST: Duration = Duration::from_secs(1);

/// A number for a stream that no other one has had lately.
pub fn stream() -> u32 {
    (clock::now() >> 10) as u32 ^ (std::process::id() << 16)
}

/// Sends what is due of a stream.
pub struct Sender {
    writer: Writer,
    size: u32,
    batch: u32,
    /// Frames to send in all.
    total: u64,
    pub sent: u64,
    pacer: Option<Pacer>,
    pub start: Instant,
}

impl Sender {
    pub fn new(port: &mut Port, writer: Writer, shape: Shape, batch: u32, total: u64) -> Self {
        port.prepare(shape.size, |frame| writer.prepare(frame));
        Self {
            writer,
            size: shape.size,
            batch,
            total,
            sent: 0,
            pacer: shape.rate.map(|rate| Pacer::new(rate, Duration::ZERO)),
            start: Instant::now(),
        }
    }

    /// Sends a batch, of at most `most` frames; says how many.
    #[inline]
    pub fn send(&mut self, port: &mut Port, most: u64) -> Result<u32> {
        port.reclaim();
        let mut most = most.min(self.total - self.sent).min(u64::from(self.batch));
        if let Some(pacer) = &mut self.pacer {
            most = most.min(pacer.due(self.start.elapsed()));
        }
        let (writer, mut sequence) = (self.writer, self.sent);
        let now = if writer.checked { clock::now() } else { 0 };
        let count = port.send(most as u32, self.size, |frame| {
            writer.data(frame, sequence, now);
            sequence += 1;
        });
        self.sent = sequence;
        if let Some(pacer) = &mut self.pacer {
            pacer.sent(u64::from(count));
        }
        port.kick_tx()?;
        Ok(count)
    }

    /// Waits until a frame is due and there is a chunk for it.
    pub fn wait(&self, port: &mut Port, spin: bool) -> Result<()> {
        let pause = match &self.pacer {
            Some(pacer) => pacer.pause(self.start.elapsed()),
            None => Duration::ZERO,
        };
        if !pause.is_zero() {
            thread::sleep(pause.min(NAP));
        } else if !spin && self.pacer.is_none() {
            port.wait_tx(NAP)?;
            // There can be room in the ring while the chunks are still in use.
            thread::yield_now();
        }
        Ok(())
    }
}

/// Waits until all is sent, or nothing goes any more.
pub fn drain(port: &mut Port) -> Result<()> {
    let mut since = Instant::now();
    while port.in_flight() > 0 && since.elapsed() < LAST {
        if port.reclaim() > 0 {
            since = Instant::now();
        }
        port.kick_tx()?;
        thread::yield_now();
    }
    Ok(())
}
