# SPDX-License-Identifier: GPL-2.0
"""What the stress tests have in common: processes beside each other, what came of calls, the
kernel's memory. What a test finds goes to report() in lib.sh."""

import collections
import ctypes
import errno
import glob
import json
import os
import random
import re
import select
import signal
import socket
import sys
import time
import traceback

from xsk import PR_SET_PDEATHSIG, checked, libc

SYS_FINIT_MODULE, SYS_DELETE_MODULE = 313, 176
# Memory that is not in a slab cache, as /proc/meminfo names it.
OTHERS = ("SUnreclaim", "Percpu", "VmallocUsed")
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


def memory():
    """The kernel's memory, when all that was to be given back has been: objects of each slab
    cache, and kilobytes of slabs that cannot be reclaimed, per CPU and of vmalloc()."""
    for _ in range(3):
        write("/sys/module/rcutree/parameters/do_rcu_barrier", "1")
        time.sleep(0.5)
        write("/proc/sys/vm/drop_caches", "3")
        for path in glob.glob("/sys/kernel/slab/*/shrink"):
            write(path, "1")
    sizes = {}
    with open("/proc/slabinfo", encoding="ascii") as file:
        for line in file.readlines()[2:]:
            name, active, _, size = line.split()[:4]
            sizes[name] = int(active), int(size)
    with open("/proc/meminfo", encoding="ascii") as file:
        text = file.read()
    for name in OTHERS:
        sizes[name] = int(re.search(rf"{name}: *(\d+)", text)[1]), 1024
    return sizes


def grown(what, count, before, after):
    """Checks that the kernel's memory has not grown by COUNT lives of something: each life
    that left one object behind would show as COUNT objects of a cache. A fiftieth is allowed,
    and 100, for what other parts of the kernel keep."""
    bound = count // 50 + 100
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
        ", ".join(f"{name} {number}" for name, number in growth.items() if number > bound),
    )
    for name in OTHERS:
        more = after[name][0] - before[name][0]
        figure(f"{what}, {name} more (kB)", more)
        check(f"{what}: {name} has grown by less than 100 bytes a life and 2 MB", True,
              more * 1024 < 100 * count + (2 << 20))  # fmt: skip


def slow():
    """Whether the environment says that the machine is slow."""
    return os.environ.get("KSFT_MACHINE_SLOW") == "yes"
