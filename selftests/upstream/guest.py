#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs tests of the kernel's folder selftests/net on lo and on a device in its role.

    guest.py TESTS        in the guest, for upstream.py, which makes TESTS (JSON)

Each test runs in a network namespace, a mount and a process namespace of its own, of which
nothing is left. Kprobes count the packets that lo and the devices of the module send, in all
namespaces. What is printed for upstream.py begins with "@ ".
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
TESTS = TOP / "build/upstream/linux/tools/testing/selftests/net"
TRACING = pathlib.Path("/sys/kernel/tracing")
OUTPUT = pathlib.Path("/tmp/output")

# Modules that some tests use.
DRIVERS = TOP / "build/upstream/linux/drivers/net"
MODULES = [DRIVERS / "netdevsim/netdevsim.ko", DRIVERS / "amt.ko", DRIVERS / "bareudp.ko"]

# The exit status of a test that was skipped (KSFT_SKIP).
SKIP = 4

# The first process of a test. ip keeps namespaces in /run, which the next test finds empty.
FIRST = """
mount -t tmpfs run /run
ip netns add test || exit
[ -z "$LO_HANDOVER" ] || ip -n test -d link show lo | grep -qw rlo || { echo "lo was not handed over"; exit 1; }
ip -n test link set lo up && exec ip netns exec test "$@"
"""

# What the role of lo takes, see preload.c.
IN_ROLE = {
    "LD_PRELOAD": str(TOP / "build/upstream/preload.so"),
    "LO_HANDOVER": str(TOP / "selftests/upstream/handover.sh"),
}

# A line about one check of a test: KTAP, and what net/lib.sh and its like print.
CHECKS = (
    re.compile(r"^[# ]*(?P<result>ok|not ok) \d+ -? ?(?P<name>[^#]*?)\s*(?:#\s*(?P<directive>\w+).*)?$"),
    re.compile(r"^\s*TEST: (?P<name>.*?)\s*\[\s*(?P<result>OK|FAIL|SKIP|XFAIL)\s*\]$"),
    re.compile(r"^(?P<result>PASS|FAIL|SKIP): (?P<name>.*)$"),
)
RESULTS = {"ok": "pass", "OK": "pass", "PASS": "pass", "XFAIL": "pass", "SKIP": "skip"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What is never the same twice in the name of a check: identifiers, namespaces, times, attempts.
RANDOM = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\bns\w*-\w{6}\b|\b\d+(?= ?m?s\b)|(?<=\battempt )\d+"
)


def say(**message):
    """Tells upstream.py something."""
    print("@", json.dumps(message), flush=True)


class Packets:
    """Counts the packets that lo and our devices hand to the stack, by who calls __netif_rx().

    (A kprobe cannot be on a function in Rust, which ftrace does not know.)
    """

    EVENT = TRACING / "events/upstream/rx"
    TRIGGER = "hist:keys=caller.sym:size=2048"
    LINE = re.compile(r"caller: \[[0-9a-f]+\] (\S+)(?: +\[(\w+)\])? +} hitcount: +(\d+)")

    def __init__(self):
        (TRACING / "kprobe_events").write_text("p:upstream/rx __netif_rx caller=$stack0:x64\n")
        (self.EVENT / "trigger").write_text(self.TRIGGER)

    def read(self):
        """The packets so far: of lo, of ours."""
        lo = ours = 0
        for symbol, module, hits in self.LINE.findall((self.EVENT / "hist").read_text()):
            lo += int(hits) * (symbol == "loopback_xmit")
            ours += int(hits) * (module == "rust_loopback")
        return lo, ours

    def close(self):
        (self.EVENT / "trigger").write_text("!" + self.TRIGGER)
        (TRACING / "kprobe_events").write_text("")


class KernelLog:
    """What the kernel complains of."""

    def __init__(self):
        lines = (TOP / "selftests/bad-log").read_text().splitlines()
        self.bad = re.compile("|".join(lines))
        self.log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.log, 0, os.SEEK_END)

    def complaints(self):
        """Those since the last call."""
        found = []
        while True:
            try:
                line = os.read(self.log, 8192).decode(errors="replace").split(";", 1)[-1].splitlines()[0]
            except BlockingIOError:
                return found
            except BrokenPipeError:  # the log has gone round
                continue
            if self.bad.search(line):
                found.append(line)


def checks(output):
    """The results of the checks in what a test printed, by name."""
    found = {}
    for line in output.splitlines():
        for expression in CHECKS:
            match = expression.match(line)
            if match and match["name"]:
                result = RESULTS.get(match["result"], "fail")
                directive = match.groupdict().get("directive")
                if directive:
                    result = {"SKIP": "skip", "XFAIL": "pass"}.get(directive.upper(), result)
                base = RANDOM.sub("...", match["name"])
                name, number = base, 2
                while name in found:
                    name, number = f"{base} ({number})", number + 1
                found[name] = result
                break
    return found


def run(program, limit, in_role):
    """Runs a test, in its folder; its result, and what it printed."""
    environment = {**os.environ, **(IN_ROLE if in_role else {})}
    with open(OUTPUT, "w") as output:
        process = subprocess.Popen(
            ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
            + ("sh", "-c", FIRST, "sh", "./" + program.name),
            cwd=program.parent, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )
        try:
            status = process.wait(limit)
            result = {0: "pass", SKIP: "skip"}.get(status, "fail")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            result = "timeout"
    return result, COLOURS.sub("", OUTPUT.read_text(errors="replace"))


def main():
    plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
    say(kernel=os.uname().release)
    os.environ.update(KSFT_MACHINE_SLOW="yes", NO_COLOR="1")
    module = next(
        path for path in (TOP / "build").glob("module*/rust_loopback.ko")
        if subprocess.check_output(("modinfo", "-F", "vermagic", path), text=True).split()[0] == os.uname().release
    )
    subprocess.check_call(("insmod", module, "numdevs=0"))
    needs = subprocess.check_output(("modinfo", "-F", "depends", *MODULES), text=True)
    subprocess.check_call(("modprobe", "-a", *{name for line in needs.split() for name in line.split(",")}))
    for module in MODULES:
        subprocess.check_call(("insmod", module))
    packets, log = Packets(), KernelLog()
    for test in plan["tests"]:
        for device in plan["devices"]:
            for attempt in range(1, test["tries"] + 1):
                say(begin=test["command"], device=device, attempt=attempt)
                before, start = packets.read(), time.monotonic()
                result, output = run(TESTS / test["command"], test["seconds"], device == "rlo")
                lo, ours = (now - then for now, then in zip(packets.read(), before))
                complaints = log.complaints()
                say(
                    test=test["command"], device=device, attempt=attempt, result=result,
                    seconds=round(time.monotonic() - start, 1), lo=lo, rlo=ours,
                    checks=checks(output), complaints=complaints, output=output[-20000:],
                )
                if result in ("pass", "skip") or complaints:
                    break
            # Nothing will go through ours either.
            if plan["survey"] and not lo + ours:
                break
    packets.close()
    # A device that something still refers to would not go.
    subprocess.check_call(("rmmod", "rust_loopback"))
    say(end=True, complaints=log.complaints())


if __name__ == "__main__":
    main()
