#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes the figures of a run into Documentation/benchmark.rst: what was measured, and when, in
the first paragraph of the results, and the table below each title of a part.

    page.py RESULT.json
"""

import re
import sys
import textwrap

import report
import rst
from chart import PAGE
from results import Results

WIDTH = 100


def paragraph(results):
    """What was measured."""
    machine, versions = results.data["machine"], results.data["versions"]

    def version(name, pattern=r"\d+(?:\.\d+)+"):
        return re.search(pattern, versions[name])[0]

    worst = max(results.deterministic, key=lambda workload: workload.disagreement())
    return textwrap.fill(
        f"Of {results.data['date'][:10]}, ``rust_loopback`` {versions['rust_loopback']}, Debian's "
        f"kernel {versions['kernel']}, rustc {version('rustc')}, QEMU {version('QEMU')} with "
        f"{machine['guest runs with'].upper()}, iperf3 {version('iperf3')}, netperf "
        f"{version('netperf')}, on {machine['CPUs']} CPUs ({machine['CPU']}) of a virtual machine. "
        f"The instruction counts of the two boots were at most {100 * worst.disagreement():.2f} % apart "
        f"({worst.name}).",
        WIDTH,
    )


def replace(page, pattern, text):
    """The page with a text in the place of what matches."""
    page, count = re.subn(pattern, lambda match: match[1] + text + "\n", page, count=1, flags=re.DOTALL)
    if not count:
        sys.exit(f"error: {PAGE.name} has no place for this: {text.splitlines()[0]}")
    return page


def main(path):
    """See the head of the file."""
    results = Results.read(path)
    page = PAGE.read_text(encoding="utf-8")
    for part in report.TITLES:
        if not results.part(part):
            sys.exit(f"error: {path} has no figures of the part {part}: it has to be a whole run")
    page = replace(page, r"(\nResults\n=+\n\n).*?\n(?=\n)", paragraph(results))
    for part, title in report.TITLES.items():
        rows = [("", *report.HEADER[1:]), *report.rows(results, part)]
        page = replace(page, rf"(\n\*\*{re.escape(title)}\*\*\n\n)=.*?\n(?=\n)", rst.table(rows))
    PAGE.write_text(page, encoding="utf-8")
    print(f"Documentation/{PAGE.name} has the figures of {path}; 'make chart' draws them.")


if __name__ == "__main__":
    main(*sys.argv[1:])
