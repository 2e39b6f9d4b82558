// SPDX-License-Identifier: GPL-2.0

//! The subcommands: what goes over the sockets.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::args::{self, Command, Common, Level};
use crate::check::Checker;
use crate::device::Device;
use crate::frame::{Kind, MIN_SIZE, Writer};
use crate::program::Program;
use crate::report::{Latency, Report, Socket};
use crate::run::{Run, pin};
use crate::sender::{NAP, Sender, drain, stream};
use crate::xsk::Port;

pub fn run(command: &Command) -> Result<Report> {
    match command {
        Command::Send(args) => send(args),
        Command::Recv(args) => recv(args),
    }
}

/// Opens the socket that the options are about, and its program if it is to receive.
fn open(common: &Common, receives: bool) -> Result<(Port, Option<Program>)> {
    let device = Device::find(&common.interface, common.queue)?;
    let mut program = match receives {
        true => Some(Program::attach(&device, &common.program_options())?),
        false => None,
    };
    let port = Port::open(&device, common.socket_options())?;
    if let Some(program) = &mut program {
        program.redirect_to(&port)?;
    }
    Ok((port, program))
}

fn report(
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
    let run = Run::new()?;
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
fn receive(port: &mut Port, common: &Common, checker: &mut Checker) -> Result<u32> {
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
    let run = Run::new()?;
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
