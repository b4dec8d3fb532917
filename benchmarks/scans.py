"""Scanning headers of image files, and the rows of the chunks of a Zarr."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import zarr

from benchmarks.assets_on_real_data import peak_mib
from benchmarks.context import Context, interleaved, progress, seconds
from benchmarks.data import SEED
from benchmarks.peers import Peer, running
from benchmarks.results import Goal, Measurement, Row, Samples
from cp_assets.datasets import PlateKey
from cp_assets.scanning import chunk_index_batches, own_keys, scan, scan_all

GOAL = Goal(5, at_least=True)
PLATE = PlateKey("d", "b", "p")
KINDS = {
    "uncompressed": {"metadata": None},
    "LZW in strips": {"compression": "lzw", "rowsperstrip": 8, "metadata": None},
    "OME-TIFF": {"ome": True},
}
"""How TIFFs are written: as microscopes and converters do, options of tifffile."""


def measure(context: Context) -> Measurement:
    """Headers of each kind of TIFF; chunks of a Zarr, their time and their memory."""
    files, chunks, repeats = (300, 10_000, 2) if context.quick else (10_000, 1_000_000, 5)
    with running(
        "iceberg-bioimage", "iceberg_bioimage_scans.py", context.cache, context.folder
    ) as peer:
        rows = [_headers(context, peer, kind, files, repeats) for kind in KINDS]
        rows.append(_chunks(context, peer, chunks, min(repeats, 3)))
    rows.append(_memory(context, chunks))
    notes = (
        f"TIFFs of 64 x 64 uint16, {files:,} of each kind; the peer is handed the files, ours the "
        "folder. Files are in the system's cache: headers are small, what is measured is parsing.",
        f"A Zarr v2 array of {chunks:,} chunks, of which none was written: neither side looks at "
        "them. Ours makes 21 columns of each, the peer 6.",
        "Memory is that of a process of its own that makes all rows and keeps none.",
    )
    return Measurement("scans", tuple(rows), notes)


def _headers(context: Context, peer: Peer, kind: str, files: int, repeats: int) -> Row:
    folder = context.folder / kind.replace(" ", "_")
    folder.mkdir()
    random = np.random.default_rng(SEED)
    for number in range(files):
        pixels = random.integers(0, 2**12, (64, 64), np.uint16)
        tifffile.imwrite(folder / f"{number:05}.tif", pixels, **KINDS[kind])

    def ours() -> float:
        found = []
        taken = seconds(lambda: found.extend(scan_all(folder)))
        _hold(sum(len(one.image_assets) for one in found), files)
        return taken

    def theirs() -> float:
        answer = peer.ask("headers", folder=str(folder))
        _hold(answer["images"], files)
        return float(answer["seconds"])

    found = interleaved({"ours": ours, peer.name: theirs}, repeats)
    return _row(f"scan of {files:,} TIFFs, {kind}", found["ours"], found[peer.name])


def _chunks(context: Context, peer: Peer, chunks: int, repeats: int) -> Row:
    store = _store(context.folder, chunks)

    def theirs() -> float:
        answer = peer.ask("chunks", store=str(store))
        _hold(answer["rows"], chunks)
        return float(answer["seconds"])

    sides = {"ours": partial(seconds, partial(_chunk_rows, store, chunks)), peer.name: theirs}
    found = interleaved(sides, repeats)
    return _row(f"rows of the {chunks:,} chunks of a Zarr", found["ours"], found[peer.name])


def _row(what: str, ours: Samples, peer: Samples) -> Row:
    return Row(
        what=what,
        ours=ours,
        peer=peer,
        figure=peer.median / ours.median,
        figure_is="peer / ours",
        goal=GOAL,
    )


def _memory(context: Context, chunks: int) -> Row:
    few, many = (_peak(_store(context.folder, count), count) for count in (chunks // 10, chunks))
    progress(f"peak of the rows of {chunks // 10:,} and {chunks:,} chunks: {few}, {many} MiB")
    return Row(
        what=f"peak memory of the rows of {chunks:,} against {chunks // 10:,} chunks",
        ours=Samples((many,), "MiB"),
        figure=many / few,
        figure_is=f"{chunks:,} / {chunks // 10:,}",
        goal=Goal(1.1),
    )


def _peak(store: Path, chunks: int) -> float:
    command = [sys.executable, "-m", "benchmarks.scans", str(store), str(chunks)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["peak_mib"])


def _store(folder: Path, chunks: int) -> Path:
    """A Zarr of so many chunks, none of them written."""
    store = folder / f"{chunks}.zarr"
    if not store.exists():
        side = 10 * chunks
        zarr.create_array(store, shape=(side, 32), chunks=(10, 32), dtype="uint16", zarr_format=2)
    return store


def _chunk_rows(store: Path, chunks: int) -> None:
    assets = [(asset, own_keys(asset)) for asset in scan(store).image_assets]
    _hold(sum(batch.num_rows for batch in chunk_index_batches(PLATE, assets)), chunks)


def _hold(found: int, expected: int) -> None:
    if found != expected:
        msg = f"{found} were found, {expected} expected: the measurement is wrong"
        raise AssertionError(msg)


if __name__ == "__main__":
    _chunk_rows(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({"peak_mib": peak_mib()}))
