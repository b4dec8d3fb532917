from __future__ import annotations

import importlib.util
import itertools

import numpy as np
import pytest

from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.conftest import missing
from cp_assets_tests.warehouse.training.tables import CHANNELS, cells, write_crops


@pytest.fixture(autouse=True)
def _torch() -> None:
    if importlib.util.find_spec("torch") is None:
        missing("torch is not installed")


def test_torch_dataset_gives_the_same_batches(warehouse: Warehouse) -> None:
    from torch.utils.data import IterableDataset

    write_crops(warehouse, cells(9), rows=5)
    stream = warehouse.crops(channels=CHANNELS, size=6, batch_size=4, masks=True, shuffle=2)
    dataset = stream.torch()
    assert isinstance(dataset, IterableDataset)
    for tensors, batch in zip(dataset, stream, strict=True):
        np.testing.assert_array_equal(tensors["pixels"].numpy(), batch.pixels)
        np.testing.assert_array_equal(tensors["masks"].numpy(), batch.masks)
        assert tensors["object_ids"] == list(batch.object_ids)
        assert tensors["wells"] == list(batch.wells)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_share_the_crops_and_see_the_epoch(warehouse: Warehouse, start: str) -> None:
    from torch.utils.data import DataLoader

    crops = cells(9)
    write_crops(warehouse, crops, rows=5)
    dataset = warehouse.crops(channels=CHANNELS, size=6, batch_size=2, shuffle=2).torch()
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context=start,
    )
    orders = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        orders.append([name for batch in loader for name in batch["object_ids"]])
    for order in orders:
        assert sorted(order) == sorted({crop.object_id for crop in crops})
    assert orders[0] != orders[1]


def test_ranks_share_the_crops(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.distributed

    crops = cells(9)
    write_crops(warehouse, crops, rows=5)
    dataset = warehouse.crops(channels=CHANNELS, size=6, batch_size=2).torch()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        parts.append([name for batch in dataset for name in batch["object_ids"]])
    assert sorted(itertools.chain(*parts)) == sorted({crop.object_id for crop in crops})
    assert all(parts)
