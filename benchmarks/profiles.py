"""Assets ``raw_measurements`` and ``joined_profiles``, against CytoTable and a typed CSV reader."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.context import Context, interleaved, progress, seconds
from benchmarks.data import well
from benchmarks.peers import Peer, PeerTooSlowError, running
from benchmarks.results import Goal, Measurement, Row, Samples
from cp_assets.building import STEPS, build_table
from cp_assets.datasets import Dataset, find_plates
from cp_assets.measurements.columns import column_kind
from cp_assets.warehouse.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("Image", "Cells", "Cytoplasm", "Nuclei")
THREADS = (1, 2, 4)
"""Threads that CytoTable is given; its best is compared."""

ASSETS = ("raw_measurements", "joined_profiles")
FLOOR_GOAL = Goal(1.5)


@dataclass(frozen=True)
class Data:
    """Measurements of one kind.

    Attributes
    ----------
    goal
        How many times the peer's speed is aimed at.
    """

    what: str
    folder: Path
    goal: Goal


def measure(context: Context) -> Measurement:
    """ExampleHuman, and real sites of a Cell Painting plate with 6,000 columns.

    Raises
    ------
    FileNotFoundError
        If ``CP_ASSETS_TEST_DATA`` has not the data.
    """
    given = Path(os.environ.get("CP_ASSETS_TEST_DATA", ""))
    human, site = given / "example_human", given / "cpg0043_BR00116991" / "BR00116991-A01-1"
    if not (human.is_dir() and site.is_dir()):
        msg = f"no real data: set CP_ASSETS_TEST_DATA to the folder that holds {human.name}"
        raise FileNotFoundError(msg)
    sites = 4 if context.quick else 32
    copies = context.folder / "sites"
    write_copies(site, copies, sites)
    rows: list[Row] = []
    notes = []
    for data in (
        Data("ExampleHuman", human.resolve(), Goal(20, at_least=True)),
        Data(f"{sites} sites of cpg0043", copies, Goal(100, at_least=True)),
    ):
        progress(data.what)
        sides = interleaved(
            {"ours": _ours(context, data), "floor": _floor(context, data)},
            1 if context.quick else 5,
        )
        peer, told = _peer(context, data, sides["ours"].median)
        notes.append(told)
        rows += _rows(data, sides["ours"], sides["floor"], peer)
    return Measurement("profiles", tuple(rows), (*notes, *_NOTES))


_NOTES = (
    "Ours: both assets, raw measurements and joined profiles, each committed to Iceberg, in a new "
    "warehouse each time, in a warm process.",
    "Peer: `convert` with preset `cellprofiler_csv` into one Parquet file, imports not timed, with "
    "the thread count that was fastest. DuckDB's extensions come with its environment.",
    "Floor: each CSV file read by pyarrow with given types, one thread, and written as Parquet, a "
    "file a compartment, zstd level 3; nothing is joined, checked or committed.",
    "The sites are copies of one real site with 109 cells, under wells and numbers of their own.",
)


def write_copies(site: Path, root: Path, sites: int) -> None:
    """Copies of a site's measurement folder, each with a well, site and ImageNumber of its own."""
    tables = {name: list(csv.reader((site / f"{name}.csv").open(newline=""))) for name in TABLES}
    for number in range(sites):
        own = {"ImageNumber": str(number + 1), "Metadata_Well": well(number), "Metadata_Site": "1"}
        folder = root / f"{site.name.split('-')[0]}-{well(number)}-1"
        folder.mkdir(parents=True)
        for name, (header, *rows) in tables.items():
            places = {header.index(key): value for key, value in own.items() if key in header}
            with (folder / f"{name}.csv").open("w", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(header)
                for row in rows:
                    writer.writerow([places.get(at, value) for at, value in enumerate(row)])


def _ours(context: Context, data: Data) -> Iterator[float]:
    dataset = Dataset(dataset_id="bench", root=data.folder, layout="cellprofiler")
    turns = count()

    def run() -> float:
        warehouse = open_warehouse(context.folder / f"{data.folder.name}{next(turns)}", create=True)

        def build() -> None:
            (sources,) = find_plates(dataset).values()
            for name in ASSETS:
                build_table(warehouse, STEPS[name](sources, warehouse))

        return seconds(build)

    return run


def _floor(context: Context, data: Data) -> Iterator[float]:
    return lambda: seconds(lambda: _read_and_write(data.folder, context.folder))


def _read_and_write(folder: Path, out: Path) -> None:
    for name in TABLES:
        writer = None
        for file in sorted(folder.rglob(f"{name}.csv")):
            with file.open(newline="") as stream:
                header = next(csv.reader(stream))
            rows = pacsv.read_csv(
                file,
                read_options=pacsv.ReadOptions(use_threads=False, block_size=64 * 2**20),
                convert_options=pacsv.ConvertOptions(
                    column_types={column: _type(column) for column in header},
                    null_values=["", "nan", "NaN"],
                ),
            )
            writer = writer or pq.ParquetWriter(
                out / f"{name}.parquet", rows.schema, compression="zstd", compression_level=3,
                use_dictionary=False, write_statistics=False,
            )  # fmt: skip
            writer.write_table(rows)
        if writer:
            writer.close()


def _type(column: str) -> pa.DataType:
    """Whole numbers are written as 12.0 too: read as float64, as ours does first."""
    return pa.string() if column_kind(column) == "string" else pa.float64()


def _peer(context: Context, data: Data, ours: float) -> tuple[Samples | None, str]:
    """The peer's best time, or None if it was not done when our goal was reached."""
    limit = 1.2 * data.goal.limit * ours
    found: dict[int, float] = {}
    for threads in THREADS[1:2] if context.quick else THREADS:
        with running("cytotable", "cytotable_profiles.py", context.cache, context.folder) as peer:
            try:
                found[threads] = _converted(peer, context, data, threads, limit)
            except PeerTooSlowError as error:
                progress(str(error))
                return None, f"{data.what}: {error}."
        progress(f"{peer.name}, {threads} threads: {found[threads]:.1f} s")
    tried = ", ".join(f"{threads} threads {time:.1f} s" for threads, time in found.items())
    return Samples((min(found.values()),)), f"{data.what}: the peer's runs were {tried}."


def _converted(peer: Peer, context: Context, data: Data, threads: int, limit: float) -> float:
    out = context.folder / f"peer{threads}.parquet"
    answer = peer.ask(
        "profiles", limit=limit, source=str(data.folder), out=str(out), threads=threads
    )
    return float(answer["seconds"])


def _rows(data: Data, ours: Samples, floor: Samples, peer: Samples | None) -> Iterator[Row]:
    least = 1.2 * data.goal.limit
    yield Row(
        what=f"profiles of {data.what}",
        ours=ours,
        peer=peer,
        figure=peer.median / ours.median if peer else least,
        figure_is="peer / ours" if peer else "peer / ours, at least: the peer was stopped",
        goal=data.goal,
    )
    yield Row(
        what=f"profiles of {data.what}",
        ours=ours,
        floor=floor,
        figure=ours.median / floor.median,
        figure_is="ours / floor",
        goal=FLOOR_GOAL,
    )
