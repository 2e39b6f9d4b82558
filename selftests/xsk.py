#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""AF_XDP sockets with rings that hold what a test wants, right or wrong.

    xsk.py DEVICE PINS

Reads commands from its standard input, one a line, and answers each with a line. The
methods of Commands are the commands. The map PINS/sockets gives a queue's packets to
the socket that is open on it.
"""

import ctypes
import errno
import mmap
import os
import random
import signal
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True

from xdp import PORT, datagram, udp  # pylint: disable=wrong-import-position

AF_XDP = 44
SOL_XDP = 283
MMAP_OFFSETS, RX_RING, TX_RING, UMEM_REG, FILL_RING, COMPLETION_RING, STATISTICS = range(1, 8)
PAGE_OFFSETS = {RX_RING: 0, TX_RING: 1 << 31, FILL_RING: 1 << 32, COMPLETION_RING: 3 << 31}
SHARED_UMEM, COPY, ZEROCOPY, NEED_WAKEUP, USE_SG = (1 << bit for bit in range(5))
UNALIGNED_CHUNKS, TX_METADATA_LEN = 1, 4
CONTD, TX_METADATA = 1, 2
# Before the data of a packet: what is asked for, and where a checksum begins and goes.
METADATA = struct.Struct("QHHIQ")
WANT_TIMESTAMP, WANT_CHECKSUM = 1, 2
ENTRIES = {RX_RING: "QII", TX_RING: "QII", FILL_RING: "Q", COMPLETION_RING: "Q"}

BPF_MAP_UPDATE_ELEM, BPF_OBJ_GET = 2, 7
SYS_BPF = 321
PR_SET_PDEATHSIG = 1

HEADERS = 14 + 20 + 8
MAC = bytes.fromhex("020000000007")
ADDRESS = socket.inet_aton("10.7.0.1")
POISON = 0xA5
ALL = (1 << 32) - 1
# Seconds until a test gives up.
LIMIT = 240 if os.environ.get("KSFT_MACHINE_SLOW") == "yes" else 60

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    """The result of a C function, which may have failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def bpf(command, *fields):
    """The system call, with attributes of 8 bytes each."""
    attributes = ctypes.create_string_buffer(struct.pack(f"{len(fields)}Q", *fields), 128)
    return checked(libc.syscall(SYS_BPF, command, attributes, 8 * len(fields)))


def address_of(buffer):
    """Where something lies in memory."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def place(address):
    """The offset in the UMEM that an address of unaligned chunks says."""
    return (address & (1 << 48) - 1) + (address >> 48)


def checksum(data):
    """That of the Internet's protocols."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def frame(number, size):
    """A datagram to the device's address, with all headers."""
    rest = size - HEADERS
    header = struct.pack(">BBHHHBBH", 0x45, 0, size - 14, 0, 0, 64, 17, 0) + ADDRESS + ADDRESS
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    ports = struct.pack(">HHHH", PORT, PORT, rest + 8, 0)
    return MAC + MAC + b"\x08\x00" + header + ports + datagram(number, rest)


class Until:
    """A loop that waits: as long as it is worth it."""

    def __init__(self):
        self.end = time.monotonic() + LIMIT

    def __iter__(self):
        while time.monotonic() < self.end:
            yield
            time.sleep(0.001)


class Ring:
    """A ring that is shared with the kernel."""

    def __init__(self, sock, kind, offsets, size):
        self.producer_at, self.consumer_at, self.start, _ = offsets
        self.entry, self.size = struct.Struct(ENTRIES[kind]), size
        self.memory = mmap.mmap(
            sock.fileno(),
            self.start + size * self.entry.size,
            offset=PAGE_OFFSETS[kind],
            trackfd=False,
        )
        self.words = memoryview(self.memory).cast("I")

    def close(self):
        """Gives the memory back."""
        self.words.release()
        self.memory.close()

    @property
    def producer(self):
        """Its index."""
        return self.words[self.producer_at // 4]

    @producer.setter
    def producer(self, index):
        self.words[self.producer_at // 4] = index & ALL

    @property
    def consumer(self):
        """Its index."""
        return self.words[self.consumer_at // 4]

    @consumer.setter
    def consumer(self, index):
        self.words[self.consumer_at // 4] = index & ALL

    def put(self, entries):
        """Adds entries."""
        index = self.producer
        for entry in entries:
            self.entry.pack_into(
                self.memory, self.start + index % self.size * self.entry.size, *entry
            )
            index += 1
        self.producer = index

    def room(self):
        """How many entries can be added."""
        return self.size - (self.producer - self.consumer & ALL)

    def take(self, most=ALL):
        """Takes up to so many entries off."""
        index, entries = self.consumer, []
        for _ in range(min(most, self.producer - index & ALL)):
            entries.append(
                self.entry.unpack_from(
                    self.memory, self.start + index % self.size * self.entry.size
                )
            )
            index += 1
        self.consumer = index
        return entries


class Port:
    """A socket on a queue, with a UMEM of 256 KiB: one half to receive, one to send."""

    def __init__(self, device, queue, mode, ring, shared=None, bound=True):
        self.socket = socket.socket(AF_XDP, socket.SOCK_RAW)
        self.unaligned = "unaligned" in mode
        self.chunk = 2048 if "small" in mode else 4096
        self.size, self.rings = 64 * 4096, {}
        self.half = self.size // 2
        kinds = [RX_RING, TX_RING]
        if shared:
            self.umem = shared.umem
        else:
            self.umem = mmap.mmap(-1, self.size)
            self.poison()
            flags = UNALIGNED_CHUNKS if self.unaligned else 0
            metadata = "metadata" in mode
            flags |= TX_METADATA_LEN if metadata else 0
            before = METADATA.size if metadata else 0
            area = address_of(self.umem), self.size, self.chunk, 0, flags, before
            self.set(UMEM_REG, struct.pack("QQIIII", *area))
            kinds += [FILL_RING, COMPLETION_RING]
        for kind in kinds:
            self.set(kind, struct.pack("I", ring))
        offsets = struct.unpack("16Q", self.socket.getsockopt(SOL_XDP, MMAP_OFFSETS, 128))
        for place, kind in enumerate((RX_RING, TX_RING, FILL_RING, COMPLETION_RING)):
            if kind in kinds:
                where = offsets[4 * place : 4 * place + 4]
                self.rings[kind] = Ring(self.socket, kind, where, ring)
        self.rx, self.tx = self.rings[RX_RING], self.rings[TX_RING]
        owner = shared or self
        self.fill, self.completion = owner.rings[FILL_RING], owner.rings[COMPLETION_RING]
        flags = 0
        if shared:
            flags = SHARED_UMEM
        else:
            flags |= COPY if "copy" in mode else ZEROCOPY
            flags |= 0 if "no-wakeup" in mode else NEED_WAKEUP
            flags |= USE_SG if "sg" in mode else 0
        self.name = struct.pack(
            "HHIII",
            AF_XDP,
            flags,
            socket.if_nametoindex(device),
            queue,
            shared.socket.fileno() if shared else 0,
        )
        if bound:
            try:
                self.bind()
            except OSError:
                self.close()
                raise

    def bind(self):
        """Binds it to its queue."""
        # What was just closed is unbound a little later, by a work item.
        for _ in Until():
            if libc.bind(self.socket.fileno(), self.name, len(self.name)) == 0:
                return
            failure = ctypes.get_errno()
            if failure != errno.EBUSY:
                break
        raise OSError(failure, os.strerror(failure))

    def set(self, option, value):
        """Sets an option of the socket."""
        self.socket.setsockopt(SOL_XDP, option, value)

    def close(self):
        """Closes it, and all that refers to it."""
        for ring in self.rings.values():
            ring.close()
        self.socket.close()

    def poison(self):
        """Writes something else over all of the UMEM."""
        self.umem[:] = bytes([POISON]) * self.size

    def chunks(self, start, end):
        """The addresses of the chunks there."""
        return range(start, end, self.chunk)

    def offer(self, addresses):
        """Puts empty frames onto the fill ring."""
        self.fill.put((address,) for address in addresses)

    def write(self, address, data):
        """Writes into the UMEM."""
        self.umem[address : address + len(data)] = data

    def read(self, address, length):
        """Reads from the UMEM."""
        return self.umem[place(address) : place(address) + length]

    def wake(self):
        """Tells the kernel that there is something to do, in both directions."""
        for call in (
            lambda: self.socket.send(b"", socket.MSG_DONTWAIT),
            lambda: self.socket.recv(1, socket.MSG_DONTWAIT),
        ):
            try:
                call()
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EBUSY, errno.ENOBUFS):
                    raise

    def statistics(self):
        """rx_dropped, rx_invalid, tx_invalid, rx_full, fill_empty, tx_empty"""
        return struct.unpack("6Q", self.socket.getsockopt(SOL_XDP, STATISTICS, 48))

    def untouched(self, address, length):
        """Whether the chunk has nothing but the packet."""
        first = address // self.chunk * self.chunk
        around = self.umem[first:address] + self.umem[address + length : first + self.chunk]
        return around == bytes([POISON]) * len(around)


class Flow:
    """Sends on a socket and takes what arrives on another, while it goes."""

    def __init__(self, source, target=None):
        self.source, self.target = source, target
        self.back, self.packets = [], []

    def step(self, recycle=True):
        """Tells the kernel, and takes what is there. Says whether there was something."""
        self.source.wake()
        back = [entry[0] for entry in self.source.completion.take()]
        self.back += back
        packets = []
        if self.target:
            if self.target is not self.source:
                self.target.wake()
            packets = self.target.rx.take()
            self.packets += packets
            if recycle:
                self.target.offer(packet[0] for packet in packets)
        return back or packets

    def until(self, back, packets=0, recycle=True):
        """Goes on until there are so many, or more."""
        for _ in Until():
            while self.step(recycle):
                pass
            if len(self.back) >= back and len(self.packets) >= packets:
                break
        return self

    def settle(self, recycle=True):
        """Goes on until nothing moves in a few steps."""
        quiet = 0
        while quiet < 20:
            quiet = 0 if self.step(recycle) else quiet + 1
            time.sleep(0.001)
        return self


class Commands:
    """What a test can ask for."""

    def __init__(self, device, pins):
        self.device, self.ports, self.child = device, {}, None
        path = ctypes.create_string_buffer(f"{pins}/sockets".encode())
        self.map = bpf(BPF_OBJ_GET, ctypes.addressof(path))
        self.listener = udp()
        self.listener.bind(("0.0.0.0", PORT))
        self.listener.setblocking(False)
        # Of the next packet: none has the number of another.
        self.number = 0
        self.stop = threading.Event()
        self.thread, self.taken, self.missing = None, 0, 0

    # Sockets

    def open(self, name, queue, mode="", ring="64"):
        """Opens a socket with all of its frames on the fill ring; mode: words with commas."""
        words = mode.split(",")
        shared = next((self.ports[word] for word in words if word in self.ports), None)
        port = Port(self.device, int(queue), words, int(ring), shared)
        self.ports[name] = port
        if shared:
            return "bound"
        if "empty" not in words:
            port.offer(list(port.chunks(0, port.half))[: int(ring)])
        key, value = struct.pack("I", int(queue)), struct.pack("I", port.socket.fileno())
        key, value = ctypes.create_string_buffer(key), ctypes.create_string_buffer(value)
        addresses = ctypes.addressof(key), ctypes.addressof(value)
        bpf(BPF_MAP_UPDATE_ELEM, self.map, *addresses, 0)
        return "bound"

    def close(self, *names):
        """Closes sockets."""
        for name in names:
            self.ports.pop(name).close()
        return "closed"

    def offer(self, name, *addresses):
        """Puts frames onto the fill ring."""
        self.ports[name].offer(int(address) for address in addresses)
        return "offered"

    # What arrives

    def send(self, source, count, sizes, heard="0", target="", received="0"):
        """Sends packets of sizes by turns. Says how many frames came back, how many packets
        the stack and the socket target got in order and intact, and what else came."""
        count, heard, received = int(count), int(heard), int(received)
        sizes = [int(size) for size in sizes.split(",")]
        port = self.ports[source]
        other = self.ports[target] if target else None
        wanted = [(self.number + i, sizes[i % len(sizes)]) for i in range(count)]
        self.number += count
        queued, back, to_stack, to_socket = 0, 0, [], []
        free = list(port.chunks(port.half, port.size))
        for _ in Until():
            moved = True
            while moved:
                ready = []
                while free and queued < count and len(ready) < port.tx.room():
                    data = frame(*wanted[queued])
                    port.write(free[-1], data)
                    ready.append((free.pop(), len(data), 0))
                    queued += 1
                port.tx.put(ready)
                port.wake()
                done = [entry[0] // port.chunk * port.chunk for entry in port.completion.take()]
                free += done
                back += len(done)
                datagrams = self.datagrams()
                to_stack += datagrams
                packets = []
                if other:
                    other.wake()
                    packets = other.rx.take()
                    to_socket += [other.read(at, length) for at, length, _ in packets]
                    other.offer(at for at, _, _ in packets)
                moved = ready or done or datagrams or packets
            if back >= count and len(to_stack) >= heard and len(to_socket) >= received:
                break
        # What another CPU has handled may be in another order.
        intact = {datagram(n, size - HEADERS) for n, size in wanted} & set(to_stack)
        strange = len(to_stack) - len(intact)
        good = [frame(*packet) for packet in wanted]
        in_order = len(to_socket) if to_socket == good[: len(to_socket)] else "not"
        result = f"{back} back, {len(intact)} to the stack, {in_order} to the socket"
        return result + (f", {strange} strange" if strange else "")

    def datagrams(self):
        """What the stack got."""
        found = []
        while True:
            try:
                found.append(self.listener.recv(1 << 16))
            except BlockingIOError:
                return found

    def slow(self, source, target, count, seed):
        """Sends more than the receiver takes, which takes a few at a time."""
        port, other, count = self.ports[source], self.ports[target], int(count)
        dice = random.Random(int(seed))
        free = list(port.chunks(port.half, port.size))
        sent, seen, back, wrong = 0, 0, 0, 0
        # The receiver has that many frames; others go back when something was taken.
        for _ in Until():
            ready = []
            while free and sent < count and len(ready) < port.tx.room():
                data = frame(sent, 64 + sent % 1400)
                port.write(free[-1], data)
                ready.append((free.pop(), len(data), 0))
                sent += 1
            port.tx.put(ready)
            port.wake()
            for at, length, _ in other.rx.take(dice.randint(1, 8)):
                wrong += other.read(at, length) != frame(seen, 64 + seen % 1400)
                seen += 1
                other.offer([at])
            other.wake()
            done = port.completion.take()
            back += len(done)
            free += [entry[0] // port.chunk * port.chunk for entry in done]
            if seen == count and back == count:
                break
        return f"{sent} sent, {back} back, {seen} arrived, {wrong} wrong"

    def pause(self, source, target, frames):
        """Sends 32 packets to one that has 16 frames, takes nothing for longer than the device
        waits, and then offers so many frames. Says what arrives when it goes on to offer all."""
        port, other = self.ports[source], self.ports[target]
        for number, at in enumerate(port.chunks(port.half, port.half + 32 * port.chunk)):
            port.write(at, frame(number, 64))
            port.tx.put([(at, 64, 0)])
        flow = Flow(port, other).until(16, 16, recycle=False)
        port.wake()
        time.sleep(1.5)
        unused = [at for at, _, _ in flow.packets]
        other.offer(unused[: int(frames)])
        other.wake()
        port.wake()
        other.offer(unused[int(frames) :])
        flow.until(32, 0, recycle=False).settle(recycle=False)
        return f"{len(flow.back)} back, {len(flow.packets)} arrived"

    def flood(self, source, target):
        """Sends and receives until it is asked to end."""
        self.stop.clear()
        flow = Flow(self.ports[source], self.ports[target])
        free = list(flow.source.chunks(flow.source.half, flow.source.size))
        for address in free:
            flow.source.write(address, frame(0, 64))

        def work():
            flow.back = list(free)
            while not self.stop.is_set():
                ready, flow.back = flow.back, []
                flow.source.tx.put((address, 64, 0) for address in ready)
                flow.step()
                self.taken += len(flow.packets)
                flow.packets = []
                self.datagrams()
            flow.until(len(free))
            self.missing = len(free) - len(flow.back)

        self.thread = threading.Thread(target=work)
        self.thread.start()
        return "running"

    def received(self):
        """How many packets have arrived."""
        return f"{self.taken}"

    def end(self):
        """Ends the flood. All frames are back."""
        self.stop.set()
        self.thread.join()
        self.datagrams()
        return f"{self.missing} missing"

    # Hostile user space

    def descriptors(self, source, target):
        """Sends packets between descriptors that are none. Says how many came back, are counted
        as invalid, and arrived as they were."""
        port, other = self.ports[source], self.ports[target]
        size, half, chunk = port.size, port.half, port.chunk
        bad = [
            (size, 64, 0),
            (size + (1 << 30), 64, 0),
            ((1 << 48) - 64, 64, 0),
            (half, 0, 0),
            (half, ALL, 0),
            (half, chunk + 1, 0),
            (size - 1, 2, 0),
            (size - 64, 65, 0),
            (half, 64, 4),
            (half, 64, 0x80000000),
            (half, 64, ALL & ~CONTD),
        ]
        if port.unaligned:
            bad += [(0xFFFF << 48 | size - 32768, 64, 0), (0xFFFF << 48 | size - 64, 64, 0)]
        else:
            bad += [
                (half + chunk - 64, 65, 0),
                (half + 1, chunk, 0),
                (1 << 63, 64, 0),
                ((1 << 64) - 64, 64, 0),
                (half | 1 << 48, 64, 0),
            ]
        # Not at the beginning of a chunk; across pages, where chunks may lie anywhere.
        good = [half + i * chunk + 96 * i + 3 for i in range(len(bad))]
        if port.unaligned:
            good[0] |= 100 << 48
            good[1] = half + 2 * 4096 - 30
        flow = Flow(port, other)
        invalid = port.statistics()[2]
        wanted = []
        for number, (right, wrong) in enumerate(zip(good, bad)):
            data = frame(number, 100)
            port.write(place(right), data)
            wanted.append(data)
            port.tx.put([(right, len(data), 0), wrong])
        flow.until(len(good) + len(bad), len(good)).settle()
        got = [other.read(at, length) for at, length, _ in flow.packets]
        intact = sum(data == same for data, same in zip(got, wanted))
        counted = port.statistics()[2] - invalid
        return (
            f"{len(good) + len(bad) - len(flow.back)} not back, {len(good) - intact} not intact, "
            f"{len(got) - len(good)} too many, {len(bad) - counted} not counted"
        )

    def fragments(self, source, target, count, break_at="-1"):
        """Sends a packet of so many frames, one of which may be invalid, and one of one."""
        port, other = self.ports[source], self.ports[target]
        count, break_at = int(count), int(break_at)
        flow, invalid = Flow(port, other), port.statistics()[2]
        places = list(port.chunks(port.half, port.size))
        data = bytes(i * 31 + (i >> 8) & 0xFF for i in range(200 * count))
        data = frame(0, HEADERS + 4)[:HEADERS] + data[HEADERS:]
        for i in range(count):
            port.write(places[i], data[200 * i : 200 * i + 200])
        port.tx.put(
            (places[i], 0 if i == break_at else 200, CONTD if i < count - 1 else 0)
            for i in range(count)
        )
        last = frame(1, 64)
        port.write(places[count], last)
        port.tx.put([(places[count], 64, 0)])
        flow.until(count + 1, 1).settle()
        packets, part = [], b""
        for at, length, options in flow.packets:
            part += other.read(at, length)
            if not options & CONTD:
                packets.append(part)
                part = b""
        names = {data: "whole", last: "next"}
        found = " ".join(names.get(packet, f"{len(packet)} bytes") for packet in packets)
        return f"{len(flow.back)} back, {port.statistics()[2] - invalid} invalid: {found}"

    def request(self, source, target, size, parts="1", start="34", heard="0"):
        """Sends a datagram of several parts with a request for its checksum, which begins at
        start, and for the time. Says what became of both, and what the stack got."""
        port, size, parts, start = self.ports[source], int(size), int(parts), int(start)
        other = self.ports[target] if target in self.ports else None
        # The receiver's stack adds its pseudo-header; the field has the sum of this.
        data = frame(self.number, size)
        expected = datagram(self.number, size - HEADERS)
        self.number += 1
        pseudo = ADDRESS + ADDRESS + struct.pack(">HH", 17, size - 34)
        data = data[:40] + struct.pack(">H", ~checksum(pseudo) & 0xFFFF) + data[42:]
        right = data[:40] + struct.pack(">H", checksum(data[34:])) + data[42:]
        places = [chunk + 256 for chunk in port.chunks(port.half, port.size)]
        length = -(-size // parts)
        before = time.time_ns()
        request = WANT_TIMESTAMP | WANT_CHECKSUM, start, 6, 0, 0
        port.write(places[0] - METADATA.size, METADATA.pack(*request))
        for i in range(parts):
            part = data[i * length : (i + 1) * length]
            port.write(places[i], part)
            options = (CONTD if i < parts - 1 else 0) | (0 if i else TX_METADATA)
            port.tx.put([(places[i], len(part), options)])
        flow = Flow(port, other).until(parts, 1 if other else 0)
        names = {right: "right", data: "as it was", b"": "elsewhere"}
        got = b"".join(other.read(at, length) for at, length, _ in flow.packets) if other else b""
        sum_is = names.get(got, "wrong")
        stamp = struct.unpack("Q", port.read(places[0] - METADATA.size + 8, 8))[0]
        time_is = "right" if before <= stamp <= time.time_ns() else "wrong"
        datagrams = []
        for _ in Until():
            datagrams += self.datagrams()
            if len(datagrams) >= int(heard):
                break
        intact = "" if datagrams == [expected] * int(heard) else " not"
        return f"checksum {sum_is}, time {time_is}, {int(heard)} to the stack{intact}"

    def endless(self, source, target):
        """Sends the beginning of a packet, and its end only later."""
        port, flow = self.ports[source], Flow(self.ports[source], self.ports[target])
        places = list(port.chunks(port.half, port.size))[:4]
        data = frame(0, 400)
        for i, place in enumerate(places):
            port.write(place, data[100 * i : 100 * i + 100])
        port.tx.put((place, 100, CONTD) for place in places[:3])
        flow.settle()
        early = len(flow.back), len(flow.packets)
        port.tx.put([(places[3], 100, 0)])
        flow.until(4, 1)
        got = b"".join(flow.target.read(at, length) for at, length, _ in flow.packets)
        return f"{early[0]} back, {early[1]} arrived; {len(flow.back)} back, " + (
            "whole" if got == data else f"{len(got)} bytes"
        )

    def unfinished(self, source):
        """Sends the beginning of a packet only, from one of several sockets."""
        port = self.ports[source]
        port.write(port.half, frame(0, 64))
        port.tx.put([(port.half, 64, CONTD)])
        return f"{len(Flow(port).until(1).settle().back)} back"

    def fill(self, source, target):
        """Offers frames that are none before each that is one."""
        port, other = self.ports[source], self.ports[target]
        size, chunk = other.size, other.chunk
        bad = [size, size + (1 << 40), (1 << 48) - 1]
        bad += [size - chunk + 1, 0xFFFF << 48 | size] if other.unaligned else [1 << 63, ALL << 32]
        good = [0, chunk + 1, 2 * chunk + chunk // 2, 3 * chunk]
        starts = good if other.unaligned else [at // chunk * chunk for at in good]
        for right in good:
            other.offer([*bad, right])
        flow = Flow(port, other)
        for number in range(len(good)):
            at = port.half + number * port.chunk
            port.write(at, frame(number, 100 + number))
            port.tx.put([(at, 100 + number, 0)])
        flow.until(len(good), len(good), recycle=False)
        right = sum(
            place(at) == start + 256 and other.read(at, length) == frame(number, 100 + number)
            for number, ((at, length, _), start) in enumerate(zip(flow.packets, starts))
        )
        return f"{len(flow.packets)} arrived, {right} right"

    def same_frame(self, source, target, count):
        """Offers one frame again and again, for as many packets."""
        port, other, count = self.ports[source], self.ports[target], int(count)
        other.offer([other.chunk] * count)
        flow = Flow(port, other)
        for number in range(count):
            at = port.half + number * port.chunk
            port.write(at, frame(number, 64 + number))
            port.tx.put([(at, 64 + number, 0)])
        flow.until(count, count, recycle=False).settle(recycle=False)
        places = {at for at, _, _ in flow.packets}
        lengths = [length for _, length, _ in flow.packets] == list(range(64, 64 + count))
        last = other.read(min(places), 63 + count) == frame(count - 1, 63 + count)
        return (
            f"{len(flow.packets)} arrived in {len(places)} frame, lengths "
            f"{'right' if lengths else 'wrong'}, {'the last' if last else 'nothing'} is in it, "
            f"{len(flow.back)} back"
        )

    def jump(self, source, target, ring, distance):
        """Moves an index that belongs to user space, and sends. No more than the completion
        ring holds comes back at a time."""
        port, other = self.ports[source], self.ports[target]
        rings = {
            "tx": (port.tx, "producer"),
            "completion": (port.completion, "consumer"),
            "fill": (other.fill, "producer"),
            "rx": (other.rx, "consumer"),
        }
        for i, at in enumerate(port.chunks(port.half, port.size)):
            port.write(at, frame(i, 64))
        port.tx.put((at, 64, 0) for at in port.chunks(port.half, port.size))
        where, index = rings[ring]
        setattr(where, index, getattr(where, index) + int(distance))
        start, most = port.completion.producer, 0
        for _ in range(50):
            port.wake()
            other.wake()
            # The kernel may believe that the ring has room for ever.
            most = max(most, port.completion.producer - start & ALL)
            time.sleep(0.002)
        return "bounded" if most <= port.tx.size else f"{most}"

    def rewrite(self, source, target, rounds):
        """Sends frames that another process writes to all the time. What arrives has a length
        that was sent, bytes that were written, and nothing around it."""
        port, other = self.ports[source], self.ports[target]
        self.child = os.fork()
        if self.child == 0:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            start = ctypes.c_void_p(address_of(port.umem) + port.half)
            while os.getppid() != 1:
                for value in (1, 2, 3, 4):
                    libc.memset(start, value, port.half)
            os._exit(0)
        for _ in Until():
            if port.umem[port.half] in range(1, 5) and port.umem[port.size - 1] in range(1, 5):
                break
        sizes = (64, 1500, 257, 3498, 14)
        sent = back = seen = wrong = mixed = 0
        for _ in range(int(rounds)):
            lengths = [sizes[(sent + i) % len(sizes)] for i in range(16)]
            places = list(port.chunks(port.half, port.size))[:16]
            sent += len(lengths)
            port.tx.put((at, length, 0) for at, length in zip(places, lengths))
            flow = Flow(port, other).until(16, 16, recycle=False)
            back += len(flow.back)
            seen += len(flow.packets)
            for (at, length, options), same in zip(flow.packets, lengths):
                values = set(other.read(at, length))
                whole = length == same and not options and other.untouched(at, length)
                wrong += not whole or not values <= {1, 2, 3, 4}
                mixed += len(values) > 1
                other.write(at // other.chunk * other.chunk, bytes([POISON]) * other.chunk)
            other.offer(at for at, _, _ in flow.packets)
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        print(f"# {mixed} of {seen} packets were a mix", file=sys.stderr)
        return f"{sent - back} not back, {sent - seen} lost, {wrong} wrong"

    def leaves_alone(self, source, target, count):
        """Whether packets of any length leave what is around them in the frames as it was."""
        port, other = self.ports[source], self.ports[target]
        sent, touched, wrong = 0, 0, 0
        for _ in range(int(count) // 16):
            flow, wanted = Flow(port, other), []
            for at in list(port.chunks(port.half, port.size))[:16]:
                length = HEADERS + sent * 97 % (3512 - HEADERS)
                wanted.append(frame(sent, length))
                port.write(at, bytes([POISON]) * port.chunk)
                port.write(at, wanted[-1])
                port.tx.put([(at, length, 0)])
                sent += 1
            flow.until(16, 16, recycle=False)
            wrong += abs(len(flow.packets) - 16)
            for (at, length, _), data in zip(flow.packets, wanted):
                touched += not other.untouched(at, length)
                wrong += other.read(at, length) != data
                other.write(at // other.chunk * other.chunk, bytes([POISON]) * other.chunk)
            for at, data in zip(port.chunks(port.half, port.size), wanted):
                touched += not port.untouched(at, len(data))
                wrong += port.read(at, len(data)) != data
            other.offer(at for at, _, _ in flow.packets)
        return f"{wrong} wrong, {touched} touched"


def main(device, pins):
    """Answers commands until there are no more."""
    commands = Commands(device, pins)
    for line in sys.stdin:
        name, *arguments = line.split()
        try:
            answer = getattr(commands, name)(*arguments)
        except OSError as error:
            answer = f"error: {error.strerror}"
        except Exception as error:  # pylint: disable=broad-except
            answer = f"{type(error).__name__}: {error}"
        print(answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
