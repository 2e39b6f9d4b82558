#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""More than there is room for, and packets in circles.

    overload.py flood PINS SECONDS SEED
    overload.py circles PINS
    overload.py tunnels

flood: what is sent is received or dropped for a known reason, and the machine answers. circles,
tunnels: what would go round for ever is ended by the kernel, or by whoever made it go round.
"""

import collections
import contextlib
import ctypes
import errno
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from device import RX, RX_DROPPED, TX_DROPPED, TX_ERRORS, Array, Netlink, pinned, statistics
from hostile import ADDRESSES, alive, ready, rests, state_of_life
from stress import Outcomes, Team, check, figure, merge, note, receivers, slow, softnet, write
from xdp import UDP_SEGMENT
from xsk import bpf

BPF_RAW_TRACEPOINT_OPEN = 17
# Datagrams of one call: more than the backlog of overload.sh and the ring have room for, what is
# left more than a socket has.
SEGMENTS, RING = 100, 64
FORMAT = "/sys/kernel/tracing/events/skb/kfree_skb/format"
# What is left of a queue when its owner goes, such as an answer that a socket of netlink has not
# read. All of the machine is traced, and what a flood goes through outlives it.
OF_OTHERS = {"QUEUE_PURGE"}
# Seconds in which a machine under load has to answer. On a host with several times more to do than
# processors it takes 1.4 at most, or 1.8 on the debug kernel, which can be beside others.
PATIENCE = 20 if slow() else 6


def run(command):
    """Runs a command that has to succeed. Returns what it says."""
    return subprocess.run(command.split(), check=True, stdout=subprocess.PIPE, text=True).stdout


# --- Flood ---------------------------------------------------------------


def flood(dice, end, cpu):
    """Sends in bursts from a CPU, of any number and length. Says how many were taken.

    However slow the machine, some calls need more room than there is: the device does not segment,
    so that the packets of one call are all in the backlog, or the ring, before a CPU that has
    nothing to receive yet, this or another one, is told that there are any.
    """
    os.sched_setaffinity(0, {cpu})
    outcomes, sent = Outcomes([errno.ENOBUFS]), 0
    sockets = [(socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET,
                              socket.SOCK_DGRAM), (a, 9)) for a in ADDRESSES]  # fmt: skip
    while time.monotonic() < end:
        data = bytes(dice.randrange(1, 500))
        segment = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", len(data)))]
        # pylint: disable=cell-var-from-loop
        for sock, address in sockets:
            for _ in range(dice.randrange(200)):
                sent += outcomes.call("datagrams", lambda: sock.sendto(data, address))
            sent += SEGMENTS * outcomes.call(
                "segments", lambda: sock.sendmsg([data * SEGMENTS], segment, 0, address))  # fmt: skip
    return {"sent": sent, **outcomes.result()}


def drain(sockets, seconds):
    """Takes what has arrived, until nothing comes for so long."""
    taken = 0
    while True:
        readable = select.select(sockets, [], [], seconds)[0]
        if not readable:
            return taken
        for sock in readable:
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.recv(1000, socket.MSG_DONTWAIT)
                    taken += 1


def take(_, end, sockets):
    """Takes some, too slowly."""
    taken = 0
    while time.monotonic() < end:
        taken += drain(sockets, 0)
        time.sleep(0.002)
    return taken


def answers(_, end):
    """How long a process, and a request about a device, take at most."""
    longest, times, netlink = 0, 0, Netlink()
    while time.monotonic() < end:
        start = time.monotonic()
        subprocess.run(["/bin/true"], check=True)
        statistics(netlink, 1)
        longest, times = max(longest, time.monotonic() - start), times + 1
        time.sleep(0.05)
    return longest, times


def errors():
    """Datagrams that sockets had no room for, of both families."""
    with open("/proc/net/snmp", encoding="ascii") as file:
        names, values = [line.split()[1:] for line in file if line.startswith("Udp: ")]
    with open("/proc/net/snmp6", encoding="ascii") as file:
        six = dict(line.split() for line in file)
    return int(values[names.index("RcvbufErrors")]) + int(six["Udp6RcvbufErrors"])


def queue_counter(name):
    """A counter of the device's queues, all of them."""
    return sum(map(int, re.findall(rf"rx_queue_\d+_{name}: (\d+)", run("ethtool -S o0"))))


def overwhelm(what, pins, seconds, seed, sinks, reasons):
    """More than the backlog and the sockets have room for, and than the ring has, if there is a
    program. REASONS: those that packets may be dropped for."""
    netlink, index = Netlink(), socket.if_nametoindex("o0")
    with open(FORMAT, encoding="ascii") as file:
        pairs = re.findall(r'\{ (\d+), "(\w+)" \}', file.read())
    names = {name: int(number) for number, name in pairs if int(number) < 512}

    def counters():
        return [*statistics(netlink, index), errors(), softnet(), queue_counter("xdp_ring_full"),
                queue_counter("xdp_pass")]  # fmt: skip

    name = ctypes.create_string_buffer(b"kfree_skb")
    dropped, tracepoint = Array(f"{pins}/reasons"), bpf(
        BPF_RAW_TRACEPOINT_OPEN, ctypes.addressof(name), pinned(f"{pins}/dropped"))  # fmt: skip
    before = counters()
    traced = collections.Counter({number: dropped[number] for number in names.values()})
    end, team = time.monotonic() + seconds, Team(f"{seed} {what}")
    for cpu in range(os.cpu_count()):
        team.start(f"flood {cpu}", flood, end, cpu)
    team.start("take", take, end, sinks)
    team.start("answers", answers, end)
    results = team.results(seconds + 120)
    received = drain(sinks, 1) + (results["take"] or 0)
    now = [a - b for a, b in zip(counters(), before)]
    traced = {name: dropped[number] - traced[number] for name, number in names.items()}
    os.close(tracepoint)
    check(f"{what}: all processes came to their end", 0, list(results.values()).count(None))
    floods = [result for name, result in results.items() if name.startswith("flood") and result]
    merge(what, floods)
    sent = sum(result["sent"] for result in floods)
    rcvbuf, backlog, full, passed = now[8:]
    program = "FULL_RING" in reasons
    note(f"{what}: {sent} sent, {received} received, {full} had no room in the ring, {backlog} in "
         f"the backlog, {rcvbuf} in the sockets; traced: "
         + ", ".join(f"{name} {n}" for name, n in traced.items() if n))  # fmt: skip
    check(f"{what}: some had no room in the ring", program, full > 0)
    check(f"{what}: some were dropped at the backlog", True, backlog > 0)
    check(f"{what}: some were dropped at the sockets", True, rcvbuf > 0)
    check(f"{what}: sent is received and dropped", sent, received + full + backlog + rcvbuf)
    check(f"{what}: the device has dropped what ring and backlog had no room for",
          full + backlog, now[RX_DROPPED])  # fmt: skip
    check(f"{what}: what the ring had no room for is traced", full, traced["FULL_RING"])
    check(f"{what}: what is dropped at the backlog is traced", backlog, traced["CPU_BACKLOG"])
    check(f"{what}: what is dropped at the sockets is traced", rcvbuf,
          traced["SOCKET_RCVBUFF"] + traced["PROTO_MEM"])
    check(f"{what}: other reasons to drop a packet", "",
          ", ".join(f"{name} {n}" for name, n in traced.items()
                    if n and name not in reasons | OF_OTHERS))  # fmt: skip
    # The ring or the backlog, whichever comes first
    first = full if program else backlog
    check(f"{what}: the device has received the others", sent - first, now[RX])
    check(f"{what}: packets that the program has had", now[RX] if program else 0, passed)
    longest, times = results["answers"] or (999, 0)
    check(f"{what}: the machine answered", True, longest < PATIENCE and times > 0)
    note(f"{what}: {times} answers, the longest after {longest * 1000:.0f} ms")
    figure(f"datagrams of the {what}", f"{sent} = {received} received + "
           + (f"{full} dropped at the ring + " if program else "")
           + f"{backlog} dropped at the backlog + {rcvbuf} at the sockets")  # fmt: skip
    figure(f"longest answer during the {what} (ms)", round(longest * 1000))


def flooded(pins, seconds, seed):
    """Floods, without a program and with one."""
    device, seconds = ready("o0", queues=2), float(seconds) / 2
    run("ethtool -K o0 tx-udp-segmentation off")
    run(f"ethtool -G o0 rx {RING}")
    for queue in 0, 1:
        write(f"/sys/class/net/o0/queues/rx-{queue}/rps_cpus", f"{(1 << os.cpu_count()) - 1:x}")
    sinks, reasons = list(receivers()), {"CPU_BACKLOG", "SOCKET_RCVBUFF", "PROTO_MEM"}
    for sink in sinks:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 5000)
    overwhelm("flood", pins, seconds, seed, sinks, reasons)
    device.attach(pinned(f"{pins}/pass_frags"))
    overwhelm("flood, program", pins, seconds, seed, sinks, {*reasons, "FULL_RING"})
    for sink in sinks:
        sink.close()
    alive("flood", state_of_life(device))
    device.delete()


# --- Circles -------------------------------------------------------------

COUNT = 100
# A program that redirects runs at a depth of none, and as long as it is not beyond the limit of
# nested transmissions (XMIT_RECURSION_LIMIT).
LEVELS = 8 + 2


def send_some(address):
    """Sends some datagrams, with whatever result."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(COUNT):
            with contextlib.suppress(OSError):
                sock.sendto(bytes(100), (address, 9))


def total(netlink, *indices):
    """Packets that devices have seen."""
    seen = [statistics(netlink, index) for index in indices]
    return sum(device[RX] + device[RX_DROPPED] + device[TX_DROPPED] for device in seen)


def circles(pins):
    """Redirections that end where they began."""
    first = ready("c0", mtu=3498)
    second = ready("c1", mtu=3498, addresses=("10.7.8.1",))
    netlink, indices = Netlink(), (first.index(), second.index())
    targets, ways = Array(f"{pins}/targets", 4), Array(f"{pins}/ways")
    circle = Array(f"{pins}/circle", 4)
    for number, index in enumerate(indices):
        targets[number] = circle[number] = index
    sinks = list(receivers())

    def ends(what, times):
        """The kernel ends it: the devices count each packet so often."""
        before = total(netlink, *indices)
        send_some(ADDRESSES[0])
        after = rests(lambda: total(netlink, *indices))
        check(f"{what}: it ends", True, after is not None)
        seen = (after or 0) - before
        check(f"{what}: packets counted for {COUNT}", times * COUNT, seen)
        figure(f"{what}: packets counted for {COUNT}", seen)

    def goes_round(what, device, seen, stop):
        """It goes on, like a circle of cables, until it is cut. The machine answers."""
        send_some(device)
        before = seen()
        longest = answers(None, time.monotonic() + 2)[0]
        check(f"{what}: it goes round", True, seen() - before > COUNT)
        check(f"{what}: the machine answers", True, longest < PATIENCE)
        figure(f"{what}: rounds", seen() - before)
        stop()
        check(f"{what}: it ends when it is cut", True, rests(seen) is not None)

    for name in "c0", "c1", "lo":
        run(f"tc qdisc add dev {name} clsact")
    for one, other in ("c0", "c1"), ("c1", "c0"):
        run(f"tc filter add dev {one} egress matchall action mirred egress redirect dev {other}")
    # The second of the two actions knows that it would go round.
    ends("mirred, egress to egress", 0)
    check("mirred, egress to egress: packets that the action has had", COUNT,
          int(re.search(r"Sent \d+ bytes (\d+) pkt", run("tc -s filter show dev c1 egress"))[1]))
    for name in "c0", "c1":
        run(f"tc filter del dev {name} egress")
    for one, other in ("c0", "c1"), ("c1", "c0"):
        run(f"tc filter add dev {one} ingress matchall action mirred ingress redirect dev {other}")
    ends("mirred, ingress to ingress", 1)
    for name in "c0", "c1":
        run(f"tc filter del dev {name} ingress")
    for name, address in ("lo", "127.0.0.1"), ("c0", ADDRESSES[0]):
        run(f"tc filter add dev {name} ingress matchall action mirred egress redirect dev {name}")
        index = socket.if_nametoindex(name)
        goes_round(f"mirred, {name} to itself", address,
                   lambda: total(netlink, index),  # pylint: disable=cell-var-from-loop
                   lambda: run(f"tc filter del dev {name} ingress"))  # pylint: disable=cell-var-from-loop
    for program, name in ("to_second", "c0"), ("to_first", "c1"):
        run(f"bpftool net attach tcx_egress pinned {pins}/{program} dev {name}")
    before = ways[0] + ways[1]
    ends("bpf_redirect, egress to egress", 0)
    check("bpf_redirect: how often the programs ran, which is until the limit", LEVELS * COUNT,
          ways[0] + ways[1] - before)  # fmt: skip
    for name in "c0", "c1":
        run(f"bpftool net detach tcx_egress dev {name}")
    first.attach(pinned(f"{pins}/back"))
    before = ways[4]
    ends("XDP_TX", 1)
    check("XDP_TX: the program has seen each once", COUNT, ways[4] - before)
    first.attach(pinned(f"{pins}/round_to_second"))
    second.attach(pinned(f"{pins}/round_to_first"))
    goes_round("XDP_REDIRECT, between two", ADDRESSES[0], lambda: ways[2] + ways[3],
               lambda: (first.attach(-1), second.attach(-1)))
    alive("circles", state_of_life(first))
    for sink in sinks:
        sink.close()
    first.delete()
    second.delete()


# --- Tunnels -------------------------------------------------------------


def tunnels():
    """Tunnels in tunnels over the device, and in themselves."""
    device, netlink = ready("o0"), Netlink()
    index, sinks = device.index(), list(receivers())

    def through(what, count, arrive):
        """Sends into the outermost; says whether it arrives at the device."""
        before = statistics(netlink, index)[RX]
        send_some("10.30.0.1")
        after = rests(lambda: statistics(netlink, index)[RX])
        check(f"{what}: it ends", True, after is not None)
        check(f"{what}: packets that arrive at the device", arrive, (after or 0) - before)
        # What is too deep the tunnel counts that would have sent it (IP_TUNNEL_RECURSION_LIMIT).
        ended = sum(statistics(netlink, socket.if_nametoindex(f"t{n}"))[TX_ERRORS] for n in range(count))
        check(f"{what}: packets that a tunnel ends, as too deep", COUNT - arrive, ended)

    def stack(count, last=None):
        """So many, each in the next, the last one over the device or in another."""
        for number in range(count):
            inner = number + 1 < count
            remote = f"10.20.{number}.1" if inner or last is not None else ADDRESSES[0]
            run(f"ip link add t{number} type ipip local 10.7.5.1 remote {remote} ttl 64")
            run(f"ip link set t{number} up")
        for number in range(count):
            if number + 1 < count or last is not None:
                over = number + 1 if number + 1 < count else last
                run(f"ip route add 10.20.{number}.1 dev t{over}")
        run("ip route add 10.30.0.1 dev t0")

    def clear(count):
        for number in range(count):
            run(f"ip link del t{number}")

    for count, last, arrive, what in (
        (2, None, COUNT, "two tunnels"), (12, None, 0, "twelve tunnels"),
        (3, 0, 0, "three tunnels in a circle"),
    ):  # fmt: skip
        stack(count, last)
        through(what, count, arrive)
        clear(count)
    alive("tunnels", state_of_life(device))
    for sink in sinks:
        sink.close()
    device.delete()


if __name__ == "__main__":
    {"flood": flooded, "circles": circles, "tunnels": tunnels}[sys.argv[1]](*sys.argv[2:])
