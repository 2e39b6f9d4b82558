#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Adds up a run of stress.sh.

    stress-report.py FOLDER SEED MINUTES REVISION [--renew] PART...

Reads the logs of the parts in FOLDER, prints what they have done and writes it to FOLDER.json.
Fails if a part failed, skipped a check, came to no end or has not run. With --renew the figures
of a run that did not fail go into Documentation/reliability.rst, and it fails, too, if the run was
too short for what a whole one has to do (TARGETS).
"""

import datetime
import json
import pathlib
import re
import sys
import textwrap

import rst

PAGE = pathlib.Path("Documentation/reliability.rst")
KERNELS = ("debug", "stock")
# What a whole run does: part, figure, and how much. Of each operation's faults, all there are.
TARGETS = (
    ("stock-races", "devices added and deleted", 10_000),
    ("stock-races", "lives of namespaces", 2_000),
    ("stock-hostile", "mutated requests about links", 1_000_000),
)
FAULTS = "debug-faults"


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
        "seconds": int(end[2]) if end else None,
        "passed": passed,
        "failed": failed,
        "skipped": len(skipped),
        "ok": bool(end) and end[1] == "0" and whole and passed > 0 and not failed and not skipped,
        "figures": dict(re.findall(r"^# # figure (.*?)\|(.*)$", text, re.MULTILINE)),
    }


def reached(parts):
    """How far a run got, of what a whole one does: what it is, how much there was, how much there
    has to be, and whether it was enough. Of parts that have run."""
    figures = {one["name"]: one["figures"] for one in parts}
    for name, what, wanted in TARGETS:
        if name in figures:
            found = int(figures[name].get(what, 0))
            yield f"{what}, {name}", found, wanted, found >= wanted
    for what, value in figures.get(FAULTS, {}).items():
        # "3 of 5: ..."
        if what.startswith("faults, "):
            found, wanted = map(int, value.split(":")[0].split(" of "))
            yield what, found, wanted, 0 < wanted == found


def results(run):
    """What the page says of a run."""
    parts = {tuple(part["name"].split("-", 1)): part for part in run["parts"]}
    head = (
        f"Of {run['date'][:10]}, revision {run['revision'] or 'unknown'}, Linux {run['kernel']}, "
        f"``SEED={run['seed']} MINUTES={run['minutes']}``: "
        f"{sum(part['passed'] for part in parts.values())} checks passed, none failed, none was skipped."
    )
    rows = [("", *(f"{kernel} kernel" for kernel in KERNELS))]
    for test in dict.fromkeys(test for _, test in parts):
        both = [parts[kernel, test]["figures"] if (kernel, test) in parts else {} for kernel in KERNELS]
        times = [parts.get((kernel, test), {}).get("seconds", "") for kernel in KERNELS]
        rows.append((f"{test}.sh took (s)", *map(str, times)))
        for name in dict.fromkeys(name for figures in both for name in figures):
            rows.append((name, *(figures.get(name, "") for figures in both)))
    return "\n\n".join([textwrap.fill(head, 100), rst.table(rows)])


def main(folder, seed, minutes, revision, *names):
    """Prints and writes."""
    folder = pathlib.Path(folder)
    parts = [part(log) for log in sorted(folder.glob("*.log"))]
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
              f"{one['skipped']} skipped, in {one['seconds']} s: {verdict}")  # fmt: skip
        for name, value in one["figures"].items():
            print(f"    {name:<55} {value}")
        for name in one["failed"]:
            print(f"    not ok: {name}")
    short = []
    if any(reached(parts)):
        print("\nHow far it got, of what a whole run does:")
    for what, found, wanted, enough in reached(parts):
        print(f"    {what:<55} {found} of {wanted}{'' if enough else ': short'}")
        if not enough:
            short.append(f"{what} ({found} of {wanted})")
    print(f"\nSEED={seed} MINUTES={minutes}; see build/stress/{folder.name}/*.log, "
          f"build/stress/{output.name}")  # fmt: skip
    if not all(one["ok"] for one in parts):
        sys.exit("error: not all parts were as they should be. For one again: "
                 f"SEED={seed} scripts/stress.sh PART")  # fmt: skip
    missing = set(names) - {"--renew"} - {one["name"] for one in parts}
    if missing:
        sys.exit(f"error: these have not run: {' '.join(sorted(missing))}")
    if "--renew" in names:
        if short:
            sys.exit("error: not a whole run, whose figures the page has. Short of what it has to "
                     f"do: {'; '.join(short)}. MINUTES= has to be more.")  # fmt: skip
        rst.put(PAGE, "make stress RENEW=1", results(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
