#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Draws the chart of README from the tables of Documentation/benchmark.rst.

    chart.py            writes Documentation/instructions.svg
    chart.py --check    fails if the file is not what the tables say
"""

import pathlib
import sys

import docutils.core
from docutils import nodes

from report import COLOURS, figure_text, new_figure
from results import LO, RLO

PAGE = pathlib.Path(__file__).resolve().parents[2] / "Documentation/benchmark.rst"
CHART = PAGE.with_name("instructions.svg")

# A row of the chart: its name, and the row of a table for each device.
ROWS = [
    ("UDP, IPv4", {LO: "UDP, 64 B, IPv4", RLO: "UDP, 64 B, IPv4"}),
    ("UDP, IPv6", {LO: "UDP, 64 B, IPv6", RLO: "UDP, 64 B, IPv6"}),
    ("AF_XDP, copy", {LO: "copy, 64 B", RLO: "copy, 64 B"}),
    ("AF_XDP, zero-copy", {RLO: "zero-copy, pair, 64 B"}),
]
UNIT = "instructions/packet"


def figures(page):
    """The figures of the tables: (workload, device) to a number."""
    found = {}
    for table in docutils.core.publish_doctree(page).findall(nodes.table):
        header, *body = [
            [entry.astext() for entry in row.children] for row in table.findall(nodes.row)
        ]
        if "unit" not in header:
            continue
        for row in body:
            cells = dict(zip(header, row))
            for device in (LO, RLO):
                if cells["unit"] == UNIT and cells[device]:
                    found[row[0], device] = float(cells[device].replace(",", ""))
    return found


def chart(found):
    """The chart as SVG."""
    figure, axes = new_figure(2.6)
    places, names = [], []
    at = 0
    for name, devices in ROWS:
        begin = at
        for device, workload in devices.items():
            value = found[workload, device]
            axes.barh(at, value, height=0.9, color=COLOURS[device])
            axes.text(value, at, f" {device}  {value:,.0f}", va="center")
            at += 1
        places.append((begin + at - 1) / 2)
        names.append(name)
        at += 0.7
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(found[row, device] for _, rows in ROWS for device, row in rows.items()))
    axes.set_xlabel("instructions for a packet of 64 bytes, from program to program")
    return "<!-- SPDX-License-Identifier: GPL-2.0 -->\n" + figure_text(figure, "chart")


def main():
    """See the head of the file."""
    text = chart(figures(PAGE.read_text(encoding="utf-8")))
    if sys.argv[1:] != ["--check"]:
        CHART.write_text(text, encoding="utf-8")
    elif not CHART.exists() or CHART.read_text(encoding="utf-8") != text:
        sys.exit(f"error: {CHART.name} is not what {PAGE.name} says: run 'make chart'")


if __name__ == "__main__":
    main()
