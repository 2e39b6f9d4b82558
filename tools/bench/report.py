# SPDX-License-Identifier: GPL-2.0
"""The report: a table for the terminal, and a page with charts."""

import html
import io
import pathlib

from results import AGREEMENT, LO, RLO, XDP_TARGETS, number

TITLES = {
    "cost": "Deterministic cost: instructions, counted by the emulator",
    "wall": "Throughput and latency by the clock on the wall",
    "xdp-cost": "AF_XDP: instructions, counted by the emulator",
    "xdp-wall": "AF_XDP by the clock on the wall, on two CPUs",
    "native": "The packet path on the real CPU: pktgen in User-mode Linux",
    "scaling": "Scaling with CPUs and with devices",
}
COLOURS = {
    "lo": "#5b7083",
    "rlo": "#c1440e",
    "veth": "#a3b18a",
    "AF_UNIX": "#d9c5a0",
    "memory": "#7a6c9d",
    "dummy": "#a3b18a",
}


def ratio_text(workload):
    """The ratio to lo with its extremes."""
    ratio = workload.ratio()
    if ratio is None:
        return ""
    digits = 4 if workload.is_deterministic else 2
    return f"{ratio.median:.{digits}f} ({ratio.low:.{digits}f}-{ratio.high:.{digits}f})"


def rows(results, part):
    """A row of texts for each workload."""
    for workload in results.part(part):
        others = ", ".join(
            f"{device} {number(workload.spread(device).median)}"
            for device in workload.devices
            if device not in (LO, RLO)
        )
        yield (
            workload.name,
            *(
                number(workload.spread(device).median) if device in workload.samples else ""
                for device in (LO, RLO)
            ),
            workload.unit,
            ratio_text(workload),
            others,
        )


HEADER = ("", "lo", "rlo", "unit", "rlo / lo (spread)", "others")


def table(results):
    """The table for the terminal."""
    lines = []
    for part in TITLES:
        body = list(rows(results, part))
        if not body:
            continue
        widths = [max(len(row[i]) for row in (HEADER, *body)) for i in range(len(HEADER))]
        lines += ["", TITLES[part], ""]
        for row in (HEADER, *body):
            cells = [
                cell.rjust(width) if i in (1, 2) else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths))
            ]
            lines.append("  ".join(cells).rstrip())
    return "\n".join(lines + [""] + verdicts(results))


def verdicts(results):
    """What the figures come to, a sentence each."""
    sentences = []
    for workload in results.targets:
        ratio = workload.ratio().median
        sentences.append(
            f"{workload.name}: {ratio:.4f} of lo's instructions, "
            + ("at or below lo" if ratio <= 1 else "ABOVE lo")
        )
    for target in XDP_TARGETS:
        figure = target.measured(results)
        if figure:
            sentences.append(
                f"AF_XDP, 64 B, {target.name}: {number(figure.median)} "
                f"({number(figure.low)}-{number(figure.high)}), {target.bound} "
                f"{number(target.limit)}: " + ("met" if target.is_met(figure) else "NOT MET")
            )
    if results.deterministic:
        worst = max(results.deterministic, key=lambda workload: workload.disagreement())
        apart = worst.disagreement()
        verdict = "agree" if apart <= AGREEMENT else "DO NOT AGREE"
        sentences.append(
            f"Two runs {verdict} within {AGREEMENT:.1%}: "
            f"they are at most {apart:.2%} apart ({worst.name})."
        )
    return sentences


# --- The page -------------------------------------------------------------


def figure_text(figure, salt):
    """A figure as SVG, to stand in a page beside others."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def new_figure(height):
    """An empty chart."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height))
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def ratio_chart(workloads):
    """rlo in relation to lo, with the spread of the pairs."""
    workloads = [workload for workload in workloads if workload.ratio()]
    figure, axes = new_figure(0.9 + 0.34 * len(workloads))
    names = [workload.name for workload in workloads]
    ratios = [workload.ratio() for workload in workloads]
    axes.barh(
        names,
        [ratio.median for ratio in ratios],
        xerr=(
            [ratio.median - ratio.low for ratio in ratios],
            [ratio.high - ratio.median for ratio in ratios],
        ),
        color=[
            "#3a7d44" if (ratio.median <= 1) == (workload.better == "less") else COLOURS[RLO]
            for ratio, workload in zip(ratios, workloads)
        ],
        error_kw={"elinewidth": 1, "capsize": 3},
        height=0.6,
    )
    axes.axvline(1.0, color="black", linewidth=1)
    low = min(ratio.low for ratio in ratios)
    high = max(ratio.high for ratio in ratios)
    margin = max(high - 1, 1 - low, 0.002) * 1.25
    axes.set_xlim(1 - margin, 1 + margin)
    axes.invert_yaxis()
    axes.set_xlabel("rlo / lo (1.0: the same; bars: median of the pairs, lines: all pairs)")
    return figure


def bar_chart(workloads, unit):
    """The figures of all devices, with their spread."""
    devices = []
    for workload in workloads:
        devices += [device for device in workload.devices if device not in devices]
    figure, axes = new_figure(0.9 + 0.2 * sum(len(w.devices) for w in workloads))
    thickness = 0.8 / len(devices)
    for i, device in enumerate(devices):
        present = [(y, w.spread(device)) for y, w in enumerate(workloads) if device in w.samples]
        axes.barh(
            [y + (i - (len(devices) - 1) / 2) * thickness for y, _ in present],
            [spread.median for _, spread in present],
            xerr=(
                [spread.median - spread.low for _, spread in present],
                [spread.high - spread.median for _, spread in present],
            ),
            height=thickness * 0.9,
            color=COLOURS.get(device),
            error_kw={"elinewidth": 1, "capsize": 2},
            label=device,
        )
    axes.set_yticks(range(len(workloads)), [workload.name for workload in workloads])
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.legend(frameon=False)
    return figure


def line_chart(workloads, unit, where):
    """Figures that depend on a number of CPUs or devices."""
    figure, axes = new_figure(3.4)
    for device in (LO, RLO):
        points = sorted((w.where[where], w.spread(device)) for w in workloads)
        axes.errorbar(
            [x for x, _ in points],
            [spread.median for _, spread in points],
            yerr=(
                [spread.median - spread.low for _, spread in points],
                [spread.high - spread.median for _, spread in points],
            ),
            color=COLOURS[device],
            marker="o",
            capsize=3,
            label=device,
        )
    if where == "devices":
        axes.set_xscale("log")
    ticks = sorted({w.where[where] for w in workloads})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel({"devices": "loopbacks in existence", "senders": "senders"}[where])
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def charts(results, part):
    """The charts of a part: a title and a figure each."""
    workloads = results.part(part)
    if any(workload.ratio() for workload in workloads) and part != "scaling":
        yield "Ratio to lo", ratio_chart(workloads)
    groups = {}
    for workload in workloads:
        kind = next(iter(workload.where), None)
        name = workload.name.rsplit(", ", 1)[0] if kind else ""
        groups.setdefault((workload.unit, kind, name), []).append(workload)
    for (unit, kind, name), group in groups.items():
        if kind:
            yield f"{name}, by {kind}", line_chart(group, unit, kind)
        else:
            yield unit, bar_chart(group, unit)


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem }
th, td { padding: 0.2rem 0.8rem; border-bottom: 1px solid #ddd; text-align: left }
td:nth-child(2), td:nth-child(3) { text-align: right; font-variant-numeric: tabular-nums }
svg { max-width: 100%; height: auto }
h2 { margin-top: 3rem }
"""


def page(results):
    """One HTML page with everything in it."""
    data = results.data
    out = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<title>rust_loopback: benchmark</title>",
        f"<style>{STYLE}</style></head><body><h1>rust_loopback beside lo</h1>",
        "<table>",
    ]
    facts = {"date": data["date"], **data["machine"], **data["versions"]}
    for name, value in facts.items():
        out.append(f"<tr><th>{html.escape(name)}<td>{html.escape(str(value))}")
    out.append("</table><ul>")
    out += [f"<li>{html.escape(sentence)}" for sentence in verdicts(results)]
    out.append("</ul>")
    for part, title in TITLES.items():
        body = list(rows(results, part))
        if not body:
            continue
        out.append(f"<h2>{html.escape(title)}</h2>")
        for i, (name, figure) in enumerate(charts(results, part)):
            out.append(f"<h3>{html.escape(name)}</h3>{figure_text(figure, f'{part}{i}')}")
        out.append("<table><tr>" + "".join(f"<th>{html.escape(cell)}" for cell in HEADER))
        for row in body:
            out.append("<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in row))
        out.append("</table>")
    out.append("</body></html>\n")
    return "\n".join(out)


def write_page(results, path):
    """Writes the page."""
    pathlib.Path(path).write_text(page(results))


def comparison(old, new):
    """What differs between two files of results."""
    lines = []
    for name in ("date", "machine", "versions"):
        if old.data[name] != new.data[name]:
            lines += [f"{name}: {old.data[name]}", f"{' ' * len(name)}  {new.data[name]}"]
    header = ("", "device", "old", "new", "unit", "new / old", "")
    body = []
    for key, workload in new.workloads.items():
        before = old.workloads.get(key)
        if before is None:
            continue
        for device in workload.devices:
            if device not in before.samples:
                continue
            a, b = before.spread(device), workload.spread(device)
            apart = b.low > a.high or b.high < a.low
            worse = apart and (b.median > a.median) == (workload.better == "less")
            mark = "" if not apart else "WORSE" if worse else "better"
            ratio = f"{b.median / a.median:.4f}" if a.median else ""
            name = f"{workload.part}: {workload.name}"
            body.append((name, device, number(a.median), number(b.median), workload.unit, ratio, mark))
    if not body:
        return "The two files have no workload in common."
    widths = [max(len(row[i]) for row in (header, *body)) for i in range(len(header))]
    for row in (header, *body):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    lines += ["", "Marked is what differs by more than the samples of each file do among themselves."]
    return "\n".join(lines)
