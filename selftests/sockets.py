#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Traffic that a shell cannot make, for the tests of sockets and offloads.

    sockets.py TOPIC [ARGUMENT...]
    sockets.py

Each topic sends packets to an address from the same address, and prints what
came of it in words that are the same for every device. Without a topic it
reads them from its input, a line each, and ends each answer with a line that
is a dot: starting Python is slow in an emulated guest.
"""

import collections
import fcntl
import mmap
import random
import select
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True

from xdp import SO_RCVBUFFORCE, UDP_SEGMENT  # pylint: disable=wrong-import-position

ETH_P_ALL = 3
ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD

IPPROTO_SCTP = 132
IPPROTO_MPTCP = 262
IPPROTO_EXPERIMENT = 253

IPV6_FREEBIND = 78

SOL_PACKET = 263
PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_AUXDATA = 8
PACKET_VERSION = 10
PACKET_VNET_HDR = 15
PACKET_HOST = 0
PACKET_OUTGOING = 4
TPACKET_V3 = 2
TP_STATUS_USER = 1
TP_STATUS_CSUMNOTREADY = 8

SIOCOUTQ = 0x5411

SO_TIMESTAMPING = 37
SO_ZEROCOPY = 60
MSG_ZEROCOPY = 0x4000000

SOL_UDP = 17
UDP_GRO = 104

SOL_MPTCP = 284
MPTCP_INFO = 1

# Far beyond what any step takes, on a debug kernel too.
TIMEOUT = 120

socket.setdefaulttimeout(TIMEOUT)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def pattern(size):
    """Data in which no two places look alike."""
    return random.Random(size).randbytes(size)


def intact(data, expected):
    return "intact" if bytes(data) == expected else "damaged"


def ip_socket(address, kind, protocol=0):
    """A socket for packets to and from the address, not bound to it yet."""
    sock = socket.socket(family_of(address), kind, protocol)
    if sock.family == socket.AF_INET6:
        # See bind() below.
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    return sock


def udp_socket(address):
    sock = ip_socket(address, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    return sock


def udp_pair(address):
    """A sender and a receiver, connected, so that nothing else gets in."""
    sender, receiver = udp_socket(address), udp_socket(address)
    sender.connect(receiver.getsockname())
    receiver.connect(sender.getsockname())
    return sender, receiver


def statistics(device):
    def read(name):
        with open(f"/sys/class/net/{device}/statistics/{name}") as file:
            return int(file.read())
    return read("rx_packets"), read("rx_bytes")


Packet = collections.namedtuple("Packet", "direction length offloaded data")


class Capture:
    """All packets of a device, in both directions, from the IP header on."""

    def __init__(self, device):
        self.device = device
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 29)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.bind((device, ETH_P_ALL))
        self.before = statistics(device)

    def packets(self, size=1 << 16):
        """What was captured so far, of each packet the first bytes."""
        buffer = bytearray(size)
        captured = []
        self.socket.setblocking(False)
        while True:
            try:
                length, ancillary, _, address = self.socket.recvmsg_into(
                    [buffer], 256)
            except BlockingIOError:
                return captured
            (aux,) = [data for level, kind, data in ancillary
                      if (level, kind) == (SOL_PACKET, PACKET_AUXDATA)]
            status, full_length = struct.unpack_from("=II", aux)
            captured.append(Packet(address[2], full_length,
                                   bool(status & TP_STATUS_CSUMNOTREADY),
                                   bytes(buffer[:length])))

    def summary(self, packets, limit):
        """What the packets say about sizes and about the counters."""
        received = [p.length for p in packets if p.direction == PACKET_HOST]
        after = statistics(self.device)
        counted = after[0] - self.before[0], after[1] - self.before[1]
        larger = any(p.length > limit for p in packets)
        print(f"larger than {limit}: {'some' if larger else 'none'}")
        if counted == (len(received), sum(received)):
            print("counted as captured")
        else:
            print("counted", *counted, "captured", len(received),
                  sum(received))


STREAM_PROTOCOLS = {
    "tcp": socket.IPPROTO_TCP,
    "sctp": IPPROTO_SCTP,
    "mptcp": IPPROTO_MPTCP,
}


def settle():
    """Waits until no connection has a packet left to send."""
    def connections():
        for name in "tcp", "tcp6":
            with open(f"/proc/self/net/{name}") as file:
                # LISTEN and TIME_WAIT send nothing.
                yield from (line for line in list(file)[1:]
                            if line.split()[3] not in ("0A", "06"))
        try:
            with open("/proc/self/net/sctp/assocs") as file:
                yield from list(file)[1:]
        except FileNotFoundError:
            pass
    deadline = time.monotonic() + TIMEOUT
    while any(connections()):
        if time.monotonic() > deadline:
            raise SystemExit("the connection did not end")
        time.sleep(0.02)


def connection(kind, address):
    """A connected pair of stream sockets."""
    protocol = STREAM_PROTOCOLS[kind]
    with ip_socket(address, socket.SOCK_STREAM, protocol) as listener:
        listener.bind((address, 0))
        listener.listen()
        client = ip_socket(address, socket.SOCK_STREAM, protocol)
        client.bind((address, 0))
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    return client, server


def send_all(client, data):
    # One message of SCTP has to fit into its send buffer.
    step = 32768 if client.proto == IPPROTO_SCTP else len(data)
    for start in range(0, len(data), step):
        client.sendall(data[start:start + step])


def receive(server, size):
    received = bytearray()
    while len(received) < size:
        data = server.recv(1 << 20)
        if not data:
            break
        received += data
    return received


def close(client, server):
    """In order, so that both sides see the other's end."""
    client.shutdown(socket.SHUT_WR)
    while server.recv(1 << 16):
        pass
    server.close()
    client.close()
    settle()


def transfer(client, server, data):
    thread = threading.Thread(target=send_all, args=(client, data))
    thread.start()
    received = receive(server, len(data))
    thread.join()
    return received


def stream(kind, address, device, size, limit):
    """Sends SIZE bytes; were there packets larger than LIMIT?"""
    data = pattern(int(size))
    capture = Capture(device)
    client, server = connection(kind, address)
    received = transfer(client, server, data)
    if kind == "mptcp":
        print("MPTCP:", mptcp_state(client), mptcp_state(server))
    close(client, server)
    print(f"{len(received)} bytes, {intact(received, data)}")
    capture.summary(capture.packets(64), int(limit))


def mptcp_state(sock):
    info = sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 256)
    flags = struct.unpack_from("=I", info, 8)[0]
    return "fallback" if flags & 1 else "yes"


# Checksums.

CRC32C = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    CRC32C.append(value)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    return struct.pack("<I", crc ^ 0xFFFFFFFF)


def folded_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


# Name, and place of the checksum in the header.
CHECKSUMS = {
    socket.IPPROTO_TCP: ("tcp", 16),
    socket.IPPROTO_UDP: ("udp", 6),
    IPPROTO_SCTP: ("sctp", 8),
}


def dissect(packet):
    """Protocol, addresses and transport part of an IP packet."""
    if packet[0] >> 4 == 4:
        length = struct.unpack_from("!H", packet, 2)[0]
        start = (packet[0] & 15) * 4
        return packet[9], packet[12:20], packet[start:length]
    length = struct.unpack_from("!H", packet, 4)[0]
    return packet[6], packet[8:40], packet[40:40 + length]


def checksum_state(packet):
    protocol, addresses, segment = dissect(packet.data)
    place = CHECKSUMS[protocol][1]
    if protocol == IPPROTO_SCTP:
        found = segment[place:place + 4]
        zeroed = segment[:place] + bytes(4) + segment[place + 4:]
        right, empty = found == crc32c(zeroed), found == bytes(4)
    else:
        pseudo = addresses + struct.pack("!HH", protocol, len(segment))
        right = folded_sum(pseudo + segment) == 0xFFFF
        empty = (struct.unpack_from("!H", segment, place)[0]
                 == folded_sum(pseudo))
    if packet.offloaded:
        return "left to the device" if empty else "offloaded, but not empty"
    return "right" if right else "wrong"


def checksums(kind, address, device, size, limit):
    """Sends SIZE bytes; the checksums of the packets on DEVICE."""
    data = pattern(int(size))
    capture = Capture(device)
    if kind == "udp":
        sender, receiver = udp_pair(address)
        sender.send(data)
        received = receiver.recv(1 << 16)
    else:
        client, server = connection(kind, address)
        received = transfer(client, server, data)
        close(client, server)
    print(f"{len(received)} bytes, {intact(received, data)}")
    states = collections.defaultdict(set)
    larger = "none"
    for packet in capture.packets(1 << 17):
        # IPv6 on a dummy device has packets of its own.
        protocol = dissect(packet.data)[0]
        if protocol in CHECKSUMS and CHECKSUMS[protocol][0] == kind:
            direction = {PACKET_OUTGOING: "sent"}.get(packet.direction,
                                                      "received")
            states[direction].add(checksum_state(packet))
            if packet.length > int(limit):
                larger = "some"
    for direction in sorted(states):
        print(f"{direction}: {', '.join(sorted(states[direction]))}")
    print(f"larger than {limit}: {larger}")


# UDP segmentation.

def udp_segments(address, device, size, segment, mode):
    """Sends SIZE bytes in one call, as datagrams of SEGMENT bytes."""
    data = pattern(int(size))
    sender, receiver = udp_pair(address)
    receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    if mode == "gro":
        receiver.setsockopt(SOL_UDP, UDP_GRO, 1)
    capture = Capture(device)
    sender.sendmsg([data], [(SOL_UDP, UDP_SEGMENT,
                             struct.pack("=H", int(segment)))])
    received = bytearray()
    calls = collections.Counter()
    while len(received) < len(data):
        part, ancillary, _, _ = receiver.recvmsg(1 << 16, 64)
        received += part
        sizes = [struct.unpack("=i", value)[0]
                 for level, kind, value in ancillary
                 if (level, kind) == (SOL_UDP, UDP_GRO)]
        calls[len(part), *sizes] += 1
    for (length, *sizes), count in sorted(calls.items(), reverse=True):
        note = f" in segments of {sizes[0]}" if sizes else ""
        print(f"{count} x {length}{note}")
    print(intact(received, data))
    capture.summary(capture.packets(64), int(segment) + 48)


# Timestamps.

SOF_TIMESTAMPING = (1 << 1 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 8 | 1 << 9
                    | 1 << 11)
TIMESTAMPS = {0: "sent", 1: "scheduled", 2: "acknowledged"}


def errors(sock):
    """Messages on the error queue: (extended error, other ancillary)."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(1 << 16, 512,
                                              socket.MSG_ERRQUEUE)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SystemExit("nothing on the error queue") from None
            time.sleep(0.01)
            continue
        error = [value for level, _, value in ancillary
                 if level in (socket.IPPROTO_IP, socket.IPPROTO_IPV6)]
        yield (struct.unpack_from("=IBBBBII", error[0]) if error else None,
               ancillary)


def timestamp(ancillary):
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPING):
            seconds, nanoseconds = struct.unpack_from("=qq", value)
            return seconds * 10**9 + nanoseconds
    return None


def timestamps(kind, address):
    """Are the software timestamps there, and in order?"""
    order = ["scheduled", "sent", "received"]
    if kind == "tcp":
        order.append("acknowledged")
        sender, receiver = connection("tcp", address)
    else:
        sender, receiver = udp_pair(address)
    receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING)
    sender.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING)
    # The kernel switches receive timestamps on a moment after it was asked;
    # UDP then stamps late, TCP not at all.
    deadline = time.monotonic() + TIMEOUT
    identifier = 0
    while True:
        sender.send(b"x")
        _, ancillary, _, _ = receiver.recvmsg(1, 512)
        when = {"received": timestamp(ancillary)}
        for error, ancillary in errors(sender):
            if error[6] == identifier:
                when[TIMESTAMPS[error[5]]] = timestamp(ancillary)
            if len(when) == len(order):
                break
        if all(when.values()) or time.monotonic() > deadline:
            break
        identifier += 1
        time.sleep(0.02)
    print(*sorted(when, key=lambda name: (when[name], order.index(name))))
    if kind == "tcp":
        close(sender, receiver)


# Zero-copy.

def zerocopy(kind, address):
    """Four sends with MSG_ZEROCOPY: what the notifications say."""
    data = pattern(40000)
    if kind == "tcp":
        sender, receiver = connection("tcp", address)
    else:
        sender, receiver = udp_pair(address)
    sender.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    states = []
    for _ in range(4):
        sender.send(data, MSG_ZEROCOPY)
        states.append(intact(receive(receiver, len(data)), data))
    done, copied = set(), set()
    for error, _ in errors(sender):
        if error[1] == 5:  # SO_EE_ORIGIN_ZEROCOPY
            done.update(range(error[5], error[6] + 1))
            copied.add("copied" if error[3] & 1 else "not copied")
        if len(done) == 4:
            break
    print("completed", *sorted(done), *copied)
    print(*states)
    if kind == "tcp":
        close(sender, receiver)


# Packet sockets. The packets come from an address that nobody has: IP drops
# those from its own addresses if they did not come from IP.

def foreign(address):
    ipv4 = family_of(address) == socket.AF_INET
    return "192.0.2.9" if ipv4 else "2001:db8::9"


def ip_header(address, source, protocol, length):
    family = family_of(address)
    addresses = (socket.inet_pton(family, source)
                 + socket.inet_pton(family, address))
    if family == socket.AF_INET6:
        return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + addresses
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64,
                         protocol, 0) + addresses
    return (header[:10] + struct.pack("!H", folded_sum(header) ^ 0xFFFF)
            + header[12:])


def udp_packet(address, port, data, offload=False):
    """An IP packet; with offload the checksum is left to the device."""
    source = foreign(address)
    length = 8 + len(data)
    header = ip_header(address, source, socket.IPPROTO_UDP, length)
    pseudo = (dissect(header)[1]
              + struct.pack("!HH", socket.IPPROTO_UDP, length))
    segment = struct.pack("!HHHH", 7, port, length, 0) + data
    total = folded_sum(pseudo if offload else pseudo + segment)
    checksum = total if offload else total ^ 0xFFFF
    return header + segment[:6] + struct.pack("!H", checksum) + segment[8:]


def ethertype(address):
    return ETH_P_IP if family_of(address) == socket.AF_INET else ETH_P_IPV6


def ethernet_header(address):
    return bytes(12) + struct.pack("!H", ethertype(address))


def directions(packets):
    names = {PACKET_OUTGOING: "outgoing", PACKET_HOST: "host"}
    return " ".join(names.get(packet.direction, str(packet.direction))
                    for packet in packets)


def packet_send(kind, address, device):
    """A UDP packet from a packet socket, and who sees it."""
    receiver = udp_socket(address)
    data = pattern(1000)
    packet = udp_packet(address, receiver.getsockname()[1], data)
    capture = Capture(device)
    if kind == "raw":
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind((device, 0))
        sender.send(ethernet_header(address) + packet)
    else:
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        sender.sendto(packet, (device, ethertype(address), 0, 0, bytes(6)))
    received, source = receiver.recvfrom(1 << 16)
    print("UDP:", intact(received, data), "from", source[0])
    packets = capture.packets()
    print("packet socket:", directions(packets),
          *(intact(p.data, packet) for p in packets))


def packet_receive(kind, address, device):
    """What packet sockets get of a UDP packet from IP."""
    kinds = {"raw": socket.SOCK_RAW, "dgram": socket.SOCK_DGRAM}
    listener = socket.socket(socket.AF_PACKET, kinds[kind], 0)
    listener.bind((device, ETH_P_ALL))
    sender, receiver = udp_pair(address)
    data = pattern(1000)
    sender.send(data)
    receiver.recv(1 << 16)
    headers = len(ethernet_header(address)) if kind == "raw" else 0
    headers += 28 if family_of(address) == socket.AF_INET else 48
    for _ in range(2):
        packet, source = listener.recvfrom(1 << 16)
        print({PACKET_OUTGOING: "outgoing", PACKET_HOST: "host"}[source[2]],
              f"{hex(source[1])}, hardware type {source[3]}, address",
              f"{source[4].hex()}, headers {len(packet) - len(data)}",
              intact(packet[headers:], data))


def packet_types(device):
    """What becomes of frames to all sorts of addresses, of all sorts of types."""
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    listener.bind((device, ETH_P_ALL))
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((device, 0))
    own = bytes(6)
    experiment = struct.pack("!H", 0x88B5)
    length = struct.pack("!H", 46)
    payload = pattern(46)
    for name, frame in (
            ("own", own + bytes(6) + experiment + payload),
            ("other", b"\x02" + bytes(11) + experiment + payload),
            ("multicast", b"\x01\0\x5e\0\0\1" + bytes(6) + experiment + payload),
            ("broadcast", b"\xff" * 6 + bytes(6) + experiment + payload),
            ("802.2", own + bytes(6) + length + b"\xaa\xaa" + payload[2:]),
            ("802.3", own + bytes(6) + length + b"\xff\xff" + payload[2:])):
        sender.send(frame)
        seen = []
        for _ in range(2):
            captured, source = listener.recvfrom(1 << 16)
            seen.append(f"type {source[2]} protocol {source[1]:#x} "
                        + intact(captured, frame))
        print(f"{name}:", *seen)


VNET_HDR = "=BBHHHH"


def packet_vnet(address, device, size, segment):
    """A packet to be segmented, from and to sockets with PACKET_VNET_HDR."""
    size, segment = int(size), int(segment)
    receiver = udp_socket(address)
    receiver.setsockopt(SOL_UDP, UDP_GRO, 1)
    data = pattern(size)
    packet = udp_packet(address, receiver.getsockname()[1], data, offload=True)
    frame = ethernet_header(address) + packet
    # The transport header begins here in the frame.
    start = len(frame) - size - 8
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    listener.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    listener.bind((device, ETH_P_ALL))
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sender.bind((device, 0))
    # VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP_L4
    sender.send(struct.pack(VNET_HDR, 1, 5, start + 8, segment, start, 6)
                + frame)
    received, ancillary, _, _ = receiver.recvmsg(1 << 16, 64)
    print(f"UDP: {len(received)} bytes, {intact(received, data)}, segments of",
          *(struct.unpack("=i", value)[0] for _, _, value in ancillary))
    for _ in range(2):
        captured, source = listener.recvfrom(1 << 17)
        flags, gso, _, gso_size, _, _ = struct.unpack_from(VNET_HDR, captured)
        print({PACKET_OUTGOING: "outgoing:", PACKET_HOST: "host:"}[source[2]],
              f"flags {flags}, type {gso}, size {gso_size},",
              intact(captured[10:], frame))


def packet_ring(address, device, count):
    """COUNT UDP packets in a TPACKET_V3 ring."""
    count = int(count)
    # A block is handed over when it is full, or 500 ms after it was begun: even
    # on a slow machine there are enough for what is sent before the ring is read.
    block, blocks = 1 << 16, 32
    ring = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    ring.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    ring.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack(
        "=7I", block, blocks, 2048, blocks * block // 2048, 500, 0, 0))
    memory = mmap.mmap(ring.fileno(), blocks * block)
    ring.bind((device, ETH_P_ALL))
    sender, receiver = udp_pair(address)
    sent = [struct.pack("=I", number) * 100 for number in range(count)]
    for data in sent:
        sender.send(data)
        receiver.recv(1 << 16)
    seen = {PACKET_OUTGOING: [], PACKET_HOST: []}
    poll = select.poll()
    poll.register(ring, select.POLLIN)
    current = 0
    while sum(map(len, seen.values())) < 2 * count:
        start = current % blocks * block
        if not struct.unpack_from("=I", memory, start + 8)[0] & TP_STATUS_USER:
            if not poll.poll(TIMEOUT * 1000):
                break
            continue
        packets, offset = struct.unpack_from("=II", memory, start + 12)
        for _ in range(packets):
            (step, _, _, _, length, _, mac, _) = struct.unpack_from(
                "=6IHH", memory, start + offset)
            # struct sockaddr_ll follows the header of 48 bytes.
            direction = memory[start + offset + 48 + 10]
            end = start + offset + mac + length
            seen[direction].append(memory[end - 400:end])
            offset += step
        struct.pack_into("=I", memory, start + 8, 0)
        current += 1
    _, dropped, _ = struct.unpack(
        "=III", ring.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
    print("outgoing", intact(b"".join(seen[PACKET_OUTGOING]), b"".join(sent)),
          "host", intact(b"".join(seen[PACKET_HOST]), b"".join(sent)),
          "dropped", dropped)


# Raw and ICMP sockets.

def raw(address):
    """A packet with its own IP header, for a raw socket."""
    receiver = ip_socket(address, socket.SOCK_RAW, IPPROTO_EXPERIMENT)
    receiver.bind((address, 0))
    data = pattern(500)
    sender = ip_socket(address, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sender.sendto(ip_header(address, address, IPPROTO_EXPERIMENT, len(data))
                  + data, (address, 0))
    received = receiver.recv(1 << 16)
    if family_of(address) == socket.AF_INET:
        received = received[20:]
    print(intact(received, data))


def echo(address):
    """An echo from an ICMP socket, which needs no privilege."""
    family = family_of(address)
    protocol, request, reply = (
        (socket.IPPROTO_ICMP, 8, 0) if family == socket.AF_INET
        else (socket.IPPROTO_ICMPV6, 128, 129))
    try:
        sock = ip_socket(address, socket.SOCK_DGRAM, protocol)
    except PermissionError:
        print("not permitted")
        return
    data = pattern(500)
    sock.sendto(struct.pack("!BBHHH", request, 0, 0, 0, 1) + data,
                (address, 0))
    received = sock.recv(1 << 16)
    print("reply" if received[0] == reply else received[0],
          intact(received[8:], data))


# Where packets go.

def arrival(receiver, data):
    """What became of a datagram; a second is enough to say it is lost."""
    receiver.settimeout(1)
    try:
        return intact(receiver.recv(1 << 16), data)
    except TimeoutError:
        return "lost"


def multicast(group, address, device, other):
    """Three datagrams to a group that was joined on the device."""
    family = family_of(group)
    index = socket.if_nametoindex(device)
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    sender = udp_socket(address)
    receiver.bind((group, 0, 0, index) if ":" in group else (group, 0))
    if family == socket.AF_INET:
        request = (socket.inet_aton(group) + bytes(4)
                   + struct.pack("=i", index))
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                            request)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                          bytes(8) + struct.pack("=i", index))
    else:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                            socket.inet_pton(family, group)
                            + struct.pack("=i", index))
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF,
                          index)
    captures = Capture(device), Capture(other)
    data = pattern(1000)
    for _ in range(3):
        sender.sendto(data, (group, receiver.getsockname()[1]))
        print(arrival(receiver, data))
    # Joining sends reports of IGMP and MLD, now and later.
    for capture in captures:
        print(f"packet socket on {capture.device}:", directions(
            packet for packet in capture.packets()
            if packet.data.endswith(data)))


def bound(side, address, device):
    """A datagram; the sender or the receiver is bound to a device."""
    receiver = udp_socket(address)
    sender = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock = {"sender": sender, "receiver": receiver}[side]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                    device.encode())
    data = pattern(1000)
    sender.sendto(data, receiver.getsockname()[:2])
    print(arrival(receiver, data))


def bind(address):
    """A listener at the address itself, as a server has it.

    A socket without IPV6_FREEBIND: __ipv6_chk_addr_and_flags() looks for an
    IPv6 address to bind to only among the devices of no L3 master device.
    """
    listener = socket.socket(family_of(address), socket.SOCK_STREAM)
    listener.bind((address, 0))
    listener.listen()
    client = socket.create_connection(listener.getsockname()[:2])
    server, _ = listener.accept()
    client.send(b"x")
    print("connected,", intact(server.recv(1), b"x"))
    listener.close()
    close(client, server)


def readdress(address, device, *hardware_addresses):
    """A connection stays while the device's hardware address changes."""
    client, server = connection("tcp", address)
    for hardware_address in hardware_addresses:
        client.send(b"x" * 1000)
        print(intact(receive(server, 1000), b"x" * 1000), end=" ")
        # What was sent to the old address would be dropped.
        while any(struct.unpack("=i", fcntl.ioctl(sock, SIOCOUTQ, bytes(4)))[0]
                  for sock in (client, server)):
            time.sleep(0.01)
        subprocess.run(["ip", "link", "set", device, "address",
                        hardware_address], check=True)
    client.send(b"y" * 1000)
    print(intact(receive(server, 1000), b"y" * 1000))
    close(client, server)


def measure(*devices):
    """Packets and bytes, of each device and of IP, the received ones."""
    for device in devices:
        print(*statistics(device))
    packets = octets = 0
    with open("/proc/self/net/snmp6") as file:
        values = dict(line.split() for line in file)
        packets += int(values["Ip6InReceives"])
        octets += int(values["Ip6InOctets"])
    for name, prefix in ("snmp", "Ip:"), ("netstat", "IpExt:"):
        with open(f"/proc/self/net/{name}") as file:
            names, values = (line.split() for line in file
                             if line.startswith(prefix))
        values = dict(zip(names, values))
        packets += int(values.get("InReceives", 0))
        octets += int(values.get("InOctets", 0))
    print(packets, octets)


TOPICS = {topic.__name__: topic for topic in (
    stream, checksums, udp_segments, timestamps, zerocopy, packet_send,
    packet_receive, packet_types, packet_vnet, packet_ring, raw, echo,
    multicast, bound, bind, readdress, measure)}


def run(topic, *arguments):
    try:
        TOPICS[topic](*arguments)
    except OSError as error:
        print(f"{type(error).__name__}: {error.strerror or error}")
    except SystemExit as error:
        print(error)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(*sys.argv[1:])
    else:
        for request in sys.stdin:
            run(*shlex.split(request))
            print(".", flush=True)
