// SPDX-License-Identifier: GPL-2.0

//! The subcommands: what goes over the sockets.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::args::{self, Command, Common, Level};
use crate::bench::bench;
use crate::check::Checker;
use crate::clock;
use crate::device::Device;
use crate::frame::{self, Kind, MIN_SIZE, Writer};
use crate::pace::Pacer;
use crate::program::Program;
use crate::report::{self, Latency, Report, Socket};
use crate::run::{Run, pin};
use crate::sender::{NAP, Sender, drain, stream};
use crate::sequence::Tracker;
use crate::xsk::Port;

pub fn run(command: &Command) -> Result<Report> {
    match command {
        Command::Send(args) => send(args),
        Command::Recv(args) => recv(args),
        Command::Pong(args) => pong(args),
        Command::Ping(args) => ping(args),
        Command::Bench(args) => bench(args),
    }
}

/// Opens the socket that the options are about, and its program if it is to receive.
fn open(common: &Common, receives: bool) -> Result<(Port, Option<Program>)> {
    let device = Device::find(&common.interface, common.queue)?;
    open_on(&device, common, receives)
}

pub fn open_on(
    device: &Device,
    common: &Common,
    receives: bool,
) -> Result<(Port, Option<Program>)> {
    let mut program = match receives {
        true => Some(Program::attach(device, &common.program_options())?),
        false => None,
    };
    let port = Port::open(device, common.socket_options())?;
    if let Some(program) = &mut program {
        program.redirect_to(&port)?;
    }
    Ok((port, program))
}

pub fn report(
    command: &'static str,
    common: &Common,
    port: &Port,
    result: Result<()>,
) -> Result<Report> {
    Ok(Report {
        command,
        interface: port.device().name().into(),
        queue: port.device().queue(),
        mode: if port.zero_copy() {
            "zero-copy"
        } else {
            "copy"
        },
        need_wakeup: common.need_wakeup,
        busy_poll: common.busy_poll.is_some(),
        batch: common.batch,
        sockets: vec![Socket::of(port)?],
        ok: result.is_ok(),
        error: result.err().map(|error| format!("{error:#}")),
        ..Report::default()
    })
}

fn send(args: &args::Send) -> Result<Report> {
    let args::Send {
        common,
        until,
        shape,
        verify,
    } = args;
    let run = Run::new(true)?;
    let (mut port, _) = open(common, false)?;
    let writer = Writer {
        stream: stream(),
        checked: verify.level(Level::Full) == Level::Full,
    };
    let total = until.count.unwrap_or(u64::MAX);

    let (mut sent, mut elapsed) = (0, Duration::ZERO);
    let result = run.supervise(until.seconds, common.quiet, || {
        pin(common.cpus.first())?;
        let mut sender = Sender::new(&mut port, writer, *shape, common.batch, total);
        while sent < total && !run.stopped() {
            if sender.send(&mut port, u64::MAX)? == 0 {
                sender.wait(&mut port, common.spin)?;
            }
            sent = sender.sent;
            run.packets.store(sent, Relaxed);
        }
        drain(&mut port)?;
        elapsed = sender.start.elapsed();
        if port.in_flight() > 0 {
            return Ok(());
        }
        // In copy mode one may be lost like any other frame.
        let copies = if port.zero_copy() { 1 } else { 3 };
        for _ in 0..copies {
            port.send(1, MIN_SIZE, |frame| {
                writer.special(frame, Kind::End, sent, 0)
            });
            drain(&mut port)?;
        }
        Ok(())
    });
    let pending = u64::from(port.in_flight()).min(sent);
    if pending > 0 {
        eprintln!(
            "{pending} frames were not taken from {}: its receiver is gone or has no room",
            port.device()
        );
    }
    let mut report = report("send", common, &port, result)?;
    report.measured(sent - pending, elapsed);
    Ok(Report {
        size: Some(shape.size),
        sent: Some(sent),
        pending: Some(pending),
        ok: report.ok && pending == 0,
        ..report
    })
}

/// Receives a batch, or waits for one; says how many came.
#[inline]
pub fn receive(port: &mut Port, common: &Common, checker: &mut Checker) -> Result<u32> {
    let count = port.receive(common.batch, |frame| checker.see(frame));
    port.kick_rx()?;
    if count == 0 && !common.spin && common.busy_poll.is_none() {
        port.wait_rx(NAP)?;
    }
    Ok(count)
}

fn recv(args: &args::Recv) -> Result<Report> {
    let args::Recv {
        common,
        until,
        verify,
        keep,
        latency,
    } = args;
    let run = Run::new(true)?;
    let (mut port, _program) = open(common, true)?;
    let count = until.count.unwrap_or(u64::MAX);
    let mut checker = Checker::new(verify.level(Level::Full), *latency);

    // From the first packet to the last.
    let mut times = None;
    let result = run.supervise(until.seconds, common.quiet, || {
        pin(common.cpus.first())?;
        while checker.received < count && (*keep || !checker.ended) && !run.stopped() {
            if receive(&mut port, common, &mut checker)? > 0 && checker.received > 0 {
                let now = Instant::now();
                times = Some((times.map_or(now, |(first, _)| first), now));
                run.packets.store(checker.received, Relaxed);
            }
        }
        Ok(())
    });
    let too_few = until.count.is_some_and(|count| checker.received < count);
    if too_few {
        eprintln!(
            "only {} of {count} frames came to {}",
            checker.received,
            port.device()
        );
    } else if checker.received == 0 && result.is_ok() {
        eprintln!(
            "nothing came to {}: is there a sender on the other queue of the pair ('ethtool \
             --show-priv-flags {}' shows queue-pairs)?",
            port.device(),
            port.device().name()
        );
    }
    let found = checker.found();
    let mut report = report("recv", common, &port, result)?;
    report.measured(
        checker.received,
        times.map_or(Duration::ZERO, |(first, last)| last - first),
    );
    Ok(Report {
        received: Some(checker.received),
        found: Some(found),
        latency_ns: checker.latency.as_ref().and_then(Latency::of),
        ok: report.ok && found.ok() && !too_few,
        ..report
    })
}

fn pong(args: &args::Pong) -> Result<Report> {
    let args::Pong { common, until } = args;
    let run = Run::new(true)?;
    let (mut port, _program) = open(common, true)?;
    let count = until.count.unwrap_or(u64::MAX);

    let (mut received, mut sent) = (0, 0);
    let mut elapsed = Duration::ZERO;
    let result = run.supervise(until.seconds, common.quiet, || {
        pin(common.cpus.first())?;
        let start = Instant::now();
        while sent < count && !run.stopped() {
            let (came, went) = port.reflect(common.batch, frame::answer);
            port.kick()?;
            received += u64::from(came);
            sent += u64::from(went);
            run.packets.store(sent, Relaxed);
            if came == 0 && !common.spin && common.busy_poll.is_none() {
                port.wait_rx(NAP)?;
            }
        }
        elapsed = start.elapsed();
        drain(&mut port)
    });
    let pending = u64::from(port.in_flight());
    let mut report = report("pong", common, &port, result)?;
    report.measured(sent, elapsed);
    Ok(Report {
        sent: Some(sent),
        pending: Some(pending),
        received: Some(received),
        ok: report.ok && pending == 0,
        ..report
    })
}

fn ping(args: &args::Ping) -> Result<Report> {
    let args::Ping {
        common,
        until,
        shape,
        verify,
        own,
        pair: _,
        timeout,
    } = args;
    let run = Run::new(true)?;
    let (mut port, _program) = open(common, true)?;
    let level = verify.level(Level::Full);
    let writer = Writer {
        stream: stream(),
        checked: level == Level::Full,
    };
    let count = until.count.unwrap_or(u64::MAX);
    let wanted = if *own { Kind::Ping } else { Kind::Pong };

    let mut tracker = Tracker::default();
    tracker.begin();
    let (mut latency, mut found) = (report::histogram(), report::Found::default());
    let (mut sent, mut received, mut elapsed) = (0, 0, Duration::ZERO);
    let result = run.supervise(until.seconds, common.quiet, || {
        pin(common.cpus.first())?;
        let start = Instant::now();
        let mut pacer = shape.rate.map(|rate| Pacer::new(rate, Duration::ZERO));
        while sent < count && !run.stopped() {
            if let Some(pacer) = &mut pacer {
                if pacer.due(start.elapsed()) == 0 {
                    thread::sleep(pacer.pause(start.elapsed()).min(NAP));
                    continue;
                }
                pacer.sent(1);
            }
            port.reclaim();
            let begin = clock::now();
            let went = port.send(1, shape.size, |frame| {
                writer.special(frame, Kind::Ping, sent, begin)
            });
            port.kick_tx()?;
            if went == 0 {
                // Earlier ones were not taken yet.
                port.wait_tx(NAP)?;
                continue;
            }
            let mut back = false;
            while !back && !run.stopped() {
                let came = port.receive(common.batch, |frame| {
                    let now = clock::now();
                    let header = match frame::parse(frame) {
                        Ok(header) if header.kind == wanted && header.stream == writer.stream => {
                            header
                        }
                        Err(frame::Fault::Corrupt) => return found.corrupt += 1,
                        _ => return found.foreign += 1,
                    };
                    if writer.checked && !frame::content_is_good(frame, header.sequence) {
                        return found.corrupt += 1;
                    }
                    received += 1;
                    tracker.see(header.sequence);
                    latency.saturating_record(now.saturating_sub(header.sent));
                    back |= header.sequence == sent;
                });
                if came > 0 {
                    continue;
                }
                if clock::now() - begin > timeout.as_nanos() as u64 {
                    break;
                }
                port.kick()?;
                if !common.spin && common.busy_poll.is_none() {
                    port.wait_rx((*timeout).min(NAP))?;
                }
            }
            if !back && run.stopped() {
                // Not waited for long enough to be lost.
                break;
            }
            sent += 1;
            run.packets.store(received, Relaxed);
        }
        elapsed = start.elapsed();
        Ok(())
    });
    if level != Level::None {
        tracker.end(sent);
    }
    found = report::Found {
        first: tracker.first(),
        lost: tracker.lost(),
        duplicated: tracker.duplicated,
        reordered: tracker.reordered,
        ..found
    };
    if sent > 0 && received == 0 && result.is_ok() {
        eprintln!(
            "nothing came back to {}: is there a 'pong' on the other queue of the pair, or is \
             --self meant?",
            port.device()
        );
    }
    let mut report = report("ping", common, &port, result)?;
    report.measured(received, elapsed);
    Ok(Report {
        size: Some(shape.size),
        sent: Some(sent),
        received: Some(received),
        found: Some(found),
        latency_ns: Latency::of(&latency),
        ok: report.ok && found.ok(),
        ..report
    })
}
