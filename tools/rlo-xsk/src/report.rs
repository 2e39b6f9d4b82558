// SPDX-License-Identifier: GPL-2.0

//! What a run prints: a line a second, and its result.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use xdpilone::xdp::XdpStatisticsV2;

use crate::xsk::Port;

/// The result of a run. The names are those of the JSON, and stay.
///
/// What a subcommand does not have is left out.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub command: &'static str,
    pub interface: String,
    pub queue: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_queue: Option<u32>,
    /// "zero-copy" or "copy": what the kernel gave.
    pub mode: &'static str,
    pub need_wakeup: bool,
    pub busy_poll: bool,
    pub batch: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    pub seconds: f64,
    /// What the figures below are of: without what went as a warm-up.
    pub packets: u64,
    pub packets_per_second: f64,
    pub ns_per_packet: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Sent, and not given back by the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<Latency>,
    pub sockets: Vec<Socket>,
    /// Why the run ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// No packet was lost, came twice, out of order or damaged, and nothing failed.
    pub ok: bool,
}

/// What a receiver found out about the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The sequence number that came first.
    pub first: Option<u64>,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupt: u64,
    /// Without the content that was to be checked.
    pub unchecked: u64,
    /// Of another program.
    pub foreign: u64,
}

impl Found {
    pub fn ok(&self) -> bool {
        let Self {
            first: _,
            lost,
            duplicated,
            reordered,
            corrupt,
            unchecked,
            foreign: _,
        } = *self;
        lost + duplicated + reordered + corrupt + unchecked == 0
    }
}

#[derive(Debug, Serialize)]
pub struct Latency {
    pub count: u64,
    pub min: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// Keeps three digits of what is up to an hour.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000_000, 3).expect("the bounds are valid")
}

impl Latency {
    /// Nothing, if nothing was measured.
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            min: histogram.min(),
            mean: histogram.mean(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        })
    }
}

/// What the kernel counted for a socket, and the system calls that it got.
#[derive(Debug, Serialize)]
pub struct Socket {
    pub interface: String,
    pub queue: u32,
    pub rx_dropped: u64,
    pub rx_ring_full: u64,
    pub rx_fill_ring_empty: u64,
    pub rx_invalid: u64,
    pub tx_invalid: u64,
    pub tx_ring_empty: u64,
    pub wakeups_tx: u64,
    pub wakeups_rx: u64,
}

impl Socket {
    pub fn of(port: &Port) -> anyhow::Result<Self> {
        let XdpStatisticsV2 {
            rx_dropped,
            rx_invalid_descs,
            tx_invalid_descs,
            rx_ring_full,
            rx_fill_ring_empty_descs,
            tx_ring_empty_descs,
            ..
        } = port.statistics()?;
        Ok(Self {
            interface: port.device().name().into(),
            queue: port.device().queue(),
            rx_dropped,
            rx_ring_full,
            rx_fill_ring_empty: rx_fill_ring_empty_descs,
            rx_invalid: rx_invalid_descs,
            tx_invalid: tx_invalid_descs,
            tx_ring_empty: tx_ring_empty_descs,
            wakeups_tx: port.wakeups.tx,
            wakeups_rx: port.wakeups.rx,
        })
    }
}

impl Report {
    /// The rates, of `packets` in `elapsed`.
    pub fn measured(&mut self, packets: u64, elapsed: Duration) {
        self.packets = packets;
        self.seconds = elapsed.as_secs_f64();
        if packets > 0 && !elapsed.is_zero() {
            self.packets_per_second = packets as f64 / self.seconds;
            self.ns_per_packet = elapsed.as_nanos() as f64 / packets as f64;
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings can be written")
    }

    pub fn text(&self) -> String {
        let mut text = format!("{} {} queue {}", self.command, self.interface, self.queue);
        if let Some(queue) = self.peer_queue {
            let peer = self.peer_interface.as_ref().unwrap_or(&self.interface);
            let _ = write!(text, " to {peer} queue {queue}");
        }
        let _ = write!(
            text,
            ", {}: {} packets in {:.3} s, {:.0} a second, {:.1} ns each",
            self.mode, self.packets, self.seconds, self.packets_per_second, self.ns_per_packet
        );
        for (name, value) in [
            ("sent", self.sent),
            ("pending", self.pending),
            ("received", self.received),
        ] {
            if let Some(value) = value {
                let _ = write!(text, "\n  {name} {value}");
            }
        }
        if let Some(found) = self.found {
            let _ = write!(
                text,
                "\n  lost {}, duplicated {}, reordered {}, corrupt {}, unchecked {}, foreign {}",
                found.lost,
                found.duplicated,
                found.reordered,
                found.corrupt,
                found.unchecked,
                found.foreign
            );
        }
        if let Some(latency) = &self.latency_ns {
            let Latency {
                count: _,
                min,
                mean,
                p50,
                p90,
                p99,
                p999,
                max,
            } = latency;
            let _ = write!(
                text,
                "\n  latency in ns: min {min}, mean {mean:.0}, median {p50}, 90 % {p90}, \
                 99 % {p99}, 99.9 % {p999}, max {max}"
            );
        }
        for socket in &self.sockets {
            let _ = write!(
                text,
                "\n  socket of {} queue {}: {} + {} wakeups (TX + RX), dropped {}, ring full {}, \
                 fill ring empty {}, invalid {} + {}",
                socket.interface,
                socket.queue,
                socket.wakeups_tx,
                socket.wakeups_rx,
                socket.rx_dropped,
                socket.rx_ring_full,
                socket.rx_fill_ring_empty,
                socket.rx_invalid,
                socket.tx_invalid
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let mut histogram = histogram();
        assert!(Latency::of(&histogram).is_none());
        for value in 1..=1000 {
            histogram.saturating_record(value);
        }
        let latency = Latency::of(&histogram).expect("there are values");
        assert_eq!((latency.count, latency.min, latency.max), (1000, 1, 1000));
        assert_eq!(
            (latency.p50, latency.p90, latency.p99, latency.p999),
            (500, 900, 990, 999)
        );
        assert!((latency.mean - 500.5).abs() < 1.0);
    }

    #[test]
    fn rates() {
        let mut report = Report::default();
        report.measured(2_000_000, Duration::from_secs(4));
        assert!((report.packets_per_second - 500_000.0).abs() < 0.001);
        assert!((report.ns_per_packet - 2000.0).abs() < 0.001);
        report = Report::default();
        report.measured(0, Duration::ZERO);
        assert!(report.packets_per_second == 0.0 && report.ns_per_packet == 0.0);
    }

    #[test]
    fn every_fault_counts() {
        assert!(Found::default().ok());
        assert!(
            Found {
                first: Some(9),
                foreign: 3,
                ..Found::default()
            }
            .ok()
        );
        for found in [
            Found {
                lost: 1,
                ..Found::default()
            },
            Found {
                duplicated: 1,
                ..Found::default()
            },
            Found {
                reordered: 1,
                ..Found::default()
            },
            Found {
                corrupt: 1,
                ..Found::default()
            },
            Found {
                unchecked: 1,
                ..Found::default()
            },
        ] {
            assert!(!found.ok(), "{found:?}");
        }
    }

    #[test]
    fn the_keys_of_the_json_stay() {
        let mut histogram = histogram();
        histogram.saturating_record(7);
        let report = Report {
            peer_interface: Some("y".into()),
            peer_queue: Some(1),
            size: Some(64),
            sent: Some(1),
            pending: Some(0),
            received: Some(1),
            found: Some(Found::default()),
            latency_ns: Latency::of(&histogram),
            error: Some("the device went away".into()),
            ..Report::default()
        };
        let value: serde_json::Value = serde_json::from_str(&report.json()).expect("it is JSON");
        let mut keys: Vec<_> = value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        keys.sort();
        assert_eq!(
            keys,
            [
                "batch",
                "busy_poll",
                "command",
                "corrupt",
                "duplicated",
                "error",
                "first",
                "foreign",
                "interface",
                "latency_ns",
                "lost",
                "mode",
                "need_wakeup",
                "ns_per_packet",
                "ok",
                "packets",
                "packets_per_second",
                "peer_interface",
                "peer_queue",
                "pending",
                "queue",
                "received",
                "reordered",
                "seconds",
                "sent",
                "size",
                "sockets",
                "unchecked",
            ]
        );
    }
}
