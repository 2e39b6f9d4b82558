# SPDX-License-Identifier: GPL-2.0
"""Requests about network devices, of which nothing is left to do but the system call."""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
import time

from xsk import BPF_MAP_UPDATE_ELEM, BPF_OBJ_GET, bpf

# rtnetlink
NLMSG = struct.Struct("IHHII")
REQUEST, ACK, CREATE, EXCL = 1, 4, 0x400, 0x200
NEWLINK, DELLINK, GETLINK, NEWADDR, DELADDR = 16, 17, 18, 20, 21
DUMP, GETADDR = 0x300, 22
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO = 1, 3, 4, 18
IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES = 31, 32
IFLA_XDP, IFLA_XDP_FD, IFLA_XDP_FLAGS, XDP_FLAGS_DRV = 43, 1, 3, 1 << 2
IFLA_XDP_DRV_PROG_ID, IFLA_XDP_SKB_PROG_ID, XDP_FLAGS_SKB = 5, 6, 1 << 1
IFF_UP = 1
IFA_F_TENTATIVE = 0x40
NESTED = 1 << 15

# The counters of a device, as struct rtnl_link_stats64 has them
IFLA_STATS64 = 23
RX, TX, RX_BYTES, TX_BYTES, _, TX_ERRORS, RX_DROPPED, TX_DROPPED = range(8)

# ethtool
SIOCETHTOOL = 0x8946
MOST_STATISTICS = 256
GSTATS, GPFLAGS, SPFLAGS, GCHANNELS, SCHANNELS = 0x1D, 0x27, 0x28, 0x3C, 0x3D
GRINGPARAM, SRINGPARAM = 0x10, 0x11
GTSO, STSO = 0x1E, 0x1F
OWN_TRAFFIC, QUEUE_PAIRS = 1, 2
SIOCGIFINDEX = 0x8933

# bpf
BPF_MAP_LOOKUP_ELEM = 1


def attribute(kind, data):
    """A netlink attribute."""
    if isinstance(data, int):
        data = struct.pack("I", data)
    return struct.pack("HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def attributes(data, offset):
    """The netlink attributes from an offset on: type and content of each."""
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, offset)
        yield kind, data[offset + 4 : offset + length]
        offset += max(4, (length + 3) & ~3)


def link(change=0, flags=0, index=0):
    """The header of messages about links."""
    return struct.pack("BxHiII", 0, 0, index, flags, change)


class Netlink:
    """A socket whose requests are answered before send() returns."""

    def __init__(self, protocol=socket.NETLINK_ROUTE):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((0, 0))
        self.answered, self.content = False, []

    def request(self, kind, body, flags=0):
        """A function that makes the request, and fails as it does."""
        flags |= REQUEST | ACK
        message = NLMSG.pack(NLMSG.size + len(body), kind, flags, 1, 0) + body
        return lambda: self.socket.send(message)

    def answer(self):
        """The error of the answer to the last request; 0 if there is none. Whether there was
        an answer is in answered, and what came before it in content, without the headers of
        netlink."""
        self.answered, self.content = False, []
        while True:
            try:
                data = self.socket.recv(1 << 18, socket.MSG_DONTWAIT)
            except BlockingIOError:
                # An acknowledgment needs memory, too.
                return errno.ENOBUFS
            except OSError as error:
                return error.errno
            offset = 0
            while offset < len(data):
                length, kind = NLMSG.unpack_from(data, offset)[:2]
                if kind in (2, 3):  # NLMSG_ERROR, NLMSG_DONE
                    self.answered = True
                    return -struct.unpack_from("i", data, offset + NLMSG.size)[0]
                self.content.append(data[offset + NLMSG.size : offset + length])
                offset += (length + 3) & ~3

    def messages(self, kind, body, flags=0):
        """What a request is answered with, without the headers of netlink."""
        self.request(kind, body, flags)()
        found = []
        while True:
            data, offset = self.socket.recv(1 << 18), 0
            while offset < len(data):
                length, kind = NLMSG.unpack_from(data, offset)[:2]
                content = data[offset + NLMSG.size : offset + length]
                if kind in (2, 3):
                    failure = -struct.unpack_from("i", content)[0]
                    if failure:
                        raise OSError(failure, os.strerror(failure))
                    return found
                found.append(content)
                offset += (length + 3) & ~3


def pinned(path):
    """A program or a map that is pinned there."""
    name = ctypes.create_string_buffer(path.encode())
    return bpf(BPF_OBJ_GET, ctypes.addressof(name))


def identity(program):
    """That of a program, as a device tells it."""
    with open(f"/proc/self/fdinfo/{program}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("prog_id:"))


class Array:
    """A map of 64-bit counters, or of indices."""

    def __init__(self, path, size=8):
        self.map, self.size = pinned(path), size

    def call(self, command, key, value=0):
        """Reads or writes."""
        key = ctypes.create_string_buffer(struct.pack("I", key), 4)
        value = ctypes.create_string_buffer(value.to_bytes(self.size, "little"), self.size)
        bpf(command, self.map, ctypes.addressof(key), ctypes.addressof(value), 0)
        return int.from_bytes(value.raw, "little")

    def __getitem__(self, key):
        return self.call(BPF_MAP_LOOKUP_ELEM, key)

    def __setitem__(self, key, value):
        self.call(BPF_MAP_UPDATE_ELEM, key, value)


def statistics(netlink, index):
    """A device's statistics, by rtnetlink."""
    netlink.request(GETLINK, link(index=index))()
    data = netlink.socket.recv(1 << 16)
    if struct.unpack_from("H", data, 4)[0] == NEWLINK:
        netlink.answer()
        # Behind the headers of netlink and of messages about links
        for kind, content in attributes(data, 32):
            if kind == IFLA_STATS64:
                return struct.unpack_from("8Q", content)
    raise OSError(errno.ENODEV, "no statistics")


class Device:
    """A device of the kind rlo, which may not exist."""

    def __init__(self, name):
        self.netlink, self.name = Netlink(), name
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def do(self, kind, body, flags=0):
        """A request with its answer, which has to be no error."""
        self.netlink.request(kind, body, flags)()
        failure = self.netlink.answer()
        if failure:
            raise OSError(failure, os.strerror(failure))

    def index(self):
        """That of the device."""
        request = struct.pack("16s24x", self.name.encode())
        return struct.unpack_from("16xI", fcntl.ioctl(self.control, SIOCGIFINDEX, request))[0]

    def ethtool(self, command, data):
        """A function that does it."""
        buffer = ctypes.create_string_buffer(struct.pack("I", command) + data)
        request = struct.pack("16sP16x", self.name.encode(), ctypes.addressof(buffer))

        def call():
            fcntl.ioctl(self.control, SIOCETHTOOL, request)
            return buffer.raw[4 : 4 + len(data)]

        return call

    def counters(self):
        """A function that returns the values of 'ethtool -S'."""
        # With a number that is not right, the core answers with none and does not ask the driver;
        # it does not look at 0.
        ask = self.ethtool(GSTATS, bytes(4 + 8 * MOST_STATISTICS))

        def call():
            values = ask()
            return struct.unpack_from(f"{struct.unpack_from('I', values)[0]}Q", values, 4)

        return call

    def body(self, queues=2, mtu=3498):
        """That of a request for it."""
        return (
            link()
            + attribute(IFLA_IFNAME, self.name.encode() + b"\0")
            + attribute(IFLA_MTU, mtu)
            + attribute(IFLA_NUM_TX_QUEUES, queues)
            + attribute(IFLA_NUM_RX_QUEUES, queues)
            + attribute(IFLA_LINKINFO | NESTED, attribute(1, b"rlo\0"))
        )

    def up_body(self, up):
        """That of a request to set it up or down."""
        return link(IFF_UP, IFF_UP if up else 0, self.index())

    def xdp_body(self, program, mode=XDP_FLAGS_DRV):
        """That of a request for a program."""
        xdp = attribute(IFLA_XDP_FD, struct.pack("i", program))
        xdp += attribute(IFLA_XDP_FLAGS, mode)
        return link(index=self.index()) + attribute(IFLA_XDP | NESTED, xdp)

    def address_body(self, address):
        """That of a request for an address."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        address = socket.inet_pton(family, address)
        body = struct.pack("BBBBI", family, 8 * len(address), 0, 0, self.index())
        return body + attribute(1, address) + attribute(2, address)

    def add(self, up=True):
        """Adds the device."""
        self.do(NEWLINK, self.body(), CREATE | EXCL)
        if up:
            self.do(NEWLINK, self.up_body(True))

    def assign(self, *addresses):
        """Gives it addresses."""
        for address in addresses:
            self.do(NEWADDR, self.address_body(address), CREATE | EXCL)

    def settle(self):
        """Waits until its IPv6 addresses can be used, which the kernel decides in the background."""
        tentative = True
        while tentative:
            with open("/proc/net/if_inet6", encoding="ascii") as file:
                lines = [line.split() for line in file]
            tentative = any(name == self.name and int(flags, 16) & IFA_F_TENTATIVE
                            for *_, flags, name in lines)  # fmt: skip
            time.sleep(0.01)

    def delete(self):
        """Deletes it."""
        self.do(DELLINK, link(index=self.index()))

    def attach(self, program):
        """Attaches a program; -1 for none."""
        self.do(NEWLINK, self.xdp_body(program))

    def program(self, mode=IFLA_XDP_DRV_PROG_ID):
        """The identity of its program; 0 if it has none."""
        (message,) = self.netlink.messages(GETLINK, link(index=self.index()))
        xdp = dict(attributes(message, 16))[IFLA_XDP]
        return int.from_bytes(dict(attributes(xdp, 0)).get(mode, b""), sys.byteorder)

    def addresses(self):
        """Its addresses."""
        index, found = self.index(), []
        for message in self.netlink.messages(GETADDR, bytes(8), DUMP):
            if struct.unpack_from("I", message, 4)[0] == index:
                address = dict(attributes(message, 8))[1]
                found.append(socket.inet_ntop(message[0], address))
        return found

    def read(self, *path):
        """A file of the device."""
        with open("/".join(("/sys/class/net", self.name, *path)), encoding="ascii") as file:
            return file.read().strip()
