#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Lets every memory allocation of an operation fail once.

    faults.py MODULE PINS SECONDS SEED [OPERATION...]

The kernel lets the N-th allocation of this thread fail that may (/proc/thread-self/fail-nth;
failslab and fail_page_alloc). For each operation of a device's life N goes from one up to
beyond the last. The operation must either do without or fail with an error, and succeed when
it is done again. An operation with more allocations than SECONDS allow has some of them fail,
chosen with SEED. PINS is where the programs of the XDP tests are pinned.

Prints a line for each operation: how many allocations it makes, how many of them failed, and
what came of it.
"""

import ctypes
import errno
import fcntl
import os
import random
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True

from xsk import BPF_OBJ_GET, Port, bpf, checked, libc  # pylint: disable=wrong-import-position

NAME = b"fault0"

# rtnetlink
NLMSG = struct.Struct("IHHII")
REQUEST, ACK, CREATE, EXCL = 1, 4, 0x400, 0x200
NEWLINK, DELLINK, GETLINK, NEWADDR, DELADDR = 16, 17, 18, 20, 21
IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 3, 4, 18, 31, 32
IFLA_XDP, IFLA_XDP_FD, IFLA_XDP_FLAGS, XDP_FLAGS_DRV = 43, 1, 3, 1 << 2
IFF_UP = 1
NESTED = 1 << 15

# ethtool
SIOCETHTOOL = 0x8946
GSTATS, GPFLAGS, SPFLAGS, GCHANNELS, SCHANNELS = 0x1D, 0x27, 0x28, 0x3C, 0x3D
GRINGPARAM, SRINGPARAM = 0x10, 0x11
OWN_TRAFFIC, QUEUE_PAIRS = 1, 2

SYS_FINIT_MODULE, SYS_DELETE_MODULE = 313, 176


def attribute(kind, data):
    """A netlink attribute."""
    if isinstance(data, int):
        data = struct.pack("I", data)
    return struct.pack("HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def link(change=0, flags=0, index=0):
    """The header of messages about links."""
    return struct.pack("BxHiII", 0, 0, index, flags, change)


class Netlink:
    """A socket whose requests are answered before send() returns."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((0, 0))

    def request(self, kind, body, flags=0):
        """A function that makes the request, and fails as it does."""
        flags |= REQUEST | ACK
        message = NLMSG.pack(NLMSG.size + len(body), kind, flags, 1, 0) + body
        return lambda: self.socket.send(message)

    def answer(self):
        """The error of the answer to the last request; 0 if there is none."""
        while True:
            try:
                data = self.socket.recv(1 << 18, socket.MSG_DONTWAIT)
            except BlockingIOError:
                # An acknowledgement needs memory, too.
                return errno.ENOBUFS
            except OSError as error:
                return error.errno
            offset = 0
            while offset < len(data):
                length, kind = NLMSG.unpack_from(data, offset)[:2]
                if kind == 2:  # NLMSG_ERROR
                    return -struct.unpack_from("i", data, offset + NLMSG.size)[0]
                offset += (length + 3) & ~3


class Nth:
    """Lets the N-th allocation of a call fail."""

    def __init__(self):
        self.file = os.open("/proc/thread-self/fail-nth", os.O_RDWR)

    def call(self, number, function):
        """Calls; says whether an allocation failed, and the error of the call."""
        text, failure = str(number).encode(), 0
        os.write(self.file, text)
        try:
            function()
        except OSError as error:
            failure = error.errno
        left = int(os.pread(self.file, 16, 0).rstrip(b"\n\0"))
        os.write(self.file, b"0")
        return left == 0, failure


class Operation:
    """Something that is done to a device. A subclass tells how it is done and undone, and
    how one sees that it was done."""

    name = ""
    netlink = True  # the answer comes by the socket of rtnetlink

    def __init__(self, machine):
        self.machine = machine

    def prepare(self):
        """Makes what the operation needs."""
        self.machine.add()

    def clear(self):
        """Takes it away."""
        self.machine.delete()

    def function(self):
        """A function that does it, with nothing left to do before the call."""
        raise NotImplementedError

    def undo(self):
        """Undoes it."""
        raise NotImplementedError

    def done(self):
        """Whether it was done; None if one cannot see it."""
        return None


class Machine:
    """What operations are done with."""

    def __init__(self, module, pins):
        self.netlink, self.module = Netlink(), module
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        path = ctypes.create_string_buffer(f"{pins}/pass".encode())
        self.program = bpf(BPF_OBJ_GET, ctypes.addressof(path))

    def do(self, kind, body, flags=0):
        """A request with its answer, which has to be no error."""
        self.netlink.request(kind, body, flags)()
        failure = self.netlink.answer()
        if failure:
            raise OSError(failure, os.strerror(failure))

    def index(self):
        """That of the device."""
        return socket.if_nametoindex(NAME.decode())

    def ethtool(self, command, data):
        """A function that does it."""
        buffer = ctypes.create_string_buffer(struct.pack("I", command) + data)
        request = struct.pack("16sP16x", NAME, ctypes.addressof(buffer))

        def call():
            fcntl.ioctl(self.control, SIOCETHTOOL, request)
            return buffer.raw[4 : 4 + len(data)]

        return call

    def body(self):
        """That of a request for a device."""
        return (
            link()
            + attribute(IFLA_IFNAME, NAME + b"\0")
            + attribute(IFLA_MTU, 3498)
            + attribute(IFLA_NUM_TX_QUEUES, 2)
            + attribute(IFLA_NUM_RX_QUEUES, 2)
            + attribute(IFLA_LINKINFO | NESTED, attribute(1, b"rlo\0"))
        )

    def up_body(self, up):
        """That of a request to set it up or down."""
        return link(IFF_UP, IFF_UP if up else 0, self.index())

    def xdp_body(self, program):
        """That of a request for a program."""
        xdp = attribute(IFLA_XDP_FD, struct.pack("i", program))
        xdp += attribute(IFLA_XDP_FLAGS, XDP_FLAGS_DRV)
        return link(index=self.index()) + attribute(IFLA_XDP | NESTED, xdp)

    def address_body(self):
        """That of a request for an address."""
        address = socket.inet_aton("10.7.9.1")
        body = struct.pack("BBBBI", socket.AF_INET, 32, 0, 0, self.index())
        return body + attribute(1, address) + attribute(2, address)

    def add(self, up=True):
        """Adds the device."""
        self.do(NEWLINK, self.body(), CREATE | EXCL)
        if up:
            self.do(NEWLINK, self.up_body(True))

    def delete(self):
        """Deletes it."""
        self.do(DELLINK, link(index=self.index()))

    def attach(self, program):
        """Attaches a program; -1 for none."""
        self.do(NEWLINK, self.xdp_body(program))

    def read(self, *path):
        """A file of the device."""
        with open("/".join(("/sys/class/net", NAME.decode(), *path)), encoding="ascii") as file:
            return file.read().strip()


class Load(Operation):
    """The module, with two devices."""

    name, netlink = "load", False

    def prepare(self):
        self.undo()

    def clear(self):
        self.function()()

    def function(self):
        file = os.open(self.machine.module, os.O_RDONLY)
        parameters = ctypes.create_string_buffer(b"numdevs=2")

        def call():
            try:
                checked(libc.syscall(SYS_FINIT_MODULE, file, parameters, 0))
            finally:
                os.close(file)

        return call

    def undo(self):
        checked(libc.syscall(SYS_DELETE_MODULE, b"rust_loopback", os.O_NONBLOCK))

    def done(self):
        return os.path.exists("/sys/module/rust_loopback")


class Unload(Load):
    """Its end."""

    name = "unload"

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

    name = "link add"

    def prepare(self):
        pass

    clear = prepare

    def function(self):
        return self.machine.netlink.request(NEWLINK, self.machine.body(), CREATE | EXCL)

    def undo(self):
        self.machine.delete()

    def done(self):
        return os.path.exists("/sys/class/net/" + NAME.decode())


class Delete(Add):
    """Its end."""

    name = "link del"

    def prepare(self):
        self.machine.add()

    def clear(self):
        self.machine.delete()

    def function(self):
        return self.machine.netlink.request(DELLINK, link(index=self.machine.index()))

    def undo(self):
        self.machine.add()

    def done(self):
        return not super().done()


class Up(Operation):
    """The device goes up, with a program, so that its queues are made."""

    name = "up"

    def prepare(self):
        self.machine.add(up=False)
        self.machine.attach(self.machine.program)

    def function(self):
        return self.machine.netlink.request(NEWLINK, self.machine.up_body(True))

    def undo(self):
        self.machine.do(NEWLINK, self.machine.up_body(False))

    def done(self):
        return bool(int(self.machine.read("flags"), 16) & IFF_UP)


class Address(Operation):
    """An address."""

    name = "address"

    def function(self):
        return self.machine.netlink.request(NEWADDR, self.machine.address_body(), CREATE | EXCL)

    def undo(self):
        self.machine.do(DELADDR, self.machine.address_body())


class Flag(Operation):
    """The private flag own-traffic, of a device that is down."""

    name, netlink = "priv flag", False

    def prepare(self):
        self.machine.add(up=False)

    def flags(self):
        """All of them."""
        return struct.unpack("I", self.machine.ethtool(GPFLAGS, bytes(4))())[0]

    def set(self, flags):
        """A function that sets them."""
        return self.machine.ethtool(SPFLAGS, struct.pack("I", flags))

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
        self.machine.add()
        self.machine.attach(self.machine.program)

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
        return self.machine.ethtool(SCHANNELS, data)

    def function(self):
        return self.set(self.wanted)

    def undo(self):
        self.set(self.usual)()

    def done(self):
        now = struct.unpack("8I", self.machine.ethtool(GCHANNELS, bytes(32))())
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
        self.machine.add()
        self.machine.attach(self.machine.program)

    def set(self, size):
        """A function that sets it."""
        data = struct.pack("8I", 0, 0, 0, 0, size, 0, 0, 64)
        return self.machine.ethtool(SRINGPARAM, data)

    def function(self):
        return self.set(4096)

    def undo(self):
        self.set(1024)()

    def done(self):
        return struct.unpack("8I", self.machine.ethtool(GRINGPARAM, bytes(32))())[4] == 4096


class Attach(Operation):
    """A program."""

    name = "program"

    def function(self):
        return self.machine.netlink.request(NEWLINK, self.machine.xdp_body(self.machine.program))

    def undo(self):
        self.machine.attach(-1)


class Detach(Attach):
    """And its end."""

    name = "no program"

    def prepare(self):
        super().prepare()
        self.machine.attach(self.machine.program)

    def function(self):
        return self.machine.netlink.request(NEWLINK, self.machine.xdp_body(-1))

    def undo(self):
        self.machine.attach(self.machine.program)


class Bind(Operation):
    """The pool of a socket with zero-copy."""

    name, netlink = "pool", False

    def function(self):
        self.port = Port(NAME.decode(), 0, [], 64, bound=False)
        return self.port.bind

    def undo(self):
        self.port.close()

    again = undo


class Statistics(Operation):
    """Those of ethtool -S."""

    name, netlink = "statistics", False

    def function(self):
        return self.machine.ethtool(GSTATS, struct.pack("I", 256) + bytes(8 * 256))

    def undo(self):
        pass


class Link(Statistics):
    """What ip -s -d link show asks for."""

    name, netlink = "link show", True

    def function(self):
        return self.machine.netlink.request(GETLINK, link(index=self.machine.index()))


class Send(Statistics):
    """Packets over the device, with a program."""

    name, netlink = "send", False

    def prepare(self):
        super().prepare()
        self.machine.do(NEWADDR, self.machine.address_body(), CREATE | EXCL)
        self.machine.attach(self.machine.program)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def function(self):
        return lambda: self.socket.sendto(bytes(1400), ("10.7.9.1", 9998))


def outcome(machine, nth, operation, number):
    """Does an operation of which the N-th allocation fails, and does it again if it has to.
    Returns whether an allocation failed, the error, and what was wrong."""
    function = operation.function()
    hit, failure = nth.call(number, function)
    if operation.netlink:
        failure = machine.netlink.answer() or failure
    done, wrong = operation.done(), ""
    # The acknowledgement needs memory, too: without one it may have been done.
    if failure and done and failure not in (errno.ENOBUFS, errno.ENOMEM):
        wrong = f"error {failure}, but it was done"
    elif not failure and done is False:
        wrong = "no error, but it was not done"
    elif failure and not hit:
        wrong = f"error {failure} without a failed allocation"
    if failure and not done:
        try:
            getattr(operation, "again", lambda: None)()
            operation.function()()
            again = machine.netlink.answer() if operation.netlink else 0
        except OSError as error:
            again = error.errno
        # Without a way to see it, it may have been done the first time.
        if again and not (done is None and again == errno.EEXIST):
            wrong = wrong or f"error {again} when it was done again"
    operation.undo()
    return hit, failure, wrong


def exercise(machine, nth, operation, seconds, dice):
    """Lets the allocations of an operation fail, one after another."""
    end = time.monotonic() + seconds
    hits, refused, errors, faults = 0, 0, set(), []

    def fail(number):
        nonlocal hits, refused
        hit, failure, wrong = outcome(machine, nth, operation, number)
        hits += hit
        if hit and failure:
            refused += 1
            errors.add(errno.errorcode.get(failure, str(failure)))
        if wrong:
            faults.append(f"allocation {number}: {wrong}")
        return hit

    operation.prepare()
    # Warms caches, which are filled once.
    outcome(machine, nth, operation, 0)
    # How many there are, by halving: those beyond the last do not fail.
    low, high = 0, 1
    while fail(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fail(middle) else (low, middle)
    count, hits, refused = low, 0, 0
    order = list(range(1, count + 1))
    dice.shuffle(order)
    for number in order:
        if time.monotonic() > end:
            break
        fail(number)
    operation.clear()
    names = " ".join(sorted(errors)) or "none"
    print(
        f"{operation.name}: {count} allocations, {hits} failed, {refused} refused ({names}), "
        f"{len(faults)} wrong",
        flush=True,
    )
    for fault in faults[:5]:
        print(f"# {fault}", flush=True)


def main(module, pins, seconds, seed, *names):
    machine, nth, dice = Machine(module, pins), Nth(), random.Random(int(seed))
    for kind in (Add, Delete, Up, Address, Flag, Pairs, Channels, MoreChannels, Rings, Attach,
                 Detach, Bind, Statistics, Link, Send, Unload, Load):  # fmt: skip
        if not names or kind.name in names:
            exercise(machine, nth, kind(machine), float(seconds), dice)


if __name__ == "__main__":
    main(*sys.argv[1:])
