# SPDX-License-Identifier: GPL-2.0
"""Tables of figures in the pages of Documentation/, which programs write."""

import sys


def table(rows):
    """A table in reStructuredText, of rows of text; the first one is its head. An empty cell at
    the beginning of a line would be a row that goes on: it is a backslash."""
    rows = [(row[0] or "\\", *row[1:]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def put(page, command, text):
    """Puts a text into a page (pathlib.Path), between the comments that say that the command
    writes it."""
    begin, end = f".. begin: '{command}' writes this\n", ".. end\n"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    if not found or end not in rest:
        sys.exit(f"error: {page.name} has no place for this, between '{begin.strip()}' and '{end.strip()}'")
    after = rest.split(end, 1)[1]
    page.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
    print(f"==> Documentation/{page.name} has it now")
