"""Scans of headers and chunk rows, against iceberg-bioimage."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from benchmarks.context import Context, interleaved
from benchmarks.data import SEED
from benchmarks.results import Goal, Measurement, Row, Samples

SCRIPT = Path(__file__).with_name("scan_one.py")
EDGE, CHUNK = 64, 16
FASTER = Goal(5.0, at_least=True)


def measure(context: Context) -> Measurement:
    """Thousands of TIFFs, plain and OME, and a Zarr of a million chunks."""
    files, side, repeats = (500, 10, 2) if context.quick else (10_000, 100, 3)
    plain = _tiffs(context.folder / "plain", files, metadata=None)
    ome = _tiffs(context.folder / "ome", files, ome=True, metadata={"axes": "CYX"})
    large, half = (_store(context.folder, size) for size in (side, side // 2))
    tiffs = _both("tiff", plain, files, repeats)
    omes = _both("tiff", ome, files, repeats)
    chunks = _both("chunks", large, side**3, repeats)
    more, less = (_run("ours", "chunks", store)["added_mib"] for store in (large, half))
    rows = (
        _row(f"scan of {files:,} plain TIFFs", tiffs, FASTER),
        _row(f"scan of {files:,} OME-TIFFs of two channels", omes, None),
        _row(f"rows of {side**3:,} chunks of a Zarr", chunks, FASTER),
        Row(
            what="memory that these rows take, beyond the imports",
            ours=Samples((more,), "MiB"),
            floor=Samples((less,), "MiB"),
            figure=more / less,
            figure_is=f"{side**3:,} chunks / {(side // 2) ** 3:,}",
            goal=Goal(1.25),
        ),
    )
    notes = (
        f"Against iceberg-bioimage {version('iceberg-bioimage')}, which scans one store at a time.",
        "Images of 64 x 64 uint16, all in the page cache. Each run is a process of its own, whose "
        "imports are not counted.",
    )
    return Measurement("scanning", rows, notes)


def _tiffs(folder: Path, count: int, **options: Any) -> Path:
    """Write as many copies of one file."""
    folder.mkdir()
    shape = (2, EDGE, EDGE) if options.get("ome") else (EDGE, EDGE)
    pixels = np.random.default_rng(SEED).integers(0, 4000, shape).astype(np.uint16)
    ending = ".ome.tiff" if options.get("ome") else ".tiff"
    first = folder / f"r000000{ending}"
    tifffile.imwrite(first, pixels, photometric="minisblack", software=False, **options)
    for number in range(1, count):
        (folder / f"r{number:06d}{ending}").write_bytes(first.read_bytes())
    return folder


def _store(folder: Path, side: int) -> Path:
    """An array of side x side x side chunks, none of them written."""
    place = folder / f"{side}.zarr"
    shape = (side, side * CHUNK, side * CHUNK)
    zarr.create_array(place, shape=shape, chunks=(1, CHUNK, CHUNK), dtype="uint16", zarr_format=2)
    return place


def _both(what: str, place: Path, expected: int, repeats: int) -> dict[str, Samples]:
    def timed(side: str) -> Callable[[], float]:
        def run() -> float:
            done = _run(side, what, place)
            if done["count"] != expected:
                msg = f"{side} counted {done['count']} of {expected}: the measurement is wrong"
                raise AssertionError(msg)
            return float(done["seconds"])

        return run

    return interleaved({side: timed(side) for side in ("ours", "peer")}, repeats)


def _run(side: str, what: str, place: Path) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), side, what, str(place)]
    done = subprocess.run(command, check=True, capture_output=True)
    return dict(json.loads(done.stdout))


def _row(what: str, found: dict[str, Samples], goal: Goal | None) -> Row:
    ours, peer = found["ours"], found["peer"]
    return Row(
        what=what,
        ours=ours,
        peer=peer,
        figure=peer.median / ours.median,
        figure_is="peer / ours",
        goal=goal,
    )
