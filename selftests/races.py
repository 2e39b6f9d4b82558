#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Everything at once, and everything very often.

    races.py changes MODULE PINS SECONDS SEED
    races.py exact PINS SECONDS SEED
    races.py cycles PINS COUNT SECONDS SEED
    races.py lives PINS COUNT SECONDS SEED

changes: processes change devices, remove namespaces, some while others send into them, and the
module, while others send and read statistics, and CPUs go and come. exact: packets are counted
while CPUs go and come and senders stop, without a program and with one. cycles: a device is
added and deleted; lives: a network namespace with a busy device is made and removed: until
there were COUNT or SECONDS are over, and the kernel's memory must not have grown.
"""

import collections
import contextlib
import errno
import itertools
import os
import re
import select
import signal
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from device import (
    CREATE,
    DELADDR,
    EXCL,
    GETLINK,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_LINKINFO,
    IFLA_MTU,
    MOST_STATISTICS,
    NESTED,
    NEWADDR,
    NEWLINK,
    OWN_TRAFFIC,
    QUEUE_PAIRS,
    RX,
    RX_BYTES,
    RX_DROPPED,
    SCHANNELS,
    SPFLAGS,
    SRINGPARAM,
    TX,
    TX_BYTES,
    TX_DROPPED,
    XDP_FLAGS_DRV,
    XDP_FLAGS_SKB,
    Array,
    Device,
    Netlink,
    attribute,
    link,
    pinned,
    statistics,
)
from stress import (
    PAGE_POOL_DETACH_TIME,
    PAGE_POOL_GET,
    Generic,
    Outcomes,
    Period,
    Team,
    check,
    figure,
    free_deferred,
    grown,
    load,
    memory,
    merge,
    namespaces_end,
    note,
    qstats,
    receivers,
    slow,
    table,
    unload,
    write,
)
from xdp import UDP_SEGMENT
from xsk import Port, checked, checksum, libc

DEVICES = 4
# What is counted exactly has an address to which no connection of other parts sends again.
COUNTED = DEVICES + 1
# So many lives show a leak.
ENOUGH = 200
# The index of the device to which a program redirects what comes by the wire into a namespace, and
# how many wires there are.
WIRED, WIRES = 7, 4
# ethtool
GSTRINGS, SET_OF_STATISTICS = 0x1B, 1
# A ring holds so few packets, and a call sends more.
RING, BURST = 64, 80
FULL = "a ring was full"
CPU1 = "/sys/devices/system/cpu/cpu1/online"
# What may happen to those who send to addresses that come and go.
SENDING = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.ENETDOWN, errno.ENODEV,
           errno.ENXIO, errno.ECONNREFUSED, errno.EMSGSIZE, errno.ENOBUFS,
           errno.EADDRNOTAVAIL, errno.EACCES, errno.EAGAIN)  # fmt: skip


def up_loopback():
    """Sets lo up, in the namespace of this process."""
    Device("lo").do(NEWLINK, link(1, 1, 1))


def addresses(number):
    """Those of a device."""
    return f"10.7.{number}.1", f"fd00:7:{number}::1"


def by_queue(device):
    """What 'ethtool -S' counts, added up over the queues."""
    room = struct.pack("II", SET_OF_STATISTICS, 0) + bytes(32 * MOST_STATISTICS)
    names, sums = device.ethtool(GSTRINGS, room)(), collections.Counter()
    for number, value in enumerate(device.counters()()):
        name = names[8 + 32 * number : 40 + 32 * number].rstrip(b"\0").decode()
        sums[re.sub(r"_queue_\d+", "", name)] += value
    return sums


# --- Changes -------------------------------------------------------------

# What each process does. The period waits until all of it has succeeded.
KINDS = {
    "change": ("add", "delete", "up", "down", "address", "MTU", "hardware address", "flags",
               "queues", "ring size", "program", "no program", "pool"),
    "send": ("IPv4", "IPv6", "frames"),
    "wire": ("frames into a namespace",),
    "receive": ("datagrams",),
    "stream": ("TCP",),
    "read": ("ethtool -S", "rtnetlink", "netdev-genl", "/proc/net/dev", "sysfs"),
    "namespaces": ("namespace", "namespace on a wire, native", "namespace on a wire, generic"),
    "modules": ("unload", "load"),
}  # fmt: skip


class Kinds(Outcomes):
    """Outcomes in a period, which has to see each kind succeed."""

    def __init__(self, period, expected=()):
        super().__init__(expected)
        self.period = period

    def count(self, name, number, allowed=()):
        super().count(name, number, allowed)
        if not number:
            self.period.happened(name)


def change(dice, period, program):
    """Changes devices in every way there is."""
    outcomes = Kinds(period, [errno.ENODEV])
    devices = [Device(f"r{i}") for i in range(DEVICES)]

    def address(device, number):
        body = device.address_body(dice.choice(addresses(number)))
        if dice.random() < 0.8:
            device.do(NEWADDR, body, CREATE | EXCL)
        else:
            device.do(DELADDR, body)

    def rings(device, _):
        size = dice.choice((64, 256, 1024))
        device.ethtool(SRINGPARAM, struct.pack("8I", 0, 0, 0, 0, size, 0, 0, 64))()

    def channels(device, _):
        count = dice.randrange(1, 5), dice.randrange(1, 5)
        device.ethtool(SCHANNELS, struct.pack("8I", 0, 0, 0, 0, *count, 0, 0))()

    def flags(device, _):
        device.ethtool(SPFLAGS, struct.pack("I", dice.choice(
            (0, OWN_TRAFFIC, OWN_TRAFFIC, OWN_TRAFFIC | QUEUE_PAIRS, QUEUE_PAIRS))))()

    def mtu(device, _):
        device.do(NEWLINK, link(index=device.index())
                  + attribute(IFLA_MTU, dice.choice((1280, 1500, 3498, 65536, 100000))))

    def hardware(device, _):
        device.do(NEWLINK, link(index=device.index())
                  + attribute(IFLA_ADDRESS, b"\2" + dice.randbytes(5)))

    def pool(device, _):
        with contextlib.closing(
            Port(device.name, dice.randrange(4), dice.choice(([], ["copy"])), 64, bound=False)
        ) as port:
            # Does not wait for a queue that is in use.
            checked(libc.bind(port.socket.fileno(), port.name, len(port.name)))
            time.sleep(dice.random() / 50)

    def add(device, _):
        device.do(NEWLINK, device.body(dice.randrange(1, 5), dice.choice((1500, 3498, 65536))),
                  CREATE | EXCL)

    # Name, how often, what it does, and which errors it may have beside ENODEV
    kinds = (
        # The kind is unknown while there is no module.
        ("add", 8, add, (errno.EEXIST, errno.EOPNOTSUPP)),
        ("delete", 2, lambda device, _: device.delete(), ()),
        ("up", 8, lambda device, _: device.do(NEWLINK, device.up_body(True)), ()),
        ("down", 2, lambda device, _: device.do(NEWLINK, device.up_body(False)), ()),
        ("address", 10, address,
         (errno.EEXIST, errno.EADDRNOTAVAIL, errno.EACCES, errno.EINVAL)),
        ("MTU", 3, mtu, (errno.EINVAL, errno.EBUSY)),
        ("hardware address", 2, hardware, ()),
        ("flags", 3, flags, (errno.EBUSY,)),
        ("queues", 3, channels, (errno.EINVAL, errno.EBUSY)),
        ("ring size", 2, rings, (errno.EBUSY,)),
        ("program", 3, lambda device, _: device.attach(program),
         (errno.EINVAL, errno.EBUSY, errno.ERANGE)),
        ("no program", 1, lambda device, _: device.attach(-1), ()),
        ("pool", 2, pool, (errno.EINVAL, errno.EBUSY, errno.ENETDOWN, errno.EOPNOTSUPP)),
    )  # fmt: skip
    weights = [kind[1] for kind in kinds]
    while not period.over():
        (name, _, function, allowed), number = (
            dice.choices(kinds, weights)[0], dice.randrange(DEVICES))  # fmt: skip
        if not outcomes.call(name, lambda: function(devices[number], number), allowed):  # pylint: disable=cell-var-from-loop
            # There may be no module.
            time.sleep(0.001)
    return outcomes.result()


def send(dice, period, cpu):
    """Sends from a CPU: datagrams of both families, and frames."""
    outcomes = Kinds(period, SENDING)
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    while not period.over():
        # When the CPU goes, it is another one; it cannot be asked for until it is back.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {cpu})
        number = dice.randrange(DEVICES)
        addresses4, addresses6 = addresses(number)
        data = bytes(dice.choice((1, 100, 1400, 9000, 60000)))
        sent = False
        for name, function in (
            ("IPv4", lambda: four.sendto(data, (addresses4, 9))),
            ("IPv6", lambda: six.sendto(data, (addresses6, 9))),
            ("frames", lambda: frames.sendto(bytes(60), (f"r{number}", 0x0800))),
        ):
            sent |= outcomes.call(name, function)
        if not sent:
            # Lets those go on who make what is missing.
            time.sleep(0.001)
    return outcomes.result()


def receive(_, period):
    """Takes what it gets."""
    outcomes, sockets = Kinds(period, SENDING), list(receivers())
    while not period.over():
        for server in select.select(sockets, [], [], 0.1)[0]:
            outcomes.call("datagrams", lambda: server.recv(1 << 16, socket.MSG_DONTWAIT))  # pylint: disable=cell-var-from-loop
    return outcomes.result()


def stream(dice, period):
    """Sends over TCP, which makes packets of many segments: over the devices that change, and over
    one that only goes with the module."""
    own = Device(f"r{DEVICES}")
    outcomes = Kinds(period, (*SENDING, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT))
    patience = 2 if slow() else 0.2
    server = socket.create_server(("", 10))
    server.settimeout(patience)

    def connection():
        number = dice.randrange(DEVICES + 1) if outcomes.counts["TCP: done"] else DEVICES
        address = addresses(number)[0]
        if number == DEVICES:
            with contextlib.suppress(OSError):
                own.add()
                own.assign(address)
        with socket.socket() as client:
            client.settimeout(patience)
            client.connect((address, 10))
            with server.accept()[0] as other:
                other.settimeout(patience)
                for _ in range(dice.randrange(1, 11)):
                    client.sendall(bytes(60000))
                    left = 60000
                    while left:
                        got = len(other.recv(left))
                        if not got:
                            raise OSError(errno.ECONNRESET, "the end")
                        left -= got

    while not period.over():
        outcomes.call("TCP", connection)
    return outcomes.result()


def read(dice, period):
    """Reads statistics in every way there is."""
    outcomes, device = Kinds(period, [errno.ENODEV]), Device("")
    dump, netdev = Netlink(), Generic("netdev")

    def file(*path):
        with open("/".join(path), "rb") as opened:
            opened.read()

    def links():
        dump.request(GETLINK, link(), 0x300)()
        # The end of the dump is a message of its own; the rest is of no interest.
        while dump.socket.recv(1 << 18)[4:6] != b"\3\0":
            pass

    while not period.over():
        device.name = f"r{dice.randrange(DEVICES)}"
        outcomes.call("ethtool -S", device.counters())
        outcomes.call("rtnetlink", links)
        outcomes.call("netdev-genl", lambda: qstats(netdev, device.index(), dice.random() < 0.5))
        outcomes.call("/proc/net/dev", lambda: file("/proc/net/dev"))
        outcomes.call("sysfs", lambda: file("/sys/class/net", device.name, "statistics/rx_packets"),
                      [errno.ENOENT, errno.EINVAL])  # fmt: skip
    return outcomes.result()


def send_by_wire(dice, period):
    """Sends datagrams into namespaces, while they are there, from one CPU or another."""
    outcomes = Kinds(period, SENDING)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    data = struct.pack(">HHHH", 9, 9, 8 + 100, 0) + bytes(100)
    ends = socket.inet_aton("10.7.99.1") + socket.inet_aton(addresses(0)[0])
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), 1, 0, 64, 17, 0) + ends
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    frame = b"\xff" * 6 + bytes(6) + b"\x08\x00" + header + data
    while not period.over():
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {dice.randrange(os.cpu_count())})
        sent = 0
        for number in range(WIRES):
            there = (f"v{number}", 0x0800)
            for _ in range(100):
                if not outcomes.call("frames into a namespace", lambda: sock.sendto(frame, there)):  # pylint: disable=cell-var-from-loop
                    break
                sent += 1
        if not sent:
            time.sleep(0.001)
    return outcomes.result()


def namespaces(dice, period, program, to_target):
    """Namespaces with a busy device come and go: one that has just sent, or one to which a program
    redirects what goes on coming by a wire."""
    outcomes = Kinds(period)
    # The module may have gone, with the device.
    allowed = (errno.EOPNOTSUPP, errno.ENODEV, *SENDING)
    # The last wire of the same name may not have gone yet; who sends ends with the period.
    allowed_on_a_wire = (*allowed, errno.EEXIST, errno.ECANCELED)
    for number in itertools.count():
        if period.over():
            break
        for way, (kind, mode) in enumerate((("native", XDP_FLAGS_DRV), ("generic", XDP_FLAGS_SKB))):
            failure = life_on_a_wire((2 * number + way) % WIRES, mode, to_target, period,
                                     dice.choice((None, program)))  # fmt: skip
            outcomes.count(f"namespace on a wire, {kind}", failure, allowed_on_a_wire)
            failure = life(dice.randrange(20), dice.choice((None, program)))
            outcomes.count("namespace", failure, allowed)
            time.sleep(dice.random() / 50)
    return outcomes.result()


def modules(dice, period, module):
    """The module is removed and comes back, and is there most of the time."""
    outcomes, least, took = Kinds(period), 10 if slow() else 3, 0
    while not period.over():
        time.sleep(dice.random() * max(least, 6 * took))
        begin = time.monotonic()
        outcomes.call("unload", unload, [errno.EAGAIN, errno.EBUSY])
        time.sleep(dice.random() / 10)
        outcomes.call("load", lambda: load(module, "numdevs=2"), [errno.EEXIST])
        took = time.monotonic() - begin
    return outcomes.result()


def changes(module, pins, seconds, seed):
    """Changes of everything under traffic."""
    # Nobody is to look for a module each time that a device is not there.
    write("/proc/sys/kernel/modprobe", "\n")
    figures = {
        "change": "changes", "send": "packets sent while everything changed",
        "read": "statistics read", "namespaces": "namespaces removed under changes",
        "modules": "unloads and loads",
    }  # fmt: skip
    period = Period(float(seconds), ["hotplug", *(kind for kinds in KINDS.values() for kind in kinds)])
    team, program = Team(seed), pinned(f"{pins}/pass_frags")
    Array(f"{pins}/targets", 4)[0] = WIRED
    for number in range(3):
        team.start(f"change {number}", change, period, program)
    for cpu in range(os.cpu_count()):
        team.start(f"send {cpu}", send, period, cpu)
    team.start("receive", receive, period)
    team.start("stream", stream, period)
    team.start("read", read, period)
    team.start("wire", send_by_wire, period)
    team.start("namespaces", namespaces, period, program, pinned(f"{pins}/to_target"))
    team.start("modules", modules, period, module)
    # Each time the whole machine stops for a moment.
    team.start("hotplug", hotplug, period, 2)
    results = team.results(period.limit())
    write(CPU1, "1")
    check("processes that did not come to their end", "",
          " ".join(name for name, result in results.items() if result is None))
    for what, kinds in KINDS.items():
        counts = merge(what, [result for name, result in results.items()
                              if name.split()[0] == what and result])  # fmt: skip
        table(what, counts)
        done = {kind: counts[f"{kind}: done"] for kind in kinds}
        check(f"{what}: kinds that never succeeded", "",
              ", ".join(kind for kind, number in done.items() if not number))
        if what in figures:
            figure(figures[what], sum(done.values()))
        if what == "namespaces":
            figure("namespaces removed while packets came into them",
                   sum(done.values()) - done["namespace"])  # fmt: skip
    times = results["hotplug"] or 0
    check("hotplug: a CPU went and came", True, times > 0)
    figure("CPU offline and online while everything changed", times)
    namespaces_end("changes")


# --- Exact ---------------------------------------------------------------


def count_sent(dice, period, index, bursts):
    """Sends, and counts what was taken from it. BURSTS: also many datagrams in a call, which the
    kernel sends before NAPI runs on this CPU."""
    sock = socket.socket(*((socket.AF_INET, socket.SOCK_DGRAM) if index % 2 else
                           (socket.AF_INET6, socket.SOCK_DGRAM)))  # fmt: skip
    address, number, size = addresses(COUNTED)[1 - index % 2], 0, 0
    while not period.over():
        period.happened(f"send {index}")
        if bursts and not dice.randrange(20):
            segment = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", 100))]
            sock.sendmsg([bytes(100 * BURST)], segment, 0, (address, 9))
            number += BURST
            continue
        data = bytes(dice.choice((10, 100, 1400, 20000)))
        sock.sendto(data, (address, 9))
        number, size = number + 1, size + len(data) + (28 if index % 2 else 48)
    return number, size


def watch(_, period, index):
    """Reads statistics, none of which may ever go back."""
    netlink, last, back, reads = Netlink(), [0] * 8, 0, 0
    while not period.over():
        now = statistics(netlink, index)
        period.happened("watch")
        if now[RX_DROPPED] and FULL in period.things:
            period.happened(FULL)
        back += any(a < b for a, b in zip(now, last))
        last, reads = now, reads + 1
    return back, reads


def hotplug(dice, period, pause=0.2):
    """A CPU goes and comes."""
    times = 0
    while not period.over():
        for state in "0", "1":
            write(CPU1, state)
            time.sleep(dice.random() * pause)
        period.happened("hotplug")
        times += 1
    return times


def stop(dice, period, victims):
    """Senders stop in the middle, and go on."""
    times = 0
    while not period.over():
        victim = dice.choice(victims)
        # At the end it may be gone.
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGSTOP)
            time.sleep(dice.random() / 10)
            os.kill(victim, signal.SIGCONT)
        time.sleep(dice.random() / 50)
        period.happened("stop")
        times += 1
    return times


def drained(what, device, netlink):
    """Waits until the rings are empty, and checks that what was put into them has come out again.
    Returns how many packets found one full."""
    end = time.monotonic() + 10
    while True:
        received, queues = statistics(netlink, device.index())[RX], by_queue(device)
        if queues["rx_xdp_pass"] == received or time.monotonic() > end:
            break
        time.sleep(0.1)
    check(f"{what}: packets that the program let pass are those received", received,
          queues["rx_xdp_pass"])  # fmt: skip
    return queues["rx_xdp_ring_full"]


def counted(what, program, seconds, seed):
    """Packets are counted, in every way there is."""
    device, netlink = Device("r0"), Netlink()
    device.do(NEWLINK, device.body(4, 65536), CREATE | EXCL)
    if program is not None:
        # Before the first packet, so that all that the device counts has been in a ring
        device.ethtool(SRINGPARAM, struct.pack("8I", 0, 0, 0, 0, RING, 0, 0, RING))()
        device.attach(program)
    device.do(NEWLINK, device.up_body(True))
    device.assign(*addresses(COUNTED))
    device.settle()
    index = device.index()
    before = statistics(netlink, index)
    # Nobody has to read what arrives: what is too much is dropped behind the device.
    sinks = list(receivers())
    names = [f"send {number}" for number in range(2 * os.cpu_count())]
    period = Period(seconds, [*names, "watch", "hotplug", "stop"] + [FULL] * (program is not None))
    team = Team(f"{seed} {what}")
    senders = [team.start(name, count_sent, period, number, program is not None)
               for number, name in enumerate(names)]  # fmt: skip
    team.start("watch", watch, period, index)
    team.start("hotplug", hotplug, period)
    team.start("stop", stop, period, senders)
    results = team.results(period.limit())
    write(CPU1, "1")
    check(f"{what}: processes that did not come to their end", "",
          " ".join(name for name, result in results.items() if result is None))
    sent = sum(results[name][0] for name in names)
    size = sum(results[name][1] for name in names)
    back, reads = results["watch"]
    figures = {
        "packets counted exactly": sent,
        "statistics read meanwhile": reads,
        "CPU offline and online": results["hotplug"],
        "senders stopped": results["stop"],
    }
    full = 0
    if program is not None:
        full = figures["dropped since a ring was full"] = drained(what, device, netlink)
    check(f"{what}: what has not happened at all", "",
          ", ".join(name for name, number in figures.items() if not number))
    # What is in the backlog of a CPU is counted; nothing else can still come.
    last = statistics(netlink, index)
    now = [a - b for a, b in zip(last, before)]
    check(f"{what}: packets received are those sent, less those that a ring had no room for",
          sent - full, now[RX])  # fmt: skip
    check(f"{what}: no other was dropped", (full, 0), (now[RX_DROPPED], now[TX_DROPPED]))
    if not full:
        check(f"{what}: bytes are those sent", size, now[RX_BYTES])
    # Of the device's whole life, for which queues count
    whole = {"rx_packets": last[RX], "rx_bytes": last[RX_BYTES],
             "tx_packets": last[TX], "tx_bytes": last[TX_BYTES]}  # fmt: skip
    netdev, queues = Generic("netdev"), by_queue(device)
    check(f"{what}: the sums of all queues in ethtool -S are the device's counters", whole,
          {name: queues[name] for name in whole})  # fmt: skip
    check(f"{what}: so are those of netdev-genl", whole, qstats(netdev, index, True))
    check(f"{what}: so is what it has of the device", whole, qstats(netdev, index, False))
    check(f"{what}: statistics that went back", 0, back)
    for name, number in figures.items():
        figure(f"{name}{'' if program is None else ', with a program'}", number)
    for sink in sinks:
        sink.close()
    device.delete()


def exact(pins, seconds, seed):
    """Counters are exact, whatever happens to CPUs and senders: of packets in the backlog, and of
    packets in the rings of queues that NAPI polls."""
    counted("exact", None, float(seconds) / 2, seed)
    counted("exact with a program", pinned(f"{pins}/pass_frags"), float(seconds) / 2, seed)


# --- Cycles and lives ----------------------------------------------------


def life(packets, program=None):
    """A process with a namespace of its own, which goes with it, and with it a device that has
    just sent, through the rings if it has a program. Returns the error."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 0
    try:
        os.unshare(os.CLONE_NEWNET)
        up_loopback()
        device = Device("r0")
        device.add()
        if program is not None:
            device.attach(program)
        device.assign(*addresses(0))
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(packets):
            sock.sendto(bytes(100), (addresses(0)[0], 9))
    except OSError as error:
        status = error.errno or 255
    os._exit(status)


def life_on_a_wire(number, mode, to_target, period, program=None):
    """Another one, with a device that still gets packets, from outside by a wire, when it goes: a
    program redirects them to it. Returns the error, ECANCELED if the period was over before any
    could come."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 0
    try:
        outside = Device(f"v{number}")
        os.unshare(os.CLONE_NEWNET)
        up_loopback()
        # VETH_INFO_PEER; the other end is here (IFLA_NET_NS_PID).
        peer = link() + attribute(IFLA_IFNAME, b"w0\0") + attribute(19, os.getpid())
        info = attribute(1, b"veth\0") + attribute(2 | NESTED, attribute(1 | NESTED, peer))
        outside.do(NEWLINK, link() + attribute(IFLA_IFNAME, outside.name.encode() + b"\0")
                   + attribute(IFLA_LINKINFO | NESTED, info), CREATE | EXCL)  # fmt: skip
        device, wire, netlink = Device("r0"), Device("w0"), Netlink()
        head = link(index=WIRED)
        device.do(NEWLINK, head + device.body()[len(head) :], CREATE | EXCL)
        device.do(NEWLINK, device.up_body(True))
        if program is not None:
            device.attach(program)
        device.assign(*addresses(0))
        wire.do(NEWLINK, wire.xdp_body(to_target, mode))
        for end in wire, outside:
            end.do(NEWLINK, end.up_body(True))
        limit = time.monotonic() + (120 if slow() else 20)
        while statistics(netlink, WIRED)[RX] < 10:
            if period.over() or time.monotonic() > limit:
                status = errno.ECANCELED if period.over() else errno.ETIMEDOUT
                break
            time.sleep(0.001)
    except OSError as error:
        status = error.errno or 255
    os._exit(status)


def cycle(number, worker, program, dice):
    """A device, with more or less in its life."""
    device = Device(f"r{worker}")
    device.do(NEWLINK, device.body(1 + number % 4, 3498), CREATE | EXCL)
    if number % 8:
        device.do(NEWLINK, device.up_body(True))
        device.assign(*addresses(worker))
        if number % 4 == 1:
            device.attach(program)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(dice.randrange(4)):
            sock.sendto(bytes(100), (addresses(worker)[0], 9))
    device.delete()


def one_life(number, _worker, program, dice):
    """A namespace's."""
    failure = life(dice.randrange(20), None if number % 4 else program)
    if failure:
        raise OSError(failure, os.strerror(failure))


def work(dice, function, worker, program, least, count, end):
    """Does it so often, or as long."""
    done = 0
    while done < count and (done < least or time.monotonic() < end):
        function(done, worker, program, dice)
        done += 1
    return done


def often(what, function, program, count, seconds, seed):
    """Some processes do it so often, or as long. Looks at the kernel's memory before and
    after."""
    # Most of the time each waits for RCU.
    workers, lives = 16, []

    def beside(least, count, seconds):
        team, end = Team(f"{seed} {len(lives)}"), time.monotonic() + seconds
        for worker in range(workers):
            team.start(f"worker {worker}", work, function, worker, program,
                       least // workers + 1, count // workers, end)  # fmt: skip
        results = list(team.results(seconds + 240).values())
        check(f"{what}: all were as they should be", 0, results.count(None))
        lives.append(sum(result or 0 for result in results))

    # On the debug kernel kmemleak looks, when all is over.
    measured, seconds = not os.path.exists("/proc/lockdep_stats"), float(seconds)
    # Caches fill during the first ones.
    beside(0, 400, seconds / 10)
    before = memory(f"{what}, before") if measured else None
    started = time.monotonic()
    beside(ENOUGH if measured else 0, int(count), seconds * 0.9)
    note(f"{what}: {lives[1] / (time.monotonic() - started):.0f} a second")
    if measured:
        grown(what, lives[1], before, memory(f"{what}, after"))
    else:
        namespaces_end(what)
    check(f"{what}: there were some", True, lives[1] >= (ENOUGH if measured else 1))
    figure(what, lives[1])


def pools():
    """Page pools of the namespace: how many there are, and how many of those wait for pages since
    their queue is gone."""
    found = Generic("netdev").dump(PAGE_POOL_GET)
    return len(found), sum(PAGE_POOL_DETACH_TIME in pool for pool in found)


def pages_came_back(program):
    """Every page of the queues' pools has come back, or a pool would wait for it. That pools can be
    seen is looked at, too."""
    # A pool looks once a second.
    end = time.monotonic() + 30
    while pools()[0] and time.monotonic() < end:
        free_deferred()
        time.sleep(0.2)
    left = pools()
    check("page pools that are left over, and of these, that wait for pages", (0, 0), left)
    device = Device("r0")
    device.do(NEWLINK, device.body(4, 3498), CREATE | EXCL)
    device.attach(program)
    check("page pools of a device with four queues and a program", 4, pools()[0] - left[0])
    device.delete()


def cycles(pins, count, seconds, seed):
    """Devices come and go."""
    program = pinned(f"{pins}/pass")
    often("devices added and deleted", cycle, program, count, seconds, seed)
    pages_came_back(program)


def lives(pins, count, seconds, seed):
    """Namespaces do, with devices."""
    often("lives of namespaces", one_life, pinned(f"{pins}/pass"), count, seconds, seed)


if __name__ == "__main__":
    {"changes": changes, "exact": exact, "cycles": cycles, "lives": lives}[sys.argv[1]](*sys.argv[2:])
