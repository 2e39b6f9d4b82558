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

import collections
import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import random
import socket
import struct
import subprocess
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
    OWN_TRAFFIC,
    QUEUE_PAIRS,
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
    NETLINK_GENERIC,
    Generic,
    Outcomes,
    Period,
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
    write,
)
from xdp import UDP_SEGMENT
from xsk import AF_XDP, BPF_OBJ_GET, bpf, checked, checksum, libc

ADDRESSES = "10.7.5.1", "fd00:7:5::1"
LONGEST = 65549
# So many frames and requests each process sends however slow the machine is.
ENOUGH = 100
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


def backlog():
    """Packets that wait in the backlog of any CPU."""
    with open("/proc/net/softnet_stat", encoding="ascii") as file:
        return sum(int(line.split()[11], 16) for line in file)


def rests(seen):
    """Waits until no packet waits in a backlog and SEEN, which counts packets, does not change.
    What it says then; None if it goes on."""
    end, last = time.monotonic() + 60, None
    while time.monotonic() < end:
        now = seen()
        if now == last and not backlog():
            return now
        last = now
        time.sleep(0.5)
    return None


def state_of_life(device):
    """Whether the device comes to rest, and how many datagrams it still carries: the first one of
    each family."""
    netlink, index, arrived = Netlink(), device.index(), 0
    rest = rests(lambda: statistics(netlink, index)) is not None
    for address in ADDRESSES:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as server:
            # Without FREEBIND, an IPv6 address of such a device cannot be bound to.
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, 78, 1)
            server.bind((address, 0))
            server.settimeout(10)
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.sendto(b"alive", server.getsockname())
                with contextlib.suppress(TimeoutError):
                    arrived += server.recv(100) == b"alive"
    return rest, arrived


def alive(what, *states):
    """Checks that of devices."""
    check(f"{what}: no packet is under way any more", True, all(rest for rest, _ in states))
    check(f"{what}: the device still carries datagrams", {len(ADDRESSES)},
          {arrived for _, arrived in states})  # fmt: skip


def recover(device):
    """Makes a device usable that has had any requests, and looks whether it is. What it is called,
    how many queues it has and what they are like stays."""
    device.do(NEWLINK, link(index=device.index()) + attribute(IFLA_MTU, 65536))
    device.do(NEWLINK, device.up_body(True))
    for address in ADDRESSES:
        with contextlib.suppress(FileExistsError):
            device.assign(address)
    device.settle()
    return state_of_life(device)


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
    """Sends frames as long as there is time, and ENOUGH in any case."""
    # ENOMEM stands for what cannot be segmented, see __dev_queue_xmit().
    outcomes = Outcomes([errno.EINVAL, errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM])
    noise = dice.randbytes(1 << 18)
    raw = [packet_socket(socket.SOCK_RAW, header, bypass) for bypass in (0, 1)]
    # The others know no such header.
    cooked = [packet_socket(socket.SOCK_DGRAM, 0, bypass) for bypass in (0, 1)]
    for number in itertools.count():
        if number >= ENOUGH and time.monotonic() > end:
            break
        frame = content(dice, noise)
        hardware = ("h0", dice.choice((0, 3, 0x0800, 0x86DD, dice.getrandbits(16))), 0, 0, bytes(6))
        kind = header or dice.random() < 0.8
        sock = dice.choice(raw if kind else cooked)
        data = frame if kind else frame[14:]
        if header:
            data = vnet_header(dice, frame) + data
        name = "GSO frames" if header and data[1] else "long frames" if len(frame) > 60000 else "frames"
        outcomes.call(name, lambda: sock.sendto(data, hardware))  # pylint: disable=cell-var-from-loop
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
        done = {name[:-6]: number for name, number in counts.items() if name.endswith(": done")}
        now = [a - b for a, b in zip(statistics(netlink, index), before)]
        if what == "frames to nobody":
            # rx_dropped has those, too, that no protocol wanted after they were received.
            check(f"{what}: each was counted once", sum(done.values()),
                  now[RX] + softnet() - full + now[TX_DROPPED])  # fmt: skip
        else:
            alive(what, state_of_life(device))
        kinds = {"frames", "long frames", "GSO frames"} if header else {"frames", "long frames"}
        check(f"{what}: kinds that were taken", sorted(kinds), sorted(done))
        check(f"{what}: a tenth was taken", True, sum(done.values()) * 10 > counts.total())
        taken += sum(done.values())
    figure("frames", f"{total} ({taken} taken)")
    for sink in sinks:
        sink.close()
    device.delete()


# --- Redirections --------------------------------------------------------

# What the program cut() of stress.bpf.c knows senders by, and counts for each; what it adds to
# draw the next number.
SENDERS = {"datagrams": 1, "TCP": 2, "packets of tun": 3}
WAYS, DRAW = range(8), 0x9E3779B97F4A7C15
# Of copies that stay one packet, what it has sent, and what the program arrived() has seen
ONE_SENT, ONE_ARRIVED = 120, 121


def tun():
    """A device whose packets have no header of the link layer."""
    file = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(file, 0x400454CA, struct.pack("16sH22x", b"t0", 0x1001))  # IFF_TUN | IFF_NO_PI
    Device("t0").do(NEWLINK, Device("t0").up_body(True))
    return file


def send_datagrams(dice, period, addresses):
    """Of any length; long ones are not linear."""
    outcomes = Outcomes([errno.ENOBUFS, errno.EMSGSIZE, errno.ENETDOWN, errno.EPERM, errno.EINVAL])
    sockets = {a: socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET,
                                socket.SOCK_DGRAM) for a in addresses}  # fmt: skip
    for sock in sockets.values():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, SENDERS["datagrams"])
    while not period.over():
        address, data = dice.choice(addresses), bytes(dice.choice((1, 50, 1400, 9000, 60000)))
        # Segmented by the stack or the device
        segment = dice.choice((0, 0, 100, 1400))
        option = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", segment))] if segment else []
        outcomes.call("datagrams", lambda: sockets[address].sendmsg([data], option, 0, (address, 9)))  # pylint: disable=cell-var-from-loop
    return outcomes.result()


def send_tun(dice, period, file):
    """Packets without a header of the link layer, which a program sends to the device."""
    outcomes = Outcomes([errno.EINVAL, errno.EIO])
    while not period.over():
        data = dice.choice((b"\x45", b"\x60")) + dice.randbytes(
            dice.choice((0, 1, 5, 12, 13, 14, 20, 60, dice.randrange(1500))))  # fmt: skip
        outcomes.call("packets of tun", lambda: os.write(file, data))  # pylint: disable=cell-var-from-loop
    return outcomes.result()


def send_stream(_, period, address, port):
    """A stream, until it stops, and again."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    outcomes = Outcomes([errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.EAGAIN,
                         errno.ECONNREFUSED, errno.EHOSTUNREACH])  # fmt: skip
    server = socket.create_server(("", port), family=family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, SENDERS["TCP"])

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
            client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, SENDERS["TCP"])
            client.settimeout(2)
            client.connect((address, port))
            for _ in range(20):
                client.sendall(bytes(60000))

    while not period.over():
        outcomes.call("TCP", stream)
    return outcomes.result()


class Fates:
    """What the program cut() has done with packets, from now on."""

    def __init__(self, pins, dice):
        self.ways, self.chance = Array(f"{pins}/ways"), Array(f"{pins}/chance")
        self.begin = {sender: dice.getrandbits(64) for sender in SENDERS.values()}
        for sender, number in self.begin.items():
            self.chance[sender] = number
        self.before = {sender: self.read(sender) for sender in SENDERS.values()}

    def read(self, sender):
        """The counters of a sender."""
        return [self.ways[32 * sender + key] for key in range(21)]

    def now(self, sender):
        """What they have counted since."""
        return [a - b for a, b in zip(self.read(sender), self.before[sender])]

    def unseen(self):
        """The ways that never succeeded, by the sender."""
        return {name: [way for way in WAYS if not self.now(sender)[way]]
                for name, sender in SENDERS.items()}  # fmt: skip

    def look(self, what, counts, got):
        """Checks what was done, and that the device has GOT as much."""
        copies = 0
        for (name, sender), unseen in zip(SENDERS.items(), self.unseen().values()):
            now = self.now(sender)
            packets = sum(now[:16]) + now[20]
            note(f"{what}: {name}: {packets} packets, of them whole {now[20]}, ways {now[:8]}, "
                 f"refused {now[8:16]}, copies {now[16:20]}")  # fmt: skip
            check(f"{what}: {name}: ways that never succeeded", [], unseen)
            copies += now[16]
            # What several CPUs send at a time may get the same number.
            if name != "TCP":
                drawn = (self.begin[sender] + packets * DRAW) % 2**64
                check(f"{what}: {name}: the program has had each", counts[f"{name}: done"], packets)
                check(f"{what}: {name}: the seed has decided on each", drawn, self.chance[sender])
        note(f"{what}: {got} at the device, {copies} copies among them")
        check(f"{what}: the device has got as many as there were copies at least", True,
              0 < copies <= got)  # fmt: skip
        # On average a half, and a copy of a quarter; more when they are segmented.
        check(f"{what}: it has got half as many as there were datagrams at least", True,
              2 * got >= counts["datagrams: done"])  # fmt: skip


def redirects(pins, seconds, seed):
    """Packets that programs change and redirect."""
    device = ready()
    source, seconds = ready("s0", addresses=("10.7.6.1", "fd00:7:6::1")), float(seconds)
    file, netlink = tun(), Netlink()
    Array(f"{pins}/targets", 4)[0] = device.index()
    for where, name, tc in (("tcx_egress", "s0", "cut"), ("tcx_ingress", "t0", "cut"),
                            ("tcx_ingress", "h0", "arrived")):  # fmt: skip
        if os.system(f"bpftool net attach {where} pinned {pins}/{tc} dev {name}"):
            raise SystemExit("bpftool failed")
    program, total = pinned(f"{pins}/pass_frags"), 0
    sinks = list(receivers())
    for attached in False, True:
        what = "redirections" + (", program" if attached else "")
        if attached:
            device.attach(program)
        before, index = [*statistics(netlink, device.index()), softnet()], device.index()
        fates = Fates(pins, random.Random(f"{seed} {what}"))
        period, team = Period(seconds / 2, ["each way"]), Team(f"{seed} {what}")
        team.start("datagrams", send_datagrams, period, ("10.7.6.1", "fd00:7:6::1"))
        # They wait most of the time, to send once more.
        for port in range(10, 14):
            team.start(f"stream {port}", send_stream, period, "10.7.6.1", port)
        team.start("tun", send_tun, period, file)
        while not period.over():
            if not any(fates.unseen().values()):
                period.happened("each way")
            time.sleep(0.5)
        results = team.results(120).values()
        check(f"{what}: all processes came to their end", True, all(results))
        counts = merge(what, filter(None, results))
        table(what, counts)
        alive(what, state_of_life(device))
        now = [a - b for a, b in zip([*statistics(netlink, index), softnet()], before)]
        got = now[RX] + now[TX_DROPPED] + now[8]
        note(f"{what}: {now[RX]} received, {now[RX_DROPPED]} and {now[TX_DROPPED]} dropped")
        fates.look(what, counts, got)
        if not attached:
            # A program's packets are new ones, without the mark.
            one = fates.ways[ONE_SENT]
            check(f"{what}: copies that stay one packet, and have arrived", (True, one),
                  (one > 0, fates.ways[ONE_ARRIVED]))  # fmt: skip
            figure("copies that stay one packet", one)
        total += got
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
        """The type, the flags and the body of one, and whether they are not what they were."""
        dice = self.dice
        kind, *original, places = dice.choice(self.templates)
        flags, body = original[0], bytearray(original[1])
        for _ in range(dice.choice((0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3))):
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
        return kind, flags, body, [flags, body] != original


def ask(netlink, outcomes, mutator, names, count, end, tidy):
    """Makes requests in packets of 16, until so many mutated ones were answered, or as long, and
    counts the answers by what NAMES calls the type. Those that are not mutated, and those in a packet
    with a byte that is wrong, are counted apart. Returns how many of the mutated were answered."""
    dice, done, sock = mutator.dice, 0, netlink.socket
    # Acknowledgements without what they are for
    sock.setsockopt(270, 10, 1)
    # Is answered when all before has been.
    last = NLMSG.pack(NLMSG.size, 1, 5, 0xFFFFFFFF, 0)
    # A buffer of its own for each answer would take longer than the answer.
    got = bytearray(1 << 20)
    sock.settimeout(60)
    rounds = 0
    while done < count and (done < ENOUGH or time.monotonic() < end):
        data, labels = bytearray(), []
        for number in range(16):
            kind, flags, body, mutated = mutator.message()
            labels.append(names.get(kind, "others") if mutated else "not mutated")
            data += NLMSG.pack(NLMSG.size + len(body), kind, flags | 5, number, 0) + body
            data += bytes(-len(data) % 4)
        if dice.random() < 0.02:
            data[dice.randrange(len(data))] = dice.getrandbits(8)
            labels = ["of a packet with a wrong byte"] * 16
            sock.send(data)
            data = b""
        sock.send(data + last)
        answered = 0
        for _ in range(1000):
            try:
                size = sock.recv_into(got)
            except OSError as error:
                # Answers that there was no room for
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            offset = 0
            while offset + NLMSG.size <= size:
                length, kind, _, sequence = NLMSG.unpack_from(got, offset)[:4]
                if kind == 2:
                    if sequence == 0xFFFFFFFF:
                        break
                    answered += 1
                    failure = -struct.unpack_from("i", got, offset + NLMSG.size)[0]
                    # A wrong byte may be one of the number.
                    name = labels[sequence] if sequence < 16 else labels[0]
                    outcomes.count(name, failure)
                    done += name in names.values()
                offset += (length + 3) & ~3
            else:
                continue
            break
        outcomes.counts["requests: without an answer"] += max(0, 16 - answered)
        rounds += 1
        if rounds % 64 == 0:
            tidy()
    return done


# Those that user space may see, and two that the core answers with all the same: ENOTSUPP, and
# ETOOSMALL to ETHTOOL_GPERMADDR with less room than an address has.
ANY = (*range(1, 134), 524, 525)


LINKS = {NEWLINK: "RTM_NEWLINK", SETLINK: "RTM_SETLINK", DELLINK: "RTM_DELLINK"}


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
    ask(netlink, outcomes, Mutator(dice, templates, 16), LINKS, count, end, tidy)
    tidy()
    # It may have any name.
    device.do(NEWLINK, link(1, 0, index) + attribute(IFLA_IFNAME, b"m1\0"))
    return {"state": recover(Device("m1")), **outcomes.result()}


def requests(dice, count, end):
    """Requests of ethtool and netdev, by generic netlink and ioctl."""
    os.unshare(os.CLONE_NEWNET)
    up_loopback()
    outcomes, device = Outcomes(ANY), ready("m1", 4, addresses=())
    netlink = Netlink(NETLINK_GENERIC)
    ethtool, netdev = Generic("ethtool").number, Generic("netdev").number
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
    # What netdev answers, more often: about a device, and a queue.
    about = attribute(1, device.index()), attribute(1, 0) + attribute(2, device.index()) + attribute(3, 0)
    for command, values in zip((1, 10), about):
        templates += [(netdev, 0, struct.pack("BBxx", command, 1) + values)] * 10
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
    while done < count and (done < ENOUGH or time.monotonic() < end):
        done += ask(netlink, outcomes, mutator, {ethtool: "ethtool", netdev: "netdev"},
                    min(count - done, 1024), end, lambda: None)  # fmt: skip
        control()
    return {"state": recover(device), **outcomes.result()}


def beside(what, function, names, count, seconds, seed):
    """Some processes make requests, which have these names."""
    team, seconds = Team(seed), float(seconds)
    # Much of the time they wait, for grace periods.
    workers, end = 2 * os.cpu_count(), time.monotonic() + seconds
    for number in range(workers):
        team.start(f"{what} {number}", function, int(count) // workers, end)
    results = team.results(seconds + 240).values()
    check(f"{what}: all processes came to their end", True, all(results))
    results = list(filter(None, results))
    counts, sums = merge(what, results), collections.Counter()
    table(what, counts)
    for name, number in counts.items():
        sums[name.split(": ")[0]] += number
    for name in names:
        check(f"{what}: {name}: some succeeded, and some did not", True,
              0 < counts[f"{name}: done"] < sums[name])  # fmt: skip
        figure(f"{what}, {name}", sums[name])
    figure(what, sum(sums[name] for name in names))
    alive(what, *(result["state"] for result in results))


# --- Privilege -----------------------------------------------------------

# Files below /sys/class/net/DEVICE, and what is written to them
FILES = {
    "mtu": "1400", "flags": "0x101", "tx_queue_len": "5", "ifalias": "mine", "threaded": "1",
    "gro_flush_timeout": "20000", "napi_defer_hard_irqs": "2", "queues/rx-0/rps_cpus": "1",
    "queues/rx-0/rps_flow_cnt": "64", "queues/tx-0/xps_cpus": "1",
}  # fmt: skip
# Those of a device below /proc/sys
SYSCTLS = [f"net/{family}/{kind}" for family in ("ipv4", "ipv6") for kind in ("conf", "neigh")]
# Not done by root: the module is in use, and the last two are for hardware.
NOT_ROOTS = ("unload", "load", "netdev: bind-rx", "netdev: queue-create")
PR_SET_DUMPABLE = 4
NEWROUTE, NEWQDISC, NEWTFILTER = 24, 36, 44
# bpf()
PROG_LOAD, PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, LINK_CREATE = 5, 13, 15, 28
PROG_TYPE_XDP, ATTACH_XDP = 6, 37
# Of the families ethtool and netdev
FEATURES_SET, PRIVFLAGS_SET, RINGS_SET, CHANNELS_SET = 12, 14, 16, 18
NAPI_GET, BIND_RX, NAPI_SET, QUEUE_CREATE = 11, 13, 14, 16


def settings(device):
    """The files of a device in /proc/sys."""
    for path in SYSCTLS:
        folder = f"/proc/sys/{path}/{device.name}"
        for name in sorted(os.listdir(folder)):
            if os.stat(f"{folder}/{name}").st_mode & 0o200:
                yield f"{folder}/{name}"


def text_of(path):
    """What a file has; nothing if it does not say."""
    with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
        return file.read()
    return ""


def state(device):
    """What can be seen of a device and its namespace, but for its counters."""
    netlink = Netlink()
    netlink.request(GETLINK, link(index=device.index()))()
    data = netlink.socket.recv(1 << 16)
    netlink.answer()
    seen = [pair for pair in attributes(data, 32) if pair[0] not in (7, IFLA_STATS64)]
    napi = Generic("netdev").dump(NAPI_GET, attribute(1, device.index()))
    files = [f"/sys/class/net/{device.name}/{name}" for name in FILES]
    said = [subprocess.run([*command.split(), device.name], check=True, stdout=subprocess.PIPE).stdout
            for command in ("ethtool -k", "ethtool -g", "ethtool -l", "tc qdisc show dev",
                            "tc filter show ingress dev")]  # fmt: skip
    return (seen, data[16:32], text_of("/proc/net/fib_trie"), device.ethtool(GPFLAGS, bytes(4))(),
            sorted(name for _, name in socket.if_nameindex()), napi, said,
            [text_of(path) for path in (*files, *settings(device))])  # fmt: skip


def write_open(descriptor, text):
    """Writes to a file that is open."""
    os.pwrite(descriptor, text.encode(), 0)


def forbidden(device, module, pins, program):
    """What only root of the namespace may do, by name. Files and sockets are opened by him."""
    index, generic = device.index(), Device(device.name)
    generic.netlink = Netlink(NETLINK_GENERIC)
    ethtool, netdev = Generic("ethtool"), Generic("netdev")

    def interface(command, data):
        request = struct.pack("16s", device.name.encode()) + data + bytes(24 - len(data))
        return lambda: fcntl.ioctl(device.control, command, request)

    def ask_family(family, command, body):
        return lambda: generic.do(family.number, struct.pack("BBxx", command, 1) + body)

    paths = [(name, f"/sys/class/net/{device.name}/{name}", text) for name, text in FILES.items()]
    paths += [(path[10:], path, None) for path in settings(device)]
    for name, path, text in paths:
        opened = os.open(path, os.O_WRONLY)
        # What it has already, or what one takes that says nothing
        text = text or text_of(path) or "::1"
        yield f"{name}, open", lambda opened=opened, text=text: write_open(opened, text)
        yield f"file: {name}", lambda path=path, text=text: write(path, text)
    # The right to attach a program by a link is its descriptor (bpf_xdp_link_attach() asks for
    # nothing else), which nobody else gets: not of one of his own (return XDP_PASS), not of the
    # attached one.
    info = ctypes.create_string_buffer(8)
    bpf(OBJ_GET_INFO_BY_FD, program | len(info) << 32, ctypes.addressof(info))
    number = struct.unpack_from("I", info, 4)[0]
    # Two instructions, and the license
    code = ctypes.create_string_buffer(bytes.fromhex("b700000002000000" "9500000000000000") + b"GPL")
    load_attributes = PROG_TYPE_XDP | 2 << 32, ctypes.addressof(code), ctypes.addressof(code) + 16
    pin = ctypes.create_string_buffer(f"{pins}/pass_frags".encode())
    yield "BPF_PROG_LOAD", lambda: os.close(bpf(PROG_LOAD, *load_attributes))
    yield "BPF_PROG_GET_FD_BY_ID", lambda: os.close(bpf(PROG_GET_FD_BY_ID, number))
    yield "file: pinned program", lambda: os.close(bpf(BPF_OBJ_GET, ctypes.addressof(pin)))
    yield "AF_PACKET", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    yield "AF_XDP", lambda: socket.socket(AF_XDP, socket.SOCK_RAW)
    yield "raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)
    yield "private flags", device.ethtool(SPFLAGS, struct.pack("I", OWN_TRAFFIC | QUEUE_PAIRS))
    yield "channels", device.ethtool(SCHANNELS, struct.pack("8I", 0, 0, 0, 0, 1, 1, 0, 0))
    yield "rings", device.ethtool(SRINGPARAM, struct.pack("8I", 0, 0, 0, 0, 64, 0, 0, 64))
    yield "features", device.ethtool(0x3B, struct.pack("5I", 2, 1, 0, 0, 0))
    head = attribute(1 | NESTED, attribute(2, device.name.encode() + b"\0"))
    flags = attribute(2, 2) + attribute(4, 0) + attribute(5, QUEUE_PAIRS)
    bit = attribute(1 | NESTED, attribute(2, b"tx-scatter-gather\0") + attribute(3, b""))
    for what, command, body in (
        ("channels", CHANNELS_SET, attribute(6, 2) + attribute(7, 2)),
        ("rings", RINGS_SET, attribute(6, 128) + attribute(9, 32)),
        ("private flags", PRIVFLAGS_SET, attribute(2 | NESTED, flags)),
        ("features", FEATURES_SET, attribute(3 | NESTED, attribute(3 | NESTED, bit))),
    ):  # fmt: skip
        yield f"ethtool: {what}", ask_family(ethtool, command, head + body)
    napi = netdev.dump(NAPI_GET, attribute(1, index))[0][2]
    yield "netdev: napi-set", ask_family(netdev, NAPI_SET, attribute(2, napi) + attribute(5, 3))
    memory = attribute(2 | NESTED, attribute(1, 0) + attribute(2, 0)) + attribute(3, 0)
    yield "netdev: bind-rx", ask_family(netdev, BIND_RX, attribute(1, index) + memory)
    yield "netdev: queue-create", ask_family(netdev, QUEUE_CREATE, attribute(1, index))
    # struct tcmsg: clsact, and at its ingress a filter for all protocols
    qdisc = struct.pack("BxxxiIII", 0, index, 0xFFFF0000, 0xFFFFFFF1, 0) + attribute(1, b"clsact\0")
    classifier = struct.pack("BxxxiIII", 0, index, 0, 0xFFFFFFF2, 1 << 16 | 0x0300)
    classifier += attribute(1, b"matchall\0") + attribute(2 | NESTED, attribute(1, 0x10001))
    yield "qdisc add", lambda: device.do(NEWQDISC, qdisc, CREATE | EXCL)
    yield "filter add", lambda: device.do(NEWTFILTER, classifier, CREATE | EXCL)
    yield "address add", lambda: device.do(NEWADDR, device.address_body("10.7.9.9"), CREATE)
    yield "address del", lambda: device.do(DELADDR, device.address_body(ADDRESSES[0]))
    route = (struct.pack("BBBBBBBBI", 2, 32, 0, 0, 254, 4, 0, 1, 0)
             + attribute(1, b"\x0a\x63\0\1") + attribute(4, index))  # fmt: skip
    yield "route add", lambda: device.do(NEWROUTE, route, CREATE)
    other = Device("p9")
    yield "link add", lambda: device.do(NEWLINK, other.body(), CREATE | EXCL)
    for what, body in (
        ("MTU", attribute(IFLA_MTU, 1400)), ("address", attribute(IFLA_ADDRESS, b"\2abcde")),
        ("alias", attribute(20, b"mine\0")), ("queue length", attribute(13, 5)),
        ("group", attribute(27, 5)), ("program", attribute(43 | NESTED, attribute(1, program))),
        ("name", attribute(IFLA_IFNAME, b"p8\0")),
    ):  # fmt: skip
        body = link(index=index) + body
        yield f"set {what}", lambda body=body: device.do(NEWLINK, body)
        yield f"set {what}, RTM_SETLINK", lambda body=body: device.do(SETLINK, body)
    yield "SIOCSIFMTU", interface(0x8922, struct.pack("I", 1400))
    yield "SIOCSIFHWADDR", interface(0x8924, struct.pack("H6s", 772, b"\2abcde"))
    yield "SIOCSIFFLAGS", interface(0x8914, struct.pack("H", 0))
    yield "SIOCSIFNAME", interface(0x8923, b"p7\0")
    yield "down", lambda: device.do(NEWLINK, link(1, 0, index))
    yield "link del", lambda: device.do(DELLINK, link(index=index))
    yield "unload", unload
    yield "load", lambda: load(module)


def refused(_, who, module, pins, program, foreign):
    """All of it, by an unprivileged user, by root of a user namespace, and by such a root from
    a network namespace of its own."""
    device, refusals = Device("p0"), 0
    index = device.index()
    requests_ = list(forbidden(device, module, pins, program))
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    if who != "user":
        os.unshare(os.CLONE_NEWUSER)
        # Files of the process in /proc are not its own otherwise.
        checked(libc.prctl(PR_SET_DUMPABLE, 1))
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", "0 65534 1")
        write("/proc/self/gid_map", "0 65534 1")
        assert os.getuid() == 0
    if who == "own namespace":
        os.unshare(os.CLONE_NEWNET)
        mine = ready("mine", addresses=())
        mine.delete()
        # What was opened before belongs to the other namespace still. Sockets that are opened now
        # and /proc/sys are those of its own.
        requests_ = [(name, function) for name, function in requests_ if not name.startswith(
            ("AF_", "raw", "file: net/"))]  # fmt: skip
        # IFLA_NET_NS_FD: into the namespace that is not its own
        body = Device("p9").body() + attribute(28, foreign)
        requests_ += [
            ("link add into another namespace", lambda: mine.do(NEWLINK, body, CREATE | EXCL)),
            # It looks for the device in its own, where there is none.
            ("BPF link", lambda: bpf(LINK_CREATE, program | index << 32, ATTACH_XDP)),
        ]
    lines = []
    for name, function in requests_:
        try:
            function()
            lines.append(f"{name}: done")
            continue
        except OSError as error:
            expected = {"file": errno.EACCES, "BPF link": errno.EINVAL}.get(
                name.split(":")[0], errno.EPERM)  # fmt: skip
            if error.errno == expected:
                refusals += 1
                continue
            lines.append(f"{name}: {errno.errorcode.get(error.errno, error.errno)}")
    # Reading is for everybody.
    if who != "own namespace":
        device.counters()()
    return {"refused": refusals, "lines": lines}


def mended(device, index, program):
    """Makes a device again, or for the first time, if it is not there under its name and up."""
    with contextlib.suppress(OSError):
        if device.index() == index and int(device.read("flags"), 16) & 1:
            return
    with contextlib.suppress(OSError):
        device.do(DELLINK, link(index=index))
    ready(device.name, index=index).attach(program)


def privilege(module, pins):
    """Nobody but root of the namespace changes anything."""
    device, refusals, lines = ready("p0"), 0, []
    program, foreign = pinned(f"{pins}/pass_frags"), os.open("/proc/self/ns/net", os.O_RDONLY)
    # With queues that are polled
    device.attach(program)
    index = device.index()
    for who in "user", "root of a user namespace", "own namespace":
        before, team = state(device), Team(who)
        team.start(who, refused, who, module, pins, program, foreign)
        result = team.results(120)[who] or {"lines": ["died"], "refused": 0}
        check(f"{who}: requests that were not refused as they have to be", "",
              ", ".join(result["lines"]))  # fmt: skip
        check(f"{who}: nothing has changed", True, state(device) == before)
        refusals += result["refused"]
    figure("requests without privilege, refused", refusals)
    # Nothing but the right was wanting.
    for name, function in forbidden(device, module, pins, program):
        if name in NOT_ROOTS:
            continue
        mended(device, index, program)
        try:
            function()
        except OSError as error:
            lines.append(f"{name}: {errno.errorcode.get(error.errno, error.errno)}")
    check("root: the same requests that fail", "", ", ".join(lines))


if __name__ == "__main__":
    {
        "frames": frames,
        "redirects": redirects,
        "netlink": lambda *a: beside("mutated requests about links", links, LINKS.values(), *a),
        "ethtool": lambda *a: beside(
            "requests of ethtool and netdev", requests, ("ethtool", "netdev", "ioctl"), *a),
        "privilege": privilege,
    }[sys.argv[1]](*sys.argv[2:])
