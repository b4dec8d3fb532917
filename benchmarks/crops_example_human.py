"""Whole asset ``image_crops`` on real data, against CytoTable's crop step."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.context import Context, progress, seconds
from benchmarks.peers import Peer, running
from benchmarks.results import Goal, Measurement, Row, Samples
from cp_assets import convert
from cp_assets.building import STEPS, build_table
from cp_assets.datasets import Dataset, PlateSources, find_plates
from cp_assets.payloads import payload_to_numpy
from cp_assets.warehouse.warehouse import Warehouse

GOAL = Goal(500, at_least=True)
TURNS = (("all", 1), ("all", 2), ("all", 4), ("all", 0), ("few", 0))
"""Columns that CytoTable is handed and its workers; 0 for its best so far, else 2."""

Turns = dict[tuple[str, int], list[float]]
REPEATS = 15
_EDGES = {"x_min": "Minimum_X", "x_max": "Maximum_X", "y_min": "Minimum_Y", "y_max": "Maximum_Y"}
BOXES = {edge: f"Cells_AreaShape_BoundingBox{end}" for edge, end in _EDGES.items()}


def measure(context: Context) -> Measurement:
    """289 cells in 3 channels, from the measurements that are read to the Iceberg commit.

    Raises
    ------
    FileNotFoundError
        If ``CP_ASSETS_TEST_DATA`` has no ``example_human``.
    """
    source = _source()
    sources = next(iter(find_plates(_dataset(source)).values()))
    warehouse = _warehouse(context.folder / "ours", source)
    profiles = _write_profiles(warehouse, context.folder)
    ours: list[float] = []
    theirs: Turns = {}
    written: set[int] = set()
    turns = TURNS[-1:] if context.quick else TURNS
    with running("cytotable", "cytotable_crops.py", context.cache, context.folder) as peer:
        for turn, (columns, count) in enumerate(turns):
            workers = count or _best(theirs)
            ours += _ours(_warehouse(context.folder / f"ours{turn}", source), sources)
            answer = peer.ask(
                "crops",
                profiles=profiles[columns],
                images=str(source),
                warehouse=str(context.folder / f"theirs{turn}"),
                boxes=BOXES,
                workers=workers,
            )
            written.add(answer["rows"])
            theirs.setdefault((columns, workers), []).append(answer["seconds"])
            progress(f"CytoTable, {columns} columns, {workers} workers: {answer['seconds']:.1f} s")
        ours += _ours(warehouse, sources)
        crops = _same_pixels(context.folder, warehouse, peer)
    if written != {crops}:
        msg = f"CytoTable wrote {sorted(written)} crops, {crops} expected: not the same work"
        raise AssertionError(msg)
    return _measurement(peer.name, ours, theirs, crops)


def _best(theirs: Turns) -> int:
    """The worker count that was fastest on the rows with all columns."""
    tried = {key: times for key, times in theirs.items() if key[0] == "all"} or theirs
    if not tried:
        return 2
    return min(tried, key=lambda key: min(tried[key]))[1]


def _measurement(name: str, ours: list[float], theirs: Turns, crops: int) -> Measurement:
    best = _best(theirs)
    mine = Samples(tuple(ours))
    tried = ", ".join(
        f"{columns} columns and {workers} workers {min(times):.1f} s"
        for (columns, workers), times in theirs.items()
    )
    rows = []
    for columns, goal in (("all", GOAL), ("few", None)):
        if (columns, best) in theirs:
            peer = Samples(tuple(theirs[columns, best]))
            rows.append(
                Row(
                    what=f"`image_crops`, ExampleHuman; peer is handed {columns} columns",
                    ours=mine,
                    peer=peer,
                    figure=peer.median / mine.median,
                    figure_is="peer / ours",
                    goal=goal,
                )
            )
    notes = (
        f"Peer: {name}, its crop step and Iceberg append alone, with the joined rows handed over "
        "as Parquet: all columns that its own join selects, and only keys, file names and boxes. "
        "Its imports and the setting up of its warehouse are not timed.",
        f"Its runs: {tried}; the best worker count is the one compared.",
        "Ours: the whole asset, forced, in a warm process: plan, joined profiles read from "
        "Iceberg, crops, commit, books. Each turn in a new warehouse, as the peer's.",
        f"All {crops} crops have equal pixels on both sides, by object number and channel.",
    )
    return Measurement("crops_example_human", tuple(rows), notes)


def _source() -> Path:
    given = os.environ.get("CP_ASSETS_TEST_DATA")
    source = Path(given or "", "example_human")
    if not given or not source.is_dir():
        msg = "no real data: set CP_ASSETS_TEST_DATA to the folder that holds example_human"
        raise FileNotFoundError(msg)
    return source.resolve()


def _warehouse(folder: Path, source: Path) -> Warehouse:
    """A warehouse of one's own for each turn, as the peer has it: snapshots do not pile up."""
    return convert(source, folder, image_dir=source)


def _dataset(source: Path) -> Dataset:
    return Dataset(dataset_id=source.name, root=source, layout="cellprofiler", image_dir=source)


def _ours(warehouse: Warehouse, sources: PlateSources) -> list[float]:
    def build() -> None:
        build_table(warehouse, STEPS["image_crops"](sources, warehouse), force=True)

    build()
    return [seconds(build) for _ in range(REPEATS)]


def _write_profiles(warehouse: Warehouse, folder: Path) -> dict[str, str]:
    """Joined rows for CytoTable: with all columns that its own join gives, and with few."""
    there = next(iter(warehouse.scan("joined_profiles", limit=1))).schema.names
    files = [name for name in there if name.startswith("Image_FileName_")]
    keys = ["Metadata_ImageNumber", "Metadata_ObjectNumber"]
    features = [name for name in there if name.startswith(("Cells_", "Cytoplasm_", "Nuclei_"))]
    paths = {}
    for kind, columns in (("all", features), ("few", list(BOXES.values()))):
        paths[kind] = str(folder / f"{kind}.parquet")
        rows = warehouse.read_table("joined_profiles", columns=[*keys, *files, *columns])
        pq.write_table(rows, paths[kind])
    return paths


def _same_pixels(folder: Path, warehouse: Warehouse, peer: Peer) -> int:
    """Compare every crop of both sides; how many there are.

    Raises
    ------
    AssertionError
        If a crop is missing on one side, or a pixel differs.
    """
    dumped = folder / "theirs.parquet"
    peer.ask("dump", warehouse=str(folder / "theirs0"), out=str(dumped))
    theirs = {
        (row["object"], row["column"]): np.frombuffer(row["pixels"], "<i4").reshape(
            row["height"], row["width"]
        )
        for row in pq.read_table(dumped).to_pylist()
    }
    columns = ["Metadata_ObjectNumber", "source_image_column", "ome_arrow_image"]
    rows = warehouse.read_table("image_crops", columns=columns).to_pylist()
    ours = {
        (row["Metadata_ObjectNumber"], row["source_image_column"]): payload_to_numpy(
            row["ome_arrow_image"]
        )[0, 0, 0]
        for row in rows
    }
    if ours.keys() != theirs.keys() or len(rows) != len(ours):
        msg = f"{len(ours)} crops here, {len(theirs)} there: not the same objects and channels"
        raise AssertionError(msg)
    for key, pixels in ours.items():
        np.testing.assert_array_equal(theirs[key], pixels, err_msg=str(key))
    return len(ours)
