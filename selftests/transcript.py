#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the commands of a page of Documentation/ and compares what they print with what the page says.

    transcript.py PAGE.rst            prints a line for each command: "ok NAME" or "not ok NAME",
                                      and what differs in lines with "#"
    transcript.py --write PAGE.rst    prints the page with what its commands print here
    transcript.py --list              prints the names of the pages that have commands

Commands are in blocks "code-block:: console": lines with "# " are commands for root, and go on in
lines with "> "; other lines are what a command prints. Lines with "$ " are for the reader's
machine and are not run. A page runs in one shell. With a comment ".. each section in a network
namespace of its own" each of its sections (=====) has a shell and a network namespace.

What is never the same twice is compared by its kind, see MASKS. A command that prints nothing has
to succeed.
"""

import difflib
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

APART = ".. each section in a network namespace of its own"
BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:   .*\n|\n)+)", re.MULTILINE)
SECTION = re.compile(r"^(.+)\n=+\n", re.MULTILINE)

# Makes a namespace that goes with the shell, and what belongs to it; named ones that are made in it
# go with it, too.
OWN_NAMESPACE = [
    "unshare",
    "--net",
    "--mount",
    "--kill-child",
    "--pid",
    "--fork",
    "--mount-proc",
    "bash",
    "-c",
    "mount -t sysfs sys /sys && mount -t bpf bpffs /sys/fs/bpf && mkdir -p /run/netns && "
    "mount -t tmpfs tmp /run/netns && ip link set lo up && exec bash",
]
SHELL = ["bash"]
END = "\x1eend"

# Seconds after which a command counts as hanging.
PATIENCE = 120


def delay(match):
    """Whether the fastest packet was delayed: by netem, not by a slow machine."""
    return match[1] + ("delayed" if float(match[2]) >= 100 else "at once")


MASKS = [
    # ping
    (re.compile(r"(time=)[0-9.]+ ms"), r"\1N ms"),
    (re.compile(r"(, time )\d+ms"), r"\1N ms"),
    (re.compile(r"^(rtt .* = )([0-9.]+)/.*"), delay),
    # ip
    (re.compile(r"^\d+: "), "N: "),
    (re.compile(r"(link/ether )(?:[0-9a-f]{2}:){5}[0-9a-f]{2}"), r"\1MAC"),
    # bpftool, ip link
    (re.compile(r"(prog/xdp id )\d+(.*)"), r"\1N"),
    # tcpdump, pids of jobs
    (re.compile(r"^\d\d:\d\d:\d\d\.\d+ "), "TIME "),
    (re.compile(r"(echo request|echo reply), id \d+, seq \d+"), r"\1, id N, seq N"),
    (re.compile(r"(pid=)\d+"), r"\1N"),
]


def masked(line):
    """A line without what is never the same twice."""
    for pattern, kind in MASKS:
        line = pattern.sub(kind, line)
    return line


class Command:
    """A command, what the page says that it prints, and where this stands in the page."""

    def __init__(self, text, start):
        self.text = text
        self.printed = []
        self.start = self.end = start

    def is_as_printed(self, actual):
        """Whether it printed what the page says."""
        return [masked(line) for line in actual] == [masked(line) for line in self.printed]


def commands(page, begin, end):
    """The commands of a part of a page."""
    for block in BLOCK.finditer(page, begin, end):
        at, command = block.start(1), None
        for line in block[1].rstrip("\n").splitlines(keepends=True):
            text = line[3:].rstrip("\n")
            at += len(line) if line.endswith("\n") else len(line) + 1
            if text.startswith(("# ", "$ ")):
                if command:
                    yield command
                command = Command(text[2:], at) if text[0] == "#" else None
            elif command and not command.printed and (text + " ").startswith("> "):
                command.text += "\n" + text[2:]
                command.start = command.end = at
            elif command:
                command.printed.append(text)
                command.end = at
        if command:
            yield command


def parts(page):
    """The parts of a page that have a shell of their own: a name, begin and end."""
    if APART not in page:
        return [("", 0, len(page))]
    titles = list(SECTION.finditer(page))
    ends = [title.start() for title in titles[1:]] + [len(page)]
    return [(title[1], title.start(), end) for title, end in zip(titles, ends)]


class Shell:
    """A shell that runs commands one after the other."""

    def __init__(self, arguments):
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def kill(self):
        """Ends the shell and all that it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)

    def run(self, command):
        """The lines that a command prints, and its exit status, or None if the shell ended."""
        timer = threading.Timer(PATIENCE, self.kill)
        timer.start()
        try:
            return self.run_to_end(command)
        finally:
            timer.cancel()

    def run_to_end(self, command):
        """As run(), however long it takes."""
        script = f"{{ {command}\n}} </dev/null 2>&1\necho {END} $?\n"
        try:
            self.process.stdin.write(script)
            self.process.stdin.flush()
        except BrokenPipeError:
            return [], None
        lines = []
        for line in self.process.stdout:
            before, end, status = line.rstrip("\n").partition(END)
            if before or not end:
                lines.append(before.expandtabs().rstrip())
            if end:
                while lines and not lines[-1]:
                    lines.pop()
                return lines, int(status)
        return lines, None

    def close(self):
        """Ends the shell."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended before
        self.process.wait()


def run(page):
    """Runs the commands of a page: a name, the command, what it printed, its exit status."""
    for section, begin, end in parts(page):
        shell = Shell(OWN_NAMESPACE if section else SHELL)
        for command in commands(page, begin, end):
            first = command.text.splitlines()[0]
            name = f"{section}: {first}" if section else first
            yield name, command, *shell.run(command.text)
        shell.close()


def compare(page):
    """Prints a line for each command, and what differs."""
    count = 0
    for name, command, actual, status in run(page):
        count += 1
        works = status is not None and (status == 0 or actual)
        if works and command.is_as_printed(actual):
            print(f"ok {name}", flush=True)
            continue
        print(f"not ok {name}")
        if not works:
            print(f"# exit status {status}")
        for line in difflib.unified_diff(
            command.printed, actual, "the page", "this run", lineterm="", n=100
        ):
            print(f"# {line}")
        sys.stdout.flush()
    if not count:
        sys.exit("error: the page has no commands")


def write(page):
    """Prints the page, with what its commands print here."""
    pieces, at = [], 0
    for name, command, actual, status in run(page):
        if status is None or (status and not actual):
            sys.exit(f"transcript.py: exit status {status}: {name}")
        pieces.append(page[at : command.start])
        if command.is_as_printed(actual):
            pieces.append(page[command.start : command.end])
        else:
            pieces += ["   " + line + "\n" if line else "\n" for line in actual]
        at = command.end
    sys.stdout.write("".join(pieces) + page[at:])


def main():
    """See the head of the file."""
    if sys.argv[1:] == ["--list"]:
        pages = pathlib.Path(__file__).resolve().parents[1].glob("Documentation/*.rst")
        print(*sorted(page.stem for page in pages if BLOCK.search(page.read_text())))
        return
    *options, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        page = file.read()
    if options == ["--write"]:
        write(page)
    else:
        compare(page)


main()
