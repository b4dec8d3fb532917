"""Asset ``image_crops`` on images of JUMP's size, against decoding, copying and writing alone."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile

from benchmarks.context import Context, interleaved, progress, seconds
from benchmarks.data import CHANNELS, Boxes, PlateShape, read_boxes, write_plate
from benchmarks.results import Goal, Measurement, Row
from cp_assets import convert
from cp_assets.building import STEPS, build_table
from cp_assets.datasets import Dataset, find_plates
from cp_assets.warehouse.warehouse import Warehouse

SITES = 12
GOAL = Goal(1.5)


def measure(context: Context) -> Measurement:
    """60 images of 1080 x 1080 uint16, 300 cells a site: 18,000 crops; two kinds of TIFF."""
    rows: list[Row] = []
    for kind, compression in (("uncompressed", None), ("LZW", "lzw")):
        progress(f"{kind} TIFF")
        shape = PlateShape(sites=3 if context.quick else SITES, compression=compression)
        rows += _rows(context.folder / kind, kind, shape, 1 if context.quick else 7)
    notes = (
        "Floor: per file one `tifffile.imread`, per site the boxes copied into one Arrow buffer, "
        "one binary column written by pyarrow with zstd level 1; no ids, no schema, no commit.",
        "Floor with two threads: each thread decodes, cuts and writes half of the sites into a "
        "Parquet file of its own. Ours decodes with its default of two workers.",
        "Both write to the same local disk, nothing is synced, files are in the page cache.",
    )
    return Measurement("crops_jump", tuple(rows), notes)


def _rows(folder: Path, kind: str, shape: PlateShape, repeats: int) -> list[Row]:
    folder.mkdir()
    write_plate(folder, shape)
    images, tables = folder / "images", folder / "csv"
    warehouse = convert(tables, folder / "warehouse", image_dir=images, dataset_id="jump")
    dataset = Dataset(dataset_id="jump", root=tables, layout="cellprofiler", image_dir=images)
    sources = next(iter(find_plates(dataset).values()))
    sites = list(enumerate(read_boxes(tables)))
    crops = sum(len(boxes) for _, boxes in sites) * len(CHANNELS)
    _check(warehouse, crops)
    number = count()

    def ours() -> float:
        table = STEPS["image_crops"]
        return seconds(lambda: build_table(warehouse, table(sources, warehouse), force=True))

    def floor() -> float:
        return seconds(lambda: write_floor(images, sites, folder / f"floor{next(number)}"))

    def two_threads() -> float:
        outs = [folder / f"floor{next(number)}" for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            return seconds(
                lambda: list(pool.map(write_floor, [images] * 2, [sites[::2], sites[1::2]], outs))
            )

    found = interleaved({"ours": ours, "floor": floor, "floor, two threads": two_threads}, repeats)
    what = f"`image_crops`, {shape.sites * len(CHANNELS)} {kind} images, {crops:,} crops"
    mine = found["ours"]
    return [
        Row(
            what=f"{what}; {threads}",
            ours=mine,
            floor=bound,
            figure=mine.median / bound.median,
            figure_is="ours / floor",
            goal=goal,
        )
        for threads, bound, goal in (
            ("floor with one thread", found["floor"], GOAL),
            ("floor with two threads", found["floor, two threads"], None),
        )
    ]


def _check(warehouse: Warehouse, crops: int) -> None:
    written = warehouse.read_table("image_crops", columns=["Metadata_Channel"]).num_rows
    if written != crops:
        msg = f"{written} crops were written, {crops} expected: the measurement would be wrong"
        raise AssertionError(msg)


def write_floor(images: Path, sites: Iterable[tuple[int, Boxes]], out: Path) -> None:
    """Write the crops' bytes, and nothing else, as one binary column of a Parquet file."""
    schema = pa.schema([("pixels", pa.binary())])
    options = {"compression": "zstd", "compression_level": 1}
    with pq.ParquetWriter(
        out, schema, use_dictionary=False, write_statistics=False, **options
    ) as parquet:
        for site, boxes in sites:
            names = [f"site{site:05d}_{channel}.tiff" for channel in CHANNELS]
            planes = [tifffile.imread(images / name) for name in names]
            parquet.write_batch(pa.record_batch([_cut(planes, boxes)], schema=schema))


def _cut(planes: list[np.ndarray], boxes: Boxes) -> pa.BinaryArray:
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    ends = np.concatenate(([0], np.cumsum(np.repeat(areas, len(planes))))).astype(np.int32)
    pixels = np.empty(ends[-1], planes[0].dtype)
    start = 0
    for x_min, y_min, x_max, y_max in boxes.tolist():
        end = start + (y_max - y_min) * (x_max - x_min)
        for plane in planes:
            pixels[start:end].reshape(y_max - y_min, -1)[...] = plane[y_min:y_max, x_min:x_max]
            start, end = end, 2 * end - start
    offsets = pa.py_buffer(ends * pixels.itemsize)
    return pa.Array.from_buffers(pa.binary(), len(ends) - 1, [None, offsets, pa.py_buffer(pixels)])
