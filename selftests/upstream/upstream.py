#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the kernel's tests of networking on lo and on a device in its role, and compares.

    upstream.py run [--resume] [--renew] [TEST...]   the tests of tests.toml, or these
    upstream.py survey [--resume] [TEST...]          which of the others send through lo at all
    upstream.py table [--renew]                      the table of the last run

Runs in the build root ('make upstream-tests', 'make upstream-survey'). Everything is kept in
build/upstream: what each test printed, the results (JSON), the table. --renew puts the table into
Documentation/upstream.rst, if all is well.
"""

import argparse
import concurrent.futures
import datetime
import fnmatch
import json
import pathlib
import re
import subprocess
import sys
import textwrap
import threading
import time
import tomllib

import rst

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
OUT = TOP / "build/upstream"
FOLDER = OUT / "linux/tools/testing/selftests/net"
PAGE = TOP / "Documentation/upstream.rst"
TESTS = tomllib.loads((HERE / "tests.toml").read_text())
LEFT_OUT = {test: group["reason"] for group in TESTS["left_out"] for test in group["tests"]}
# Those of them that do send through lo.
SENDS = [test for group in TESTS["left_out"] if group.get("sends") for test in group["tests"]]
DEVICES = ["lo", "rlo"]
# Seconds in which a test of the survey has to send something.
SURVEY = 60
# For what guests that run side by side write.
LOCK = threading.Lock()


def programs():
    """What the folder's Makefile runs as tests."""
    makefile = (FOLDER / "Makefile").read_text()
    lists = re.findall(r"^(?:TEST_PROGS|TEST_GEN_PROGS|YNL_GEN_PROGS) := \\\n(.*?)# end", makefile, re.M | re.S)
    found = sorted(set(re.findall(r"[^\s\\]+", " ".join(lists))))
    return found or sys.exit(f"error: {FOLDER.relative_to(TOP)}/Makefile names no tests that this can find")


def taken():
    """The tests that are run."""
    return TESTS["traffic"] + TESTS["smoke"]


def seconds(test):
    """How long a test may take."""
    return TESTS["seconds"].get(test, TESTS["seconds"]["default"])


class Exceptions:
    """The results that are known not to be as they should, from tests.toml."""

    def __init__(self):
        self.left = [dict(entry, used=False) for entry in TESTS.get("exception", [])]

    def reason(self, test, on, check=None, failed=(), result=None):
        """Why a test, with those checks that failed and that result, or a check in it, is not good on
        a device; nothing if that is not known."""
        for entry in self.left:
            may_fail = entry.get("checks", ["*"])
            if not all(any(fnmatch.fnmatchcase(name, pattern) for pattern in may_fail) for name in failed):
                continue
            if entry.get("result", result) != result:
                continue
            if entry["test"] == test and entry["on"] == on and (check is None) == ("check" not in entry):
                if check is None or fnmatch.fnmatchcase(check, entry["check"]):
                    entry["used"] = True
                    return entry["reason"]
        return None

    def unused(self, tests):
        """Those that were not needed by any of the tests."""
        return [entry for entry in self.left if entry["test"] in tests and not entry["used"]]


def judge(test, lo, rlo, exceptions):
    """What is wrong with a pair of results, and what is known about it."""
    wrong, notes = [], []

    def differs(text, on, failed=()):
        reason = exceptions.reason(test, on, failed=failed, result=rlo["result"])
        if reason:
            notes.append(f"{text}: {reason}")
        else:
            wrong.append(text)

    # The checks that are good on lo only. Who skips a test says so at once; one that came to no end
    # may have missed any.
    worse = {check: rlo["checks"].get(check, "missing") for check, result in lo["checks"].items() if result == "pass"}
    worse = {check: result for check, result in worse.items() if result != "pass"}
    if rlo["result"] == "skip" or lo["result"] == rlo["result"] == "timeout":
        worse = {}
    reasons = {check: exceptions.reason(test, "rlo", check) for check in worse}
    if lo["result"] == "pass" != rlo["result"]:
        # One that fails by checks that are known is known.
        if rlo["result"] != "fail" or not reasons or None in reasons.values():
            differs(f"{rlo['result']} on rlo, pass on lo", "rlo")
    elif lo["result"] != "pass" == rlo["result"]:
        differs(f"{lo['result']} on lo only", "lo")
    elif lo["result"] != "pass":
        text = f"{lo['result']} on lo, {rlo['result']} on rlo"
        failed = {name for one in (lo, rlo) for name, result in one["checks"].items() if result != "pass"}
        # One that came to no end may have failed at anything.
        if failed and lo["result"] == rlo["result"] == "fail":
            differs(text, "both", failed=failed)
        else:
            wrong.append(text)
    elif rlo["attempt"] > lo["attempt"]:
        notes.append("the first try on rlo failed")
    wrong += [f"{check} is {result} on rlo" for check, result in worse.items() if not reasons[check]]
    for reason in dict.fromkeys(filter(None, reasons.values())):
        checks = [f"\"{check}\"" for check in worse if reasons[check] == reason]
        notes.append(f"passed on lo only, since {reason}: {', '.join(checks)}")
    if test in TESTS["traffic"]:
        if not lo["lo"]:
            wrong.append("sent nothing through lo")
        if not rlo["rlo"]:
            wrong.append("sent nothing through rlo")
        if rlo["lo"] and test not in TESTS["beside"]:
            wrong.append(f"sent {rlo['lo']} packets through lo0 beside rlo")
    for result in lo, rlo:
        wrong += [f"the kernel complained on {result['device']}: {line}" for line in result["complaints"]]
    return wrong, notes


def cell(result):
    """A result for the table."""
    count = len(result["checks"])
    good = sum(check == "pass" for check in result["checks"].values())
    text = result["result"]
    if count > 1:
        text += f", {good} of {count}"
    if result["attempt"] > 1:
        text += f" (try {result['attempt']})"
    return text


def renew(text, results):
    """Puts the table of a run into the page."""
    runs = [result for devices in results.values() for result in devices.values()]
    kernels = sorted({result["kernel"] for result in runs})
    head = f"Linux {' and '.join(kernels)}, {max(result['date'] for result in runs)}:\n\n"
    missing = ", ".join(f"``{test}``" for test in taken() if test not in results)
    tail = f"\nNot run for this table: {missing}.\n" if missing else ""
    rst.put(PAGE, "make upstream-tests RENEW=1", head + text + tail)


def report(results, page):
    """Prints and keeps the table of a run, puts it into the page if asked; the number of tests
    that went wrong."""
    exceptions, bad, notes = Exceptions(), [], []
    rows = [("test", "on lo", "on rlo", "packets: lo", "rlo", "lo0 beside rlo")]
    tests = [test for test in taken() if test in results]
    for test in tests:
        lo, rlo = results[test].get("lo"), results[test].get("rlo")
        if not lo or not rlo:
            bad.append((test, ["was not run to its end on both devices"]))
            continue
        wrong, known = judge(test, lo, rlo, exceptions)
        mark = " [#]_" if known else ""
        rows.append((test + mark, cell(lo), cell(rlo), str(lo["lo"]), str(rlo["rlo"]), str(rlo["lo"])))
        if known:
            notes.append(f"``{test}``: {'; '.join(known)}")
        if wrong:
            bad.append((test, wrong))
    notes = [textwrap.fill(note, 96, initial_indent=".. [#] ", subsequent_indent="   ") for note in notes]
    text = "\n\n".join([rst.table(rows), *notes]) + "\n"
    (OUT / "table.rst").write_text(text)
    print(text)
    for entry in exceptions.unused(results):
        bad.append((entry["test"], [f"the exception is not needed any more: {entry['reason']}"]))
    for test, wrong in bad:
        print(f"FAIL {test}")
        for line in wrong[:20]:
            print(f"     {line}")
        if len(wrong) > 20:
            print(f"     ... and {len(wrong) - 20} more")
    print(f"{len(tests)} tests, {len({test for test, _ in bad})} of them bad")
    if page and not bad:
        renew(text, results)
    elif page:
        print(f"==> {PAGE.relative_to(TOP)} is as it was, since not all is well")
    return len(bad)


def finished(devices, mode):
    """Whether a test has the results that it needs: one that sends nothing through lo is not
    surveyed on rlo."""
    return set(devices) == set(DEVICES) or mode == "survey" and "lo" in devices and not devices["lo"]["lo"]


def survey_report(results):
    """Prints what the survey found; the number of tests that tests.toml is wrong about."""
    wrong = 0
    rows = [("test", "on lo", "packets: lo", "rlo", "lo0 beside rlo", "in tests.toml")]
    nothing = {"rlo": 0, "lo": 0}
    for test in sorted(test for test, devices in results.items() if finished(devices, "survey")):
        lo, rlo = results[test]["lo"], results[test].get("rlo", nothing)
        place = LEFT_OUT.get(test, "nothing")
        if test not in LEFT_OUT or rlo["rlo"] and test not in SENDS:
            wrong += 1
            place += " (wrong)"
        rows.append((test, cell(lo), str(lo["lo"]), str(rlo["rlo"]), str(rlo["lo"]), place))
    text = rst.table(rows)
    (OUT / "survey.rst").write_text(text + "\n")
    unknown = sum(row[1].split(",")[0] != "pass" and row[2] == "0" for row in rows[1:])
    print(f"{text}\n{len(rows) - 1} tests, tests.toml is wrong about {wrong} of them")
    print(f"{unknown} sent nothing and did not come to their end; output/ may tell why")
    return wrong


def guest(name, tests, mode, parallel, results, path):
    """Runs the tests in a guest, with one CPU or several, and adds their results."""
    each = {test: seconds(test) if mode == "run" else SURVEY for test in tests}
    # What is known to fail is not tried again.
    fails = {entry["test"] for entry in Exceptions().left}
    tries = {test: TESTS["tries"] if mode == "run" and test not in fails else 1 for test in tests}
    plan = {
        "devices": DEVICES,
        "survey": mode == "survey",
        "tests": [{"command": test, "seconds": limit, "tries": tries[test]} for test, limit in each.items()],
    }
    (OUT / "output").mkdir(exist_ok=True)
    # For a guest that hangs: where the clock goes by the instructions, it can be ten times slower.
    limit = sum(each[test] * tries[test] for test in tests) * len(DEVICES) * (1 if parallel else 10) + 600
    log = TOP / f"build/logs/{name}.log"
    plan_file = OUT / f"plan-{name}.json"
    plan_file.write_text(json.dumps(plan))
    command = (
        str(TOP / "scripts/guest.sh"), *(() if parallel else ("-d",)), "-n", name, "-m", "2048", "-t", str(limit),
        "env", "PYTHONDONTWRITEBYTECODE=1", "python3", "selftests/upstream/guest.py", str(plan_file.relative_to(TOP)),
    )
    each_minutes = 50 if tests[0] in TESTS["alone"] else 7 if parallel else 0.3
    minutes = len(tests) * (each_minutes if mode == "run" else 0.5) + 1
    print(
        f"==> {name}: {len(tests)} test{'s' * (len(tests) > 1)} on {' and '.join(DEVICES)}"
        f" (about {minutes:.0f} min; log: {log.relative_to(TOP)})",
        flush=True,
    )
    ended, start, done, kernel = False, time.monotonic(), 0, ""
    with open(log, "w") as log_file:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=TOP
        )
        for line in process.stdout:
            log_file.write(line)
            log_file.flush()
            if not line.startswith("@ "):
                if line.startswith(("error:", "The guest", "    ")):
                    print(line, end="", flush=True)
                continue
            message = json.loads(line[2:])
            if "kernel" in message:
                kernel = message["kernel"]
            elif "end" in message:
                ended = not message["complaints"]
            elif "test" in message:
                test, device = message["test"], message["device"]
                (OUT / "output" / f"{test.replace('/', '-')}.{device}.txt").write_text(message.pop("output"))
                message.update(kernel=kernel, date=datetime.date.today().isoformat())
                with LOCK:
                    results.setdefault(test, {})[device] = message
                    path.write_text(json.dumps(results, indent=1) + "\n")
                    print(
                        f"    {name}, {time.monotonic() - start:.0f} s, {done} of {len(tests)}: {test} on {device}:"
                        f" {cell(message)} in {message['seconds']} s;"
                        f" packets: {message['lo']} of lo, {message['rlo']} of rlo",
                        flush=True,
                    )
            elif message["attempt"] == 1 and message["device"] == DEVICES[0]:
                done += 1
    return process.wait() == 0 and ended


def main():
    parser = argparse.ArgumentParser(description="Runs the kernel's tests of networking on lo and on rlo.")
    parser.add_argument("mode", choices=("run", "survey", "table"))
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run was")
    parser.add_argument("--renew", action="store_true", help="put the table into the page")
    parser.add_argument("test", nargs="*")
    options = parser.parse_args()
    path = OUT / ("survey.json" if options.mode == "survey" else "results.json")
    if options.mode == "table":
        sys.exit(report(json.loads(path.read_text()), options.renew) > 0)
    known = {*taken(), *LEFT_OUT}
    unknown = [test for test in programs() if test not in known]
    if unknown and options.mode == "run":
        sys.exit(
            f"error: these tests are new, and tests.toml says nothing about them: {' '.join(unknown)}.\n"
            "Find out with 'make upstream-survey' whether they send through lo."
        )
    every = taken() if options.mode == "run" else sorted({*LEFT_OUT, *programs()} - set(taken()))
    strange = set(options.test) - set(every)
    if strange:
        sys.exit(f"error: no such test: {' '.join(sorted(strange))}")
    asked = options.test or every
    # Those of other tests are kept.
    results = json.loads(path.read_text()) if path.exists() else {}
    if not options.resume:
        results = {test: devices for test, devices in results.items() if test not in asked}
    wanted = [test for test in asked if not finished(results.get(test, {}), options.mode)]
    parallel = [test for test in wanted if test in TESTS["parallel"]]
    alone = [test for test in wanted if test in TESTS["alone"]]
    others = [test for test in wanted if test not in parallel + alone]
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        # Two at a time, the longest first.
        guests = [*(([test], False) for test in alone), (parallel, True), (others, False)]
        if options.mode == "survey":
            guests = [(wanted[::2], False), (wanted[1::2], False)]
        guests = [
            pool.submit(guest, f"upstream-{options.mode}-{number}", tests, options.mode, several, results, path)
            for number, (tests, several) in enumerate(guests, 1) if tests
        ]  # fmt: skip
    good = all([each.result() for each in guests])
    print(f"    done in {time.monotonic() - start:.0f} s\n")
    # The page has those of other tests, too.
    if not options.renew:
        results = {test: results[test] for test in asked if test in results}
    bad = report(results, options.renew) if options.mode == "run" else survey_report(results)
    print(f"==> What the tests printed is in {OUT.relative_to(TOP)}/output, the results are in {path.relative_to(TOP)}")
    sys.exit(0 if good and not bad else 1)


if __name__ == "__main__":
    main()
