#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Lets every memory allocation of an operation fail once.

    faults.py operations MODULE PINS SECONDS SEED [OPERATION...]

The kernel lets the N-th allocation of this thread fail that may (/proc/thread-self/fail-nth;
failslab and fail_page_alloc). For each operation of a device's life N goes from one up to
beyond the last. The operation must either do without or fail with an error, and succeed when
it is done again. SECONDS are for all operations; one with more allocations than its share of
them allows has some of them fail, chosen with SEED. PINS is where the programs of the XDP tests
are pinned.

    faults.py send SOURCE DEVICE COUNT PINS [FAULTS]

Sends datagrams to DEVICE, while the caller lets allocations of the kernel fail: by the stack, as
frames that a program redirects, from an AF_XDP socket to a queue without any, or to one with
another socket (stack, frames, socket, sockets). Waits until each has arrived or the device has
counted that it was dropped. Says how many have arrived, and intact; and then of 100 more, for
which the faults with their settings in the folder FAULTS are over.

    faults.py pools

Says how many pools of pages devices have, after a wait for those that are to go.
"""

import errno
import itertools
import os
import random
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import stress
from device import (
    CREATE,
    DELADDR,
    DELLINK,
    DUMP,
    EXCL,
    GCHANNELS,
    GETLINK,
    GPFLAGS,
    GRINGPARAM,
    GTSO,
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_STATS64,
    IFLA_XDP_DRV_PROG_ID,
    IFLA_XDP_SKB_PROG_ID,
    NESTED,
    NEWADDR,
    NEWLINK,
    OWN_TRAFFIC,
    QUEUE_PAIRS,
    RX_DROPPED,
    SCHANNELS,
    SPFLAGS,
    SRINGPARAM,
    STSO,
    TX_DROPPED,
    XDP_FLAGS_DRV,
    XDP_FLAGS_SKB,
    Device,
    Netlink,
    attribute,
    attributes,
    identity,
    link,
    pinned,
    statistics,
)
from stress import (
    NETLINK_GENERIC,
    PAGE_POOL_GET,
    QSTATS_GET,
    QSTATS_IFINDEX,
    QSTATS_SCOPE,
    check,
    figure,
    free_deferred,
    insert,
    note,
    unload,
    write,
)
from xdp import PORT, datagram, frames
from xsk import SOL_XDP, Commands, Port, Until, checked, libc

NAME, ADDRESS = "fault0", "10.7.9.1"
# Of the family netdev: what queues there are, which are polled, and which have a pool
QUEUE_GET, QUEUE_IFINDEX, QUEUE_NAPI_ID, QUEUE_XSK = 10, 2, 4, NESTED | 7
QSTATS_RX_HW_DROPS = 13
XDP_OPTIONS, XDP_OPTIONS_ZEROCOPY = 8, 1

# More allocations than an operation has.
NEVER = 1 << 20
# Of an operation that one sees traces of only.
PART = "in part"


def present(*paths):
    """Whether files are there, all or none of them."""
    there = {os.path.exists(path) for path in paths}
    return there.pop() if len(there) == 1 else PART


def absent(*paths):
    """Whether they are not."""
    there = present(*paths)
    return there if there == PART else not there


class Nth:
    """Lets the N-th allocation of a call fail."""

    def __init__(self):
        self.file = os.open("/proc/thread-self/fail-nth", os.O_RDWR)

    def call(self, number, function):
        """Calls; says how many allocations there were still to come, none if one failed, and the
        error of the call."""
        text, failure = str(number).encode(), 0
        os.write(self.file, text)
        try:
            function()
        except OSError as error:
            failure = error.errno
        left = int(os.pread(self.file, 16, 0).rstrip(b"\n\0"))
        os.write(self.file, b"0")
        return left, failure


class Operation:
    """Something that is done to a device. A subclass tells how it is done and undone, and
    how one sees that it was done."""

    name = ""
    netlink = True  # the answer comes by a socket of netlink
    weight = 1  # its share of the time
    up, attached = True, False  # the device it needs

    def __init__(self, device, module, program, other):
        self.device, self.module, self.program, self.other = device, module, program, other
        self.requests = device.netlink

    def prepare(self):
        """Makes what the operation needs."""
        self.device.add(up=self.up)
        if self.attached:
            self.device.attach(self.program)

    def clear(self):
        """Takes it away."""
        self.device.delete()

    def function(self):
        """A function that does it, with nothing left to do before the call."""
        raise NotImplementedError

    def undo(self):
        """Undoes it."""
        raise NotImplementedError

    def done(self):
        """Whether it was done, or the text PART; None if there is nothing to be seen of it."""
        return None

    def answer(self):
        """The error that it was answered with; 0 if there is none."""
        return self.requests.answer() if self.netlink else 0


class Load(Operation):
    """The module, with two devices."""

    name, netlink, weight = "load", False, 12
    signs = "/sys/module/rust_loopback", "/sys/class/net/rlo0", "/sys/class/net/rlo1"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Opening and closing a file needs memory, too, and closing it may fail.
        self.file = os.open(self.module, os.O_RDONLY)

    def prepare(self):
        self.undo()

    def clear(self):
        self.function()()

    def function(self):
        return lambda: insert(self.file, self.module, "numdevs=2")

    def undo(self):
        unload()

    def done(self):
        return present(*self.signs)


class Unload(Load):
    """Its end."""

    name, weight = "unload", 3

    def prepare(self):
        pass

    clear = prepare

    def function(self):
        return super().undo

    def undo(self):
        super().function()()

    def done(self):
        return absent(*self.signs)


class Add(Operation):
    """A device with two queues."""

    name, weight = "link add", 4
    signs = [f"/sys/class/net/{NAME}{file}" for file in (
        "", "/queues/rx-0", "/queues/rx-1", "/queues/tx-0", "/queues/tx-1")]  # fmt: skip

    def prepare(self):
        pass

    clear = prepare

    def function(self):
        return self.device.netlink.request(NEWLINK, self.device.body(), CREATE | EXCL)

    def undo(self):
        self.device.delete()

    def done(self):
        return present(*self.signs)


class Delete(Add):
    """Its end."""

    name, weight = "link del", 1

    def prepare(self):
        self.device.add()

    def clear(self):
        self.device.delete()

    def function(self):
        return self.device.netlink.request(DELLINK, link(index=self.device.index()))

    def undo(self):
        self.device.add()

    def done(self):
        return absent(*self.signs)


class Up(Operation):
    """The device goes up, with a program, so that its queues are made."""

    name = "up"
    up, attached = False, True

    def function(self):
        return self.device.netlink.request(NEWLINK, self.device.up_body(not self.up))

    def undo(self):
        self.device.do(NEWLINK, self.device.up_body(self.up))

    def done(self):
        return bool(int(self.device.read("flags"), 16) & IFF_UP) != self.up


class Down(Up):
    """It goes down again."""

    name, up = "down", True


class Address(Operation):
    """An address."""

    name, address = "address", ADDRESS

    def function(self):
        body = self.device.address_body(self.address)
        return self.device.netlink.request(NEWADDR, body, CREATE | EXCL)

    def undo(self):
        self.device.do(DELADDR, self.device.address_body(self.address))

    def done(self):
        return self.address in self.device.addresses()


class Address6(Address):
    """One of the other family."""

    name, address = "IPv6 address", "fd07:9::1"


class HardwareAddress(Operation):
    """The hardware address, of a device that is up."""

    name, kind, file = "hardware address", IFLA_ADDRESS, "address"
    wanted, usual = "02:00:00:00:00:09", "02:00:00:00:00:08"

    def prepare(self):
        super().prepare()
        self.undo()

    def content(self, value):
        """That of the attribute of the link."""
        return bytes.fromhex(value.replace(":", ""))

    def body(self, value):
        """That of a request for it."""
        return link(index=self.device.index()) + attribute(self.kind, self.content(value))

    def function(self):
        return self.device.netlink.request(NEWLINK, self.body(self.wanted))

    def undo(self):
        self.device.do(NEWLINK, self.body(self.usual))

    def done(self):
        return self.device.read(self.file) == self.wanted


class Mtu(HardwareAddress):
    """The MTU, which a program limits."""

    name, kind, file, attached = "MTU, program", IFLA_MTU, "mtu", True
    wanted, usual = "1500", "3498"

    def content(self, value):
        return int(value)


class Feature(Operation):
    """An offload that can be switched."""

    name, netlink = "features", False

    def function(self):
        return self.device.ethtool(STSO, struct.pack("I", 0))

    def undo(self):
        self.device.ethtool(STSO, struct.pack("I", 1))()

    def done(self):
        return not struct.unpack("I", self.device.ethtool(GTSO, bytes(4))())[0]


class Flag(Operation):
    """The private flag own-traffic, of a device that is down."""

    name, netlink, up = "priv flag", False, False

    def flags(self):
        """All of them."""
        return struct.unpack("I", self.device.ethtool(GPFLAGS, bytes(4))())[0]

    def set(self, flags):
        """A function that sets them."""
        return self.device.ethtool(SPFLAGS, struct.pack("I", flags))

    def function(self):
        return self.set(self.flags() & ~OWN_TRAFFIC)

    def undo(self):
        self.set(self.flags() | OWN_TRAFFIC)()

    def done(self):
        return not self.flags() & OWN_TRAFFIC


class Pairs(Flag):
    """The private flag queue-pairs, of a device with queues that are polled."""

    name, up, attached = "queue pairs", True, True

    def function(self):
        return self.set(self.flags() | QUEUE_PAIRS)

    def undo(self):
        self.set(self.flags() & ~QUEUE_PAIRS)()

    def done(self):
        return bool(self.flags() & QUEUE_PAIRS)


class Channels(Operation):
    """Fewer and more queues."""

    name, netlink = "queues", False
    wanted, usual = 1, 2

    def set(self, count):
        """A function that sets their number: the last four are those in use."""
        data = struct.pack("8I", 0, 0, 0, 0, count, count, 0, 0)
        return self.device.ethtool(SCHANNELS, data)

    def function(self):
        return self.set(self.wanted)

    def undo(self):
        self.set(self.usual)()

    def done(self):
        now = struct.unpack("8I", self.device.ethtool(GCHANNELS, bytes(32))())
        return now[4] == now[5] == self.wanted


class MoreChannels(Channels):
    """Queues that are there again get objects of their own."""

    name = "more queues"
    wanted, usual = 2, 1

    def prepare(self):
        super().prepare()
        self.undo()


class PolledChannels(Channels):
    """Fewer of those that are polled."""

    name, attached = "queues, program", True


class MorePolledChannels(MoreChannels):
    """And more of them."""

    name, attached = "more queues, program", True


class Rings(Operation):
    """The size of rings that are in use."""

    name, netlink, attached = "ring size", False, True

    def set(self, size):
        """A function that sets it."""
        data = struct.pack("8I", 0, 0, 0, 0, size, 0, 0, 64)
        return self.device.ethtool(SRINGPARAM, data)

    def function(self):
        return self.set(4096)

    def undo(self):
        self.set(1024)()

    def done(self):
        return struct.unpack("8I", self.device.ethtool(GRINGPARAM, bytes(32))())[4] == 4096


class Attach(Operation):
    """A program."""

    name, weight, mode, shown = "program", 2, XDP_FLAGS_DRV, IFLA_XDP_DRV_PROG_ID

    def wanted(self):
        """The program that is to be there."""
        return self.program

    def function(self):
        return self.device.netlink.request(NEWLINK, self.device.xdp_body(self.wanted(), self.mode))

    def undo(self):
        usual = self.program if self.attached else -1
        self.device.do(NEWLINK, self.device.xdp_body(usual, self.mode))

    def done(self):
        wanted = self.wanted()
        return self.device.program(self.shown) == (0 if wanted == -1 else identity(wanted))


class Exchange(Attach):
    """Another program in its place."""

    name, attached = "another program", True

    def wanted(self):
        return self.other


class Detach(Attach):
    """And its end."""

    name, attached = "no program", True

    def wanted(self):
        return -1


class Generic(Attach):
    """A program that the core runs."""

    name, mode, shown = "generic program", XDP_FLAGS_SKB, IFLA_XDP_SKB_PROG_ID


class Bind(Operation):
    """The pool of a socket with zero-copy."""

    name, netlink, weight = "pool", False, 2

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.netdev = stress.Generic("netdev")

    def function(self):
        self.port = Port(NAME, 0, [], 64, bound=False)
        return self.port.bind

    def queues(self, kind):
        """Whether a queue of the device has an attribute."""
        body = attribute(QUEUE_IFINDEX, self.device.index())
        return any(kind in queue for queue in self.netdev.dump(QUEUE_GET, body))

    def undo(self):
        self.port.close()
        # By a work item.
        for _ in Until():
            if not self.queues(QUEUE_XSK):
                break

    again = undo

    def done(self):
        options = self.port.socket.getsockopt(SOL_XDP, XDP_OPTIONS, 4)
        signs = {bool(struct.unpack("I", options)[0] & XDP_OPTIONS_ZEROCOPY),
                 self.queues(QUEUE_XSK), self.queues(QUEUE_NAPI_ID)}  # fmt: skip
        return signs.pop() if len(signs) == 1 else PART


class Statistics(Operation):
    """Those of ethtool -S."""

    name, netlink = "statistics", False
    count, values = None, []

    def function(self):
        ask = self.device.counters()
        self.count, self.values = len(ask()), []

        def call():
            self.values = ask()

        return call

    def undo(self):
        pass

    def done(self):
        """Whether there were as many as without a fault, none larger than it is later."""
        if not self.values:
            return False
        found, later = self.values, self.device.counters()()
        good = len(found) == self.count and all(a <= b for a, b in zip(found, later))
        return True if good else PART


class Link(Statistics):
    """What ip -s -d link show asks for."""

    name, netlink = "link show", True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Without an acknowledgment, what is shown stays in the socket.
        self.requests = Netlink()

    def function(self):
        return self.requests.request(GETLINK, link(index=self.device.index()))

    def done(self):
        """Whether it says what the device is called, of which kind it is, and what it has counted."""
        if not self.requests.content:
            return False
        shown = dict(attributes(self.requests.content[0], 16))
        kind = dict(attributes(shown.get(IFLA_LINKINFO, b""), 0)).get(1)
        good = (shown.get(IFLA_IFNAME), kind) == (NAME.encode() + b"\0", b"rlo\0")
        return True if good and len(shown.get(IFLA_STATS64, b"")) >= 64 else PART


class QueueStatistics(Statistics):
    """Those of netdev-genl, for each queue."""

    name, netlink = "queue statistics", True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.requests = Netlink(NETLINK_GENERIC)
        self.family = stress.Generic("netdev").number

    def function(self):
        body = struct.pack("BBxx", QSTATS_GET, 1) + attribute(QSTATS_SCOPE, 1)
        body += attribute(QSTATS_IFINDEX, self.device.index())
        return self.requests.request(self.family, body, DUMP)

    def done(self):
        """Whether it says so of each queue, two of either kind."""
        said = len(self.requests.content)
        return bool(said) if said in (0, 4) else PART


class Send(Statistics):
    """Packets over the device, with a program."""

    name, attached = "send", True

    def prepare(self):
        super().prepare()
        self.device.assign(ADDRESS)
        self.socket, self.server = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.server.bind((ADDRESS, 9998))
        self.server.settimeout(5)
        self.number, self.before = 0, 0

    def clear(self):
        self.server.close()
        super().clear()

    def dropped(self):
        """What the device has dropped until now."""
        now = statistics(self.requests, self.device.index())
        return now[RX_DROPPED] + now[TX_DROPPED]

    def function(self):
        self.before = self.dropped()
        self.number += 1
        data = datagram(self.number, 1400)
        return lambda: self.socket.sendto(data, (ADDRESS, 9998))

    def done(self):
        """Whether it has arrived; what was dropped and counted is right with an error and without."""
        try:
            while self.server.recv(2000) != datagram(self.number, 1400):
                pass
            return True
        except TimeoutError:
            return None if self.dropped() > self.before else False


def outcome(nth, operation, number):
    """Does an operation of which the N-th allocation fails, and does it again if it has to.
    Returns how many allocations were still to come, the error, and what was wrong."""
    function = operation.function()
    left, failure = nth.call(number, function)
    failure = operation.answer() or failure
    # The acknowledgment needs memory, too: without one it may have been done.
    unknown = operation.netlink and not operation.requests.answered
    done, wrong = operation.done(), ""
    if failure and done and not (unknown and done is True):
        wrong = f"error {failure}, but it was done" + (f" {done}" if done == PART else "")
    elif not failure and done not in (True, None):
        wrong = "no error, but it was not done" + (f", only {done}" if done == PART else "")
    elif failure and left:
        wrong = f"error {failure} without a failed allocation"
    if failure and not done:
        try:
            getattr(operation, "again", lambda: None)()
            operation.function()()
            again = operation.answer()
        except OSError as error:
            again = error.errno
        if again:
            wrong = wrong or f"error {again} when it was done again"
        elif operation.done() not in (True, None):
            wrong = wrong or "no error when it was done again, but it was not done"
    try:
        operation.undo()
    except OSError as error:
        wrong = wrong or f"error {error.errno} when it was undone"
    return left, failure, wrong


def exercise(nth, operation, seconds, dice):
    """Lets the allocations of an operation fail, one after another. Returns how many failed."""
    start = time.monotonic()
    hits, refused, errors, faults = 0, 0, set(), []
    operation.prepare()
    # Warms caches, which are filled once.
    _, failure, wrong = outcome(nth, operation, 0)
    if failure or wrong:
        faults.append(f"without a fault: error {failure} {wrong}")
    count = NEVER - outcome(nth, operation, NEVER)[0]
    order = list(range(1, count + 1))
    dice.shuffle(order)
    # How many there are is not the same each time: goes on until there is none.
    for number in itertools.chain(order, itertools.count(count + 1)):
        if hits and time.monotonic() > start + seconds:
            break
        left, failure, wrong = outcome(nth, operation, number)
        hits += left == 0
        more = number > len(order)
        if more and not left:
            count += 1
        elif left and not more:
            count -= 1
        if failure and left == 0:
            refused += 1
            errors.add(errno.errorcode.get(failure, str(failure)))
        if wrong:
            faults.append(f"allocation {number}: {wrong}")
        if more and left:
            break
    operation.clear()
    names = " ".join(sorted(errors)) or "none"
    check(
        f"{operation.name}: {hits} of {count} allocations failed, {refused} refused ({names})",
        "0 wrong",
        f"{len(faults)} wrong" + "".join(f"; {fault}" for fault in faults[:5]),
    )
    check(f"{operation.name}: some have failed", True, hits > 0)
    figure(f"faults, {operation.name}",
           f"{hits} of {count}: {refused} refused ({names}), {hits - refused} done")  # fmt: skip
    note(f"{operation.name}: {time.monotonic() - start:.0f} s of {seconds:.0f}")
    return hits


def spare(function):
    """Lets no allocation in a function of the kernel fail. When one does in this, the kernel
    has a warning of its own, which is no defect."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        symbols = sorted((int(line.split()[0], 16), line.split()[2]) for line in file)
    index = next(i for i, (_, name) in enumerate(symbols) if name == function)
    for name, (address, _) in zip(("start", "end"), symbols[index : index + 2]):
        write(f"/sys/kernel/debug/failslab/reject-{name}", str(address))


def operations(module, pins, seconds, seed, *names):
    """Each operation of a device's life."""
    nth, dice, end = Nth(), random.Random(int(seed)), time.monotonic() + float(seconds)
    device, programs = Device(NAME), [pinned(f"{pins}/{name}") for name in ("pass", "drop")]
    spare("jump_label_module_notify")
    # No page of this process is missing, or the fault would be its own.
    checked(libc.mlockall(3))  # MCL_CURRENT | MCL_FUTURE
    # Those that take longest come last: they have what the others leave of their time.
    kinds = [Up, Down, Address, Address6, HardwareAddress, Mtu, Feature, Flag, Pairs, Channels,
             MoreChannels, PolledChannels, MorePolledChannels, Rings, Statistics, QueueStatistics,
             Link, Send, Generic, Exchange, Detach, Attach, Bind, Delete, Add, Unload,
             Load]  # fmt: skip
    kinds = [kind for kind in kinds if not names or kind.name in names]
    hits = 0
    for number, kind in enumerate(kinds):
        left = max(0, end - time.monotonic())
        share = left * kind.weight / sum(kind.weight for kind in kinds[number:])
        hits += exercise(nth, kind(device, module, *programs), share, dice)
    if names:
        check("operations of these names", len(names), len(kinds))
    figure("allocations that failed", hits)


class Drops:
    """What netdev-genl counts as dropped by a device."""

    def __init__(self, device):
        self.netdev = stress.Generic("netdev")
        self.body = attribute(QSTATS_IFINDEX, socket.if_nametoindex(device))
        self.before = self.sum()

    def sum(self):
        """All until now."""
        (entry,) = self.netdev.dump(QSTATS_GET, self.body)
        return int.from_bytes(entry[QSTATS_RX_HW_DROPS], sys.byteorder)

    def new(self):
        """Those since this was made."""
        return self.sum() - self.before


class Sender:
    """Sends datagrams to a device and receives them."""

    def __init__(self, source, device, pins):
        self.source, self.device, self.pins = source, device, pins
        self.commands = Commands(device, pins)
        self.server = self.commands.listener
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if source in ("socket", "sockets"):
            # The queues are a pair.
            self.commands.open("source", 1)
        if source == "sockets":
            self.commands.open("target", 0)

    def __call__(self, count):
        """Sends so many. Says how many have arrived."""
        drops, arrived = Drops(self.device), 0

        def until(number):
            """Receives until so many have arrived or were dropped. Says whether it came to that."""
            nonlocal arrived
            end = time.monotonic() + 5
            while arrived + drops.new() < number:
                try:
                    data = self.server.recv(1 << 16)
                    arrived += data == datagram(int.from_bytes(data[:4], "big"), len(data))
                except TimeoutError:
                    if time.monotonic() > end:
                        return False
            return True

        if self.source in ("socket", "sockets"):
            self.server.setblocking(False)
            said = self.commands.send("source", count, "100,1400,3000")
            back, arrived = (int(said.split()[at]) for at in (0, 2))
            if back != count:
                sys.exit(f"# of {count} packets: {said}")
        self.server.settimeout(0.01)
        if self.source == "stack":
            for number in range(count):
                # Some have several pages, which are not given back as long as the packet waits.
                self.client.sendto(datagram(number, 20 + number % 3 * 4000), (ADDRESS, PORT))
                if number % 500 == 499 and not until(number + 1):
                    break
        elif self.source == "frames":
            # So many at a time are possible.
            for number in range(0, count, 256):
                frames(f"{self.pins}/forward_to", min(count - number, 256))
                until(min(count, number + 256))
        until(count)
        return arrived


def send(source, device, count, pins, faults=None):
    """Sends datagrams, and 100 more after FAULTS, and says what has arrived."""
    sender = Sender(source, device, pins)
    arrived = [sender(int(count))]
    if faults:
        write(f"{faults}/probability", "0")
        arrived.append(sender(100))
    print(*arrived)


def pools():
    """Says how many pools of pages there are, if they do not go."""
    netdev = stress.Generic("netdev")
    for _ in Until():
        stress.free_deferred()
        count = len(netdev.dump(PAGE_POOL_GET))
        if not count:
            break
        free_deferred()
    print(count)


if __name__ == "__main__":
    {"operations": operations, "send": send, "pools": pools}[sys.argv[1]](*sys.argv[2:])
