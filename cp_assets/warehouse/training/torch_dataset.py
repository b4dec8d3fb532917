"""Batches of crops for PyTorch: one part for each worker and rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.warehouse.training.batches import CropBatch, CropBatches


class CropDataset(IterableDataset[dict[str, Any]]):
    """Batches as dicts: ``pixels`` (N, C, Y, X) a tensor, ``masks`` if asked for, ids as lists.

    Give it to a ``DataLoader`` with ``batch_size=None``, since it yields whole batches. Row groups
    are dealt to the workers of the loader and, where ``torch.distributed`` is initialised, to its
    ranks: each object comes once an epoch. Ranks may get different numbers of batches.
    """

    def __init__(self, crops: CropBatches) -> None:
        super().__init__()
        self._crops = crops
        # Shared, so that workers that live on over epochs see it change. PyTorch leaves the method
        # untyped.
        epoch: Any = torch.zeros((), dtype=torch.int64)
        self._epoch = epoch.share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the iterations that follow."""
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._crops.set_epoch(int(self._epoch.item()))
        number, shards = _part()
        return map(_tensors, self._crops.shard(number, shards))


def torch_dataset(crops: CropBatches) -> CropDataset:
    """The batches as an ``IterableDataset``; see `CropDataset`."""
    return CropDataset(crops)


def _part() -> tuple[int, int]:
    """Number of this process's part, and of all parts: ranks times workers."""
    rank, ranks = 0, 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    worker = get_worker_info()
    if worker is None:
        return rank, ranks
    return rank * worker.num_workers + worker.id, ranks * worker.num_workers


def _tensors(batch: CropBatch) -> dict[str, Any]:
    names = ("object_ids", "image_ids", "plates", "wells", "sites")
    tensors: dict[str, Any] = {"pixels": torch.from_numpy(batch.pixels)}
    if batch.masks is not None:
        tensors["masks"] = torch.from_numpy(batch.masks)
    return {**tensors, **{name: list(getattr(batch, name)) for name in names}}
