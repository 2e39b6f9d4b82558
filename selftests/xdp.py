#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Datagrams for the XDP tests, numbered, with a content that tells when it was changed.

    xdp.py send ADDRESS COUNT SIZE    sends datagrams to port 9999
    xdp.py burst ADDRESS COUNT SIZE   the same by one call: the kernel cuts them up
    xdp.py frames PROGRAM COUNT       runs a pinned program with up to 256 frames of a datagram each
    xdp.py deliver NAMESPACE ADDRESS COUNT SIZE
                                      sends datagrams from there to an address of this namespace, and
                                      prints how many arrived, and of which sizes
"""

import collections
import ctypes
import os
import socket
import sys
import time

sys.dont_write_bytecode = True

PORT = 9999
SO_SNDBUFFORCE, SO_RCVBUFFORCE, UDP_SEGMENT = 32, 33, 103
BPF_PROG_TEST_RUN = 10
BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 1


def datagram(number, size):
    """The content of a datagram."""
    return (number.to_bytes(4, "big") + bytes(i * 7 + number & 0xFF for i in range(size)))[:size]


def udp():
    """A socket with room for all datagrams of a test."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
        sock.setsockopt(socket.SOL_SOCKET, option, 16 << 20)
    return sock


def send(address, count, size):
    """Sends datagrams."""
    sock = udp()
    for number in range(int(count)):
        sock.sendto(datagram(number, int(size)), (address, PORT))


def burst(address, count, size):
    """Sends datagrams that come out of one packet."""
    sock, count, size = udp(), int(count), int(size)
    sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, size)
    sock.sendto(b"".join(datagram(number, size) for number in range(count)), (address, PORT))


def frames(path, count):
    """Runs a program: what it redirects is with the device before that polls."""
    # These import this file.
    # pylint: disable-next=import-outside-toplevel
    from device import pinned

    # pylint: disable-next=import-outside-toplevel
    from xsk import bpf, frame

    size = 142
    data = ctypes.create_string_buffer(frame(0, size), size)
    bpf(BPF_PROG_TEST_RUN, pinned(path), size, ctypes.addressof(data), 0, int(count), 0, 0, 0,
        BPF_F_TEST_XDP_LIVE_FRAMES, int(count))  # fmt: skip


def deliver(namespace, address, count, size):
    """Sends, and receives until all have arrived or none comes any more."""
    sock, last = udp(), udp()
    sock.bind(("0.0.0.0", PORT))
    os.setns(os.open(f"/run/netns/{namespace}", os.O_RDONLY), os.CLONE_NEWNET)
    send(address, count, size)
    # Ends the wait for what was dropped; to lo, which has no program.
    time.sleep(0.3)
    last.sendto(b"end", ("127.0.0.1", PORT))
    sizes, intact, seen = collections.Counter(), 0, set()
    sock.settimeout(60)
    while len(seen) < int(count):
        try:
            data = sock.recv(1 << 16)
        except TimeoutError:
            break
        if data == b"end":
            # What another CPU has to handle may come later.
            sock.settimeout(2)
            continue
        number = int.from_bytes(data[:4], "big")
        sizes[len(data)] += 1
        intact += data == datagram(number, len(data)) and number not in seen
        seen.add(number)
    print(f"{intact} intact" + "".join(f", {n} of {size}" for size, n in sorted(sizes.items())))


if __name__ == "__main__":
    {"send": send, "burst": burst, "frames": frames, "deliver": deliver}[sys.argv[1]](*sys.argv[2:])
