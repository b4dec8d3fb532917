"""Shuffled batches of crops, and their rate, with one process or with several."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from itertools import islice
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Cells = Callable[[int, int, int], Iterable[np.ndarray]]
    """Gives the cells, (C, Y, X) each, that one worker of so many reads under a seed."""


def fill(batch: np.ndarray, cells: Iterable[np.ndarray]) -> bool:
    """Put cells into the middle of a batch (N, C, size, size); False if there were too few."""
    batch[...] = 0
    filled = 0
    for place, cell in enumerate(islice(cells, len(batch))):
        top, left = ((batch.shape[-1] - edge) // 2 for edge in cell.shape[1:])
        batch[place, :, top : top + cell.shape[1], left : left + cell.shape[2]] = cell
        filled = place + 1
    return filled == len(batch)


def rate(cells: Cells, shape: list[int], batches: int, seed: int, workers: int) -> dict[str, Any]:
    """Crops a second from the first batch to the last; a crop is one channel of one cell."""
    source = _here if workers == 1 else _in_workers
    times, total = [], 0
    for batch in islice(source(cells, tuple(shape), seed, workers), batches):
        times.append(time.perf_counter())
        # A pixel of each crop is looked at: the batch is really there.
        total += int(batch[:, :, shape[2] // 2, shape[3] // 2].sum())
    crops = (len(times) - 1) * shape[0] * shape[1]
    return {"rate": crops / (times[-1] - times[0]), "batches": len(times), "total": total}


def _here(cells: Cells, shape: tuple[int, ...], seed: int, workers: int) -> Iterator[np.ndarray]:
    stream = iter(cells(seed, 0, workers))
    batch = np.empty(shape, np.uint16)
    while fill(batch, stream):
        yield batch


def _in_workers(
    cells: Cells, shape: tuple[int, ...], seed: int, workers: int
) -> Iterator[np.ndarray]:
    """Batches come through shared memory: nothing but a slot's number is sent."""
    context = multiprocessing.get_context("spawn")
    slots = 2 * workers
    nbytes = int(np.prod(shape)) * 2
    memory = SharedMemory(create=True, size=slots * nbytes)
    free, ready = context.Queue(), context.Queue()
    for slot in range(slots):
        free.put(slot)
    work = _Work(cells, shape, seed, workers, memory.name)
    running = [
        context.Process(target=work, args=(number, free, ready), daemon=True)
        for number in range(workers)
    ]
    try:
        for process in running:
            process.start()
        left = workers
        while left:
            slot = ready.get()
            if slot is None:
                left -= 1
                continue
            yield np.ndarray(shape, np.uint16, memory.buf, slot * nbytes)
            free.put(slot)
    finally:
        for process in running:
            process.terminate()
            process.join()
        memory.unlink()


@dataclass(frozen=True)
class _Work:
    """What a worker does: fill slots that are free until its cells have ended."""

    cells: Cells
    shape: tuple[int, ...]
    seed: int
    workers: int
    memory: str

    def __call__(self, number: int, free: Any, ready: Any) -> None:
        memory = SharedMemory(name=self.memory)
        stream = iter(self.cells(self.seed, number, self.workers))
        nbytes = int(np.prod(self.shape)) * 2
        while True:
            slot = free.get()
            if not fill(np.ndarray(self.shape, np.uint16, memory.buf, slot * nbytes), stream):
                break
            ready.put(slot)
        ready.put(None)
