"""What every measurement is given, and how sides are run in turn."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Samples


@dataclass(frozen=True)
class Context:
    """Where a measurement may write, and how large it may be.

    Attributes
    ----------
    folder
        Empty folder for its data; removed afterwards.
    shared
        Folder for data that several measurements of one run read.
    cache
        Folder of the peers' environments; kept.
    quick
        Small data and few repeats, to see that it runs.
    """

    folder: Path
    shared: Path
    cache: Path
    quick: bool = False


def progress(text: str) -> None:
    """Say on standard error what is going on."""
    print(f"  {text}", file=sys.stderr, flush=True)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(
    sides: Mapping[str, Callable[[], float]], repeats: int, unit: str = "s"
) -> dict[str, Samples]:
    """Run all sides in turn, again and again: A B C, A B C, ...

    Each side returns its own figure. One round before the first is not counted: it warms files,
    imports and pools for every side alike.
    """
    values: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, run in sides.items():
            value = run()
            if repeat:
                values[name].append(value)
    for name, found in values.items():
        progress(f"{name}: {Samples(tuple(found), unit)}")
    return {name: Samples(tuple(found), unit) for name, found in values.items()}
