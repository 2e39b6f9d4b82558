#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Shows where the instructions of a packet go, over lo and over rlo.

Runs in the build root ('make bench-trace'). QEMU writes down the address of every
instruction that the guest executes (its options "one-insn-per-tb" and "-d exec")
while pktgen or a program sends; the guest switches this on and off through QEMU's
monitor. A packet's way is what is executed from one call of the device's
ndo_start_xmit to the next.
"""

import bisect
import collections
import pathlib
import re
import statistics
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
OUT = TOP / "build/bench"
ADDRESS = re.compile(rb"/([0-9a-f]{16})/")
# ndo_start_xmit of each.
ENTRY = {
    "lo": r"loopback_xmit",
    "rlo": r"_R\w*6device\w*7Adapter\w*13rust_loopback8Loopback\w*10start_xmit\w*",
}
WORKLOADS = ("pktgen", "UDP", "TCP_RR")
QEMU = (
    "-chardev socket,id=monitor,path=/tmp/guest/monitor,server=on,wait=off"
    " -mon chardev=monitor,mode=readline"
    " -chardev socket,id=commands,path=/tmp/guest/monitor"
    " -device virtserialport,chardev=commands,name=monitor"
    f" -chardev file,id=symbols,path={OUT}/trace-symbols"
    " -device virtserialport,chardev=symbols,name=symbols"
)


def symbols():
    """The guest's functions: addresses and names, sorted."""
    found = []
    for line in (OUT / "trace-symbols").read_text().splitlines():
        address, kind, name = line.split()[:3]
        if kind in "tTwW" and not name.startswith(("__pfx_", ".L")):
            found.append((int(address, 16), name))
    found.sort()
    return [address for address, _ in found], [name for _, name in found]


def ways(workload, device, addresses, names):
    """For each packet, the instructions executed in each function."""
    entries = {
        address
        for address, name in zip(addresses, names)
        if re.fullmatch(ENTRY[device], name)
    }
    if not entries:
        sys.exit(f"error: the guest has no function {ENTRY[device]}")
    packets, way = [], None
    with open(OUT / f"trace-{workload}-{device}.log", "rb") as log:
        for line in log:
            match = ADDRESS.search(line) if line.startswith(b"Trace") else None
            if not match:
                continue
            address = int(match[1], 16)
            if address in entries:
                way = collections.Counter()
                packets.append(way)
            if way is not None:
                function = bisect.bisect(addresses, address) - 1
                way[names[function] if function >= 0 else "(user space)"] += 1
    return packets[:-1]


def demangled(names):
    """The names of functions, Rust ones as in the source."""
    output = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    )
    return dict(zip(names, re.sub(r"\[\w+\]", "", output.stdout).splitlines()))


def typical(workload, device, addresses, names):
    """What a packet executes in each function, without what only some packets meet."""
    packets = ways(workload, device, addresses, names)
    if len(packets) < 20:
        sys.exit(f"error: only {len(packets)} packets over {device} were seen")
    functions = set().union(*packets)
    middle = {name: statistics.median(way[name] for way in packets) for name in functions}
    return {name: count for name, count in middle.items() if count}


def show(workload, lo, rlo):
    """Prints a table."""
    names = sorted({*lo, *rlo}, key=lambda name: -max(lo.get(name, 0), rlo.get(name, 0)))
    shown = demangled(names)

    def row(name, a, b):
        print(f"  {name:58} {a:7.0f} {b:7.0f} {b - a:+7.0f}")

    print(f"\n{workload}, instructions a packet\n")
    print(f"  {'':58} {'lo':>7} {'rlo':>7} {'rlo-lo':>7}")
    row("all", sum(lo.values()), sum(rlo.values()))
    for title, differs in ("These differ:", True), ("These do not:", False):
        print(title)
        for name in names:
            counts = lo.get(name, 0), rlo.get(name, 0)
            if (counts[0] != counts[1]) == differs:
                row(shown[name], *counts)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    print("==> Tracing packets over each device (about 2 min)", flush=True)
    boot = [TOP / "scripts/guest.sh", "-d", "-n", "bench-trace", "-t", "900", "-a", "nokaslr"]
    command = [*boot, "-q", QEMU, "python3", "tools/bench/guest.py", "trace"]
    if subprocess.run(command, cwd=TOP).returncode:
        sys.exit("error: the guest failed; see build/logs/guest-bench-trace.log")
    addresses, names = symbols()
    for workload in WORKLOADS:
        show(workload, *(typical(workload, device, addresses, names) for device in ENTRY))
    for log in OUT.glob("trace-*"):
        log.unlink()


if __name__ == "__main__":
    main()
