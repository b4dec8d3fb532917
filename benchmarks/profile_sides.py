"""The two sides that make profiles of measurements: our assets, and CytoTable's conversion."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context import Context, seconds
from benchmarks.peers import running
from cp_assets.building import STEPS, build_table
from cp_assets.datasets import Dataset, find_plates
from cp_assets.warehouse.warehouse import open_warehouse

ASSETS = ("raw_measurements", "joined_profiles")


@dataclass(frozen=True)
class Data:
    """Measurements of one kind.

    Attributes
    ----------
    source
        File or folder that CytoTable is given; ours is given the folder.
    preset
        Of CytoTable.
    """

    what: str
    source: Path
    preset: str = "cellprofiler_csv"

    @property
    def folder(self) -> Path:
        """The folder that holds the files."""
        return self.source if self.source.is_dir() else self.source.parent


class Ours:
    """Both assets, forced, into a new warehouse each time.

    Parameters
    ----------
    keeps_tables
        The warehouse of the first time is used again: its tables are there, as for every plate of
        a dataset but the first.

    Attributes
    ----------
    rows
        Joined rows of the last time.
    """

    def __init__(self, context: Context, data: Data, *, keeps_tables: bool = False) -> None:
        self.rows = 0
        self._keeps_tables = keeps_tables
        self._dataset = Dataset(dataset_id="bench", root=data.folder, layout="cellprofiler")
        self._folder = context.folder / ("kept" if keeps_tables else "new") / data.what

    def __call__(self) -> float:
        """Wall time of both, from finding the plate; opening the warehouse is not counted."""
        warehouse = open_warehouse(self._folder, create=True)

        def build() -> None:
            (sources,) = find_plates(self._dataset).values()
            for name in ASSETS:
                self.rows = build_table(warehouse, STEPS[name](sources, warehouse), force=True).rows

        took = seconds(build)
        if not self._keeps_tables:
            shutil.rmtree(self._folder)
        return took


@contextmanager
def converting(
    context: Context, data: Data, threads: int, ours: Ours
) -> Iterator[Callable[..., float]]:
    """CytoTable with so many threads, in a process of its own.

    What it gives converts the data, stopped after ``limit`` seconds where one is given, and returns
    the seconds it took. It raises `PeerTooSlowError` if it was stopped, and ``AssertionError`` if
    it joined another number of rows than ours did last.
    """
    out = context.folder / f"peer{threads}.parquet"
    with running("cytotable", "cytotable_profiles.py", context.cache, context.folder) as peer:

        def convert(limit: float | None = None) -> float:
            answer = peer.ask(
                "profiles",
                limit=limit,
                source=str(data.source),
                out=str(out),
                threads=threads,
                preset=data.preset,
            )
            if answer["rows"] != ours.rows:
                msg = f"{data.what}: {peer.name} joined {answer['rows']} rows, ours {ours.rows}"
                raise AssertionError(msg)
            return float(answer["seconds"])

        yield convert
