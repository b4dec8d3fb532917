"""What was measured, as values and as ``RESULTS.md``."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    """A bound on a figure."""

    limit: float
    at_least: bool = False
    unit: str = "x"

    def reached(self, value: float) -> bool:
        """Whether the figure keeps to the bound."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {_number(self.limit)} {self.unit}"


@dataclass(frozen=True)
class Samples:
    """One side's repeats, in the order they ran; ``unit`` of each."""

    values: tuple[float, ...]
    unit: str = "s"

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{_number(self.median)} {self.unit}"
        low, high = _number(min(self.values)), _number(max(self.values))
        return f"{_number(self.median)} {self.unit} ({low} to {high}, n={len(self.values)})"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    figure, unit
        The number that the goal is about, most often a ratio of medians; what it is, ``figure_is``.
    """

    what: str
    figure: float
    figure_is: str
    unit: str = "x"
    ours: Samples | None = None
    peer: Samples | None = None
    floor: Samples | None = None
    goal: Goal | None = None

    def cells(self) -> tuple[str, ...]:
        """The line's cells, as text."""
        reached = "" if self.goal is None else "not reached"
        if self.goal is not None and self.goal.reached(self.figure):
            reached = "reached"
        return (
            self.what,
            *("" if side is None else str(side) for side in (self.ours, self.peer, self.floor)),
            f"{self.figure_is}: **{_number(self.figure)} {self.unit}**",
            "" if self.goal is None else str(self.goal),
            reached,
        )


@dataclass(frozen=True)
class Measurement:
    """What a measurement found.

    Attributes
    ----------
    notes
        How it was measured, a sentence each.
    """

    name: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())


_HEAD = ("measurement", "ours", "peer", "floor", "figure", "goal", "")


def markdown(facts: list[str], measurements: list[Measurement], failures: dict[str, str]) -> str:
    """The text of ``RESULTS.md``.

    Parameters
    ----------
    facts
        Of the run: see `machine`.
    failures
        Measurement -> name of the error that ended it.
    """
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks`: medians, with the smallest and largest of n repeats.",
        "All sides of a line ran in turn, in one run on one machine: read the ratios, not seconds.",
        "",
        *(f"- {fact}" for fact in facts),
        "",
        f"| {' | '.join(_HEAD)} |",
        f"|{' --- |' * len(_HEAD)}",
    ]
    for measurement in measurements:
        lines += [f"| {' | '.join(row.cells())} |" for row in measurement.rows]
    for measurement in measurements:
        lines += ["", f"## {measurement.name}", "", *(f"- {note}" for note in measurement.notes)]
    for name, why in failures.items():
        lines += ["", f"## {name}", "", f"- **not measured**: it ended with {why}"]
    return "\n".join(lines) + "\n"


def machine() -> list[str]:
    """What runs it and when: processor, memory, Python, date, commit, load."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"machine: {models[0] if models else platform.processor()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB of memory, {platform.system()}",
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}, commit {_commit()}",
        f"load of the machine when it began: {os.getloadavg()[0]:.1f}",
    ]


def _commit() -> str:
    here = Path(__file__).parent
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def _number(value: float) -> str:
    """Three digits that matter, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
