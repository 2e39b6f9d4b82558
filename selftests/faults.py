#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Lets every memory allocation of an operation fail once.

    faults.py MODULE PINS SECONDS SEED [OPERATION...]

The kernel lets the N-th allocation of this thread fail that may (/proc/thread-self/fail-nth;
failslab and fail_page_alloc). For each operation of a device's life N goes from one up to
beyond the last. The operation must either do without or fail with an error, and succeed when
it is done again. SECONDS are for all operations; one with more allocations than its share of
them allows has some of them fail, chosen with SEED. PINS is where the programs of the XDP tests
are pinned.
"""

import errno
import os
import random
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from device import (
    CREATE,
    DELADDR,
    DELLINK,
    EXCL,
    GCHANNELS,
    GETLINK,
    GPFLAGS,
    GRINGPARAM,
    GSTATS,
    IFF_UP,
    NEWADDR,
    NEWLINK,
    OWN_TRAFFIC,
    QUEUE_PAIRS,
    SCHANNELS,
    SPFLAGS,
    SRINGPARAM,
    Device,
    link,
    pinned,
)
from stress import check, figure, insert, unload, write
from xsk import Port

NAME, ADDRESS = "fault0", "10.7.9.1"


# More allocations than an operation has.
NEVER = 1 << 20


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
    netlink = True  # the answer comes by the socket of rtnetlink
    weight = 1  # its share of the time

    def __init__(self, device, module, program):
        self.device, self.module, self.program = device, module, program

    def prepare(self):
        """Makes what the operation needs."""
        self.device.add()

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
        """Whether it was done; None if one cannot see it."""
        return None


class Load(Operation):
    """The module, with two devices."""

    name, netlink, weight = "load", False, 12

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
        return os.path.exists("/sys/module/rust_loopback")


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
        return not super().done()


class Add(Operation):
    """A device with two queues."""

    name, weight = "link add", 4

    def prepare(self):
        pass

    clear = prepare

    def function(self):
        return self.device.netlink.request(NEWLINK, self.device.body(), CREATE | EXCL)

    def undo(self):
        self.device.delete()

    def done(self):
        return os.path.exists("/sys/class/net/" + NAME)


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
        return not super().done()


class Up(Operation):
    """The device goes up, with a program, so that its queues are made."""

    name = "up"

    def prepare(self):
        self.device.add(up=False)
        self.device.attach(self.program)

    def function(self):
        return self.device.netlink.request(NEWLINK, self.device.up_body(True))

    def undo(self):
        self.device.do(NEWLINK, self.device.up_body(False))

    def done(self):
        return bool(int(self.device.read("flags"), 16) & IFF_UP)


class Address(Operation):
    """An address."""

    name = "address"

    def function(self):
        return self.device.netlink.request(NEWADDR, self.device.address_body(ADDRESS), CREATE | EXCL)

    def undo(self):
        self.device.do(DELADDR, self.device.address_body(ADDRESS))


class Flag(Operation):
    """The private flag own-traffic, of a device that is down."""

    name, netlink = "priv flag", False

    def prepare(self):
        self.device.add(up=False)

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

    name = "queue pairs"

    def prepare(self):
        self.device.add()
        self.device.attach(self.program)

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


class Rings(Operation):
    """The size of rings that are in use."""

    name, netlink = "ring size", False

    def prepare(self):
        self.device.add()
        self.device.attach(self.program)

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

    name = "program"

    def function(self):
        return self.device.netlink.request(NEWLINK, self.device.xdp_body(self.program))

    def undo(self):
        self.device.attach(-1)


class Detach(Attach):
    """And its end."""

    name = "no program"

    def prepare(self):
        super().prepare()
        self.device.attach(self.program)

    def function(self):
        return self.device.netlink.request(NEWLINK, self.device.xdp_body(-1))

    def undo(self):
        self.device.attach(self.program)


class Bind(Operation):
    """The pool of a socket with zero-copy."""

    name, netlink = "pool", False

    def function(self):
        self.port = Port(NAME, 0, [], 64, bound=False)
        return self.port.bind

    def undo(self):
        self.port.close()

    again = undo


class Statistics(Operation):
    """Those of ethtool -S."""

    name, netlink = "statistics", False

    def function(self):
        return self.device.ethtool(GSTATS, struct.pack("I", 256) + bytes(8 * 256))

    def undo(self):
        pass


class Link(Statistics):
    """What ip -s -d link show asks for."""

    name, netlink = "link show", True

    def function(self):
        return self.device.netlink.request(GETLINK, link(index=self.device.index()))


class Send(Statistics):
    """Packets over the device, with a program."""

    name, netlink = "send", False

    def prepare(self):
        super().prepare()
        self.device.assign(ADDRESS)
        self.device.attach(self.program)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def function(self):
        return lambda: self.socket.sendto(bytes(1400), (ADDRESS, 9998))


def outcome(nth, operation, number):
    """Does an operation of which the N-th allocation fails, and does it again if it has to.
    Returns how many allocations were still to come, the error, and what was wrong."""
    function = operation.function()
    left, failure = nth.call(number, function)
    if operation.netlink:
        failure = operation.device.netlink.answer() or failure
    done, wrong = operation.done(), ""
    # The acknowledgment of rtnetlink needs memory, too: without one it may have been done.
    if failure and done and not (operation.netlink and failure == errno.ENOBUFS):
        wrong = f"error {failure}, but it was done"
    elif not failure and done is False:
        wrong = "no error, but it was not done"
    elif failure and left:
        wrong = f"error {failure} without a failed allocation"
    if failure and not done:
        try:
            getattr(operation, "again", lambda: None)()
            operation.function()()
            again = operation.device.netlink.answer() if operation.netlink else 0
        except OSError as error:
            again = error.errno
        # Without a way to see it, it may have been done the first time.
        if again and not (done is None and again == errno.EEXIST):
            wrong = wrong or f"error {again} when it was done again"
    operation.undo()
    return left, failure, wrong


def exercise(nth, operation, seconds, dice):
    """Lets the allocations of an operation fail, one after another. Returns how many failed."""
    end = time.monotonic() + seconds
    hits, refused, errors, faults = 0, 0, set(), []
    operation.prepare()
    # Warms caches, which are filled once.
    _, failure, wrong = outcome(nth, operation, 0)
    if failure or wrong:
        faults.append(f"without a fault: error {failure} {wrong}")
    count = NEVER - outcome(nth, operation, NEVER)[0]
    order = list(range(1, count + 1))
    dice.shuffle(order)
    for number in order:
        if hits and time.monotonic() > end:
            break
        left, failure, wrong = outcome(nth, operation, number)
        hits += left == 0
        if failure and left == 0:
            refused += 1
            errors.add(errno.errorcode.get(failure, str(failure)))
        if wrong:
            faults.append(f"allocation {number}: {wrong}")
    operation.clear()
    names = " ".join(sorted(errors)) or "none"
    check(
        f"{operation.name}: {hits} of {count} allocations failed, {refused} refused ({names})",
        "0 wrong",
        f"{len(faults)} wrong" + "".join(f"; {fault}" for fault in faults[:5]),
    )
    check(f"{operation.name}: some have failed", True, hits > 0)
    figure(f"faults, {operation.name}", f"{hits} of {count}")
    return hits


def spare(function):
    """Lets no allocation in a function of the kernel fail. When one does in this, the kernel
    has a warning of its own, which is no defect."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        symbols = sorted((int(line.split()[0], 16), line.split()[2]) for line in file)
    index = next(i for i, (_, name) in enumerate(symbols) if name == function)
    for name, (address, _) in zip(("start", "end"), symbols[index : index + 2]):
        write(f"/sys/kernel/debug/failslab/reject-{name}", str(address))


def main(module, pins, seconds, seed, *names):
    nth, dice, end = Nth(), random.Random(int(seed)), time.monotonic() + float(seconds)
    device, program = Device(NAME), pinned(f"{pins}/pass")
    spare("jump_label_module_notify")
    kinds = [Add, Delete, Up, Address, Flag, Pairs, Channels, MoreChannels, Rings, Attach,
             Detach, Bind, Statistics, Link, Send, Unload, Load]  # fmt: skip
    kinds = [kind for kind in kinds if not names or kind.name in names]
    hits = 0
    for number, kind in enumerate(kinds):
        left = max(0, end - time.monotonic())
        share = left * kind.weight / sum(kind.weight for kind in kinds[number:])
        hits += exercise(nth, kind(device, module, program), share, dice)
    if names:
        check("operations of these names", len(names), len(kinds))
    figure("allocations that failed", hits)


if __name__ == "__main__":
    main(*sys.argv[1:])
