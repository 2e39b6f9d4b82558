#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What nobody sends in good faith.

    hostile.py frames PINS SECONDS SEED
    hostile.py redirects PINS SECONDS SEED
    hostile.py netlink COUNT SECONDS SEED
    hostile.py ethtool COUNT SECONDS SEED
    hostile.py privilege MODULE PINS

frames: of any length and content, some with headers for segmentation that are nonsense.
redirects: packets that programs cut and lengthen on their way. netlink, ethtool: requests that
were well-formed, until there were COUNT or SECONDS are over. privilege: everything, by those who
may not.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from device import (
    CREATE,
    DELADDR,
    DELLINK,
    EXCL,
    GETLINK,
    GPFLAGS,
    GSTATS,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_NUM_RX_QUEUES,
    IFLA_NUM_TX_QUEUES,
    IFLA_STATS64,
    NESTED,
    NEWADDR,
    NEWLINK,
    NLMSG,
    RX,
    RX_DROPPED,
    SCHANNELS,
    SIOCETHTOOL,
    SPFLAGS,
    SRINGPARAM,
    TX_DROPPED,
    Array,
    Device,
    Netlink,
    attribute,
    attributes,
    link,
    pinned,
    statistics,
)
from races import up_loopback
from stress import (
    Outcomes,
    Team,
    check,
    figure,
    load,
    merge,
    note,
    receivers,
    softnet,
    table,
    unload,
)
from xsk import AF_XDP, checksum

ADDRESSES = "10.7.5.1", "fd00:7:5::1"
LONGEST = 65549
SOL_PACKET, PACKET_VNET_HDR, PACKET_QDISC_BYPASS = 263, 15, 20
SETLINK = 19


def ready(name="h0", queues=2, mtu=65536, addresses=ADDRESSES, index=0):
    """A device that is up; its index is any if it is 0."""
    device = Device(name)
    head = link(index=index)
    device.do(NEWLINK, head + device.body(queues, mtu)[len(head) :], CREATE | EXCL)
    device.do(NEWLINK, device.up_body(True))
    device.assign(*addresses)
    device.settle()
    return device


def alive(what):
    """Checks that the device still carries datagrams of both families."""
    arrived = 0
    for address in ADDRESSES:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as server:
            # Without FREEBIND, an IPv6 address of such a device cannot be bound to.
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, 78, 1)
            server.bind((address, 0))
            server.settimeout(1)
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                # The backlog may be full still.
                for _ in range(20):
                    client.sendto(b"alive", server.getsockname())
                    with contextlib.suppress(TimeoutError):
                        arrived += server.recv(100) == b"alive"
                        break
    check(f"{what}: the device still carries datagrams", len(ADDRESSES), arrived)


# --- Frames --------------------------------------------------------------


def sample(dice):
    """A frame that is nearly right, to get further than one that is not."""
    payload = dice.randbytes(dice.choice((0, 1, 8, 100, 1400, 20000)))
    protocol, head = dice.choice((
        (17, struct.pack(">HHHH", 1000, 9, 8 + len(payload), dice.choice((0, dice.getrandbits(16))))),
        (6, struct.pack(">HHIIHHHH", 1000, 10, 1, 2, 0x5010, 100, dice.getrandbits(16), 0)),
        (1, struct.pack(">BBHI", 8, 0, dice.getrandbits(16), 1)),
        (132, struct.pack(">HHII", 1000, 11, 0, dice.getrandbits(32))),
    ))  # fmt: skip
    data = head + payload
    if dice.random() < 0.5:
        address = socket.inet_pton(socket.AF_INET6, ADDRESSES[1])
        header = struct.pack(">IHBB", 6 << 28, len(data) & 0xFFFF, protocol, 64) + 2 * address
        kind = 0x86DD
    else:
        address = socket.inet_aton(ADDRESSES[0])
        header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data) & 0xFFFF, 1, 0, 64, protocol, 0)
        header += 2 * address
        header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
        kind = 0x0800
    result = bytearray(bytes(12) + struct.pack(">H", kind) + header + data)
    for _ in range(dice.choice((0, 0, 1, 3))):
        result[dice.randrange(min(80, len(result)))] = dice.getrandbits(8)
    return bytes(result)


def content(dice, noise):
    """Of a frame: noise of any length, or a sample."""
    if dice.random() < 0.4:
        return sample(dice)
    length = dice.choice((
        dice.randrange(LONGEST + 1), dice.randrange(100), dice.randrange(2000),
        dice.choice((0, 1, 13, 14, 15, 60, 65535, 65549, 65550)),
    ))  # fmt: skip
    start = dice.randrange(len(noise) - length)
    frame = noise[start : start + length]
    if dice.random() < 0.5 and length > 14:
        frame = frame[:12] + dice.choice((b"\x08\x00", b"\x86\xdd", b"\x81\x00")) + frame[14:]
    return frame


def vnet_header(dice, frame):
    """struct virtio_net_hdr: noise, or what fits the frame, with nonsense in it or without."""
    if dice.random() < 0.2:
        return dice.randbytes(10)
    ipv6 = frame[12:14] == b"\x86\xdd"
    start, place = (54, 20) if ipv6 else (34, 23)
    protocol = frame[place] if len(frame) > start else 0
    # TCP and UDP, which can be segmented
    kind, header, offset = {6: (4 if ipv6 else 1, 20, 16), 17: (5, 8, 6)}.get(protocol, (0, 0, 0))
    fields = [0] * 6
    if kind:
        size = dice.choice((1, 8, 100, 1400))
        fields = [1, kind, start + header, size, start, offset]
    for _ in range(dice.choice((0, 0, 1, 2))):
        number = dice.randrange(6)
        fields[number] = dice.choice((
            0, 1, 2, 3, 4, 5, 0x81, 0x84, 0x20, 0x40, 14, start, start + 8, start + 20, 100, 1400,
            65535, dice.getrandbits(16),
        )) & (255 if number < 2 else 65535)  # fmt: skip
    return struct.pack("BBHHHH", *fields)


def packet_socket(kind, header, bypass):
    """For frames."""
    sock = socket.socket(socket.AF_PACKET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    if kind == socket.SOCK_RAW:
        sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, header)
    sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, bypass)
    return sock


def throw(dice, end, header):
    """Sends frames as long as there is time."""
    # ENOMEM stands for what cannot be segmented, see __dev_queue_xmit().
    outcomes = Outcomes([errno.EINVAL, errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM])
    noise = dice.randbytes(1 << 18)
    raw = [packet_socket(socket.SOCK_RAW, header, bypass) for bypass in (0, 1)]
    # The others know no such header.
    cooked = [packet_socket(socket.SOCK_DGRAM, 0, bypass) for bypass in (0, 1)]
    while time.monotonic() < end:
        frame = content(dice, noise)
        hardware = ("h0", dice.choice((0, 3, 0x0800, 0x86DD, dice.getrandbits(16))), 0, 0, bytes(6))
        kind = header or dice.random() < 0.8
        sock = dice.choice(raw if kind else cooked)
        data = frame if kind else frame[14:]
        if header:
            data = vnet_header(dice, frame) + data
        outcomes.call("frames", lambda: sock.sendto(data, hardware))  # pylint: disable=cell-var-from-loop
    return outcomes.result()


def frames(pins, seconds, seed):
    """Frames that nobody answers, which are counted; others, with headers for segmentation, and
    with a program."""
    device, netlink, share = ready(addresses=()), Netlink(), float(seconds) / 5
    sinks = list(receivers())
    index, total, taken = device.index(), 0, 0
    for what, header in (
        ("frames to nobody", 0), ("frames", 0), ("frames with a virtio_net_hdr", 1),
        ("frames, program", 0), ("frames with a virtio_net_hdr, program", 1),
    ):  # fmt: skip
        if what == "frames":
            device.assign(*ADDRESSES)
            device.settle()
        elif what == "frames, program":
            device.attach(pinned(f"{pins}/pass_frags"))
        before, full = statistics(netlink, index), softnet()
        end, team = time.monotonic() + share, Team(f"{seed} {what}")
        for number in range(os.cpu_count()):
            team.start(f"throw {number}", throw, end, header)
        results = team.results(share + 120).values()
        check(f"{what}: all processes came to their end", True, all(results))
        counts = merge(what, filter(None, results))
        table(what, counts)
        total += counts.total()
        now = [a - b for a, b in zip(statistics(netlink, index), before)]
        if what == "frames to nobody":
            # rx_dropped has those, too, that no protocol wanted after they were received.
            check(f"{what}: each was counted once", counts["frames: done"],
                  now[RX] + softnet() - full + now[TX_DROPPED])  # fmt: skip
        else:
            alive(what)
        check(f"{what}: a tenth was taken", True, counts["frames: done"] * 10 > counts.total())
        taken += counts["frames: done"]
    figure("frames", f"{total} ({taken} taken)")
    for sink in sinks:
        sink.close()
    device.delete()


# --- Redirections --------------------------------------------------------


def tun():
    """A device whose packets have no header of the link layer."""
    file = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(file, 0x400454CA, struct.pack("16sH22x", b"t0", 0x1001))  # IFF_TUN | IFF_NO_PI
    Device("t0").do(NEWLINK, Device("t0").up_body(True))
    return file


def send_datagrams(dice, end, addresses):
    """Of any length; long ones are not linear."""
    outcomes = Outcomes([errno.ENOBUFS, errno.EMSGSIZE, errno.ENETDOWN, errno.EPERM, errno.EINVAL])
    sockets = {a: socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET,
                                socket.SOCK_DGRAM) for a in addresses}  # fmt: skip
    for sock in sockets.values():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    while time.monotonic() < end:
        address, data = dice.choice(addresses), bytes(dice.choice((1, 50, 1400, 9000, 60000)))
        # Segmented by the stack or the device
        segment = dice.choice((0, 0, 100, 1400))
        option = [(socket.SOL_UDP, 103, struct.pack("H", segment))] if segment else []
        outcomes.call("datagrams", lambda: sockets[address].sendmsg([data], option, 0, (address, 9)))  # pylint: disable=cell-var-from-loop
    return outcomes.result()


def send_tun(dice, end, file):
    """Packets without a header of the link layer, which a program sends to the device."""
    outcomes = Outcomes([errno.EINVAL, errno.EIO])
    while time.monotonic() < end:
        data = dice.choice((b"\x45", b"\x60")) + dice.randbytes(
            dice.choice((0, 1, 5, 12, 13, 14, 20, 60, dice.randrange(1500))))  # fmt: skip
        outcomes.call("packets of tun", lambda: os.write(file, data))  # pylint: disable=cell-var-from-loop
    return outcomes.result()


def send_stream(_, end, address):
    """A stream, until it stops, and again."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    outcomes = Outcomes([errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.EAGAIN,
                         errno.ECONNREFUSED, errno.EHOSTUNREACH])  # fmt: skip
    server = socket.create_server(("", 10), family=family)

    def take():
        while True:
            with contextlib.suppress(OSError):
                with server.accept()[0] as other:
                    other.settimeout(0.5)
                    while other.recv(1 << 16):
                        pass

    threading.Thread(target=take, daemon=True).start()

    def stream():
        with socket.socket(family) as client:
            client.settimeout(0.5)
            client.connect((address, 10))
            for _ in range(20):
                client.sendall(bytes(60000))

    while time.monotonic() < end:
        outcomes.call("TCP", stream)
    return outcomes.result()


def redirects(pins, seconds, seed):
    """Packets that programs change and redirect."""
    device = ready()
    source, seconds = ready("s0", addresses=("10.7.6.1", "fd00:7:6::1")), float(seconds)
    file, netlink = tun(), Netlink()
    Array(f"{pins}/targets", 4)[0] = device.index()
    for where, name in (("tcx_egress", "s0"), ("tcx_ingress", "t0")):
        if os.system(f"bpftool net attach {where} pinned {pins}/cut dev {name}"):
            raise SystemExit("bpftool failed")
    program, total = pinned(f"{pins}/pass_frags"), 0
    sinks = list(receivers())
    for attached in False, True:
        what = "redirections" + (", program" if attached else "")
        if attached:
            device.attach(program)
        before, index = statistics(netlink, device.index()), device.index()
        end, team = time.monotonic() + seconds / 2, Team(f"{seed} {what}")
        team.start("datagrams", send_datagrams, end, ("10.7.6.1", "fd00:7:6::1"))
        team.start("stream", send_stream, end, "10.7.6.1")
        team.start("tun", send_tun, end, file)
        results = team.results(seconds / 2 + 120).values()
        check(f"{what}: all processes came to their end", True, all(results))
        counts = merge(what, filter(None, results))
        table(what, counts)
        now = [a - b for a, b in zip(statistics(netlink, index), before)]
        check(f"{what}: the device has received hundreds", True, now[RX] >= 100)
        note(f"{what}: {now[RX]} received, {now[RX_DROPPED]} and {now[TX_DROPPED]} dropped")
        total += now[RX] + now[RX_DROPPED] + now[TX_DROPPED]
        alive(what)
    figure("redirected packets that the device got", total)
    for sink in sinks:
        sink.close()
    os.close(file)
    source.delete()
    device.delete()


# --- Requests ------------------------------------------------------------

# Among them no number of queues that takes seconds to make.
INTERESTING = (0, 1, 2, 63, 64, 65, 255, 256, 4097, 65535, 65536, 1 << 31, 0xFFFFFFFF)


class Mutator:
    """Makes requests that are nearly right."""

    def __init__(self, dice, templates, header):
        self.dice, self.header = dice, header
        # With where their attributes begin
        self.templates = [(kind, flags, bytes(body), list(self.places(body)))
                          for kind, flags, body in templates]  # fmt: skip

    def places(self, body, start=None, end=None):
        """Of the attributes, also of those in others."""
        offset, end = self.header if start is None else start, end or len(body)
        while offset + 4 <= end:
            length, kind = struct.unpack_from("HH", body, offset)
            if length < 4 or offset + length > end:
                return
            yield offset
            if kind & NESTED:
                yield from self.places(body, offset + 4, offset + length)
            offset += (length + 3) & ~3

    def message(self):
        """The type, the flags and the body of one."""
        dice = self.dice
        kind, flags, body, places = dice.choice(self.templates)
        body = bytearray(body)
        for _ in range(dice.choice((0, 1, 1, 1, 2, 2, 3))):
            place, way = dice.choice(places) if places else self.header, dice.randrange(10)
            if way == 0 and body:
                body[dice.randrange(len(body))] = dice.getrandbits(8)
            elif way == 1:
                struct.pack_into("H", body, place + 2, dice.choice(
                    (dice.randrange(80), dice.getrandbits(16), dice.randrange(80) | NESTED)))
            elif way == 2:
                struct.pack_into("H", body, place, dice.choice(
                    (0, 3, 4, 5, 8, dice.randrange(100), dice.getrandbits(16))))
            elif way == 3 and place + 8 <= len(body):
                struct.pack_into("I", body, place + 4, dice.choice(INTERESTING))
            elif way == 4:
                body += attribute(dice.randrange(80), dice.randbytes(dice.choice((0, 1, 2, 4, 8, 32, 400))))
            elif way == 5:
                length = struct.unpack_from("H", body, place)[0]
                body += body[place : place + min(length, 200)]
                body += bytes(-len(body) % 4)
            elif way == 6:
                del body[dice.randrange(len(body) + 1) :]
                break
            elif way == 7 and len(body) >= 16:
                struct.pack_into("I", body, 4, dice.choice(INTERESTING))
            elif way == 8:
                flags ^= 1 << dice.choice((8, 9, 10, 11))
            else:
                body += attribute(dice.randrange(80) | NESTED, attribute(
                    dice.randrange(20), dice.choice(INTERESTING)))
        return kind, flags, body


def ask(netlink, outcomes, mutator, count, end, tidy):
    """Makes so many requests, or as long, in packets of 16, and counts the answers."""
    dice, done, sock = mutator.dice, 0, netlink.socket
    # Acknowledgements without what they are for
    sock.setsockopt(270, 10, 1)
    # Is answered when all before has been.
    last = NLMSG.pack(NLMSG.size, 1, 5, 0xFFFFFFFF, 0)
    sock.settimeout(60)
    while done < count and time.monotonic() < end:
        data = b""
        for number in range(16):
            kind, flags, body = mutator.message()
            data += NLMSG.pack(NLMSG.size + len(body), kind, flags | 5, number, 0) + body
            data += bytes(-len(data) % 4)
        if dice.random() < 0.02:
            data = bytearray(data)
            data[dice.randrange(len(data))] = dice.getrandbits(8)
        done += 16
        sock.send(data)
        sock.send(last)
        answered = 0
        for _ in range(1000):
            try:
                got = sock.recv(1 << 20)
            except OSError as error:
                # Answers that there was no room for
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            offset = 0
            while offset + NLMSG.size <= len(got):
                length, kind, _, sequence = NLMSG.unpack_from(got, offset)[:4]
                if kind == 2:
                    if sequence == 0xFFFFFFFF:
                        break
                    answered += 1
                    outcomes.count("requests", -struct.unpack_from("i", got, offset + NLMSG.size)[0])
                offset += (length + 3) & ~3
            else:
                continue
            break
        outcomes.counts["requests: without an answer"] += max(0, 16 - answered)
        if done % 1024 == 0:
            tidy()
    return done


# Those that user space may see, and two that the core answers with all the same: ENOTSUPP, and
# ETOOSMALL to ETHTOOL_GPERMADDR with less room than an address has.
ANY = (*range(1, 134), 524, 525)


def links(dice, count, end):
    """Requests about links, in a namespace of the process's own."""
    os.unshare(os.CLONE_NEWNET)
    up_loopback()
    outcomes, netlink, device = Outcomes(ANY), Netlink(), Device("m0")
    index = ready("m1", addresses=()).index()

    def tidy():
        """Leaves lo and the device that the requests name by its index."""
        for number, _ in socket.if_nameindex():
            if number not in (1, index):
                with contextlib.suppress(OSError):
                    device.do(DELLINK, link(index=number))
        # Requests rename lo, too, and take it down.
        if socket.if_indextoname(1) != "lo":
            with contextlib.suppress(OSError):
                device.do(DELLINK, link(index=index))
            device.do(NEWLINK, link(index=1) + attribute(IFLA_IFNAME, b"lo\0"))
        up_loopback()
        if index not in dict(socket.if_nameindex()):
            ready("m1", addresses=(), index=index)

    info = attribute(IFLA_LINKINFO | NESTED, attribute(1, b"rlo\0") + attribute(2 | NESTED, b""))
    new = (device.body(4, 1500) + attribute(IFLA_ADDRESS, b"\2abcde") + attribute(13, 1000)
           + attribute(27, 0) + attribute(40, 65536) + attribute(41, 65536))  # fmt: skip
    xdp = attribute(43 | NESTED, attribute(1, struct.pack("i", -1)) + attribute(3, 4))
    spec = attribute(26 | NESTED, attribute(10 | NESTED, attribute(8, b"\0")))
    change = (link(index=index) + attribute(IFLA_MTU, 3000) + attribute(IFLA_ADDRESS, b"\2abcde")
              + attribute(17, b"\0") + attribute(20, b"some\0") + xdp + spec)  # fmt: skip
    templates = [
        (NEWLINK, CREATE | EXCL, new),
        (NEWLINK, 0, change),
        (NEWLINK, 0, change + attribute(10, 0) + attribute(39, b"\0") + attribute(16, b"\6")),
        (NEWLINK, 0, link(1, 1, index) + info),
        (SETLINK, 0, change + info),
        (SETLINK, 0, link(1, 0, index) + attribute(IFLA_NUM_TX_QUEUES, 1)
         + attribute(IFLA_NUM_RX_QUEUES, 1) + attribute(14, bytes(28))),
        (SETLINK, 0, link() + attribute(IFLA_IFNAME, b"m1\0") + attribute(53, b"other\0")
         + attribute(52 | NESTED, attribute(53, b"alias\0"))),
        (DELLINK, 0, link() + attribute(IFLA_IFNAME, b"m0\0")),
        (DELLINK, 0, link(index=12345) + attribute(27, 7) + info),
        (GETLINK, 0, link(index=index) + attribute(29, 9)),
    ]  # fmt: skip
    ask(netlink, outcomes, Mutator(dice, templates, 16), count, end, tidy)
    tidy()
    return outcomes.result()


def family(netlink, name):
    """The number of a family of generic netlink."""
    body = struct.pack("BBxx", 3, 1) + attribute(2, name.encode() + b"\0")
    netlink.socket.send(NLMSG.pack(NLMSG.size + len(body), 16, 1, 1, 0) + body)
    for kind, content in attributes(netlink.socket.recv(1 << 16), NLMSG.size + 4):
        if kind == 1:
            return struct.unpack_from("H", content)[0]
    raise OSError(errno.ENOENT, name)


def requests(dice, count, end):
    """Requests of ethtool and netdev, by generic netlink and ioctl."""
    os.unshare(os.CLONE_NEWNET)
    up_loopback()
    outcomes, device = Outcomes(ANY), ready("m1", 4, addresses=())
    netlink = Netlink(16)  # NETLINK_GENERIC
    ethtool, netdev = family(netlink, "ethtool"), family(netlink, "netdev")
    head = attribute(1 | NESTED, attribute(2, b"m1\0") + attribute(3, 0))
    templates = []
    for command in range(1, 50):
        values = b"".join(attribute(kind, dice.choice(INTERESTING)) for kind in range(2, 12))
        for rest in b"", values:
            templates.append((ethtool, 0, struct.pack("BBxx", command, 1) + head + rest))
    # Settings of channels, rings, features and private flags, more often.
    for command, kinds in ((18, range(6, 10)), (16, range(5, 10)), (14, range(2, 6))):
        for _ in range(10):
            values = b"".join(attribute(kind, dice.choice(INTERESTING)) for kind in kinds)
            templates.append((ethtool, 0, struct.pack("BBxx", command, 1) + head + values))
    for command in range(1, 16):
        start = struct.pack("BBxx", command, 1) + attribute(1, device.index())
        values = b"".join(attribute(kind, dice.choice(INTERESTING)) for kind in range(2, 8))
        templates += [(netdev, 0, start), (netdev, 0, start + values)]
    mutator, buffer = Mutator(dice, templates, 4), ctypes.create_string_buffer(1 << 20)
    request = struct.pack("16sP16x", b"m1", ctypes.addressof(buffer))

    def control():
        """As many by ioctl."""
        for _ in range(256):
            values = [dice.choice((*INTERESTING, dice.getrandbits(32))) for _ in range(30)]
            command = dice.choice((dice.randrange(0x60), SCHANNELS, SPFLAGS, SRINGPARAM))
            struct.pack_into("31I", buffer, 0, command, *values)
            outcomes.call("ioctl", lambda: fcntl.ioctl(device.control, SIOCETHTOOL, request))

    done = 0
    while done < count and time.monotonic() < end:
        done += ask(netlink, outcomes, mutator, min(count - done, 1024), end, lambda: None)
        control()
    return outcomes.result()


def beside(what, function, count, seconds, seed):
    """Some processes make requests."""
    team, seconds = Team(seed), float(seconds)
    workers, end = os.cpu_count(), time.monotonic() + seconds
    for number in range(workers):
        team.start(f"{what} {number}", function, int(count) // workers, end)
    results = team.results(seconds + 240).values()
    check(f"{what}: all processes came to their end", True, all(results))
    counts = merge(what, filter(None, results))
    table(what, counts)
    check(f"{what}: some succeeded, and some did not", True,
          0 < sum(n for name, n in counts.items() if name.endswith(": done")) < counts.total())
    figure(what, counts.total())
    device = ready()
    alive(what)
    device.delete()


# --- Privilege -----------------------------------------------------------


def state(device):
    """What can be seen of a device and its namespace, but for its counters."""
    netlink = Netlink()
    netlink.request(GETLINK, link(index=device.index()))()
    data = netlink.socket.recv(1 << 16)
    netlink.answer()
    seen = [pair for pair in attributes(data, 32) if pair[0] not in (7, IFLA_STATS64)]
    with open("/proc/net/fib_trie", encoding="ascii") as trie:
        return (seen, data[16:32], trie.read(), device.ethtool(GPFLAGS, bytes(4))(),
                sorted(name for _, name in socket.if_nameindex()))  # fmt: skip


def forbidden(device, module, program):
    """What only root of the namespace may do, by name. The second is what is said to those who
    may not."""
    index = device.index()

    def write_file(name, text):
        with open(f"/sys/class/net/{device.name}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def interface(command, data):
        request = struct.pack("16s", device.name.encode()) + data + bytes(24 - len(data))
        return lambda: fcntl.ioctl(device.control, command, request)

    other = Device("p9")
    yield "link add", lambda: device.do(NEWLINK, other.body(), CREATE | EXCL)
    for name, body in (
        ("MTU", attribute(IFLA_MTU, 1400)), ("address", attribute(IFLA_ADDRESS, b"\2abcde")),
        ("name", attribute(IFLA_IFNAME, b"p8\0")), ("alias", attribute(20, b"mine\0")),
        ("queue length", attribute(13, 5)), ("group", attribute(27, 5)),
        ("program", attribute(43 | NESTED, attribute(1, program))),
    ):  # fmt: skip
        yield f"set {name}", lambda body=body: device.do(NEWLINK, link(index=index) + body)
        yield f"set {name}, RTM_SETLINK", lambda body=body: device.do(SETLINK, link(index=index) + body)
    yield "down", lambda: device.do(NEWLINK, device.up_body(False))
    yield "link del", lambda: device.do(DELLINK, link(index=index))
    yield "address add", lambda: device.do(NEWADDR, device.address_body("10.7.9.9"), CREATE)
    yield "address del", lambda: device.do(DELADDR, device.address_body(ADDRESSES[0]))
    yield "route add", lambda: device.do(24, struct.pack("BBBBBBBBI", 2, 32, 0, 0, 254, 4, 0, 1, 0)
                                       + attribute(1, b"\x0a\x63\0\1") + attribute(4, index), CREATE)
    yield "private flags", device.ethtool(SPFLAGS, struct.pack("I", 2))
    yield "channels", device.ethtool(SCHANNELS, struct.pack("8I", 0, 0, 0, 0, 1, 1, 0, 0))
    yield "rings", device.ethtool(SRINGPARAM, struct.pack("8I", 0, 0, 0, 0, 64, 0, 0, 64))
    yield "features", device.ethtool(0x3B, struct.pack("3I", 1, 0xFFFFFFFF, 0))
    yield "SIOCSIFFLAGS", interface(0x8914, struct.pack("H", 0))
    yield "SIOCSIFMTU", interface(0x8922, struct.pack("I", 1400))
    yield "SIOCSIFHWADDR", interface(0x8924, struct.pack("H6s", 772, b"\2abcde"))
    yield "SIOCSIFNAME", interface(0x8923, b"p7\0")
    yield "AF_PACKET", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    yield "AF_XDP", lambda: socket.socket(AF_XDP, socket.SOCK_RAW)
    yield "raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)
    # File system: root's alone
    yield "sysfs: mtu", lambda: write_file("mtu", "1400")
    yield "sysfs: flags", lambda: write_file("flags", "0x8")
    yield "sysfs: threaded", lambda: write_file("threaded", "1")
    yield "unload", unload
    yield "load", lambda: load(module)


def refused(_, who, module, program, foreign):
    """All of it, by an unprivileged user, by root of a user namespace, and by such a root from
    a network namespace of its own."""
    device, refusals = Device("p0"), 0
    # A program of the same index must not be reached by another way.
    requests_ = list(forbidden(device, module, program))
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    if who != "user":
        os.unshare(os.CLONE_NEWUSER)
    if who == "own namespace":
        os.unshare(os.CLONE_NEWNET)
        mine = ready("mine", addresses=())
        mine.delete()
        body = Device("p9").body() + attribute(28, foreign)
        # IFLA_NET_NS_FD: into the namespace that is not its own
        requests_ = [("link add into another namespace",
                      lambda: mine.do(NEWLINK, body, CREATE | EXCL))]  # fmt: skip
        # What it had opened before belongs to the other namespace still.
        requests_ += [("link del through an old socket", lambda: device.do(
            DELLINK, link() + attribute(IFLA_IFNAME, b"p0\0")))]  # fmt: skip
    lines = []
    for name, function in requests_:
        try:
            function()
            lines.append(f"{name}: done")
            continue
        except OSError as error:
            allowed = (errno.EPERM, errno.EACCES) if name.startswith("sysfs") else (errno.EPERM,)
            if error.errno in allowed:
                refusals += 1
                continue
            lines.append(f"{name}: {errno.errorcode.get(error.errno, error.errno)}")
    # Reading is for everybody.
    if who != "own namespace":
        device.ethtool(GSTATS, struct.pack("I", 256) + bytes(8 * 256))()
    return {"refused": refusals, "lines": lines}


def privilege(module, pins):
    """Nobody but root of the namespace changes anything."""
    device, refusals = ready("p0"), 0
    program, foreign = pinned(f"{pins}/pass_frags"), os.open("/proc/self/ns/net", os.O_RDONLY)
    for who in "user", "root of a user namespace", "own namespace":
        before, team = state(device), Team(who)
        team.start(who, refused, who, module, program, foreign)
        result = team.results(120)[who] or {"lines": ["died"], "refused": 0}
        check(f"{who}: requests without EPERM", "", ", ".join(result["lines"]))
        check(f"{who}: nothing has changed", True, state(device) == before)
        refusals += result["refused"]
    figure("requests without privilege, refused", refusals)
    device.delete()


if __name__ == "__main__":
    {
        "frames": frames,
        "redirects": redirects,
        "netlink": lambda *a: beside("mutated requests about links", links, *a),
        "ethtool": lambda *a: beside("mutated requests of ethtool and netdev", requests, *a),
        "privilege": privilege,
    }[sys.argv[1]](*sys.argv[2:])
