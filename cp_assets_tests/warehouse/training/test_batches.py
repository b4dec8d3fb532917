from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from cp_assets.errors import (
    ConfigurationError,
    ImageReadError,
    NoSuchTableError,
    QueryError,
)
from cp_assets.warehouse.training import CropBatch
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouse.training.tables import CHANNELS, Crop, cells, centred, write_crops

SIZE = 6


@pytest.fixture
def plate(warehouse: Warehouse) -> list[Crop]:
    """23 objects in row groups of 7 rows: most objects lie in two of them."""
    crops = cells(23)
    write_crops(warehouse, crops, rows=7)
    return crops


def batches(warehouse: Warehouse, **options: object) -> list[CropBatch]:
    return list(warehouse.crops(**{"channels": CHANNELS, "size": SIZE, "batch_size": 5, **options}))


def ids(found: Sequence[CropBatch]) -> list[str]:
    return [name for batch in found for name in batch.object_ids]


def assert_pixels(found: Sequence[CropBatch], crops: Sequence[Crop], size: int = SIZE) -> None:
    """Hold every crop of every batch against its source, cut pixel by pixel."""
    known = {(crop.object_id, crop.channel): crop.pixels for crop in crops}
    for batch in found:
        assert batch.pixels.shape == (len(batch), len(CHANNELS), size, size)
        for row, name in enumerate(batch.object_ids):
            for column, channel in enumerate(CHANNELS):
                expected = centred(known[name, channel], size)
                np.testing.assert_array_equal(batch.pixels[row, column], expected)


@pytest.mark.parametrize("size", [1, 5, 6, 16], ids=lambda size: f"size {size}")
def test_crops_come_in_the_order_of_the_table(
    warehouse: Warehouse, plate: list[Crop], size: int
) -> None:
    found = batches(warehouse, size=size)
    assert ids(found) == list(dict.fromkeys(crop.object_id for crop in plate))
    assert [len(batch) for batch in found] == [5, 5, 5, 5, 3]
    assert found[0].pixels.dtype == np.uint16
    assert_pixels(found, plate, size)
    assert found[0].wells == ("A01", "A02", "A03", "A01", "A02")
    assert found[0].image_ids[0] == "image A01"
    assert (found[0].plates[0], found[0].sites[0], found[0].masks) == ("P1", "1", None)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 1000], ids=lambda rows: f"{rows} rows a group")
def test_objects_are_put_together_over_row_groups_and_files(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("cp_assets.warehouse.files.FILE_BYTES", 1)
    crops = cells(7)
    write_crops(warehouse, crops, rows)
    for shuffle in (None, 4):
        stream = warehouse.crops(channels=CHANNELS, size=SIZE, batch_size=3, shuffle=shuffle)
        found = list(stream)
        assert sorted(ids(found)) == sorted({crop.object_id for crop in crops})
        assert stream.skipped == 0
        assert_pixels(found, crops)


def test_shuffled_crops_are_all_there_and_the_same_for_the_same_seed(
    warehouse: Warehouse, plate: list[Crop]
) -> None:
    first = batches(warehouse, shuffle=3)
    assert_pixels(first, plate)
    assert sorted(ids(first)) == sorted({crop.object_id for crop in plate})
    assert ids(first) != sorted(ids(first))
    assert ids(batches(warehouse, shuffle=3, threads=1)) == ids(first)
    assert ids(batches(warehouse, shuffle=4)) != ids(first)


def test_epochs_are_shuffled_differently(warehouse: Warehouse, plate: list[Crop]) -> None:
    stream = warehouse.crops(channels=["DNA"], size=SIZE, batch_size=9, shuffle=3)
    first = ids(list(stream))
    assert ids(list(stream)) == first
    stream.set_epoch(1)
    assert ids(list(stream)) != first
    stream.set_epoch(0)
    assert ids(list(stream)) == first
    assert len(first) * len(CHANNELS) == len(plate)


@pytest.mark.usefixtures("plate")
def test_shards_hold_every_object_once(warehouse: Warehouse) -> None:
    stream = warehouse.crops(channels=CHANNELS, size=SIZE, batch_size=4, shuffle=3)
    parts = [ids(list(stream.shard(number, 3))) for number in range(3)]
    assert all(parts)
    assert sorted(name for part in parts for name in part) == sorted(ids(list(stream)))
    with pytest.raises(ConfigurationError, match="from 0 to 2"):
        stream.shard(3, 3)


def test_channels_come_in_the_order_asked_for(warehouse: Warehouse, plate: list[Crop]) -> None:
    (one,) = batches(warehouse, channels=["Mito", "DNA"], batch_size=50)
    (other,) = batches(warehouse, batch_size=50)
    np.testing.assert_array_equal(one.pixels, other.pixels[:, [2, 0]])
    assert len(one) * len(CHANNELS) == len(plate)


def test_objects_without_a_channel_are_left_out_and_counted(warehouse: Warehouse) -> None:
    crops = cells(6)
    del crops[4]
    crops[9] = dataclasses.replace(crops[9], pixels=None)
    write_crops(warehouse, crops, rows=4)
    stream = warehouse.crops(channels=CHANNELS, size=SIZE)
    assert ids(list(stream)) == ["P1-000", "P1-002", "P1-004", "P1-005"]
    assert stream.skipped == 2
    none = warehouse.crops(channels=["other"], size=SIZE)
    with pytest.raises(QueryError, match="none of 6 objects has all of the channels other"):
        list(none)


def test_masks_come_with_the_crops(warehouse: Warehouse) -> None:
    crops = cells(5)
    for row in (3, 4, 5):
        crops[row] = dataclasses.replace(crops[row], mask=None)
    write_crops(warehouse, crops)
    stream = warehouse.crops(channels=CHANNELS, size=SIZE, masks=True)
    (batch,) = stream
    assert batch.masks is not None
    assert batch.masks.shape == (4, SIZE, SIZE)
    assert stream.skipped == 1
    known = {crop.object_id: crop.mask for crop in crops}
    for name, mask in zip(batch.object_ids, batch.masks, strict=True):
        np.testing.assert_array_equal(mask, centred(known[name], SIZE))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"plate": "P2"}, ["P2-000", "P2-001", "P2-002"]),
        ({"plate": "none"}, []),
        ({"well": "a2"}, ["P1-001", "P1-004", "P2-001"]),
        ({"well": ["A02", "A03"], "plate": "P1"}, ["P1-001", "P1-002", "P1-004"]),
        ({"site": 2}, []),
        ({"where": "image_id = 'image A03'"}, ["P1-002", "P2-002"]),
        ({"where": "Metadata_ObjectID > 'P1-003' -- comment", "well": "A01"}, ["P2-000"]),
    ],
    ids=str,
)
def test_crops_of_a_selection(
    warehouse: Warehouse, selection: dict[str, object], expected: list[str]
) -> None:
    write_crops(warehouse, cells(5), rows=4)
    write_crops(warehouse, cells(3, plate="P2", seed=2))
    stream = warehouse.crops(channels=CHANNELS, size=SIZE, batch_size=2, **selection)
    assert ids(list(stream)) == [name for name in expected if name != "P1-003"]
    assert stream.skipped == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"channels": "DNA"}, "expected a list of different channel names"),
        ({"channels": []}, "expected a list"),
        ({"channels": ["DNA", "DNA"]}, "expected a list of different"),
        ({"size": 0}, "size is 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"window": 0}, "window is 0"),
        ({"shuffle": True}, "expected a seed"),
        ({"shuffle": -1}, "expected a seed"),
        ({"mixing": 1}, "no option mixing"),
    ],
    ids=str,
)
def test_options_that_cannot_be_used(
    warehouse: Warehouse, options: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        warehouse.crops(**{"channels": ["DNA"], **options})


def test_channels_are_needed(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="channels is missing"):
        warehouse.crops()
    with pytest.raises(NoSuchTableError, match="image_crops"):
        warehouse.crops(channels=["DNA"])


def test_where_that_does_not_fit(warehouse: Warehouse) -> None:
    write_crops(warehouse, cells(2))
    with pytest.raises(QueryError, match="nothing"):
        batches(warehouse, where="nothing = 1")


def test_dtypes_that_differ_are_an_error(warehouse: Warehouse) -> None:
    crops = cells(2)
    crops[1] = dataclasses.replace(crops[1], pixels=np.ones((3, 3), np.float32))
    write_crops(warehouse, crops)
    with pytest.raises(ImageReadError, match="float32 and uint16; a batch has one dtype"):
        batches(warehouse)
    assert len(batches(warehouse, channels=["DNA", "Mito"])) == 1


def test_crops_of_other_dtypes_and_sizes_an_object(warehouse: Warehouse) -> None:
    rng = np.random.default_rng(5)
    crops = [
        Crop("a", channel, rng.random((height, 4)))
        for height, channel in zip((2, 9, 3), CHANNELS, strict=True)
    ]
    write_crops(warehouse, crops)
    (batch,) = batches(warehouse)
    assert batch.pixels.dtype == np.float64
    assert_pixels([batch], crops)


def test_a_channel_twice_is_an_error(warehouse: Warehouse) -> None:
    crops = cells(2)
    write_crops(warehouse, [*crops, crops[-1]])
    with pytest.raises(ImageReadError, match="more than one crop of a channel"):
        batches(warehouse)


def test_an_iteration_that_is_left_early_ends(warehouse: Warehouse, plate: list[Crop]) -> None:
    stream = warehouse.crops(channels=CHANNELS, size=SIZE, batch_size=2, shuffle=1)
    first = next(iter(stream))
    np.testing.assert_array_equal(next(iter(stream)).pixels, first.pixels)
    assert len(plate) == 69


def test_the_stream_can_go_to_another_process(warehouse: Warehouse, plate: list[Crop]) -> None:
    stream = warehouse.crops(channels=CHANNELS, size=SIZE, batch_size=5, shuffle=1)
    there = pickle.loads(pickle.dumps(stream))  # noqa: S301 - our own bytes
    assert ids(list(there)) == ids(list(stream))
    assert len(plate) == 69


def test_import_of_the_library_does_not_load_torch() -> None:
    code = "import sys, cp_assets, cp_assets.warehouse.training; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_crops_of_more_than_one_plane_are_an_error(warehouse: Warehouse) -> None:
    crops = cells(2)
    crops[1] = dataclasses.replace(crops[1], pixels=np.ones((2, 1, 1, 3, 3), np.uint16))
    write_crops(warehouse, crops)
    with pytest.raises(ImageReadError, match="not one plane"):
        batches(warehouse)
