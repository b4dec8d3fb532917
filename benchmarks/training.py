"""Shuffled batches for training: the crops of random cells, all channels, one size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.context import Context, interleaved, progress
from benchmarks.crop_table import PLATES, crop_table
from benchmarks.data import CHANNELS, SEED
from benchmarks.peers import Peer, running
from benchmarks.results import Goal, Measurement, Row, Samples
from cp_assets.warehouse.warehouse import Warehouse

SIZE = 96
WORKERS = (1, 2)
PLAIN = "ours, pixels uncompressed"


def measure(context: Context) -> Measurement:
    """Batches (256, 5, 96, 96) of one plate's cells, from the first batch to the last."""
    table = crop_table(context)
    files, channels = table.files(PLATES[0]), len(CHANNELS)
    shape = [64 if context.quick else 256, channels, SIZE, SIZE]
    batches, repeats = (12, 1) if context.quick else (100, 5)
    lance_path, tar_path = str(context.folder / "lance"), str(context.folder / "shards")
    with (
        running("lance", "lance_crops.py", context.cache, context.folder) as lance,
        running("webdataset", "webdataset_crops.py", context.cache, context.folder) as tar,
    ):
        lance.ask("store_cells", files=files, out=lance_path, channels=channels)
        tar.ask("store", files=files, out=tar_path, channels=channels)
        sides = {
            lance.name: _Side(lance, lance_path, shape, batches),
            tar.name: _Side(tar, tar_path, shape, batches),
        }
        for side in sides.values():
            side.choose_workers()
        ours = _Ours(table.warehouse, shape, batches)
        plain = _Ours(table.uncompressed(context), shape, batches)
        rates = interleaved({"ours": ours, PLAIN: plain, **sides}, repeats, "crops/s")
    return _measurement(rates, sides, shape, batches)


class _Side:
    """One peer, with the number of workers that suits it best."""

    def __init__(self, peer: Peer, path: str, shape: list[int], batches: int) -> None:
        self.tried: dict[int, float] = {}
        self._peer = peer
        self._arguments: dict[str, Any] = {"path": path, "shape": shape, "batches": batches}
        self._seed = SEED

    @property
    def workers(self) -> int:
        return max(self.tried, key=lambda workers: self.tried[workers])

    def choose_workers(self) -> None:
        for workers in WORKERS:
            self.tried[workers] = self._rate(workers)
            progress(f"{self._peer.name}, {workers} workers: {self.tried[workers]:,.0f} crops/s")

    def __call__(self) -> float:
        return self._rate(self.workers)

    def _rate(self, workers: int) -> float:
        self._seed += 1
        answer = self._peer.ask("train", seed=self._seed, workers=workers, **self._arguments)
        _complete(answer["batches"], self._arguments["batches"], self._peer.name)
        return float(answer["rate"])


class _Ours:
    """`Warehouse.crops`, in this process."""

    def __init__(self, warehouse: Warehouse, shape: list[int], batches: int) -> None:
        self._warehouse = warehouse
        self._shape = tuple(shape)
        self._batches = batches
        self._seed = SEED

    def __call__(self) -> float:
        self._seed += 1
        times, total = [], 0
        for pixels in islice(self._stream(), self._batches):
            times.append(time.perf_counter())
            # A pixel of each crop is looked at, as for the peers.
            total += int(pixels[:, :, SIZE // 2, SIZE // 2].sum())
            if pixels.shape != self._shape:
                msg = f"a batch has shape {pixels.shape}, expected {self._shape}"
                raise AssertionError(msg)
        _complete(len(times), self._batches, "the warehouse")
        crops = (len(times) - 1) * self._shape[0] * self._shape[1]
        return crops / (times[-1] - times[0])

    def _stream(self) -> Iterator[np.ndarray]:
        batches = self._warehouse.crops(
            plate=PLATES[0],
            channels=list(CHANNELS),
            size=SIZE,
            batch_size=self._shape[0],
            shuffle=self._seed,
        )
        for batch in batches:
            yield batch.pixels


def _complete(found: int, expected: int, who: str) -> None:
    if found != expected:
        msg = f"{who} gave {found} batches, {expected} expected"
        raise AssertionError(msg)


def _measurement(
    rates: dict[str, Samples], sides: dict[str, _Side], shape: list[int], batches: int
) -> Measurement:
    ours = rates["ours"]
    rows = [
        Row(
            what=f"shuffled batches {tuple(shape)}",
            ours=ours,
            figure=ours.median,
            figure_is="ours",
            unit="crops/s",
            goal=Goal(20_000, at_least=True, unit="crops/s"),
        )
    ]
    rows += [
        Row(
            what=f"shuffled batches, against {name}{how}",
            ours=mine,
            peer=rates[name],
            figure=mine.median / rates[name].median,
            figure_is="ours / peer",
            goal=Goal(1, at_least=True),
        )
        for name in sides
        for how, mine in (("", ours), ("; our pixels uncompressed as the peer's", rates[PLAIN]))
    ]
    tried = "; ".join(
        f"{name}: " + ", ".join(f"{rate:,.0f} with {w}" for w, rate in side.tried.items())
        for name, side in sides.items()
    )
    notes = (
        f"A crop is one channel of one cell. Rate from the first to the last of {batches} batches, "
        "each repeat with another seed; uint16, centred and padded with zeros.",
        "Lance: a row a cell, its 5 channels in one value; `take` of random rows, a batch at a "
        "time. WebDataset: a `.npy` a cell, 1,000 cells a shard, shards shuffled, "
        "buffer of 2,000 cells.",
        "Peers' workers are processes of their own that hand batches over in shared memory; "
        f"crops/s by worker count, the best of which is compared: {tried}.",
    )
    return Measurement("training", tuple(rows), notes)
