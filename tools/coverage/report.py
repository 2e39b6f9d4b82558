#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What of the driver and of the abstraction the suites have reached (make coverage).

Adds up the counters that guest.sh has printed into the logs that it is called with, and has
llvm-cov tell which lines they belong to. Writes to build/coverage/:

    report.txt     the figures of each file, and the lines that were never reached
    html/          the sources with the number of times that rust_loopback.ko has run each line
    profile.data   what llvm-cov needs for more: llvm-cov-19 show -instr-profile=...

Each line that was never reached needs a reason in unreached.txt: fails when one has none, and when
a reason is given for lines that there are not, or that are reached now. With --renew before the logs
the figures and reasons go into Documentation/reliability.rst.
"""

import base64
import collections
import datetime
import gzip
import hashlib
import json
import pathlib
import re
import struct
import subprocess
import sys
import textwrap
import zlib

import rst

TOP = pathlib.Path(__file__).resolve().parents[2]
OUTPUT = TOP / "build/coverage"
REASONS = TOP / "tools/coverage/unreached.txt"
PAGE = TOP / "Documentation/reliability.rst"
# How a reason begins for lines that a run may reach.
CHANCE = "Sometimes"
# The sample has the abstraction, too.
MODULES = {name: OUTPUT / f"module/{name}.ko" for name in ("rust_loopback", "rust_sink")}
# The tests themselves are left out, here and in tests().
SOURCES = sorted(
    str(path.relative_to(TOP))
    for pattern in ("rust_loopback.rs", "rust_loopback/**/*.rs", "netdev/**/*.rs", "netdev/helpers.c")
    for path in TOP.glob(pattern)
    if path.name not in ("tests.rs", "testing.rs")
)

# An entry of __llvm_prf_data (struct __llvm_profile_data): where it has a function's name, its
# hash, the address of its counters relative to the entry, and their number.
ENTRY, NAME, HASH, COUNTERS, NUMBER = 64, 0, 8, 16, 48
R_X86_64_PC64 = 24
# A region of code, of those that llvm-cov exports.
CODE = 0


class Failure(Exception):
    """A sentence for the user."""


class Module:
    """A module that was compiled with COVERAGE=y."""

    def __init__(self, path):
        self.data = path.read_bytes()
        (table,) = struct.unpack_from("<Q", self.data, 40)
        number, names = struct.unpack_from("<HH", self.data, 60)
        headers = [
            struct.unpack_from("<IIQQQQIIQQ", self.data, table + 64 * i) for i in range(number)
        ]
        self.sections, self.index = {}, {}
        for index, (name, _, _, _, offset, size, *_) in enumerate(headers):
            start = headers[names][4] + name
            text = self.data[start : self.data.index(b"\0", start)].decode()
            self.sections[text] = self.data[offset : offset + size]
            self.index[text] = index

    def digest(self):
        """What it is known by."""
        return hashlib.sha256(self.data).hexdigest()

    def counters(self):
        """How many counters it has."""
        return len(self.sections["__llvm_prf_cnts"]) // 8

    def names(self):
        """The names of its functions by their identity in __llvm_prf_data."""

        def number():
            nonlocal position
            value = shift = 0
            while True:
                byte = section[position]
                position += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    return value

        section, position, names = self.sections["__llvm_prf_names"], 0, {}
        while position < len(section):
            size, compressed = number(), number()
            text = section[position : position + (compressed or size)]
            position += len(text)
            for name in (zlib.decompress(text) if compressed else text).split(b"\1"):
                names[hashlib.md5(name).digest()[:8]] = name.decode()
            # The linker has aligned what each object has.
            while position < len(section) and not section[position]:
                position += 1
        return names

    def functions(self):
        """Name, hash, offset in the section of counters, and number of counters of each."""
        entries, symbols = self.sections["__llvm_prf_data"], self.sections[".symtab"]
        names, places = self.names(), {}
        relocations = self.sections[".rela__llvm_prf_data"]
        for offset, info, addend in struct.iter_unpack("<QQq", relocations):
            if offset % ENTRY == COUNTERS:
                _, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", symbols, 24 * (info >> 32))
                assert section == self.index["__llvm_prf_cnts"] and info & 0xFFFFFFFF == R_X86_64_PC64
                places[offset - COUNTERS] = value + addend - COUNTERS
        for start in range(0, len(entries), ENTRY):
            name = names[entries[start + NAME : start + NAME + 8]]
            (value,) = struct.unpack_from("<Q", entries, start + HASH)
            (number,) = struct.unpack_from("<I", entries, start + NUMBER)
            yield name, value, places[start], number


def collected(logs, modules):
    """The sum of the counters of each module over all logs."""
    sums = {name: [0] * module.counters() for name, module in modules.items()}
    for log in logs:
        lines = re.findall(r"^@coverage (\w+) (\w+) (\S+)\r?$", log.read_text(errors="replace"), re.M)
        if {name for name, _, _ in lines} != set(modules):
            raise Failure(f"{log} has no counters: the guest did not come to its end; see there why")
        for name, digest, text in lines:
            if digest != modules[name].digest():
                raise Failure(
                    f"{log} has counters of another {name}.ko than build/coverage/module/ has:"
                    " run 'make coverage' again"
                )
            data = gzip.decompress(base64.b64decode(text))
            values = struct.unpack(f"<{len(data) // 8}Q", data)
            # A module that a guest has not loaded has none.
            if values:
                sums[name] = [a + b for a, b in zip(sums[name], values, strict=True)]
    return sums


def llvm(*command):
    """Runs a program of LLVM and returns what it prints."""
    done = subprocess.run(command, capture_output=True, cwd=TOP, check=False)
    for line in re.sub(r"\x1b\[[0-9;]*m", "", done.stderr.decode()).split("\n"):
        # Each crate also describes, without counters, those functions of which it has no code. When
        # another crate or the other module has their code, llvm-cov takes this and says so.
        if line and not re.fullmatch(r"warning: \d+ functions have mismatched data", line):
            print(line, file=sys.stderr)
    done.check_returncode()
    return done.stdout


def profile(modules, sums):
    """Makes the profile that llvm-cov reads."""
    texts = []
    for name, module in modules.items():
        texts.append(OUTPUT / f"{name}.proftext")
        with open(texts[-1], "w", encoding="utf-8") as file:
            for function, value, offset, number in module.functions():
                counts = sums[name][offset // 8 : offset // 8 + number]
                print(function, value, number, *counts, "", sep="\n", file=file)
    path = OUTPUT / "profile.data"
    llvm("llvm-profdata-19", "merge", "-o", path, *texts)
    return path


def tests(path):
    """The lines of a source that are compiled with KUnit only."""
    lines, left_out, end = (TOP / path).read_text().split("\n"), set(), None
    for number, line in enumerate(lines, 1):
        if end is None:
            if line == "#if IS_BUILTIN(CONFIG_KUNIT)":
                end = re.compile("#endif /[*] CONFIG_KUNIT")
            elif start := re.match(r'( *)#\[(kunit_tests\(|cfg\(CONFIG_KUNIT = "y"\))', line):
                end = re.compile(rf"{start[1]}(}}|(pub )?mod \w+;)$")
        if end:
            left_out.add(number)
            if end.match(line):
                end = None
    return left_out


def relative(path):
    """The path of a source as it is here."""
    return str(pathlib.Path(path)).removeprefix(f"{TOP}/")


class Source:
    """A file with its lines and regions: how often each was run."""

    def __init__(self, path):
        self.path, self.text = path, (TOP / path).read_text().split("\n")
        self.left_out = tests(path)
        self.lines, self.regions = {}, collections.Counter()

    def function(self, number):
        """The name of the function that a line is in."""
        expression = r"^(?!\s).*?\b(\w+)\(" if self.path.endswith(".c") else r"\bfn (\w+)"
        while number:
            number -= 1
            found = re.search(expression, self.text[number])
            if found and not self.text[number].lstrip().startswith("//"):
                return found[1]
        return ""

    def around(self, run):
        """The text of a run of lines, and of the line before."""
        return "\n".join(self.text[run[0] - 2 : run[-1]])

    def unreached(self):
        """Runs of lines that were never reached: their function and numbers."""
        runs = []
        for number in sorted(self.lines):
            if not self.lines[number]:
                function = self.function(number)
                if runs and runs[-1][0] == function and runs[-1][1][-1] == number - 1:
                    runs[-1][1].append(number)
                else:
                    runs.append((function, [number]))
        return runs


def measured(data):
    """The sources with what llvm-cov knows of them."""
    sources = {path: Source(path) for path in SOURCES}
    export = ("llvm-cov-19", "export", f"-instr-profile={data}", MODULES["rust_loopback"])
    export += ("-object", MODULES["rust_sink"])
    source = None
    for line in llvm(*export, "-format=lcov").decode().splitlines():
        kind, _, value = line.partition(":")
        if kind == "SF":
            source = sources.get(relative(value))
        elif kind == "DA" and source:
            number, count = map(int, value.split(",")[:2])
            if number not in source.left_out:
                # Each module has the file under a path of its own.
                source.lines[number] = source.lines.get(number, 0) + count
    for function in json.loads(llvm(*export, "-format=text"))["data"][0]["functions"]:
        for *position, count, file, _, kind in function["regions"]:
            source = sources.get(relative(function["filenames"][file]))
            if source and kind == CODE and position[0] not in source.left_out:
                # Of all that a generic function was compiled to.
                source.regions[tuple(position)] += count
    return [source for source in sources.values() if source.lines]


def reasons():
    """The paragraphs of unreached.txt: a reason, and what it is for."""
    paragraphs = [("", [])]
    for line in REASONS.read_text().split("\n"):
        if line.startswith("#"):
            continue
        if line.startswith(" "):
            path, function, text = re.fullmatch(r" +(\S+) (\w+)(?:: (.*))?", line).groups()
            paragraphs[-1][1].append((path, function, text))
        elif line and paragraphs[-1][1]:
            paragraphs.append((line, []))
        elif line:
            paragraphs[-1] = (f"{paragraphs[-1][0]} {line}".strip(), [])
    return paragraphs


def figures(sources):
    """Rows of text, a file each: lines, regions, and how many of them were reached."""
    rows, total = [], [0, 0, 0, 0]
    for source in sources:
        row = []
        for counts in source.lines.values(), source.regions.values():
            row += [len(counts), sum(count > 0 for count in counts)]
        rows.append((source.path, row))
        total = [a + b for a, b in zip(total, row)]
    yield "file", "lines", "reached", "", "regions", "reached", ""
    for path, (lines, run, regions, entered) in [*rows, ("all", total)]:
        yield (path, str(lines), str(run), f"{100 * run / lines:.1f} %",
               str(regions), str(entered), f"{100 * entered / regions:.1f} %")  # fmt: skip


def explained(sources):
    """The lines that were never reached, for each paragraph of unreached.txt; those without a
    reason; and the entries that fit none."""
    paragraphs, used, rest = reasons(), set(), []
    lines = [(reason, []) for reason, _ in paragraphs]
    for source in sources:
        for function, run in source.unreached():
            text = [f"    {source.path}:{line}: {source.text[line - 1].strip()}" for line in run]
            for number, (_, entries) in enumerate(paragraphs):
                fitting = {
                    (number, entry)
                    for entry in entries
                    if entry[:2] == (source.path, function)
                    and (not entry[2] or entry[2] in source.around(run))
                }
                if fitting:
                    used |= fitting
                    lines[number][1].extend(text)
                    break
            else:
                rest += text
    unused = [
        f"    {path} {function}" + (f": {text}" if text else "")
        for number, (reason, entries) in enumerate(paragraphs)
        for path, function, text in entries
        if (number, (path, function, text)) not in used and not reason.startswith(CHANCE)
    ]
    return lines, rest, unused


def page(rows, lines):
    """What the page says of a run."""
    date = datetime.datetime.now(datetime.timezone.utc).date()
    kernel = (TOP / "build/linux-debug/include/config/kernel.release").read_text().strip()
    text = [f"Of {date}, Linux {kernel}.", rst.table(rows),
            f"{sum(len(part) for _, part in lines)} lines were never reached; how many for each"
            " reason is behind it:"]  # fmt: skip
    for reason, part in lines:
        if part:
            item = f"- {reason} ({len(part)})"
            text.append(textwrap.fill(item, 100, subsequent_indent="  "))
    return "\n\n".join(text)


def main(*arguments):
    renew = arguments[:1] == ("--renew",)
    try:
        modules = {name: Module(path) for name, path in MODULES.items()}
        sums = collected([pathlib.Path(log) for log in arguments[renew:]], modules)
        data = profile(modules, sums)
        sources = measured(data)
        llvm("llvm-cov-19", "show", "-format=html", f"-output-dir={OUTPUT}/html",
             f"-instr-profile={data}", "-show-instantiations=false", MODULES["rust_loopback"],
             *SOURCES)  # fmt: skip
    except (Failure, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
    rows = list(figures(sources))
    lines, rest, unused = explained(sources)
    table = ["".join((f"{row[0]:28}", *(f"{cell:>9}" for cell in row[1:]))) for row in rows]
    wrong = []
    if rest:
        wrong += ["", f"Lines that were never reached, without a reason in {REASONS.name}:", *rest]
    if unused:
        wrong += ["", f"Entries of {REASONS.name} that fit no line, or only lines that are reached:"]
        wrong += unused
    reached = ["", "Lines that were never reached, with the reason:"]
    for reason, part in lines:
        if part:
            reached += ["", f"{reason} ({len(part)})", *part]
    (OUTPUT / "report.txt").write_text("\n".join([*table, *reached, *wrong, ""]))
    print("\n".join([*table, *wrong]))
    print("==> See build/coverage/report.txt and build/coverage/html/index.html")
    if wrong:
        sys.exit(1)
    if renew:
        rst.put(PAGE, "make coverage RENEW=1", page(rows, lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
