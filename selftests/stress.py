# SPDX-License-Identifier: GPL-2.0
"""What the stress tests have in common: processes beside each other, what came of calls, the
kernel's memory. What a test finds goes to report() in lib.sh."""

import collections
import contextlib
import ctypes
import errno
import glob
import json
import mmap
import os
import random
import re
import select
import signal
import socket
import struct
import sys
import time
import traceback
from statistics import median

from device import DUMP, Netlink, attribute, attributes
from xsk import PR_SET_PDEATHSIG, checked, libc

SYS_FINIT_MODULE, SYS_DELETE_MODULE = 313, 176
NETLINK_GENERIC = 16
# The family netdev of generic netlink: commands, and attributes of what they answer
PAGE_POOL_GET, QSTATS_GET = 5, 12
PAGE_POOL_DETACH_TIME = 6
QSTATS_IFINDEX, QSTATS_SCOPE = 1, 4
QSTATS_NAMES = {8: "rx_packets", 9: "rx_bytes", 10: "tx_packets", 11: "tx_bytes"}
# Memory that is not counted by objects, as /proc/meminfo names it, and pages that are none of
# what /proc/meminfo names: what somebody has got from alloc_pages(), as page pools do.
PAGES = "other pages"
# By how much each may grow: bytes a life (40 are half of one page in 50 lives), and kilobytes for
# what other parts of the kernel keep, about three times what was measured at most.
OTHERS = {
    "SUnreclaim": (40, 1024),
    "Percpu": (20, 256),
    "VmallocUsed": (40, 128),
    PAGES: (40, 64),
}
# What is in use or free by /proc/meminfo; what else it names is a part of these.
NAMED = ("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "Slab", "VmallocUsed",
         "PageTables", "SecPageTables", "Percpu")  # fmt: skip
# Caches with what is kept for the next time as well: the free areas of vmalloc(), of which there are
# more the more processes have had stacks (those in use are VmallocUsed), and the addresses at which
# the machine's own devices reach memory, which each CPU keeps (iova.c).
UNCOUNTED = ("vmap_area", "iommu_iova")


def check(name, expected, found):
    """A check: both are the same."""
    print(f"is {name}|{expected}|{found}", flush=True)


def figure(name, value):
    """Something that was counted."""
    print(f"figure {name}|{value}", flush=True)


def note(text):
    """Something to read."""
    print(f"note {text}", flush=True)


def insert(file, module, parameters="numdevs=0"):
    """Loads the module from its open file."""
    text = ctypes.create_string_buffer(parameters.encode())
    # One that is installed may be compressed (MODULE_INIT_COMPRESSED_FILE).
    flags = 0 if module.endswith(".ko") else 4
    checked(libc.syscall(SYS_FINIT_MODULE, file, text, flags))


def load(module, parameters="numdevs=0"):
    """Loads the module."""
    file = os.open(module, os.O_RDONLY)
    try:
        insert(file, module, parameters)
    finally:
        os.close(file)


def unload():
    """Unloads it."""
    checked(libc.syscall(SYS_DELETE_MODULE, b"rust_loopback", os.O_NONBLOCK))


class Outcomes:
    """What came of calls: how many had which error. Those that nobody expected are noted."""

    def __init__(self, expected=()):
        self.expected = set(expected)
        self.counts, self.wrong = collections.Counter(), []

    def call(self, name, function, allowed=()):
        """Makes the call. Says whether it succeeded."""
        try:
            function()
        except OSError as error:
            # Python's own have none: it knows no such device, or has waited long enough.
            own = errno.ETIMEDOUT if isinstance(error, TimeoutError) else errno.ENODEV
            self.count(name, error.errno or own, allowed)
            return False
        self.count(name, 0)
        return True

    def count(self, name, number, allowed=()):
        """Counts one."""
        text = errno.errorcode.get(number, str(number)) if number else "done"
        self.counts[f"{name}: {text}"] += 1
        if number and number not in self.expected and number not in allowed:
            self.wrong.append(f"{name}: {text}")

    def result(self):
        """For the process that has started this one."""
        return {"counts": self.counts, "wrong": self.wrong[:20]}


class Team:
    """Processes that work at the same time, each with its own dice, and say at their end what
    they have done."""

    def __init__(self, seed):
        self.seed, self.members = seed, {}

    def start(self, name, function, *arguments):
        """Starts one; its function gets dice, and returns what json can hold."""
        reader, writer = os.pipe()
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            status = 1
            try:
                checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
                assert os.getppid() == parent
                os.close(reader)
                result = function(random.Random(f"{self.seed} {name}"), *arguments)
                with os.fdopen(writer, "w", encoding="utf-8") as file:
                    json.dump(result, file)
                status = 0
            except BaseException:  # pylint: disable=broad-exception-caught
                traceback.print_exc(file=sys.stdout)
                sys.stdout.flush()
            finally:
                os._exit(status)
        os.close(writer)
        self.members[name] = pid, reader
        return pid

    def results(self, limit):
        """What all have said; None of those that had failed or did not end in time."""
        end, results = time.monotonic() + limit, {}
        for name, (pid, reader) in self.members.items():
            text = b""
            while select.select([reader], [], [], max(0, end - time.monotonic()))[0]:
                data = os.read(reader, 1 << 16)
                if not data:
                    break
                text += data
            else:
                note(f"{name} has not ended in time")
                os.kill(pid, signal.SIGKILL)
            os.close(reader)
            status = os.waitpid(pid, 0)[1]
            results[name] = json.loads(text) if status == 0 and text else None
        self.members = {}
        return results


class Period:
    """How long processes work beside each other: so many seconds, and on a slow machine longer,
    until each of some THINGS has happened."""

    PATIENCE = 240

    def __init__(self, seconds, things):
        self.end, self.things = time.monotonic() + seconds, list(things)
        self.seen = mmap.mmap(-1, len(self.things))

    def happened(self, thing):
        """Says that it has."""
        self.seen[self.things.index(thing)] = 1

    def over(self):
        """Whether it is."""
        late = time.monotonic() - self.end
        return late > 0 and (all(self.seen[:]) or late > self.PATIENCE)

    def limit(self):
        """Seconds until processes that look at it have come to their end."""
        return self.end - time.monotonic() + self.PATIENCE + 120


def merge(what, results):
    """Checks what several processes have counted, and returns the sum."""
    counts, wrong = collections.Counter(), []
    for result in results:
        counts.update(result["counts"])
        wrong += result["wrong"]
    check(f"{what}: no error but those that are to be expected", "", ", ".join(wrong[:10]))
    return counts


def table(what, counts):
    """Notes what was counted, a line for each name."""
    lines = collections.defaultdict(list)
    for key, number in sorted(counts.items()):
        name, text = key.rsplit(": ", 1)
        lines[name].append(f"{text} {number}")
    for name, texts in lines.items():
        note(f"{what}: {name}: {', '.join(texts)}")


def write(path, text):
    """Writes to a file of the kernel's."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def receivers():
    """Sockets for what is sent."""
    for family in (socket.AF_INET, socket.AF_INET6):
        server = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind(("", 9))
        yield server


def softnet():
    """Packets that had no room in the backlog of any CPU."""
    with open("/proc/net/softnet_stat", encoding="ascii") as file:
        return sum(int(line.split()[1], 16) for line in file)


class Generic:
    """A family of generic netlink."""

    def __init__(self, name):
        self.netlink = Netlink(NETLINK_GENERIC)
        body = struct.pack("BBxx", 3, 1) + attribute(2, name.encode() + b"\0")
        (message,) = self.netlink.messages(16, body)
        self.number = struct.unpack("H", dict(attributes(message, 4))[1])[0]

    def dump(self, command, body=b""):
        """All that it has to say to a command: the attributes of each entry."""
        body = struct.pack("BBxx", command, 1) + body
        return [dict(attributes(message, 4))
                for message in self.netlink.messages(self.number, body, DUMP)]  # fmt: skip


def qstats(netdev, index, queues):
    """What netdev-genl counts for a device: as a whole, or the sum of its queues."""
    sums = collections.Counter()
    body = attribute(QSTATS_IFINDEX, index) + (attribute(QSTATS_SCOPE, 1) if queues else b"")
    for entry in netdev.dump(QSTATS_GET, body):
        for kind, name in QSTATS_NAMES.items():
            sums[name] += int.from_bytes(entry.get(kind, b""), sys.byteorder)
    return dict(sums)


def shrink(caches="*"):
    """Has all given back that was to be. What slab caches keep for later, of these names, goes
    after a grace period."""
    write("/proc/sys/vm/drop_caches", "3")
    for path in glob.glob(f"/sys/kernel/slab/{caches}/shrink"):
        write(path, "1")
    write("/sys/module/rcutree/parameters/do_rcu_barrier", "1")
    time.sleep(0.5)


def slabs():
    """Objects of each slab cache, and bytes of each object."""
    with open("/proc/slabinfo", encoding="ascii") as file:
        fields = [line.split() for line in file.readlines()[2:]]
    return {name: (int(active), int(size)) for name, active, _, size, *_ in fields}


def live():
    """How many network namespaces processes have, but for the first one, which is in no slab
    cache."""
    found = set()
    for path in glob.glob("/proc/[0-9]*/ns/net"):
        # The process may have gone.
        with contextlib.suppress(OSError):
            found.add(os.readlink(path))
    return len(found) - 1


def some_pages():
    """Kilobytes of pages in use that /proc/meminfo does not name."""
    # Each CPU counts for itself for a while.
    write("/proc/sys/vm/stat_refresh", "1")
    with open("/proc/meminfo", encoding="ascii") as file:
        sizes = dict(re.findall(r"(\S+): *(\d+)", file.read()))
    # Free ones that each CPU keeps
    with open("/proc/zoneinfo", encoding="ascii") as file:
        kept = sum(map(int, re.findall(r"^ +count: +(\d+)", file.read(), re.MULTILINE)))
    return (int(sizes["MemTotal"]) - sum(int(sizes.get(name, 0)) for name in NAMED)
            - kept * os.sysconf("SC_PAGESIZE") // 1024)  # fmt: skip


def pages():
    """The same, by several looks: CPUs take free pages and give them back, 63 at a time, also
    between one file and the other."""
    return median(some_pages() for _ in range(15))


def free_deferred():
    """Lets every CPU free the packets that readers on other CPUs have left to it: it does so when it
    receives something (skb_defer_free_flush())."""
    cpus = os.sched_getaffinity(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for cpu in cpus:
            os.sched_setaffinity(0, {cpu})
            sock.sendto(b"", ("127.0.0.1", 9))
    os.sched_setaffinity(0, cpus)


def end_of_namespace():
    """The end of a network namespace, which frees the memory of those that ended before it."""
    pid = os.fork()
    if pid == 0:
        os.unshare(os.CLONE_NEWNET)
        os._exit(0)
    os.waitpid(pid, 0)


def namespaces_end(what, caches="net_namespace"):
    """Waits until namespaces are gone that no process has: a worker removes them, long after the
    last process has left them. The memory of the last one is always left. Shrinks these caches."""

    def left():
        return slabs()["net_namespace"][0] - live() - 1

    end, rounds = time.monotonic() + 120, 0
    while rounds < 3 or left() > 0 and time.monotonic() < end:
        end_of_namespace()
        # Which may take seconds itself.
        for _ in range(10):
            shrink(caches)
            if left() <= 0:
                break
        rounds += 1
    check(f"{what}: namespaces that no process has, but for the last one", 0, left())


def memory(what):
    """The kernel's memory, when all that was to be given back has been: objects of each slab
    cache, and kilobytes of the others."""
    namespaces_end(what, "*")
    sizes = slabs()
    with open("/proc/meminfo", encoding="ascii") as file:
        text = file.read()
    for name in OTHERS:
        size = pages() if name == PAGES else int(re.search(rf"{name}: *(\d+)", text)[1])
        sizes[name] = size, 1024
    return sizes


def grown(what, count, before, after):
    """Checks that the kernel's memory has not grown by COUNT lives of something: each life
    that left one object behind would show as COUNT objects of a cache. One in 500 is allowed,
    and 150, for what other parts of the kernel keep."""
    bound = count // 500 + 150
    growth = {
        name: now - before.get(name, (0, 0))[0]
        for name, (now, _) in after.items()
        if name not in (*OTHERS, *UNCOUNTED)
    }
    most = sorted(growth, key=growth.get, reverse=True)[:4]
    note(f"{what}: most objects more: " + ", ".join(f"{name} {growth[name]}" for name in most))
    check(
        f"{what}: no slab cache has {bound} objects more",
        "",
        ", ".join(f"{name} {number}" for name, number in growth.items() if number >= bound),
    )
    for name, (each, rest) in OTHERS.items():
        more = after[name][0] - before[name][0]
        figure(f"{what}, {name} more (kB)", more)
        check(f"{what}: {name} has grown by less than {each} bytes a life and {rest} kB", True,
              more * 1024 < each * count + (rest << 10))  # fmt: skip


def slow():
    """Whether the environment says that the machine is slow."""
    return os.environ.get("KSFT_MACHINE_SLOW") == "yes"
