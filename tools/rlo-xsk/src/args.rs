// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::frame::MIN_SIZE;
use crate::program;
use crate::xsk::{self, BusyPoll, Copying, MAX_SIZE};

/// Sends packets from one program to another over AF_XDP sockets on a network device.
///
/// The device of two programs is one whose queues are a pair:
///
///   ip link add fast numrxqueues 2 numtxqueues 2 type rlo
///   ethtool --set-priv-flags fast queue-pairs on
///   ip link set fast mtu 3502 up
///   rlo-xsk recv -i fast -q 1 &
///   rlo-xsk send -i fast -q 0 --count 1000000
///
/// Without queue-pairs what is sent on a queue comes back on it, to the same socket.
/// Ctrl-C ends a run with its result. The exit status is 1 if a packet was lost, came twice,
/// out of order or damaged, or if something failed; 2 after a mistake on the command line.
#[derive(Debug, Parser)]
#[command(name = "rlo-xsk", version, verbatim_doc_comment, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sends numbered frames
    Send(Send),
    /// Receives frames and checks them, until the sender says that it is done
    Recv(Recv),
    /// Sends back what 'ping' sends
    Pong(Pong),
    /// Sends a frame, waits for it to come back, and measures how long that took
    Ping(Ping),
    /// Measures how many packets a second go from a socket to another, in one process
    Bench(Bench),
}

impl Command {
    pub fn common(&self) -> &Common {
        match self {
            Self::Send(Send { common, .. })
            | Self::Recv(Recv { common, .. })
            | Self::Pong(Pong { common, .. })
            | Self::Ping(Ping { common, .. })
            | Self::Bench(Bench { common, .. }) => common,
        }
    }
}

/// What all subcommands have.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The network device
    #[arg(short, long)]
    pub interface: String,

    /// The queue of the device
    #[arg(short, long, default_value_t = 0)]
    pub queue: u32,

    /// Fail if the driver has no zero-copy [default: zero-copy if it has]
    #[arg(short, long, conflicts_with_all = ["copy", "skb_mode"])]
    pub zero_copy: bool,

    /// Let the kernel copy through its own packet buffers
    #[arg(short, long)]
    pub copy: bool,

    /// Use generic XDP, which any device has, instead of native XDP
    #[arg(long)]
    pub skb_mode: bool,

    /// Let the kernel say when it wants a system call, instead of making one each time
    #[arg(long, value_name = "on|off", default_value = "on", num_args = 0..=1,
          default_missing_value = "on", require_equals = true,
          value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::Set,
          hide_possible_values = true)]
    pub need_wakeup: bool,

    /// Handle packets in the system calls of this process, not in interrupts
    ///
    /// Sets SO_PREFER_BUSY_POLL, and SO_BUSY_POLL to so many microseconds. It takes effect if the
    /// device's napi_defer_hard_irqs and gro_flush_timeout are set, in /sys/class/net/DEVICE.
    #[arg(long, value_name = "MICROSECONDS", num_args = 0..=1, default_missing_value = "20",
          require_equals = true)]
    pub busy_poll: Option<u32>,

    /// How many packets one busy poll may handle (SO_BUSY_POLL_BUDGET)
    #[arg(
        long,
        value_name = "PACKETS",
        default_value_t = 64,
        requires = "busy_poll"
    )]
    pub busy_budget: u32,

    /// How many packets are handled at a time
    #[arg(short, long, default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub batch: u32,

    /// Look for packets in a loop instead of sleeping until there are some
    #[arg(long)]
    pub spin: bool,

    /// Stay on these CPUs: the first is the sender's, the second the receiver's
    #[arg(long, value_delimiter = ',', value_name = "CPU")]
    pub cpus: Vec<usize>,

    /// Redirect every packet of the device's queues to the sockets, not only those of this program
    ///
    /// The process that attaches the XDP program decides for all others on the device.
    #[arg(long)]
    pub all_frames: bool,

    /// The BPF file system, where processes find each other's XDP program
    #[arg(long, value_name = "FOLDER", default_value = "/sys/fs/bpf")]
    pub bpffs: PathBuf,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,

    /// No line a second about the progress
    #[arg(long)]
    pub quiet: bool,
}

impl Common {
    pub fn socket_options(&self) -> xsk::Options {
        xsk::Options {
            copying: match (self.zero_copy, self.copy || self.skb_mode) {
                (true, _) => Copying::ZeroCopy,
                (_, true) => Copying::Copy,
                _ => Copying::Kernel,
            },
            need_wakeup: self.need_wakeup,
            busy_poll: self.busy_poll.map(|microseconds| BusyPoll {
                microseconds,
                budget: self.busy_budget,
            }),
        }
    }

    pub fn program_options(&self) -> program::Options {
        program::Options {
            bpffs: self.bpffs.clone(),
            skb_mode: self.skb_mode,
            all_frames: self.all_frames,
        }
    }
}

/// When to end.
#[derive(Clone, Copy, Debug, Args)]
pub struct Until {
    /// End after so many frames
    #[arg(short = 'n', long)]
    pub count: Option<u64>,

    /// End after so many seconds
    #[arg(short = 't', long, value_parser = seconds)]
    pub seconds: Option<Duration>,
}

/// How closely frames are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// They are counted
    None,
    /// Their sequence numbers, too
    Sequence,
    /// Their content, too: a pattern computed from the sequence number, and a CRC
    Full,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Verify {
    /// How closely to look at the frames; a sender writes what the receiver is to check
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "full")]
    verify: Option<Level>,

    /// The same as --verify none
    #[arg(long, conflicts_with = "verify")]
    no_verify: bool,
}

impl Verify {
    pub fn level(self, default: Level) -> Level {
        if self.no_verify {
            Level::None
        } else {
            self.verify.unwrap_or(default)
        }
    }
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Shape {
    /// Bytes of a frame, from the Ethernet header on, without FCS
    #[arg(short, long, default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(i64::from(MIN_SIZE)..=i64::from(MAX_SIZE)))]
    pub size: u32,

    /// At most so many frames a second [default: as many as go]
    #[arg(short, long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Send {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub until: Until,
    #[command(flatten)]
    pub shape: Shape,
    #[command(flatten)]
    pub verify: Verify,
}

#[derive(Debug, Args)]
pub struct Recv {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub until: Until,
    #[command(flatten)]
    pub verify: Verify,

    /// Go on when a sender is done, for the next one
    #[arg(long)]
    pub keep: bool,

    /// Measure how long checked frames were on their way
    #[arg(long)]
    pub latency: bool,
}

#[derive(Debug, Args)]
pub struct Pong {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub until: Until,
}

#[derive(Debug, Args)]
pub struct Ping {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub until: Until,
    #[command(flatten)]
    pub shape: Shape,
    #[command(flatten)]
    pub verify: Verify,

    /// The queue gives back what it is given: there is no 'pong'
    #[arg(long = "self", conflicts_with = "pair")]
    pub own: bool,

    /// 'pong' is on the other queue of the pair (the default)
    #[arg(long)]
    pub pair: bool,

    /// How long to wait for a frame to come back
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub until: Until,
    #[command(flatten)]
    pub shape: Shape,
    #[command(flatten)]
    pub verify: Verify,

    /// One socket sends to itself (the default)
    #[arg(long = "self", conflicts_with_all = ["pair", "peer_interface"])]
    pub own: bool,

    /// A socket sends to one on the other queue of the pair, each in a thread of its own
    #[arg(long)]
    pub pair: bool,

    /// A socket sends to one on this device, as over a pair of veth
    #[arg(long, value_name = "INTERFACE", conflicts_with = "pair")]
    pub peer_interface: Option<String>,

    /// Both sockets in one thread, by turns
    #[arg(long)]
    pub one_thread: bool,

    /// How many packets may be under way [default: 512 in copy mode, else as many as have room]
    #[arg(long, value_name = "PACKETS", value_parser = clap::value_parser!(u64).range(1..))]
    pub window: Option<u64>,

    /// How many packets go before the measurement
    #[arg(long, value_name = "PACKETS", default_value_t = 100_000)]
    pub warmup: u64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
    }

    #[track_caller]
    fn send(line: &str) -> Send {
        match parse(line) {
            Ok(Command::Send(send)) => send,
            other => panic!("not a 'send': {other:?}"),
        }
    }

    #[track_caller]
    fn assert_refused(line: &str, part: &str) {
        let text = parse(line).expect_err("it is refused").to_string();
        assert!(text.contains(part), "'{text}' does not say '{part}'");
    }

    #[test]
    fn the_definition_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let send = send("rlo-xsk send -i rlo0");
        let options = send.common.socket_options();
        assert_eq!(options.copying, Copying::Kernel);
        assert!(options.need_wakeup && options.busy_poll.is_none());
        assert_eq!(
            (send.common.queue, send.common.batch, send.shape.size),
            (0, 64, 64)
        );
        assert_eq!(
            (send.until.count, send.until.seconds, send.shape.rate),
            (None, None, None)
        );
        assert_eq!(send.verify.level(Level::Full), Level::Full);
    }

    #[test]
    fn values() {
        let send = send(
            "rlo-xsk send --interface x -q 3 -z --need-wakeup=off --busy-poll=50 --busy-budget 8 \
             -n 10 -t 2.5 -s 1500 -r 7 --cpus 0,1",
        );
        let options = send.common.socket_options();
        assert_eq!(options.copying, Copying::ZeroCopy);
        assert!(!options.need_wakeup);
        assert_eq!(
            options
                .busy_poll
                .map(|busy| (busy.microseconds, busy.budget)),
            Some((50, 8))
        );
        assert_eq!(send.until.count, Some(10));
        assert_eq!(send.until.seconds, Some(Duration::from_millis(2500)));
        assert_eq!((send.shape.size, send.shape.rate), (1500, Some(7)));
        assert_eq!(send.common.cpus, [0, 1]);
    }

    #[test]
    fn flags_with_and_without_values() {
        for (line, expected) in [
            ("", true),
            ("--need-wakeup", true),
            ("--need-wakeup=off", false),
        ] {
            assert_eq!(
                send(&format!("rlo-xsk send -i x {line}"))
                    .common
                    .need_wakeup,
                expected
            );
        }
        let busy = send("rlo-xsk send -i x --busy-poll")
            .common
            .socket_options()
            .busy_poll;
        assert_eq!(
            busy.map(|busy| (busy.microseconds, busy.budget)),
            Some((20, 64))
        );
        let level = |line: &str| {
            send(&format!("rlo-xsk send -i x {line}"))
                .verify
                .level(Level::Sequence)
        };
        assert_eq!(level(""), Level::Sequence);
        assert_eq!(level("--verify"), Level::Full);
        assert_eq!(level("--verify none"), Level::None);
        assert_eq!(level("--no-verify"), Level::None);
        assert_eq!(
            send("rlo-xsk send -i x --skb-mode")
                .common
                .socket_options()
                .copying,
            Copying::Copy
        );
    }

    #[test]
    fn refusals() {
        assert_refused("rlo-xsk", "Usage");
        assert_refused("rlo-xsk send", "--interface");
        assert_refused("rlo-xsk send -i x -z -c", "cannot be used with");
        assert_refused("rlo-xsk send -i x -z --skb-mode", "cannot be used with");
        assert_refused("rlo-xsk send -i x -s 59", "60");
        assert_refused("rlo-xsk send -i x -s 3841", "3840");
        assert_refused("rlo-xsk send -i x -r 0", "0");
        assert_refused("rlo-xsk send -i x -t soon", "not a number of seconds");
        assert_refused("rlo-xsk send -i x -t -1", "");
        assert_refused("rlo-xsk send -i x --busy-budget 8", "--busy-poll");
        assert_refused(
            "rlo-xsk send -i x --verify full --no-verify",
            "cannot be used with",
        );
        assert_refused("rlo-xsk bench -i x --self --pair", "cannot be used with");
        assert_refused("rlo-xsk ping -i x --self --pair", "cannot be used with");
    }
}
