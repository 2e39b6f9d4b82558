#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compares Documentation/unsafe.rst with the unsafe code in netdev/, and the tests that it names.

    check-unsafe.py           fails with a sentence for each difference
    check-unsafe.py --list    prints what is in the sources: file, name, kind and blocks
"""

import collections
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGE = TOP / "Documentation/unsafe.rst"

BRACKETS = {"{": "}", "(": ")", "[": "]"}

TOKEN = re.compile(
    r"""
      (?P<skip>//[^\n]* | \s+)
    | (?P<comment>/\*)
    | (?P<raw>[bc]?r(?P<hashes>\#*)".*?"(?P=hashes))
    | (?P<string>[bc]?"(?:\\.|[^"\\])*")
    | (?P<char>b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])')
    | (?P<lifetime>'\w+)
    | (?P<word>\w+)
    | (?P<sign>->|=>|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text):
    """The words and signs of Rust code, without comments, strings and lifetimes."""
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        at = match.end()
        if match["comment"]:
            depth = 1
            while depth:
                edge = re.compile(r"/\*|\*/").search(text, at)
                depth += 1 if edge[0] == "/*" else -1
                at = edge.end()
        elif match["word"] or match["sign"]:
            yield match[0]


def path_end(words):
    """The last name of the path that begins a type: "Registration" of link::Registration<T>."""
    name, depth = "", 0
    for word in words:
        depth += {"<": 1, ">": -1}.get(word, 0)
        if depth == 0 and word == "where":
            break
        if depth == 0 and word.isidentifier() and word not in ("dyn", "mut", "const"):
            name = word
        elif name and word == "<":
            break
    return name


def split_impl(words):
    """The trait, or "", and the type of what stands between "impl" and "{"."""
    depth, start, at = 0, 0, None
    for i, word in enumerate(words):
        depth += {"<": 1, ">": -1}.get(word, 0)
        if depth == 0 and word == ">" and start == 0 and words[0] == "<":
            start = i + 1
        if depth == 0 and word == "for" and at is None:
            at = i
    if at is None:
        return "", path_end(words[start:])
    return path_end(words[start:at]), path_end(words[at + 1 :])


class Unsafe:
    """What is unsafe of a function, a constant or an implementation."""

    def __init__(self):
        self.kind, self.blocks = "", 0

    def __str__(self):
        return " ".join(filter(None, [self.kind, str(self.blocks or "")]))


def find(text):
    """The unsafe code of a file, by the name of the function that has it."""
    words = list(tokens(text))
    found = collections.defaultdict(Unsafe)
    # What the current word is in: its name if it has one, whether it is a body, and its end.
    around = []

    def name(*last):
        return "::".join([scope for scope, _, _ in around if scope] + list(last))

    def header(start):
        """The end of what begins there: its "{", or its ";"."""
        depth = 0
        for end in range(start, len(words)):
            if depth == 0 and words[end] in "{;":
                return end
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(words[end], 0)
        raise ValueError(f"{' '.join(words[start:start + 5])} has no end")

    i = 0
    while i < len(words):
        word, rest = words[i], words[i + 1 : i + 5]
        in_body = bool(around) and around[-1][1]
        if word == "unsafe":
            # Or extern "C" fn, without the string.
            fn = rest.index("fn") if "fn" in rest[:2] else None
            if rest[0] == "{":
                found[name()].blocks += 1
            elif rest[0] == "impl":
                trait, of = split_impl(words[i + 2 : header(i + 2)])
                found[name(f"{trait} for {of}")].kind = "impl"
            elif fn is None:
                found[name(rest[1])].kind = rest[0]
            elif rest[fn + 1] != "(":  # not a type
                found[name(rest[fn + 1])].kind = "fn"
        elif word == "fn" and rest[0] != "(":
            i = header(i + 1)
            if words[i] == "{":
                around.append((rest[0], True, "}"))
        elif word in ("impl", "trait", "mod") and not in_body:
            end = header(i + 1)
            of = split_impl(words[i + 1 : end])[1] if word == "impl" else rest[0]
            i = end
            if words[i] == "{":
                around.append((of, False, "}"))
        elif word in ("const", "static") and not in_body and rest[1] == ":":
            around.append((rest[0], True, ";"))
        elif word in BRACKETS:
            around.append(("", in_body, BRACKETS[word]))
        elif around and word == around[-1][2]:
            around.pop()
        i += 1
    if around:
        raise ValueError(f"{name()} has no end")
    return found


def merge_tests(names):
    """What test modules have, under the name of the module."""
    merged = collections.defaultdict(Unsafe)
    for name, unsafe in names.items():
        module, _, _ = name.partition("::")
        merged[module if module == "tests" else name].blocks += unsafe.blocks
        merged[module if module == "tests" else name].kind = unsafe.kind
    return merged


def sources():
    """The unsafe code of all files."""
    files = sorted((TOP / "netdev").glob("**/*.rs"))
    found = {str(file.relative_to(TOP)): merge_tests(find(file.read_text())) for file in files}
    return {file: names for file, names in found.items() if names}


def tables():
    """The rows of the page's tables: file, name, what is unsafe, the tests, and what it rests on."""
    file, edges, row = "", None, None
    lines = PAGE.read_text().splitlines()
    for before, line in zip([""] + lines, lines):
        if re.fullmatch(r"=+", line) and before.endswith(".rs"):
            file, edges = before, None
        elif re.fullmatch(r"=+( =+){3}", line):
            edges = [match.span() for match in re.finditer("=+", line)]
        elif not line.strip():
            edges = None
        elif file and edges:
            cells = [line[start:end].strip() for start, end in edges[:3]]  # name, unsafe, rests on
            tests = line[edges[3][0] :].strip()
            if cells[0] == "function":
                continue
            if cells[0]:
                if row:
                    yield row
                row = [file, cells[0].strip("`"), cells[1], tests, cells[2]]
            else:
                row[3] = f"{row[3]} {tests}".strip()
    if row:
        yield row


def parts_of_tests():
    """The names of all tests, each with those of its parts."""
    parts = {
        file.name: set(re.findall(r"^(\w+)\(\)", file.read_text(), re.MULTILINE))
        for file in (TOP / "selftests").glob("*.sh")
    }
    for file in [*(TOP / "netdev").glob("**/*.rs"), *(TOP / "rust_loopback").glob("**/*.rs")]:
        for suite, code in re.findall(
            r"^#\[kunit_tests\((\w+)\)\](.*)", file.read_text(), re.MULTILINE | re.DOTALL
        ):
            parts[suite] = set(re.findall(r"#\[test\]\s+fn (\w+)", code))
    return parts


def wrong_tests(entries, parts):
    """What is wrong with the tests of a row: NAME[: PART, ...][; ...], WHAT: none, or as above."""
    if entries == "as above":
        return
    for entry in entries.split(";"):
        name, _, of = entry.strip().partition(":")
        if "none" in (name, of.strip()):
            continue
        if name not in parts:
            yield f"there is no test '{name}'"
            continue
        for part in filter(None, (part.strip() for part in of.split(","))):
            if part not in parts[name]:
                yield f"the test {name} has no part '{part}'"


def differences():
    """Sentences about what the page and the sources do not agree on."""
    found, parts = sources(), parts_of_tests()
    page = PAGE.relative_to(TOP)
    listed = collections.defaultdict(set)
    for file, name, unsafe, tests, guarantee in tables():
        if name in listed[file]:
            yield f"{page}: {file}: {name} is listed twice"
        listed[file].add(name)
        if name not in found.get(file, {}):
            yield f"{page}: {file}: {name} is listed, but it has nothing unsafe, or is not there"
        elif unsafe != str(found[file][name]):
            yield f"{page}: {file}: {name} is listed with '{unsafe}', but has '{found[file][name]}'"
        if not guarantee:
            yield f"{page}: {file}: {name} is listed without what it rests on"
        for wrong in wrong_tests(tests, parts):
            yield f"{page}: {file}: {name}: {wrong}"
    for file, names in found.items():
        for name, unsafe in names.items():
            if name not in listed[file]:
                yield f"{page}: {file}: {name} is not listed, but has '{unsafe}'"


def main():
    if sys.argv[1:] == ["--list"]:
        for file, names in sources().items():
            for name, unsafe in names.items():
                print(f"{file}\t{name}\t{unsafe}")
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    wrong = list(differences())
    if wrong:
        sys.exit("\n".join(wrong))
    everything = [unsafe for names in sources().values() for unsafe in names.values()]
    print(
        sum(unsafe.blocks for unsafe in everything),
        "unsafe blocks are listed,",
        *(f"{kind}: {n}" for kind, n in collections.Counter(u.kind for u in everything).items() if kind),
    )


if __name__ == "__main__":
    main()
