#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures in the guest. bench.py boots the guests and collects what this prints.

    guest.py cost|wall|xdp-cost|xdp-wall|scaling|native|trace [--quick]

A line that begins with "@ " is JSON for bench.py: the number of samples to come,
or a sample. Everything else is for the log.
"""

import argparse
import collections
import contextlib
import ctypes
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

from results import LO, RLO

# What stands beside the devices that are compared.
VETH, UNIX, MEMORY = "veth", "AF_UNIX", "memory"
DEVICE = {LO: "lo", RLO: "rlo0", VETH: "veth0"}
# The address that traffic goes to.
ADDRESS = {
    LO: ("10.6.0.1", "fd00:6::1"),
    RLO: ("10.7.0.1", "fd00:7::1"),
    VETH: ("10.8.0.2", "fd00:8::2"),
}
IPV4, IPV6 = 0, 1
PEER = "peer"  # the network namespace of the other end of the veth
BATCH = 32
CONNECTIONS = 3  # whose median is a sample
SEGMENT = 1400
EXISTING = (1, 10, 100, 1000)  # loopbacks
MTU = 65536
DEFAULT_GSO = 65536
BIG_TCP = 8 * 65535
CLONE_NEWNET = 0x40000000
MODULE = "build/module/rust_loopback.ko"
PROGRAM = "build/bench/batch"
XSK = "build/rlo-xsk"
XSK_MTU = 3498
PAIR_DEVICE = "rlo1"  # its queues are a pair
BUSY_DEVICE = "rlo2"  # as well, and its interrupts wait for busy polls
# How rlo-xsk sends on one thread, and on two.
SELF = {
    LO: ("lo", "--self", "--skb-mode"),
    RLO: (DEVICE[RLO], "--self"),
    VETH: (DEVICE[VETH], "--peer-interface", "veth1", "--one-thread"),
}
PAIR = {
    RLO: (PAIR_DEVICE, "--pair"),
    VETH: (DEVICE[VETH], "--peer-interface", "veth1"),
}

Work = collections.namedtuple("Work", "name unit devices measure arguments better", defaults=("less",))


class Failed(Exception):
    """A program that measures did not do its work."""


def run(*command, **options):
    """Runs a command and returns what it printed."""
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=300, **options
    )
    if result.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {result.stdout}{result.stderr}".strip())
    return result.stdout


def ip(line):
    """Runs ip(8)."""
    run("ip", *line.split())


def ip_batch(lines):
    """Runs many commands of ip(8) in one process."""
    # ip(8) looks for a plugin for each link of a kind that it does not know, and
    # in a directory of the host's this takes longer than to create the link.
    environment = {**os.environ, "IP_LIB_DIR": "/run"}
    run("ip", "-batch", "-", input="".join(line + "\n" for line in lines), env=environment)


def inside(reference):
    """The prefix of commands that run where the reference's servers are."""
    return ("ip", "netns", "exec", PEER) if reference == VETH else ()


def tell(**what):
    """Sends a line to bench.py."""
    print("@", json.dumps(what), flush=True)


def text_of(path):
    """The content of a small file."""
    return pathlib.Path(path).read_text().strip()


def set_up(module, veth):
    """Makes the devices that are compared."""
    run("insmod", module, "numdevs=0")
    ip("link add rlo0 type rlo")
    ip("link set rlo0 up")
    for device in (LO, RLO):
        for address, length in zip(ADDRESS[device], (32, 128)):
            ip(f"addr add {address}/{length} dev {DEVICE[device]} nodad")
    if veth:
        run("modprobe", "veth")
        ip(f"netns add {PEER}")
        ip(f"link add veth0 numtxqueues 1 numrxqueues 1 type veth peer name veth1 netns {PEER}")
        for namespace, device, host in ((), "veth0", 1), (("-n", PEER), "veth1", 2):
            for address in (f"10.8.0.{host}/24", f"fd00:8::{host}/64"):
                run("ip", *namespace, "addr", "add", address, "dev", device, "nodad")
            run("ip", *namespace, "link", "set", device, "mtu", "65535", "up")
        ip(f"-n {PEER} link set lo up")


@contextlib.contextmanager
def running(command):
    """Runs a program until the block ends."""
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def server(*command, port):
    """Runs a server until the block ends; the block begins when it listens."""
    namespace = command[:4] if command[0] == "ip" else ()
    with running(command):
        for _ in range(200):
            if f":{port} " in run(*namespace, "ss", "-Hlnt"):
                break
            time.sleep(0.05)
        else:
            raise Failed(f"{' '.join(map(str, command))} does not listen on port {port}")
        yield


def servers(references):
    """The servers of iperf3 and netperf, wherever the references need them."""
    stack = contextlib.ExitStack()
    for prefix in {inside(reference) for reference in references}:
        stack.enter_context(server(*prefix, "iperf3", "-s", port=5201))
        stack.enter_context(server(*prefix, "netserver", "-D", port=12865))
    return stack


@contextlib.contextmanager
def entered(namespace):
    """Makes sockets in another network namespace."""
    if not namespace:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as old, open(f"/run/netns/{namespace}") as new:
        if libc.setns(new.fileno(), CLONE_NEWNET):
            raise Failed(f"setns: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.setns(old.fileno(), CLONE_NEWNET)


# --- The programs that measure --------------------------------------------


class Pktgen:
    """pktgen, to a UDP socket whose queue is full: every packet goes as far as there."""

    PORT = 9

    def __init__(self, references):
        if not os.path.exists("/proc/net/pktgen"):
            run("modprobe", "pktgen")
        self.sinks = {}
        for reference in references:
            with entered(PEER if reference == VETH else None):
                sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sink.bind((ADDRESS[reference][IPV4], self.PORT))
            self.sinks[reference] = sink

    def set(self, file, line):
        """Writes a line to one of pktgen's files."""
        pathlib.Path("/proc/net/pktgen", file).write_text(line + "\n")

    def run(self, reference, size, count, cpus=1):
        """Sends; returns seconds and packets, and the text of pktgen's result."""
        device = DEVICE[reference]
        names = [f"{device}@{cpu}" if cpus > 1 else device for cpu in range(cpus)]
        mac = "00:00:00:00:00:00"
        if reference == VETH:
            mac = run(*inside(VETH), "cat", "/sys/class/net/veth1/address").strip()
        for cpu in range(os.cpu_count()):
            self.set(f"kpktgend_{cpu}", "rem_device_all")
        for cpu, name in enumerate(names):
            self.set(f"kpktgend_{cpu}", f"add_device {name}")
            for line in (
                f"count {count}",
                f"pkt_size {size}",
                f"dst {ADDRESS[reference][IPV4]}",
                # No address of this machine, whose packets would be martians.
                "src_min 192.0.2.1",
                "src_max 192.0.2.1",
                f"udp_dst_min {self.PORT}",
                f"udp_dst_max {self.PORT}",
                f"dst_mac {mac}",
                "delay 0",
            ):
                self.set(name, line)
        self.set("pgctrl", "start")
        results = [text_of(f"/proc/net/pktgen/{name}") for name in names]
        seconds = []
        for result in results:
            match = re.search(r"Result: OK: (\d+)\(.*errors: 0\b", result, re.DOTALL)
            if not match:
                raise Failed(f"pktgen on {device}: {result}")
            seconds.append(int(match[1]) / 1e6)
        return max(seconds), count * cpus, results


def iperf3(reference, *options, family=IPV4):
    """Runs iperf3; returns its report."""
    output = run("iperf3", "-c", ADDRESS[reference][family], "-J", *map(str, options))
    report = json.loads(output)
    if "error" in report:
        raise Failed(f"iperf3: {report['error']}")
    return report


def netperf(reference, test, length, family=IPV4, size=1):
    """Runs netperf for so many seconds, or transactions or bytes if negative; returns its figures."""
    options = ("-k", "THROUGHPUT", "-m", 65536)
    if test.endswith("_RR"):
        fields = "TRANSACTION_RATE,MEAN_LATENCY,P50_LATENCY,P99_LATENCY"
        options = ("-k", fields, "-r", f"{size},{size}")
    output = run(
        *("netperf", "-6" if family else "-4", "-H", ADDRESS[reference][family], "-t", test),
        *("-l", length, "--", *options),
    )
    return {
        name: float(value)
        for name, value in (line.split("=") for line in output.splitlines() if "=" in line)
    }


def batch(reference, mode, size, count, rounds, family=IPV4, cpus=1):
    """Runs the program batch; returns seconds and packets."""
    mode = {UNIX: "unix", MEMORY: "memory"}.get(reference, mode)
    address = ADDRESS[reference][family] if reference in ADDRESS else "-"
    nanoseconds, packets = run(PROGRAM, mode, address, size, count, rounds, cpus).split()
    return int(nanoseconds) / 1e9, int(packets)


def batch_cost(*arguments):
    """Instructions for each packet of the program batch."""
    seconds, packets = batch(*arguments)
    return seconds * 1e9 / packets, None


def xsk(command, device, *options):
    """The command that runs rlo-xsk."""
    return (XSK, command, "-i", device, "--quiet", "--json", *options)


def xsk_bench(ends, copying, size, *options):
    """Runs 'rlo-xsk bench'; returns its report."""
    command = xsk("bench", *ends, copying, "--size", size, "--no-verify", *options)
    return json.loads(run(*command))


def take_samples(workloads, numbers, after=lambda: None):
    """Takes the samples of workloads, those of each by turns of its devices."""
    for name, unit, devices, measure, arguments, better in workloads:
        for number in numbers:
            for device in devices:
                value, raw = measure(device, *arguments)
                # Several figures of one run have names.
                figures = value.items() if isinstance(value, dict) else [("", value)]
                for i, (figure, value) in enumerate(figures):
                    title = ", ".join(filter(None, (name, figure)))
                    sample(title, unit, device, value, number, raw, better, step=i == 0)
        after()


def samples_of(workloads, rounds):
    """How many samples that are."""
    return sum(len(work.devices) for work in workloads) * rounds


# --- Deterministic cost ---------------------------------------------------


def cost(options):
    """Instructions for each packet: the clock of this guest advances by 1 ns for each."""
    scale = 1 if options.quick else 2
    references = (LO, RLO) if options.quick else (LO, RLO, VETH)
    set_up(MODULE, VETH in references)
    run("sysctl", "-qw", "net.unix.max_dgram_qlen=512")
    pktgen = Pktgen(references)
    rounds = 2

    def by_pktgen(reference, size):
        seconds, count, raw = pktgen.run(reference, size, 8000 * scale)
        return seconds * 1e9 / count, raw

    # What a connection costs depends a little on where its sockets lie: the
    # median of several is a sample.
    def by_request(reference, family=IPV4):
        count = 2000 * scale
        runs = [netperf(reference, "TCP_RR", -count, family=family) for _ in range(CONNECTIONS)]
        return statistics.median(1e9 / run["TRANSACTION_RATE"] for run in runs), runs

    def by_stream(reference):
        size = 24 << 20
        runs = [netperf(reference, "TCP_STREAM", -size) for _ in range(CONNECTIONS)]
        # Mbit/s are bits for each 1,000 instructions.
        return statistics.median(1024 * 8 * 1000 / run["THROUGHPUT"] for run in runs), runs

    per_packet, per_kib = "instructions/packet", "instructions/KiB"
    batches = (LO, RLO, UNIX)
    repeat = 250 * scale
    workloads = [
        Work("pktgen, 64 B", per_packet, references, by_pktgen, (64,)),
        Work("pktgen, 1500 B", per_packet, references, by_pktgen, (1500,)),
        Work("UDP, 64 B, IPv4", per_packet, batches, batch_cost, ("udp", 64, BATCH, repeat)),
        Work("UDP, 1400 B, IPv4", per_packet, batches, batch_cost, ("udp", 1400, BATCH, repeat)),
        Work("UDP, 64 B, IPv6", per_packet, (LO, RLO), batch_cost, ("udp", 64, BATCH, repeat, IPV6)),
        Work(
            f"UDP GSO, {46 * SEGMENT} B",
            per_packet,
            (LO, RLO),
            batch_cost,
            ("gso", SEGMENT, 46, 400 * scale),
        ),
        Work("TCP_RR, 1 B, IPv4", "instructions/transaction", references, by_request, ()),
        Work("TCP_RR, 1 B, IPv6", "instructions/transaction", (LO, RLO), by_request, (IPV6,)),
        Work("TCP stream", per_kib, references, by_stream, ()),
    ]
    if options.quick:
        workloads = [work for work in workloads if not re.search("IPv6|stream|1[45]00", work.name)]
    # The first figures after boot are too high: a round of each comes before.
    numbers = range(-1, rounds)
    crowds = () if options.quick else EXISTING[1:]
    tell(plan=samples_of(workloads, len(numbers)) + 2 * len(crowds) * len(numbers))
    with servers(references):
        take_samples(workloads, numbers)
    made = 1
    for count in crowds:
        made = create_more(made, count)
        name = f"pktgen, 64 B, {count} devices"
        take_samples([Work(name, per_packet, (LO, RLO), by_pktgen, (64,))], numbers)


def create_more(made, count):
    """Creates loopbacks until there are so many."""
    ip_batch(f"link add more{i} type rlo" for i in range(made, count))
    return count


def sample(name, unit, device, value, number, raw=None, better="less", **where):
    """Reports a sample. Round -1 is for warming up."""
    tell(
        workload=name,
        unit=unit,
        device=device,
        value=value,
        round=number,
        better=better,
        raw=raw,
        **where,
    )


# --- Wall clock -----------------------------------------------------------


def loss_free(reference, seconds):
    """The highest UDP rate in Mbit/s of datagrams of 1400 bytes that loses nothing."""
    low, high, reports = 0.0, 0.0, []
    rate = 200.0
    for _ in range(7):
        report = iperf3(
            *(reference, "-u", "-l", 1400, "-w", "4M", "-t", seconds, "-b", f"{rate:.1f}M")
        )["end"]
        reports.append(report["sum"])
        reached = report["sum_sent"]["bits_per_second"] / 1e6
        if report["sum"]["lost_packets"] == 0:
            low = max(low, reached)
            if reached < rate * 0.9:  # The sender cannot do more.
                break
        else:
            high = rate
        rate = (low + high) / 2 if high else rate * 2
        if high and high - low < low / 16:
            break
    return low, reports


def set_size(device, mtu, gso):
    """Sets the MTU and the largest packet for segmentation."""
    ip(f"link set {device} mtu {mtu}")
    for kind in ("gso", "gso_ipv4", "gro", "gro_ipv4"):
        ip(f"link set {device} {kind}_max_size {gso}")


def wall(options):
    """Throughput and latency by the clock on the wall, with two CPUs."""
    rounds = 3 if options.quick else 5
    set_up(MODULE, not options.quick)
    # Buffers that hold packets of BIG TCP.
    run("sysctl", "-qw", "net.core.rmem_max=16777216", "net.core.wmem_max=16777216")
    run("sysctl", "-qw", "net.ipv4.tcp_rmem=4096 4194304 16777216")
    run("sysctl", "-qw", "net.ipv4.tcp_wmem=4096 4194304 16777216")

    def stream(reference, family, mtu, gso, streams):
        if reference != VETH:
            set_size(DEVICE[reference], mtu, gso)
        report = iperf3(reference, "-t", 1, "-P", streams, family=family)["end"]
        return report["sum_received"]["bits_per_second"] / 1e9, report

    def request(reference, test, family):
        figures = netperf(reference, test, 1, family)
        return {"mean": figures["MEAN_LATENCY"], "p99": figures["P99_LATENCY"]}, figures

    def default_sizes():
        for device in both:
            set_size(DEVICE[device], MTU, DEFAULT_GSO)

    both = (LO, RLO)
    every = both if options.quick else (LO, RLO, VETH)
    sizes = [("65536", MTU, DEFAULT_GSO)]
    families = [("IPv4", IPV4)]
    if not options.quick:
        sizes = [("1500", 1500, DEFAULT_GSO), ("9000", 9000, DEFAULT_GSO), *sizes]
        sizes.append(("65536, BIG TCP", MTU, BIG_TCP))
        families.append(("IPv6", IPV6))
    workloads = []
    for family_name, family in families:
        for size, mtu, gso in sizes:
            for streams in (1, 4):
                devices = every if (size, streams, family) == ("65536", 1, IPV4) else both
                name = f"TCP, {streams} stream{'s' * (streams > 1)}, {family_name}, MTU {size}"
                arguments = (family, mtu, gso, streams)
                workloads.append(Work(name, "Gbit/s", devices, stream, arguments, "more"))
        for test in ("TCP_RR", "UDP_RR"):
            devices = every if family == IPV4 else both
            name = f"{test}, 1 B, {family_name}"
            workloads.append(Work(name, "us", devices, request, (test, family)))
    if not options.quick:
        name = "UDP loss-free rate, 1400 B"
        workloads.append(Work(name, "Mbit/s", both, loss_free, (1,), "more"))

    tell(plan=samples_of(workloads, rounds))
    with servers(every):
        take_samples(workloads, range(rounds), default_sizes)


# --- AF_XDP ---------------------------------------------------------------


def leave_to_busy_polls(device):
    """Lets the device's interrupts wait for programs that poll."""
    for setting, value in ("napi_defer_hard_irqs", 2), ("gro_flush_timeout", 200000):
        pathlib.Path(f"/sys/class/net/{device}/{setting}").write_text(str(value))


def set_up_xsk():
    """Makes devices for AF_XDP sockets, and both ends of a veth in one namespace."""
    set_up(MODULE, False)
    ip(f"link set {DEVICE[RLO]} mtu {XSK_MTU}")
    for device in PAIR_DEVICE, BUSY_DEVICE:
        ip(f"link add {device} numrxqueues 2 numtxqueues 2 type rlo")
        ip(f"link set {device} mtu {XSK_MTU} up")
        run("ethtool", "--set-priv-flags", device, "queue-pairs", "on")
    leave_to_busy_polls(BUSY_DEVICE)
    run("modprobe", "veth")
    ip(f"link add {DEVICE[VETH]} type veth peer name veth1")
    for device in DEVICE[VETH], "veth1":
        ip(f"link set {device} addrgenmode none up")
    run("sysctl", "-qw", "net.unix.max_dgram_qlen=512")


def xdp_cost(options):
    """Instructions for each packet of AF_XDP sockets, and of what else there is."""
    # Two runs are compared: of two boots, or of one.
    rounds = 2 if options.quick else 1
    set_up_xsk()

    def by_xsk(reference, ends, copying, size, count):
        counts = ("--count", count, "--warmup", count // 4)
        report = xsk_bench(ends[reference], copying, size, *counts)
        return report["ns_per_packet"], report

    # The ring is so fast that an interrupt shows unless it turns often.
    def by_batch(reference, size):
        return batch_cost(reference, "udp", size, BATCH, 2500 if reference == MEMORY else 125)

    # So few packets that an interrupt shows: the median of several runs is a sample.
    def one_by_one(reference, count):
        if reference == LO:
            runs = [batch_cost(LO, "udp", 64, 1, count)[0] for _ in range(CONNECTIONS)]
            return statistics.median(runs), runs
        leave_to_busy_polls(DEVICE[RLO])
        command = xsk("ping", DEVICE[RLO], "--self", "--zero-copy", "--busy-poll", "--no-verify")
        runs = [json.loads(run(*command, "--count", count)) for _ in range(CONNECTIONS)]
        return statistics.median(one["ns_per_packet"] for one in runs), runs

    unit = "instructions/packet"
    workloads = []
    for size in (64,) if options.quick else (64, 1500):
        for name, ends, copying, count in (
            ("zero-copy, self", {RLO: SELF[RLO]}, "--zero-copy", 100000),
            ("zero-copy, pair", {RLO: (*PAIR[RLO], "--one-thread")}, "--zero-copy", 100000),
            ("copy", SELF, "--copy", 10000),
        ):
            arguments = (ends, copying, size, count)
            workloads.append(Work(f"{name}, {size} B", unit, tuple(ends), by_xsk, arguments))
        workloads.append(Work(f"UDP, {size} B", unit, (LO, UNIX, MEMORY), by_batch, (size,)))
    # Last, for it changes how the device is polled.
    workloads.append(Work("one by one, 64 B (lo: UDP)", unit, (LO, RLO), one_by_one, (2000,)))
    numbers = range(-1, rounds)
    tell(plan=samples_of(workloads, len(numbers)))
    take_samples(workloads, numbers)


def xdp_wall(options):
    """AF_XDP sockets by the clock on the wall, on two CPUs."""
    rounds = 3
    set_up_xsk()

    def rate(reference, copying, size):
        if reference in PAIR:
            times = ("--seconds", 1, "--warmup", 1000, "--cpus", "0,1")
            report = xsk_bench(PAIR[reference], copying, size, *times)
            return report["packets_per_second"], report
        repeat = 5000 if reference == MEMORY else 500
        seconds, packets = batch(reference, "udp", size, BATCH, repeat, cpus=2)
        return packets / seconds, None

    def round_trip(reference):
        if reference == LO:
            figures = netperf(LO, "UDP_RR", 1, size=64)
            return {"median": figures["P50_LATENCY"], "p99": figures["P99_LATENCY"]}, figures
        options = ("--zero-copy", "--busy-poll")
        with running(xsk("pong", BUSY_DEVICE, "-q", "1", *options, "--cpus", "1")):
            ping = xsk("ping", BUSY_DEVICE, *options, "--cpus", "0", "--no-verify")
            # Frames are lost until pong has its socket.
            for _ in range(20):
                with contextlib.suppress(Failed):
                    run(*ping, "--count", 1)
                    break
            report = json.loads(run(*ping, "--seconds", 1, "--timeout", 10))
        latency = report["latency_ns"]
        return {"median": latency["p50"] / 1000, "p99": latency["p99"] / 1000}, report

    workloads = [Work("ping-pong, 64 B (lo: UDP)", "us", (LO, RLO), round_trip, ())]
    for size in 64, 1500:
        for name, devices, copying in (
            ("zero-copy, pair", (RLO, MEMORY), "--zero-copy"),
            ("copy, pair", (RLO, VETH), "--copy"),
            ("UDP", (LO, UNIX), None),
        ):
            arguments = (copying, size)
            workloads.append(Work(f"{name}, {size} B", "packets/s", devices, rate, arguments, "more"))
    tell(plan=samples_of(workloads, rounds))
    with server("netserver", "-D", port=12865):
        take_samples(workloads, range(rounds))


# --- Scaling --------------------------------------------------------------


def memory():
    """Kernel memory in use, in bytes."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    kinds = r"^(?:Slab|Percpu|VmallocUsed|KernelStack): +(\d+) kB"
    return sum(map(int, re.findall(kinds, text_of("/proc/meminfo"), re.MULTILINE))) * 1024


def scaling(options):
    """More CPUs, and more devices."""
    rounds = 3
    set_up(MODULE, False)
    run("modprobe", "dummy", "numdummies=0")
    both = (LO, RLO)
    pktgen = Pktgen(both)
    cpus = [count for count in (1, 2, 4) if count <= os.cpu_count()]
    most = EXISTING[-1]
    # Two lives of two kinds of device, of three figures each.
    tell(plan=len(both) * rounds * 2 * (len(cpus) + len(EXISTING)) + 12)

    def by_pktgen(device, count, number, name, **where):
        pktgen.run(device, 64, 1000, count)
        seconds, sent, raw = pktgen.run(device, 64, 40000 // count, count)
        sample(name, "packets/s", device, sent / seconds, number, raw, "more", **where)

    def by_iperf3(device, count, number, name, **where):
        report = iperf3(device, "-t", 1, "-P", count)["end"]
        rate = report["sum_received"]["bits_per_second"] / 1e9
        sample(name, "Gbit/s", device, rate, number, report, "more", **where)

    def life(kind, number):
        names = [f"{kind}{i}" for i in range(1, most + 1)]

        def timed(name, lines):
            start = time.monotonic()
            ip_batch(lines)
            sample(name, "s", kind, time.monotonic() - start, number)

        before = memory()
        timed(f"create {most} devices", [f"link add {name} group 1 type {kind}" for name in names])
        value = (memory() - before) / most
        sample("kernel memory of a device", "bytes", kind, value, number)
        # Each of them waits for a grace period of RCU, a group for one.
        if number == 0:
            timed(f"delete {most} devices", [f"link del {name}" for name in names])
        else:
            timed(f"delete {most} devices as a group", ["link del group 1"])

    with servers(both):
        for name, measure in ("pktgen, 64 B", by_pktgen), ("TCP", by_iperf3):
            for count in cpus:
                for number in range(rounds):
                    for device in both:
                        title = f"{name}, {count} sender{'s' * (count > 1)}"
                        measure(device, count, number, title, senders=count)
        made = 1
        for count in EXISTING:
            made = create_more(made, count)
            for name, measure in ("pktgen, 64 B", by_pktgen), ("TCP", by_iperf3):
                for number in range(rounds):
                    for device in both:
                        title = f"{name}, {count} device{'s' * (count > 1)}"
                        measure(device, 1, number, title, devices=count)
        ip_batch(f"link del more{i}" for i in range(1, most))
    for number in range(2):
        for kind in ("dummy", "rlo"):
            life(kind, number)


def native(options):
    """The packet path on the real CPU; this is User-mode Linux, with one CPU."""
    rounds = 60
    ip("link set lo up")
    set_up("build/module-native/rust_loopback.ko", False)
    pktgen = Pktgen((LO, RLO))
    sizes = (64, 1500)
    tell(plan=2 * len(sizes) * (rounds + 1))
    for size in sizes:
        for number in range(-1, rounds):
            for device in (LO, RLO):
                seconds, count, raw = pktgen.run(device, size, 20000)
                value = seconds * 1e9 / count
                sample(f"pktgen, {size} B", "ns/packet", device, value, number, raw)


# --- Trace ----------------------------------------------------------------


def port(name):
    """The virtio port of that name."""
    for directory in pathlib.Path("/sys/class/virtio-ports").iterdir():
        if (directory / "name").exists() and text_of(directory / "name") == name:
            return f"/dev/{directory.name}"
    raise Failed(f"QEMU has no port {name}")


def trace(options):
    """Lets QEMU write down every instruction while a few packets are sent (trace.py)."""
    set_up(MODULE, False)
    pktgen = Pktgen((LO, RLO))
    with servers((LO, RLO)), open(port("monitor"), "wb", buffering=0) as monitor:

        def command(line):
            monitor.write(line.encode() + b"\n")

        def traced(workload, device, send):
            command(f"logfile /src/build/bench/trace-{workload}-{device}.log")
            command("one-insn-per-tb on")
            command("log exec,nochain")
            send()
            command("log none")
            command("one-insn-per-tb off")
            print(f"traced {workload} over {device}", flush=True)

        for device in (LO, RLO):
            for workload, send in (
                ("pktgen", lambda count: pktgen.run(device, 64, count)),
                ("UDP", lambda count: batch(device, "udp", 64, 1, count)),
                ("TCP_RR", lambda count: netperf(device, "TCP_RR", -count)),
            ):
                send(2000)
                traced(workload, device, lambda: (time.sleep(0.5), send(100)))
                time.sleep(0.5)

        ip(f"link set {DEVICE[RLO]} mtu {XSK_MTU}")
        endless = xsk("bench", *SELF[RLO], "--zero-copy", "--no-verify", "--count", 10**9)
        with running(endless):
            time.sleep(0.2)
            # With the function of the XDP program.
            pathlib.Path(port("symbols")).write_text(pathlib.Path("/proc/kallsyms").read_text())
            traced("AF_XDP", RLO, lambda: time.sleep(0.002))


def main():
    parser = argparse.ArgumentParser()
    parts = {
        "cost": cost,
        "wall": wall,
        "xdp-cost": xdp_cost,
        "xdp-wall": xdp_wall,
        "scaling": scaling,
        "native": native,
        "trace": trace,
    }
    parser.add_argument("part", choices=parts)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    try:
        parts[options.part](options)
    except (Failed, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
