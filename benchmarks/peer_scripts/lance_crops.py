"""Lance: one cell by an indexed id, and batches of random cells."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa
from batches import rate
from serving import serve
from warehouse_files import CROPS, cells, crops

if TYPE_CHECKING:
    from collections.abc import Iterator

_open = cache(lance.dataset)


def store(files: list[str], out: str) -> dict[str, Any]:
    """One row a crop, with a BTREE index on the cell's id."""
    reader = pa.RecordBatchReader.from_batches(CROPS, crops(files))
    dataset = lance.write_dataset(reader, out)
    dataset.create_scalar_index("object_id", "BTREE")
    return {"rows": dataset.count_rows(), "bytes": _size(out)}


def cell(path: str, object_id: str) -> dict[str, Any]:
    """All channels of one cell: seconds, bytes read by this process, digest of the pixels."""
    dataset = _open(path)
    before, start = _bytes_read(), time.perf_counter()
    rows = dataset.to_table(columns=["channel", "pixels"], filter=f"object_id = '{object_id}'")
    seconds = time.perf_counter() - start
    pixels = dict(zip(rows["channel"].to_pylist(), rows["pixels"].to_pylist(), strict=True))
    digest = hashlib.sha256(b"".join(pixels[name] for name in sorted(pixels))).hexdigest()
    return {"seconds": seconds, "bytes": _bytes_read() - before, "digest": digest}


def store_cells(files: list[str], out: str, channels: int) -> dict[str, Any]:
    """One row a cell, its channels in one value: what random batches are read fastest from."""
    schema = pa.schema([("height", pa.int32()), ("width", pa.int32()), ("pixels", pa.binary())])

    def rows() -> Iterator[pa.RecordBatch]:
        stream = cells(files, channels)
        while some := list(islice(stream, 1000)):
            shapes = np.array([cell.shape[1:] for cell in some], np.int32)
            pixels = pa.array([cell.tobytes() for cell in some], pa.binary())
            columns = [pa.array(shapes[:, 0]), pa.array(shapes[:, 1]), pixels]
            yield pa.record_batch(columns, schema=schema)

    dataset = lance.write_dataset(pa.RecordBatchReader.from_batches(schema, rows()), out)
    return {"rows": dataset.count_rows(), "bytes": _size(out)}


@dataclass(frozen=True)
class RandomCells:
    """Cells of a dataset in random order; each worker takes every n-th batch."""

    path: str
    batch: int
    channels: int

    def __call__(self, seed: int, worker: int, workers: int) -> Iterator[np.ndarray]:
        """Stream (C, Y, X) uint16 arrays."""
        dataset = lance.dataset(self.path)
        order = np.random.default_rng(seed).permutation(dataset.count_rows())
        for start in range(worker * self.batch, len(order), workers * self.batch):
            rows = dataset.take(order[start : start + self.batch].tolist())
            heights, widths = rows["height"].to_pylist(), rows["width"].to_pylist()
            for height, width, pixels in zip(heights, widths, rows["pixels"], strict=True):
                flat = np.frombuffer(pixels.as_buffer(), "<u2")
                yield flat.reshape(self.channels, height, width)


def train(path: str, shape: list[int], batches: int, seed: int, workers: int) -> dict[str, Any]:
    """Rate of batches (N, C, size, size) uint16, see `batches.rate`."""
    return rate(RandomCells(path, shape[0], shape[1]), shape, batches, seed, workers)


def _bytes_read() -> int:
    first = Path("/proc/self/io").read_text().splitlines()[0]
    return int(first.removeprefix("rchar: "))


def _size(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


if __name__ == "__main__":
    serve({"store": store, "cell": cell, "store_cells": store_cells, "train": train})
