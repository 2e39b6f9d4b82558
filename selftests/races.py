#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Everything at once, and everything very often.

    races.py changes MODULE PINS SECONDS SEED
    races.py exact SECONDS SEED
    races.py cycles COUNT SECONDS SEED
    races.py lives COUNT SECONDS SEED

changes: processes change devices, remove namespaces and the module, while others send and read
statistics. exact: packets are counted while CPUs go and come and senders stop. cycles: a device
is added and deleted; lives: a network namespace with a busy device is made and removed: until
there were COUNT or SECONDS are over, and the kernel's memory must not have grown.
"""

import contextlib
import errno
import os
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
    GSTATS,
    IFLA_ADDRESS,
    IFLA_MTU,
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
    TX_DROPPED,
    Device,
    Netlink,
    attribute,
    link,
    pinned,
    statistics,
)
from stress import (
    Outcomes,
    Team,
    check,
    figure,
    grown,
    load,
    memory,
    merge,
    note,
    receivers,
    slow,
    table,
    unload,
    write,
)
from xsk import Port, checked, libc

DEVICES = 4
# What is counted exactly has an address to which no connection of other parts sends again.
COUNTED = DEVICES + 1
# So many lives show a leak.
ENOUGH = 200
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


# --- Changes -------------------------------------------------------------


def change(dice, end, program):
    """Changes devices in every way there is."""
    outcomes, devices = Outcomes([errno.ENODEV]), [Device(f"r{i}") for i in range(DEVICES)]

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
    while time.monotonic() < end:
        (name, _, function, allowed), number = (
            dice.choices(kinds, weights)[0], dice.randrange(DEVICES))  # fmt: skip
        outcomes.call(name, lambda: function(devices[number], number), allowed)  # pylint: disable=cell-var-from-loop
    return outcomes.result()


def send(dice, end, cpu):
    """Sends from a CPU: datagrams of both families, and frames."""
    os.sched_setaffinity(0, {cpu})
    outcomes = Outcomes(SENDING)
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    while time.monotonic() < end:
        number = dice.randrange(DEVICES)
        addresses4, addresses6 = addresses(number)
        data = bytes(dice.choice((1, 100, 1400, 9000, 60000)))
        for name, function in (
            ("IPv4", lambda: four.sendto(data, (addresses4, 9))),
            ("IPv6", lambda: six.sendto(data, (addresses6, 9))),
            ("frames", lambda: frames.sendto(bytes(60), (f"r{number}", 0x0800))),
        ):
            outcomes.call(name, function)
    return outcomes.result()


def receive(_, end):
    """Takes what it gets."""
    outcomes, sockets = Outcomes(SENDING), list(receivers())
    while time.monotonic() < end:
        for server in select.select(sockets, [], [], 0.1)[0]:
            outcomes.call("datagrams", lambda: server.recv(1 << 16, socket.MSG_DONTWAIT))  # pylint: disable=cell-var-from-loop
    return outcomes.result()


def stream(dice, end):
    """Sends over TCP, which makes packets of many segments: over the devices that change, and over
    one that only goes with the module."""
    own = Device(f"r{DEVICES}")
    outcomes = Outcomes((*SENDING, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT))
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

    while time.monotonic() < end:
        outcomes.call("TCP", connection)
    return outcomes.result()


def read(dice, end):
    """Reads statistics in every way there is."""
    outcomes, device = Outcomes([errno.ENODEV]), Device("")
    dump = Netlink()

    def file(*path):
        with open("/".join(path), "rb") as opened:
            opened.read()

    def links():
        dump.request(GETLINK, link(), 0x300)()
        # The end of the dump is a message of its own; the rest is of no interest.
        while dump.socket.recv(1 << 18)[4:6] != b"\3\0":
            pass

    while time.monotonic() < end:
        device.name = f"r{dice.randrange(DEVICES)}"
        outcomes.call("ethtool -S", device.ethtool(GSTATS, struct.pack("I", 256) + bytes(8 * 256)))
        outcomes.call("rtnetlink", links)
        outcomes.call("/proc/net/dev", lambda: file("/proc/net/dev"))
        outcomes.call("sysfs", lambda: file("/sys/class/net", device.name, "statistics/rx_packets"),
                      [errno.ENOENT, errno.EINVAL])  # fmt: skip
    return outcomes.result()


def namespaces(dice, end):
    """Namespaces with a busy device come and go."""
    outcomes = Outcomes()
    while time.monotonic() < end:
        # The module may have gone, with the device.
        outcomes.count("namespace", life(dice.randrange(20)),
                       (errno.EOPNOTSUPP, errno.ENODEV, *SENDING))  # fmt: skip
        time.sleep(dice.random() / 50)
    return outcomes.result()


def modules(dice, end, module):
    """The module is removed and comes back."""
    outcomes = Outcomes()
    while time.monotonic() < end:
        time.sleep(dice.random() * (10 if slow() else 3))
        outcomes.call("unload", unload, [errno.EAGAIN, errno.EBUSY])
        time.sleep(dice.random() / 10)
        outcomes.call("load", lambda: load(module, "numdevs=2"), [errno.EEXIST])
    return outcomes.result()


def changes(module, pins, seconds, seed):
    """Changes of everything under traffic."""
    # Nobody is to look for a module each time that a device is not there.
    write("/proc/sys/kernel/modprobe", "\n")
    end, team = time.monotonic() + float(seconds), Team(seed)
    program = pinned(f"{pins}/pass_frags")
    for number in range(3):
        team.start(f"change {number}", change, end, program)
    for cpu in range(os.cpu_count()):
        team.start(f"send {cpu}", send, end, cpu)
    team.start("receive", receive, end)
    team.start("stream", stream, end)
    team.start("read", read, end)
    team.start("namespaces", namespaces, end)
    team.start("modules", modules, end, module)
    results = team.results(float(seconds) + 120)
    check("processes that did not come to their end", "",
          " ".join(name for name, result in results.items() if result is None))
    for what, figures in (
        ("change", "changes"), ("send", "packets sent while everything changed"),
        ("receive", None), ("stream", None), ("read", "statistics read"),
        ("namespaces", "namespaces removed under changes"), ("modules", "unloads and loads"),
    ):  # fmt: skip
        counts = merge(what, [result for name, result in results.items()
                              if name.split()[0] == what and result])  # fmt: skip
        table(what, counts)
        done = sum(number for name, number in counts.items() if name.endswith(": done"))
        check(f"{what}: some of them succeeded", True, done > 0)
        if figures:
            figure(figures, done)


# --- Exact ---------------------------------------------------------------


def count_sent(dice, end, index):
    """Sends, and counts what was taken from it."""
    sock = socket.socket(*((socket.AF_INET, socket.SOCK_DGRAM) if index % 2 else
                           (socket.AF_INET6, socket.SOCK_DGRAM)))  # fmt: skip
    address, number, size = addresses(COUNTED)[1 - index % 2], 0, 0
    while time.monotonic() < end:
        data = bytes(dice.choice((10, 100, 1400, 20000)))
        sock.sendto(data, (address, 9))
        number, size = number + 1, size + len(data) + (28 if index % 2 else 48)
    return number, size


def watch(_, end, index):
    """Reads statistics, none of which may ever go back."""
    netlink, last, back, reads = Netlink(), [0] * 8, 0, 0
    while time.monotonic() < end:
        now = statistics(netlink, index)
        back += any(a < b for a, b in zip(now, last))
        last, reads = now, reads + 1
    return back, reads


def hotplug(dice, end):
    """A CPU goes and comes."""
    times = 0
    while time.monotonic() < end:
        for state in "0", "1":
            write(CPU1, state)
            time.sleep(dice.random() / 5)
        times += 1
    return times


def stop(dice, end, victims):
    """Senders stop in the middle, and go on."""
    times = 0
    while time.monotonic() < end:
        victim = dice.choice(victims)
        # At the end it may be gone.
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGSTOP)
            time.sleep(dice.random() / 10)
            os.kill(victim, signal.SIGCONT)
        time.sleep(dice.random() / 50)
        times += 1
    return times


def exact(seconds, seed):
    """Counters are exact, whatever happens to CPUs and senders."""
    device = Device("r0")
    device.do(NEWLINK, device.body(4, 65536), CREATE | EXCL)
    device.do(NEWLINK, device.up_body(True))
    device.assign(*addresses(COUNTED))
    device.settle()
    netlink, index = Netlink(), device.index()
    before = statistics(netlink, index)
    # Nobody has to read what arrives: what is too much is dropped behind the device.
    sinks = list(receivers())
    end, team = time.monotonic() + float(seconds), Team(seed)
    names = [f"send {number}" for number in range(2 * os.cpu_count())]
    senders = [team.start(name, count_sent, end, number) for number, name in enumerate(names)]
    team.start("watch", watch, end, index)
    team.start("hotplug", hotplug, end)
    team.start("stop", stop, end, senders)
    results = team.results(float(seconds) + 120)
    write(CPU1, "1")
    check("exact: processes that did not come to their end", "",
          " ".join(name for name, result in results.items() if result is None))
    sent = sum(results[name][0] for name in names)
    size = sum(results[name][1] for name in names)
    # What is in the backlog of a CPU is counted; nothing else can still come.
    now = [a - b for a, b in zip(statistics(netlink, index), before)]
    check("exact: packets received are those sent", sent, now[RX])
    check("exact: none was dropped", (0, 0), (now[RX_DROPPED], now[TX_DROPPED]))
    check("exact: bytes are those sent", size, now[RX_BYTES])
    back, reads = results["watch"]
    check("exact: statistics that went back", 0, back)
    figure("packets counted exactly", sent)
    figure("statistics read meanwhile", reads)
    figure("CPU offline and online", results["hotplug"])
    figure("senders stopped", results["stop"])
    for sink in sinks:
        sink.close()
    device.delete()


# --- Cycles and lives ----------------------------------------------------


def life(packets):
    """A process with a namespace of its own, which goes with it, and with it a device that has
    just sent. Returns the error."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 0
    try:
        os.unshare(os.CLONE_NEWNET)
        up_loopback()
        device = Device("r0")
        device.add()
        device.assign(*addresses(0))
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(packets):
            sock.sendto(bytes(100), (addresses(0)[0], 9))
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


def one_life(_number, _worker, _program, dice):
    """A namespace's."""
    failure = life(dice.randrange(20))
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
    before = memory() if measured else None
    started = time.monotonic()
    beside(ENOUGH if measured else 0, int(count), seconds * 0.9)
    note(f"{what}: {lives[1] / (time.monotonic() - started):.0f} a second")
    if measured:
        grown(what, lives[1], before, memory())
    check(f"{what}: there were some", True, lives[1] >= (ENOUGH if measured else 1))
    figure(what, sum(lives))


def cycles(pins, count, seconds, seed):
    """Devices come and go."""
    often("devices added and deleted", cycle, pinned(f"{pins}/pass"), count, seconds, seed)


def lives(count, seconds, seed):
    """Namespaces do, with devices."""
    often("lives of namespaces", one_life, None, count, seconds, seed)


if __name__ == "__main__":
    {"changes": changes, "exact": exact, "cycles": cycles, "lives": lives}[sys.argv[1]](*sys.argv[2:])
