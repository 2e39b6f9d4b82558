#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""More than there is room for, and packets in circles.

    overload.py flood PINS SECONDS
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
from device import RX, RX_DROPPED, TX_DROPPED, Array, Netlink, pinned, statistics
from hostile import ADDRESSES, alive, ready
from stress import Outcomes, Team, check, figure, merge, note, receivers, slow, softnet, write
from xdp import UDP_SEGMENT
from xsk import bpf

BPF_RAW_TRACEPOINT_OPEN = 17
# Datagrams of one call: more than the backlog of overload.sh, what is left more than a socket has
# room for.
SEGMENTS = 60
FORMAT = "/sys/kernel/tracing/events/skb/kfree_skb/format"
# Seconds in which a machine under load has to answer.
PATIENCE = 60 if slow() else 15


def run(command):
    """Runs a command that has to succeed. Returns what it says."""
    return subprocess.run(command.split(), check=True, stdout=subprocess.PIPE, text=True).stdout


# --- Flood ---------------------------------------------------------------


def flood(_, end, cpu):
    """Sends in bursts from a CPU. Says how many were taken.

    However slow the machine, some calls need more room than there is: the device does not segment,
    so that the packets of one call are all in the backlog before a CPU that has nothing to receive
    yet, this or another one, is told that there are any.
    """
    os.sched_setaffinity(0, {cpu})
    outcomes, sent = Outcomes([errno.ENOBUFS]), 0
    sockets = [(socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET,
                              socket.SOCK_DGRAM), (a, 9)) for a in ADDRESSES]  # fmt: skip
    data = bytes(200)
    segment = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", len(data)))]
    while time.monotonic() < end:
        # pylint: disable=cell-var-from-loop
        for sock, address in sockets:
            for _ in range(100):
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


def flooded(pins, seconds):
    """More than the backlog and the sockets have room for."""
    device, netlink = ready("o0", queues=1), Netlink()
    index = device.index()
    run("ethtool -K o0 tx-udp-segmentation off")
    write("/sys/class/net/o0/queues/rx-0/rps_cpus", f"{(1 << os.cpu_count()) - 1:x}")
    with open(FORMAT, encoding="ascii") as file:
        names = {name: int(number) for number, name in re.findall(r'\{ (\d+), "(\w+)" \}', file.read())
                 if int(number) < 512}
    sinks = list(receivers())
    for sink in sinks:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 5000)
    name = ctypes.create_string_buffer(b"kfree_skb")
    reasons, tracepoint = Array(f"{pins}/reasons"), bpf(
        BPF_RAW_TRACEPOINT_OPEN, ctypes.addressof(name), pinned(f"{pins}/dropped"))  # fmt: skip
    before = [*statistics(netlink, index), errors(), softnet()]
    traced = collections.Counter({number: reasons[number] for number in names.values()})
    end, team = time.monotonic() + float(seconds), Team(0)
    for cpu in range(os.cpu_count()):
        team.start(f"flood {cpu}", flood, end, cpu)
    team.start("take", take, end, sinks)
    team.start("answers", answers, end)
    results = team.results(float(seconds) + 120)
    received = drain(sinks, 1) + (results["take"] or 0)
    now = [a - b for a, b in zip([*statistics(netlink, index), errors(), softnet()], before)]
    traced = {name: reasons[number] - traced[number] for name, number in names.items()}
    os.close(tracepoint)
    check("flood: all processes came to their end", 0, list(results.values()).count(None))
    floods = [result for name, result in results.items() if name.startswith("flood")]
    merge("flood", floods)
    sent = sum(result["sent"] for result in floods)
    backlog, rcvbuf = now[RX_DROPPED], now[8]
    note(f"flood: {sent} sent, {received} received, {backlog} dropped at the backlog, {rcvbuf} "
         "at the sockets; traced: "
         + ", ".join(f"{name} {n}" for name, n in traced.items() if n))  # fmt: skip
    check("flood: some were dropped at the backlog", True, backlog > 0)
    check("flood: some were dropped at the sockets", True, rcvbuf > 0)
    check("flood: sent is received and dropped", sent, received + backlog + rcvbuf)
    check("flood: what is dropped at the backlog is traced", backlog, traced["CPU_BACKLOG"])
    check("flood: what is dropped at the sockets is traced", rcvbuf,
          traced["SOCKET_RCVBUFF"] + traced["PROTO_MEM"])
    check("flood: the CPUs have dropped as many as the device has", now[9], backlog)
    check("flood: the device has received the others", sent - backlog, now[RX])
    longest, times = results["answers"] or (999, 0)
    check("flood: the machine answered", True, longest < PATIENCE and times > 0)
    figure("datagrams of the flood", f"{sent} = {received} received + {backlog} dropped at the "
           f"backlog + {rcvbuf} at the sockets")
    figure("longest answer during the flood (ms)", round(longest * 1000))
    for sink in sinks:
        sink.close()
    alive("flood")
    device.delete()


def still(seen):
    """What it says when this has not changed for half a second; None if it goes on changing."""
    end, last = time.monotonic() + PATIENCE, seen()
    while time.monotonic() < end:
        time.sleep(0.5)
        now = seen()
        if now == last:
            return now
        last = now
    return None


# --- Circles -------------------------------------------------------------

COUNT = 100


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

    def ends(what, least, most):
        """The kernel ends it: each packet is seen so often at least and at most."""
        before = total(netlink, *indices)
        send_some(ADDRESSES[0])
        after = still(lambda: total(netlink, *indices))
        check(f"{what}: it ends", True, after is not None)
        seen = (after or 0) - before
        check(f"{what}: each packet is counted {least} to {most} times", True,
              least * COUNT <= seen <= most * COUNT)  # fmt: skip
        note(f"{what}: {seen} for {COUNT} packets")
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
        check(f"{what}: it ends when it is cut", True, still(seen) is not None)

    for name in "c0", "c1", "lo":
        run(f"tc qdisc add dev {name} clsact")
    for one, other in ("c0", "c1"), ("c1", "c0"):
        run(f"tc filter add dev {one} egress matchall action mirred egress redirect dev {other}")
    # The second of the two actions knows that it would go round.
    ends("mirred, egress to egress", 0, 0)
    check("mirred, egress to egress: packets that the action has had", COUNT,
          int(re.search(r"Sent \d+ bytes (\d+) pkt", run("tc -s filter show dev c1 egress"))[1]))
    for name in "c0", "c1":
        run(f"tc filter del dev {name} egress")
    for one, other in ("c0", "c1"), ("c1", "c0"):
        run(f"tc filter add dev {one} ingress matchall action mirred ingress redirect dev {other}")
    ends("mirred, ingress to ingress", 1, 1)
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
    ends("bpf_redirect, egress to egress", 0, 8)
    taken = ways[0] + ways[1] - before
    check("bpf_redirect: programs ran until the limit", True, COUNT < taken <= 12 * COUNT)
    for name in "c0", "c1":
        run(f"bpftool net detach tcx_egress dev {name}")
    first.attach(pinned(f"{pins}/back"))
    before = ways[4]
    ends("XDP_TX", 1, 2)
    check("XDP_TX: the program has seen each once", COUNT, ways[4] - before)
    first.attach(pinned(f"{pins}/round_to_second"))
    second.attach(pinned(f"{pins}/round_to_first"))
    goes_round("XDP_REDIRECT, between two", ADDRESSES[0], lambda: ways[2] + ways[3],
               lambda: (first.attach(-1), second.attach(-1)))
    alive("circles")
    for sink in sinks:
        sink.close()
    first.delete()
    second.delete()


# --- Tunnels -------------------------------------------------------------


def tunnels():
    """Tunnels in tunnels over the device, and in themselves."""
    device, netlink = ready("o0"), Netlink()
    index, sinks = device.index(), list(receivers())

    def through(what, arrive):
        """Sends into the outermost; says whether it arrives at the device."""
        before = statistics(netlink, index)[RX]
        send_some("10.30.0.1")
        after = still(lambda: statistics(netlink, index)[RX])
        check(f"{what}: it ends", True, after is not None)
        check(f"{what}: packets that arrive at the device", arrive, (after or 0) - before)

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
        through(what, arrive)
        clear(count)
    alive("tunnels")
    for sink in sinks:
        sink.close()
    device.delete()


if __name__ == "__main__":
    {"flood": flooded, "circles": circles, "tunnels": tunnels}[sys.argv[1]](*sys.argv[2:])
