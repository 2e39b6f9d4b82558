#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Shows where the instructions of a packet go, over lo and over rlo.

Runs in the build root ('make bench-trace'). QEMU writes down the address of every
instruction that the guest executes (its options "one-insn-per-tb" and "-d exec")
while pktgen or a program sends; the guest switches this on and off through QEMU's
monitor. A packet's way is what is executed from one call of the device's
ndo_start_xmit to the next. What packets of AF_XDP take is what is executed between polls of
the device's NAPI, for each run of the XDP program.
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
# The driver's NAPI poll, and what runs once for each packet of AF_XDP.
POLL = r"_R\w*3xdp4napi\w*5Queue\w*4poll\w*"
XDP_PROGRAM = r"bpf_prog_\w+"
QEMU = (
    "-chardev socket,id=monitor,path=/tmp/monitor,server=on,wait=off"
    " -mon chardev=monitor,mode=readline"
    " -chardev socket,id=commands,path=/tmp/monitor"
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


def matching(pattern, addresses, names):
    """The addresses of functions of such a name."""
    found = {address for address, name in zip(addresses, names) if re.fullmatch(pattern, name)}
    if not found:
        sys.exit(f"error: the guest has no function {pattern}")
    return found


def ways(workload, device, entries):
    """How often each address is executed from one entry to the next."""
    found, way = [], None
    with open(OUT / f"trace-{workload}-{device}.log", "rb") as log:
        for line in log:
            match = ADDRESS.search(line) if line.startswith(b"Trace") else None
            if not match:
                continue
            address = int(match[1], 16)
            if address in entries:
                way = collections.Counter()
                found.append(way)
            if way is not None:
                way[address] += 1
    return found[:-1]


def by_function(way, addresses, names):
    """The instructions executed in each function."""
    functions = collections.Counter()
    for address, count in way.items():
        function = bisect.bisect(addresses, address) - 1
        functions[names[function] if function >= 0 else "(user space)"] += count
    return functions


def demangled(names):
    """The names of functions, Rust ones as in the source."""
    output = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    )
    return dict(zip(names, re.sub(r"\[\w+\]", "", output.stdout).splitlines()))


def typical(workload, device, addresses, names):
    """What a packet executes in each function, without what only some packets meet."""
    entries = matching(ENTRY[device], addresses, names)
    packets = [by_function(way, addresses, names) for way in ways(workload, device, entries)]
    if len(packets) < 20:
        sys.exit(f"error: only {len(packets)} packets over {device} were seen")
    functions = set().union(*packets)
    middle = {name: statistics.median(way[name] for way in packets) for name in functions}
    return {name: count for name, count in middle.items() if count}


def show_xdp(addresses, names):
    """Prints a table of what a packet of AF_XDP executes in each function."""
    polls = ways("AF_XDP", "rlo", matching(POLL, addresses, names))
    way = sum(polls, collections.Counter())
    packets = sum(way[address] for address in matching(XDP_PROGRAM, addresses, names))
    if packets < 100:
        sys.exit(f"error: only {packets} packets of AF_XDP were seen")
    functions = by_function(way, addresses, names)
    shown = demangled(functions)
    print(f"\nAF_XDP zero-copy over rlo, instructions a packet ({packets} in {len(polls)} polls)\n")
    print(f"  {'all':68} {functions.total() / packets:7.1f}")
    for name, count in functions.most_common():
        if count >= packets / 2:
            print(f"  {shown[name]:68} {count / packets:7.1f}")


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
    print("==> Tracing packets over each device (about 3 min)", flush=True)
    boot = [TOP / "scripts/guest.sh", "-d", "-n", "bench-trace", "-t", "900", "-a", "nokaslr"]
    command = [*boot, "-q", QEMU, "python3", "tools/bench/guest.py", "trace"]
    if subprocess.run(command, cwd=TOP).returncode:
        sys.exit("error: the guest failed; see build/logs/guest-bench-trace.log")
    addresses, names = symbols()
    for workload in WORKLOADS:
        show(workload, *(typical(workload, device, addresses, names) for device in ENTRY))
    show_xdp(addresses, names)
    for log in OUT.glob("trace-*"):
        log.unlink()


if __name__ == "__main__":
    main()
