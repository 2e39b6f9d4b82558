#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures rust_loopback beside lo; runs in the build root ('make bench').

    bench.py run [--quick] [--part PART]...   measure, write the report
    bench.py compare OLD NEW                  what differs between two result files
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import report
from results import AGREEMENT, FORMAT, Results

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
OUT = BUILD / "bench"
LOGS = BUILD / "logs"
TOOLS = pathlib.Path("tools/bench")
GUEST = ("python3", str(TOOLS / "guest.py"))

Part = collections.namedtuple("Part", "boots seconds command")


def guest(part, *options):
    """The command that measures a part in a guest."""
    return (str(TOP / "scripts/guest.sh"), "-n", f"bench-{part}", "-t", "1800", *options, *GUEST, part)


# Boots and seconds of the full and of the quick run. The seconds are what they
# take on a machine of two CPUs without KVM, for the time left that is shown.
# What is before the hyphen is the part's name for the user.
PARTS = {
    "cost": (Part(2, 330, guest("cost", "-d")), Part(1, 90, guest("cost", "-d"))),
    "wall": (Part(1, 320, guest("wall", "-m", "2048")), Part(1, 55, guest("wall", "-m", "2048"))),
    "xdp-cost": (Part(2, 40, guest("xdp-cost", "-d")), Part(1, 35, guest("xdp-cost", "-d"))),
    "xdp-wall": (Part(1, 90, guest("xdp-wall")), None),
    "scaling": (Part(1, 270, guest("scaling", "-c", "4", "-m", "3072")), None),
    "native": (Part(1, 30, (str(TOP / "scripts/uml.sh"), "native", *GUEST, "native")), None),
}


def part_of(name):
    """The part that a guest measures for."""
    return name.partition("-")[0]


def first_line(*command):
    """The first line that a command prints, or nothing if it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, IndexError):
        return ""


def describe():
    """The machine and the versions."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    memory = re.search(r"MemTotal: +(\d+)", pathlib.Path("/proc/meminfo").read_text())
    accelerator = BUILD / "accelerator"
    machine = {
        "CPU": model[1] if model else platform.machine(),
        "CPUs": os.cpu_count(),
        "memory": f"{int(memory[1]) / 1024 / 1024:.0f} GiB",
        "host kernel": platform.release(),
        "guest runs with": accelerator.read_text().strip() if accelerator.exists() else "",
    }
    versions = {
        "rust_loopback": os.environ.get("REVISION", ""),
        "kernel": (BUILD / "kernel-release").read_text().strip(),
        "rustc": first_line("rustc", "--version"),
        "clang": first_line("clang-19", "--version"),
        "QEMU": first_line("qemu-system-x86_64", "--version"),
        "iperf3": first_line("iperf3", "--version"),
        "netperf": first_line("netperf", "-V"),
    }
    return machine, versions


class Progress:
    """What is being done, and how long it may still take."""

    def __init__(self, expected):
        self.expected = expected  # seconds of the steps to come
        self.shown = 0.0

    def begin(self):
        self.seconds = self.expected.pop(0)
        self.start = time.monotonic()

    def show(self, what, done, plan):
        now = time.monotonic()
        terminal = sys.stdout.isatty()
        if now - self.shown < (0.5 if terminal else 20):
            return
        self.shown = now
        elapsed = now - self.start
        left = max(self.seconds - elapsed, 1)
        if plan and done > plan / 10:
            left = elapsed / done * (plan - done)
        left = (left + sum(self.expected)) / 60
        text = f"    {elapsed:.0f} s, {done} of {plan or '?'} samples, about {left:.1f} min left: {what}"
        print(f"\r\033[K{text[:78]}" if terminal else text, end="" if terminal else "\n", flush=True)

    def end(self):
        if sys.stdout.isatty():
            print("\r\033[K", end="")
        print(f"    done in {time.monotonic() - self.start:.0f} s", flush=True)


def measure(name, part, boot, quick, progress):
    """Boots a guest once; returns its samples."""
    log_path = LOGS / f"bench-{name}.log"
    command = part.command + (("--quick",) if quick else ())
    which = f", run {boot + 1} of {part.boots}" if part.boots > 1 else ""
    log_name = log_path.relative_to(TOP)
    print(f"==> {report.TITLES[name]}{which} (about {part.seconds} s; log: {log_name})", flush=True)
    progress.begin()
    samples, plan, done, what = [], 0, 0, "the guest boots"
    with open(log_path, "a" if boot else "w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=TOP
        )
        for line in process.stdout:
            log.write(line)
            if not line.startswith("@ "):
                continue
            message = json.loads(line[2:])
            if "plan" in message:
                plan = message["plan"]
                continue
            done += message.pop("step", True)
            what = f"{message['workload']}, {message['device']}"
            samples.append({"part": name, "boot": boot, **message})
            progress.show(what, done, plan)
    if process.wait():
        print(f"error: the measurement ended with status {process.returncode}. The end of {log_name}:")
        lines = [line for line in log_path.read_text().splitlines() if not line.startswith("@ ")]
        print("\n".join(f"    {line}" for line in lines[-15:]))
        sys.exit(1)
    progress.end()
    return samples


def run(options):
    """Measures and reports."""
    names = [name for name in PARTS if not options.part or part_of(name) in options.part]
    parts = {name: PARTS[name][1 if options.quick else 0] for name in names}
    parts = {name: part for name, part in parts.items() if part}
    if set(options.part or ()) - set(map(part_of, parts)):
        sys.exit("error: the quick run has the parts cost, wall and xdp only")
    OUT.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(exist_ok=True)
    progress = Progress([part.seconds for part in parts.values() for _ in range(part.boots)])
    started = datetime.datetime.now(datetime.timezone.utc)
    machine, versions = describe()
    samples = []
    for name, part in parts.items():
        for boot in range(part.boots):
            samples += measure(name, part, boot, options.quick, progress)

    stem = OUT / started.strftime("%Y-%m-%d-%H%M%S")
    with open(f"{stem}.raw.jsonl", "w") as raw:
        for sample in samples:
            output = sample.pop("raw", None)
            keys = ("part", "workload", "device", "boot", "round")
            where = {key: sample[key] for key in keys}
            raw.write(json.dumps({**where, "output": output}) + "\n")
    data = {
        "format": FORMAT,
        "date": started.strftime("%Y-%m-%d %H:%M UTC"),
        "quick": options.quick,
        "machine": machine,
        "versions": versions,
        "samples": samples,
    }
    pathlib.Path(f"{stem}.json").write_text(json.dumps(data, indent=1) + "\n")
    results = Results(data)
    report.write_page(results, f"{stem}.html")
    print(report.table(results))
    place = pathlib.Path(stem).relative_to(TOP)
    print(f"\n==> The report is {place}.html, the figures are in {place}.json,")
    print(f"    and what the programs printed is in {place}.raw.jsonl")
    apart = max((workload.disagreement() for workload in results.deterministic), default=0)
    if apart > AGREEMENT:
        sys.exit("error: the deterministic measurements did not give the same answer twice")


def compare(options):
    """Shows what differs between two files."""
    try:
        print(report.comparison(Results.read(options.old), Results.read(options.new)))
    except (OSError, ValueError) as error:
        sys.exit(f"error: a file of results cannot be read: {error}")


def main():
    parser = argparse.ArgumentParser(description="Measures rust_loopback beside lo.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run", help="measure, and write the report")
    command.add_argument("--quick", action="store_true", help="a short run of the main figures")
    command.add_argument("--part", action="append", choices=dict.fromkeys(map(part_of, PARTS)), help="this part only")
    command.set_defaults(function=run)
    command = commands.add_parser("compare", help="show what differs between two result files")
    command.add_argument("old")
    command.add_argument("new")
    command.set_defaults(function=compare)
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
