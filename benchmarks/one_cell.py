"""One cell's channels out of a million crops, by its id."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.context import Context, progress
from benchmarks.crop_table import CropTable, crop_table
from benchmarks.data import CHANNELS, SEED
from benchmarks.peers import Peer, running
from benchmarks.results import Goal, Measurement, Row, Samples
from cp_assets.payloads import payload_to_numpy

COLUMNS = ["Metadata_Channel", "ome_arrow_image"]
WARM = 20
"""Cells that are read before those that count, other ones."""


def measure(context: Context) -> Measurement:
    """Random cells by ``Metadata_ObjectID``, each read by all three sides in turn."""
    table = crop_table(context)
    number = 40 if context.quick else 200
    chosen = np.random.default_rng(SEED).choice(len(table.cells), WARM + number, replace=False)
    with running("lance", "lance_crops.py", context.cache, context.folder) as peer:
        stored = str(context.folder / "lance")
        files = table.files()
        size = peer.ask("store", files=files, out=stored)["bytes"]
        progress(f"{peer.name} has stored the crops")
        last = Path(files[-1])
        reads = [_read(table, table.cells[i], peer, stored, last) for i in chosen][WARM:]
    return Measurement("one_cell", _rows(table, reads), _notes(table, reads, peer.name, size))


@dataclass(frozen=True)
class Read:
    """What reading one cell took on each side.

    Attributes
    ----------
    ours, peer, floor
        Seconds and bytes read.
    """

    ours: tuple[float, int]
    peer: tuple[float, int]
    floor: tuple[float, int]


def _read(table: CropTable, cell: str, peer: Peer, stored: str, file: Path) -> Read:
    before, start = _bytes_read(), time.perf_counter()
    rows = table.warehouse.read_table("image_crops", object_id=cell, columns=COLUMNS)
    seconds = time.perf_counter() - start
    ours = (seconds, _bytes_read() - before)
    planes = {
        channel: payload_to_numpy(payload).tobytes()
        for channel, payload in zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True)
    }
    answer = peer.ask("cell", path=stored, object_id=cell)
    digest = hashlib.sha256(b"".join(planes[name] for name in sorted(planes))).hexdigest()
    if len(planes) != len(CHANNELS) or digest != answer["digest"]:
        msg = f"cell {cell}: the pixels of {len(planes)} channels are not those that were stored"
        raise AssertionError(msg)
    floor = _floor(file, sum(map(len, planes.values())))
    return Read(ours, (answer["seconds"], answer["bytes"]), floor)


def _floor(path: Path, length: int) -> tuple[float, int]:
    """Read as many bytes as the pixels have from a known place of one of the table's files."""
    offset = int(np.random.default_rng(length).integers(path.stat().st_size - length))
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        read = len(os.pread(file.fileno(), length, offset))
    return time.perf_counter() - start, read


def _rows(table: CropTable, reads: list[Read]) -> tuple[Row, ...]:
    ours, peer, floor = (
        Samples(tuple(1000 * getattr(read, side)[0] for read in reads), "ms")
        for side in ("ours", "peer", "floor")
    )
    share = Samples(tuple(100 * read.ours[1] / table.bytes for read in reads), "%")
    crops = f"{len(table.cells) * len(CHANNELS):,}"
    return (
        Row(
            what=f"one cell's 5 channels of {crops} crops",
            ours=ours,
            peer=peer,
            floor=floor,
            figure=ours.median,
            figure_is=f"ours; {ours.median / peer.median:.2g} x the peer, "
            f"{ours.median / floor.median:.0f} x the floor",
            unit="ms",
            goal=Goal(50, unit="ms"),
        ),
        Row(
            what="bytes read for it, of the table's bytes",
            ours=share,
            figure=share.median,
            figure_is="ours",
            unit="%",
            goal=Goal(1, unit="%"),
        ),
    )


def _notes(table: CropTable, reads: list[Read], peer: str, size: int) -> tuple[str, ...]:
    mine, theirs = (
        Samples(tuple(getattr(read, side)[1] / 1024 for read in reads), "KiB")
        for side in ("ours", "peer")
    )
    return (
        "Ours: `read_table('image_crops', object_id=..., columns=[channel, image])` of a warm "
        f"`Warehouse`; the table has {table.bytes / 2**30:.1f} GiB in {len(table.files())} files.",
        f"Peer: {peer}, a row a crop, BTREE index on the id, the same columns; "
        f"{size / 2**30:.1f} GiB with uncompressed pixels.",
        f"Bytes as `rchar` of /proc counts them: ours {mine}; peer {theirs}.",
        "Floor: opening a file of the table and one `pread` of as many bytes as the pixels have.",
        "Each cell's pixels were compared between both sides. Files are in the page cache.",
    )


def _bytes_read() -> int:
    first = Path("/proc/self/io").read_text().splitlines()[0]
    return int(first.removeprefix("rchar: "))
