#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Adds up a run of stress.sh.

    stress-report.py FOLDER SEED MINUTES REVISION

Reads the logs of the parts in FOLDER, prints a table of what they have done and writes it to
FOLDER.json. Fails if a part failed, skipped a check or came to no end.
"""

import datetime
import json
import pathlib
import re
import sys


def part(log):
    """What a log tells."""
    text = log.read_text(encoding="utf-8", errors="replace")
    end = re.search(r"^exit status (\d+) after (\d+) s$", text, re.MULTILINE)
    failed = re.findall(r"^# not ok \d+ (.*)", text, re.MULTILINE)
    skipped = re.findall(r"^# ok .* # SKIP", text, re.MULTILINE)
    passed = len(re.findall(r"^# ok ", text, re.MULTILINE)) - len(skipped)
    whole = re.search(r"^ok 1 selftests", text, re.MULTILINE) is not None
    return {
        "name": log.stem,
        "passed": passed,
        "failed": failed,
        "skipped": len(skipped),
        "ok": bool(end) and end[1] == "0" and whole and passed > 0 and not failed and not skipped,
        "figures": dict(re.findall(r"^# # figure (.*?)\|(.*)$", text, re.MULTILINE)),
    }


def main(folder, seed, minutes, revision):
    """Prints and writes."""
    folder = pathlib.Path(folder)
    parts = [part(log) for log in sorted(folder.glob("*.log"))]
    if not parts:
        sys.exit("error: no part has run: are their names right? See scripts/stress.sh")
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        "kernel": pathlib.Path("build/kernel-release").read_text(encoding="ascii").strip(),
        "revision": revision,
        "seed": int(seed),
        "minutes": int(minutes),
        "parts": parts,
    }
    output = folder.with_suffix(".json")
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
    for one in parts:
        verdict = "as it should be" if one["ok"] else "FAILED"
        print(f"\n{one['name']}: {one['passed']} checks passed, {len(one['failed'])} failed, "
              f"{one['skipped']} skipped: {verdict}")  # fmt: skip
        for name, value in one["figures"].items():
            print(f"    {name:<55} {value}")
        for name in one["failed"]:
            print(f"    not ok: {name}")
    print(f"\nSEED={seed} MINUTES={minutes}; see build/stress/{folder.name}/*.log, "
          f"build/stress/{output.name}")  # fmt: skip
    if not all(one["ok"] for one in parts):
        sys.exit("error: not all parts were as they should be. For one again: "
                 f"SEED={seed} scripts/stress.sh PART")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
