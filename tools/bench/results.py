# SPDX-License-Identifier: GPL-2.0
"""A file of results, and what is computed from its samples."""

import dataclasses
import json
import pathlib
import statistics

FORMAT = 1
# The devices that are compared.
LO, RLO = "lo", "rlo"
# What is counted by the emulator.
DETERMINISTIC = ("cost", "xdp-cost")
# The largest difference between two runs of that.
AGREEMENT = 0.005
# So many samples have outliers.
MANY = 12
# Workloads of the part cost that are to cost no more than over lo.
TARGETS = ("pktgen", "UDP, ", "TCP_RR")
# Samples of AF_XDP with targets: part, workload and device.
ZERO_COPY = ("xdp-cost", "zero-copy, self, 64 B", RLO)
COPY = ("xdp-cost", "copy, 64 B", RLO)
PAIR = ("xdp-wall", "zero-copy, pair, 64 B", RLO)
MEMORY_RING = ("xdp-wall", "zero-copy, pair, 64 B", "memory")
PING_PONG = ("xdp-wall", "ping-pong, 64 B (lo: UDP), median", RLO)
PING_PONG_LO = ("xdp-wall", "ping-pong, 64 B (lo: UDP), median", LO)


@dataclasses.dataclass
class Spread:
    """The median of samples, and how far they go: the middle half of many, all of few."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values):
        values = sorted(values)
        cut = len(values) // 4 if len(values) >= MANY else 0
        return cls(statistics.median(values), values[cut], values[-1 - cut])

    @property
    def width(self):
        """The distance between the extremes, as a part of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


def ratio(mine, others):
    """Samples in relation to others, pair by pair; None if there are no pairs."""
    pairs = [mine[key] / others[key] for key in mine if others.get(key)]
    return Spread.of(pairs) if pairs else None


@dataclasses.dataclass
class Target:
    """What a figure, or its ratio to another, is to be."""

    name: str
    bound: str  # "at most" or "at least"
    limit: float
    mine: tuple
    others: tuple = None

    def measured(self, results):
        """The figure; None if it was not measured."""
        mine = results.samples(*self.mine)
        if self.others:
            return ratio(mine, results.samples(*self.others))
        return Spread.of(mine.values()) if mine else None

    def is_met(self, figure):
        return figure.median <= self.limit if self.bound == "at most" else figure.median >= self.limit


XDP_TARGETS = (
    Target("instructions of a packet, zero-copy", "at most", 340, ZERO_COPY),
    Target("packet rate of zero-copy, in that of copy mode", "at least", 15, COPY, ZERO_COPY),
    Target("packet rate of a pair, in that of a ring in memory", "at least", 1 / 3, PAIR, MEMORY_RING),
    Target("time of a ping-pong, in that of UDP over lo", "at most", 0.5, PING_PONG, PING_PONG_LO),
)


class Workload:
    """All samples of one workload."""

    def __init__(self, part, name, unit, better):
        self.part, self.name, self.unit, self.better = part, name, unit, better
        self.samples = {}  # device: {(boot, round): value}
        self.where = {}

    def add(self, sample):
        key = (sample["boot"], sample["round"])
        self.samples.setdefault(sample["device"], {})[key] = sample["value"]
        self.where = {key: sample[key] for key in ("senders", "devices") if key in sample}

    @property
    def devices(self):
        return list(self.samples)

    def spread(self, device):
        return Spread.of(self.samples[device].values())

    def ratio(self):
        """rlo in relation to lo, pair by pair; None if there are no pairs."""
        return ratio(self.samples.get(RLO, {}), self.samples.get(LO, {}))

    def boots(self, device):
        """The median of each boot."""
        by_boot = {}
        for (boot, _), value in self.samples[device].items():
            by_boot.setdefault(boot, []).append(value)
        return [statistics.median(values) for values in by_boot.values()]

    def disagreement(self):
        """How far two runs are apart: boots, or the rounds of one boot."""
        worst = 0.0
        for device, samples in self.samples.items():
            values = self.boots(device)
            if len(values) == 1:
                values = list(samples.values())
            worst = max(worst, Spread.of(values).width)
        return worst

    @property
    def is_deterministic(self):
        return self.part in DETERMINISTIC

    @property
    def is_target(self):
        return self.part == "cost" and self.name.startswith(TARGETS) and RLO in self.samples


class Results:
    """A file of results."""

    def __init__(self, data):
        if data.get("format") != FORMAT:
            raise ValueError("the file's format is not that of this version")
        self.data = data
        self.workloads = {}
        for sample in data["samples"]:
            if sample["round"] < 0:
                continue
            key = (sample["part"], sample["workload"])
            if key not in self.workloads:
                self.workloads[key] = Workload(*key, sample["unit"], sample["better"])
            self.workloads[key].add(sample)

    @classmethod
    def read(cls, path):
        return cls(json.loads(pathlib.Path(path).read_text()))

    def part(self, name):
        """The workloads of a part."""
        return [workload for workload in self.workloads.values() if workload.part == name]

    def samples(self, part, name, device):
        """The samples of a workload over a device, by boot and round."""
        workload = self.workloads.get((part, name))
        return workload.samples.get(device, {}) if workload else {}

    @property
    def deterministic(self):
        return [workload for workload in self.workloads.values() if workload.is_deterministic]

    @property
    def targets(self):
        return [workload for workload in self.workloads.values() if workload.is_target]


def number(value):
    """A figure with a sensible number of digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
