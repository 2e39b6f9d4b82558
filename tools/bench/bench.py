#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures rust_loopback beside lo; runs in the build root ('make bench').

    bench.py run [--quick] [--part PART]...   measure, write the report
    bench.py compare OLD NEW                  what differs between two result files
"""

import argparse
import asyncio
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
# Guests that count instructions do not mind one beside them.
AT_ONCE = min(2, os.cpu_count())


def guest(part, *options):
    """The command that measures a part in a guest; the {} is for its boot."""
    name = ("-n", f"bench-{part}-{{}}", "-t", "1800")
    return (str(TOP / "scripts/guest.sh"), *name, *options, *GUEST, part)


# Boots and seconds of the full and of the quick run. The seconds are what they
# take on a machine of two CPUs without KVM, for the time left that is shown.
# What is before the hyphen is the part's name for the user.
PARTS = {
    "cost": (Part(2, 430, guest("cost", "-d")), Part(1, 110, guest("cost", "-d"))),
    "xdp-cost": (Part(2, 180, guest("xdp-cost", "-d")), Part(1, 35, guest("xdp-cost", "-d"))),
    "wall": (Part(1, 400, guest("wall", "-m", "2048")), Part(1, 55, guest("wall", "-m", "2048"))),
    "xdp-wall": (Part(1, 90, guest("xdp-wall")), None),
    "scaling": (Part(1, 270, guest("scaling", "-c", "4", "-m", "3072")), None),
    "native": (Part(1, 30, (str(TOP / "scripts/uml.sh"), "native", *GUEST, "native")), None),
}
DETERMINISTIC = ("cost", "xdp-cost")


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


class Failed(Exception):
    """A part that did not come to its end."""


class Run:
    """A part that is measured once."""

    def __init__(self, name, part, boot):
        self.name, self.part, self.boot = name, part, boot
        self.log = LOGS / f"bench-{name}-{boot + 1}.log"
        self.title = report.TITLES[name]
        if part.boots > 1:
            self.title += f", run {boot + 1} of {part.boots}"
        self.samples, self.plan, self.done, self.what = [], 0, 0, "the guest boots"
        self.start = self.end = None

    def left(self):
        """How many seconds it still takes, about."""
        if self.end:
            return 0
        if not self.start:
            return self.part.seconds
        elapsed = time.monotonic() - self.start
        if self.plan and self.done > self.plan / 10:
            return elapsed / self.done * (self.plan - self.done)
        return max(self.part.seconds - elapsed, 1)

    async def measure(self, quick, progress):
        """Boots a guest and takes the samples."""
        command = [word.format(self.boot + 1) for word in self.part.command]
        log_name = self.log.relative_to(TOP)
        self.start = time.monotonic()
        progress.say(f"==> {self.title} (about {self.part.seconds} s; log: {log_name})")
        process = await asyncio.create_subprocess_exec(
            *command,
            *(("--quick",) if quick else ()),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=TOP,
            limit=1 << 26,  # bytes of a line
        )
        with open(self.log, "w") as log:
            async for line in process.stdout:
                line = line.decode()
                log.write(line)
                if not line.startswith("@ "):
                    continue
                message = json.loads(line[2:])
                if "plan" in message:
                    self.plan = message["plan"]
                    continue
                self.done += message.pop("step", True)
                self.what = f"{message['workload']}, {message['device']}"
                self.samples.append({"part": self.name, "boot": self.boot, **message})
                progress.show()
        status = await process.wait()
        if status:
            lines = [line for line in self.log.read_text().splitlines() if not line.startswith("@ ")]
            raise Failed(
                f"'{self.title}' ended with status {status}. The end of {log_name}:\n"
                + "\n".join(f"    {line}" for line in lines[-15:])
            )
        self.end = time.monotonic()
        progress.say(f"    {self.title}: done in {self.end - self.start:.0f} s")


class Progress:
    """What is being done, and how long it may still take."""

    def __init__(self, runs):
        self.runs = runs
        self.shown = 0.0
        self.terminal = sys.stdout.isatty()

    def say(self, line):
        print(f"\r\033[K{line}" if self.terminal else line, flush=True)

    def show(self):
        now = time.monotonic()
        if now - self.shown < (0.5 if self.terminal else 20):
            return
        self.shown = now
        at_once = sum(run.left() for run in self.runs if run.name in DETERMINISTIC) / AT_ONCE
        others = sum(run.left() for run in self.runs if run.name not in DETERMINISTIC)
        under_way = [run for run in self.runs if run.start and not run.end]
        text = f"    about {(at_once + others) / 60:.1f} min left; " + "; ".join(
            f"{run.done} of {run.plan or '?'} samples: {run.what}" for run in under_way
        )
        print(f"\r\033[K{text[:78]}" if self.terminal else text, end="" if self.terminal else "\n", flush=True)


async def measure(runs, quick):
    """Those that count instructions first, at once; the others have the machine for themselves."""
    progress = Progress(runs)
    free = asyncio.Semaphore(AT_ONCE)

    async def when_free(run):
        async with free:
            await run.measure(quick, progress)

    await asyncio.gather(*(when_free(run) for run in runs if run.name in DETERMINISTIC))
    for run in runs:
        if run.name not in DETERMINISTIC:
            await run.measure(quick, progress)


def run(options):
    """Measures and reports."""
    names = [name for name in PARTS if not options.part or part_of(name) in options.part]
    parts = {name: PARTS[name][1 if options.quick else 0] for name in names}
    parts = {name: part for name, part in parts.items() if part}
    if set(options.part or ()) - set(map(part_of, parts)):
        sys.exit("error: the quick run has the parts cost, wall and xdp only")
    OUT.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(exist_ok=True)
    started = datetime.datetime.now(datetime.timezone.utc)
    machine, versions = describe()
    runs = [Run(name, part, boot) for name, part in parts.items() for boot in range(part.boots)]
    try:
        asyncio.run(measure(runs, options.quick))
    except Failed as error:
        # What runs beside it ends with the build root's processes.
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    samples = [sample for run in runs for sample in run.samples]

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
