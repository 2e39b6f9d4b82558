// SPDX-License-Identifier: GPL-2.0

//! Measures how many packets a second go from a socket to another, or to itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::args::{self, Level};
use crate::check::Checker;
use crate::device::Device;
use crate::frame::Writer;
use crate::report::{Report, Socket};
use crate::run::{Run, pin};
use crate::sender::{LAST, Sender, drain, stream};
use crate::traffic::{open_on, receive, report};
use crate::xsk::{CHUNKS, Port};

/// How long it runs by default.
const BENCH: Duration = Duration::from_secs(5);
/// So many packets may be under way in copy mode, which drops what the receiver has no room for.
const WINDOW: u64 = CHUNKS as u64 / 4;
/// Stands for how many were sent, until all are.
const SENDING: u64 = u64::MAX;

/// Measures from the end of the warm-up on.
struct Meter {
    warmup: u64,
    begin: Option<(Instant, u64)>,
    /// The packets since then, and the time.
    measured: Option<(u64, Duration)>,
}

impl Meter {
    /// Takes notice of what has come, and of what is not going to.
    #[inline]
    fn see(&mut self, received: u64, lost: u64, run: &Run) {
        run.packets.store(received, Relaxed);
        if self.begin.is_none() && received + lost >= self.warmup {
            self.begin = Some((Instant::now(), received));
            run.warm.store(true, Relaxed);
        }
    }

    /// What comes later does not count.
    fn end(&mut self, received: u64, at: Instant) {
        if let (Some((time, before)), None) = (self.begin, self.measured) {
            self.measured = Some((received - before, at - time));
        }
    }
}

/// What came of a run.
struct Outcome {
    sent: u64,
    checker: Checker,
    /// The packets after the warm-up, and the time that they took.
    measured: (u64, Duration),
}

/// What both ends of 'bench' know.
struct Bench<'a> {
    args: &'a args::Bench,
    writer: Writer,
    level: Level,
    total: u64,
    /// How many packets may be under way.
    window: u64,
    run: Run,
}

pub fn bench(args: &args::Bench) -> Result<Report> {
    let args::Bench {
        common,
        until,
        shape,
        verify,
        pair,
        peer_interface,
        ..
    } = args;
    let run = Run::new(args.warmup == 0)?;
    let device = Device::find(&common.interface, common.queue)?;
    let peer = match peer_interface {
        Some(name) => Some(Device::find(name, common.queue)?),
        None if *pair => Some(device.with_queue(common.queue ^ 1)),
        None => None,
    };
    let (mut port, mut program) = open_on(&device, common, peer.is_none())?;
    let mut other = None;
    if let Some(device) = &peer {
        let opened = open_on(device, common, true)?;
        (other, program) = (Some(opened.0), opened.1);
    }
    let level = verify.level(Level::Sequence);
    let bench = Bench {
        args,
        writer: Writer {
            stream: stream(),
            checked: level == Level::Full,
        },
        level,
        total: until
            .count
            .map_or(u64::MAX, |count| args.warmup.saturating_add(count)),
        window: args
            .window
            .unwrap_or(if port.zero_copy() { u64::MAX } else { WINDOW }),
        run,
    };
    let limit = until
        .seconds
        .or_else(|| until.count.is_none().then_some(BENCH));
    let outcome = bench
        .run
        .supervise(limit, common.quiet, || match &mut other {
            Some(other) if !args.one_thread => bench.two_threads(&mut port, other),
            other => bench.one_thread(&mut port, other.as_mut()),
        })?;
    let Outcome {
        sent,
        checker,
        measured: (packets, elapsed),
    } = outcome;
    drop(program);

    let found = checker.found();
    let mut report = report("bench", common, &port, Ok(()))?;
    report.measured(packets, elapsed);
    if let Some(other) = &other {
        report.sockets.push(Socket::of(other)?);
    }
    let nothing = packets == 0;
    if nothing && checker.received > 0 {
        eprintln!(
            "the run ended before its warm-up: {} of {} packets came",
            checker.received, args.warmup
        );
    } else if nothing {
        eprintln!(
            "nothing came from {device} to {}: --pair needs 'ethtool --set-priv-flags {} \
             queue-pairs on', and --self needs it off",
            peer.as_ref().unwrap_or(&device),
            device.name()
        );
    }
    Ok(Report {
        peer_interface: peer.as_ref().map(|device| device.name().into()),
        peer_queue: peer.as_ref().map(Device::queue),
        size: Some(shape.size),
        sent: Some(sent),
        received: Some(checker.received),
        found: Some(found),
        ok: found.ok() && !nothing,
        ..report
    })
}

impl Bench<'_> {
    fn sender(&self, port: &mut Port) -> Sender {
        Sender::new(
            port,
            self.writer,
            self.args.shape,
            self.args.common.batch,
            self.total,
        )
    }

    fn checker(&self) -> (Checker, Meter) {
        (
            Checker::of_stream(self.level, self.writer.checked, self.writer.stream),
            Meter {
                warmup: self.args.warmup,
                begin: None,
                measured: None,
            },
        )
    }

    /// How much may be sent now, if `received` of `sent` have come.
    #[inline]
    fn room(&self, sent: u64, received: u64) -> u64 {
        self.window.saturating_sub(sent.saturating_sub(received))
    }

    /// A socket sends to itself or to another one by turns.
    fn one_thread(&self, port: &mut Port, mut other: Option<&mut Port>) -> Result<Outcome> {
        let common = &self.args.common;
        pin(common.cpus.first())?;
        let mut sender = self.sender(port);
        let (mut checker, mut meter) = self.checker();
        let mut idle: Option<Instant> = None;
        let mut lost = 0;
        loop {
            let stopped = self.run.stopped();
            meter.see(checker.received, lost, &self.run);
            // The last packet of the warm-up has to come first: what is under way then would
            // be measured by half.
            let most = match (stopped, meter.begin) {
                (true, _) => 0,
                (false, None) => self.args.warmup - sender.sent,
                (false, Some(_)) => u64::MAX,
            };
            let room = self.room(sender.sent - lost, checker.received).min(most);
            let went = sender.send(port, room)?;
            let receiver = other.as_deref_mut().unwrap_or(port);
            // More than come, or a backlog would stay for ever.
            let came = receiver.receive(2 * common.batch, |frame| checker.see(frame));
            // The busy poll that sends for a socket has received for it, too.
            if went == 0 || common.busy_poll.is_none() {
                receiver.kick_rx()?;
            }
            if stopped {
                meter.end(checker.received, Instant::now());
            }
            let all = stopped || sender.sent == self.total;
            if all && checker.received == sender.sent {
                break;
            }
            if went > 0 || came > 0 {
                idle = None;
                continue;
            }
            let since = *idle.get_or_insert_with(Instant::now);
            if since.elapsed() <= LAST {
                if !common.spin {
                    receiver.wait_rx(Duration::from_millis(1))?;
                }
            } else if all {
                meter.end(checker.received, since);
                break;
            } else {
                // They do not come any more, and must not keep the others back.
                lost = sender.sent - checker.received;
                idle = None;
            }
        }
        meter.end(checker.received, Instant::now());
        checker.end(sender.sent);
        let measured = meter.measured.unwrap_or_default();
        Ok(Outcome {
            sent: sender.sent,
            checker,
            measured,
        })
    }

    /// A socket sends to another one, each in its thread.
    fn two_threads(&self, port: &mut Port, other: &mut Port) -> Result<Outcome> {
        let received = AtomicU64::new(0);
        let sent = AtomicU64::new(SENDING);
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let result = self.send_all(port, &received);
                if result.is_err() {
                    self.run.stop();
                }
                sent.store(*result.as_ref().unwrap_or(&0), Relaxed);
                result
            });
            let result = self.receive_all(other, &received, &sent);
            if result.is_err() {
                self.run.stop();
            }
            let sent = sending
                .join()
                .map_err(|_| anyhow!("the sender ended with a panic"))??;
            let (mut checker, measured) = result?;
            checker.end(sent);
            Ok(Outcome {
                sent,
                checker,
                measured,
            })
        })
    }

    fn send_all(&self, port: &mut Port, received: &AtomicU64) -> Result<u64> {
        pin(self.args.common.cpus.first())?;
        let mut sender = self.sender(port);
        let mut idle: Option<Instant> = None;
        let mut lost = 0;
        while sender.sent < self.total && !self.run.stopped() {
            let room = self.room(sender.sent - lost, received.load(Relaxed));
            if sender.send(port, room)? > 0 {
                idle = None;
                continue;
            }
            sender.wait(port, self.args.common.spin)?;
            let since = *idle.get_or_insert_with(Instant::now);
            if room == 0 && since.elapsed() > LAST {
                // They do not come any more, and must not keep the others back.
                lost = sender.sent - received.load(Relaxed);
                idle = None;
            }
        }
        drain(port)?;
        Ok(sender.sent)
    }

    fn receive_all(
        &self,
        port: &mut Port,
        received: &AtomicU64,
        sent: &AtomicU64,
    ) -> Result<(Checker, (u64, Duration))> {
        pin(self.args.common.cpus.get(1))?;
        let (mut checker, mut meter) = self.checker();
        let mut idle: Option<Instant> = None;
        while checker.received < sent.load(Relaxed).min(self.total) {
            let came = receive(port, &self.args.common, &mut checker)?;
            received.store(checker.received, Relaxed);
            meter.see(checker.received, 0, &self.run);
            if self.run.stopped() {
                meter.end(checker.received, Instant::now());
            }
            if came > 0 || sent.load(Relaxed) == SENDING {
                idle = None;
                continue;
            }
            // What has not come a while after the last was sent does not come.
            let since = *idle.get_or_insert_with(Instant::now);
            if since.elapsed() > LAST {
                meter.end(checker.received, since);
                break;
            }
        }
        meter.end(checker.received, Instant::now());
        Ok((checker, meter.measured.unwrap_or_default()))
    }
}
