from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.errors import ConfigurationError, InputChangedError
from cp_assets.images import CROPS_SCHEMA, CropBooks, cutting, image_crops, loading
from cp_assets.payloads import OME_ARROW_TYPE, payload_planes
from cp_assets.rejections import RejectionLog
from cp_assets_tests.images.plates import (
    GOOD,
    SHAPE,
    Human,
    Plate,
    Reads,
    build_plate,
    crop,
    profile_rows,
)

NAN = math.nan


def test_crops_of_example_human_are_its_867_slices(human: Human) -> None:
    result = crop([human.profiles], human.sets, human.sources)
    assert result.books == CropBooks(objects=289, expected=867, written=867, rejected=0)
    assert len(result.log) == 0
    images = [tifffile.imread(human.folder / file.file_name) for file in human.sets[0].channels]
    wanted = [image[y0:y1, x0:x1] for x0, y0, x1, y1 in human.boxes for image in images]
    planes = payload_planes(result.table["ome_arrow_image"])
    assert len(planes) == 867
    for value, plane, slice_ in zip(result.table["ome_arrow_image"], planes, wanted, strict=True):
        assert plane is not None
        assert (plane.dtype, plane.shape) == (slice_.dtype, slice_.shape)
        assert value["chunks"][0]["pixel_bytes"].as_py() == slice_.tobytes()
    assert result.table["Metadata_Channel"].to_pylist() == ["DNA", "PH3", "cellbody"] * 289
    assert len(set(result.table["Metadata_ImageCropID"].to_pylist())) == 867
    assert len(set(result.table["Metadata_ImageID"].to_pylist())) == 3


def test_crops_carry_keys_source_and_box(plate: Plate) -> None:
    row = crop([profile_rows(plate.sets[0], [GOOD])], plate.sets, plate.sources).table.to_pylist()[
        1
    ]
    expected = {
        "dataset_id": "dataset",
        "batch_id": "batch1",
        "plate_id": "PlateA",
        "Metadata_Plate": "PlateA",
        "Metadata_Well": "A01",
        "Metadata_Site": "1",
        "Metadata_ObjectNumber": 1,
        "Metadata_Channel": "ER",
        "source_image_column": "Image_FileName_ER",
        "source_image_file": "A01_s1_ER.tif",
        "source_image_original_path": "/acquired/PlateA/A01_s1_ER.tif",
        "source_image_path": "PlateA/A01_s1_ER.tif",
        "Metadata_SourceBBoxXMin": 3,
        "Metadata_SourceBBoxXMax": 13,
        "Metadata_SourceBBoxYMin": 2,
        "Metadata_SourceBBoxYMax": 9,
        "label_source_kind": None,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["ome_arrow_image"]["id"] == row["Metadata_ImageCropID"]
    assert row["ome_arrow_image"]["name"] == "A01_s1_ER.tif"


def test_crops_schema_documents_every_column() -> None:
    for field in CROPS_SCHEMA:
        assert field.metadata[b"doc"]
    assert CROPS_SCHEMA.field("ome_arrow_label").type == OME_ARROW_TYPE
    assert not CROPS_SCHEMA.field("Metadata_ImageCropID").nullable


BOXES = st.tuples(st.integers(0, 49), st.integers(0, 39), st.integers(1, 50), st.integers(1, 40))


@settings(max_examples=25, deadline=None)
@given(boxes=st.lists(BOXES, min_size=1, max_size=5))
def test_crop_equals_the_slice(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[int, int, int, int]]
) -> None:
    plate = build_plate(tmp_path_factory.mktemp("plate"), [("A01", "1")])
    result = crop([profile_rows(plate.sets[0], boxes)], plate.sets, plate.sources)
    good = [b for b in boxes if b[0] < b[2] and b[1] < b[3]]
    wanted = [image[y0:y1, x0:x1] for x0, y0, x1, y1 in good for image in plate.images.values()]
    planes = payload_planes(result.table["ome_arrow_image"])
    for plane, slice_ in zip(planes, wanted, strict=True):
        np.testing.assert_array_equal(plane, slice_)
    assert result.books.rejected == 2 * (len(boxes) - len(good))


@pytest.mark.parametrize(
    ("box", "reason", "detail"),
    [
        ((None, 2, 13, 9), "no_box", "nan"),
        ((NAN, 2, 13, 9), "no_box", "nan"),
        ((3, 2, math.inf, 9), "no_box", "inf"),
        ((13, 2, 3, 9), "inverted_box", "x 13..3, y 2..9"),
        ((3, 2, 3, 9), "inverted_box", "empty"),
        ((3.5, 2, 13, 9), "fractional_box", "3.5"),
        ((3, 2, 51, 9), "box_outside_image", "x 3..51, y 2..9 reaches out of the image of 50 x 40"),
        ((-1, 2, 13, 9), "box_outside_image", "-1"),
        ((3, 2, 1e300, 9), "box_outside_image", "1e+300"),
    ],
)
def test_bad_boxes_are_rejected_for_each_channel(
    plate: Plate, box: tuple[float, ...], reason: str, detail: str
) -> None:
    result = crop([profile_rows(plate.sets[0], [GOOD, box, GOOD])], plate.sets, plate.sources)
    assert result.table["Metadata_ObjectNumber"].to_pylist() == [1, 1, 3, 3]
    assert [(e.reason, e.channel, e.object_number) for e in result.log] == [
        (reason, "DNA", 2),
        (reason, "ER", 2),
    ]
    entry = result.log.entries[0]
    assert detail in entry.detail
    assert (entry.kind, entry.well_id, entry.compartment) == ("crop", "A01", "Cells")


def _break(plate: Plate, how: str) -> None:
    path = plate.root / "images" / "PlateA" / "A01_s1_ER.tif"
    (image_set,) = plate.sets
    dna, er = image_set.channels
    if how == "missing_image":
        path.unlink()
    elif how == "ambiguous_image":
        for name in ("one", "two"):
            (path.parents[1] / name).mkdir()
            (path.parents[1] / name / path.name).touch()
        path.unlink()
    elif how == "unsafe_path":
        er = dataclasses.replace(er, file_name="../A01_s1_ER.tif")
    elif how == "unreadable_image":
        os.truncate(path, 200)
    elif how == "image_shape":
        er = dataclasses.replace(er, height=80, width=100)
    plate.sets = [dataclasses.replace(image_set, channels=(dna, er))]


@pytest.mark.parametrize(
    "reason",
    ["missing_image", "ambiguous_image", "unsafe_path", "unreadable_image", "image_shape"],
)
def test_an_unusable_image_rejects_its_crops_in_one_entry(plate: Plate, reason: str) -> None:
    _break(plate, reason)
    profiles = profile_rows(plate.sets[0], [GOOD, (None, 1, 2, 3), GOOD])
    result = crop([profiles], plate.sets, plate.sources)
    assert result.books == CropBooks(objects=3, expected=6, written=2, rejected=4)
    entry = result.log.entries[0]
    assert (entry.reason, entry.channel, entry.count) == (reason, "ER", 3)
    assert result.reasons == {reason: 3, "no_box": 1}


def test_a_channel_without_a_file_name_is_expected_and_rejected(plate: Plate) -> None:
    sets = [dataclasses.replace(plate.sets[0], absent=("Mito",))]
    result = crop([profile_rows(sets[0], [GOOD])], sets, plate.sources)
    assert result.books == CropBooks(objects=1, expected=3, written=2, rejected=1)
    assert "FileName_Mito" in result.log.entries[0].detail


def test_profiles_without_an_image_set_are_rejected(plate: Plate) -> None:
    stranger = dataclasses.replace(plate.sets[0], image_id="stranger")
    profiles = [profile_rows(stranger, [GOOD, GOOD]), profile_rows(plate.sets[0], [GOOD])]
    result = crop(profiles, plate.sets, plate.sources)
    assert result.books == CropBooks(objects=3, expected=6, written=2, rejected=4)
    assert [(e.reason, e.object_number, e.count) for e in result.log] == [
        ("no_image_set", 1, 2),
        ("no_image_set", 2, 2),
    ]


def test_profiles_without_their_columns_raise(plate: Plate) -> None:
    profiles = profile_rows(plate.sets[0], [GOOD]).drop_columns(["Metadata_SourceBBoxXMin"])
    with pytest.raises(ConfigurationError, match="no column Metadata_SourceBBoxXMin"):
        crop([profiles], plate.sets, plate.sources)


def _many(tmp_path: Path) -> tuple[Plate, list[pa.RecordBatch]]:
    plate = build_plate(tmp_path, [("A01", str(site)) for site in range(1, 8)])
    boxes = [GOOD, (0, 0, 50, 40), (None, 0, 1, 1), (0, 0, 99, 9)]
    profiles = [profile_rows(image_set, boxes) for image_set in plate.sets]
    (plate.root / "images/PlateA/A01_s3_ER.tif").unlink()
    os.truncate(plate.root / "images/PlateA/A01_s5_DNA.tif", 300)
    return plate, profiles


def test_crops_are_the_same_for_any_number_of_workers_and_batches(tmp_path: Path) -> None:
    plate, profiles = _many(tmp_path)
    whole = pa.Table.from_batches(profiles).combine_chunks().to_batches()
    pieces = [piece for p in profiles for piece in (p.slice(0, 1), p.slice(1))]
    first = crop(profiles, plate.sets, plate.sources)
    assert first.books.written == 7 * 2 * 2 - 4
    for workers, given_profiles in ((2, profiles), (3, whole), (8, pieces)):
        again = crop(given_profiles, plate.sets, plate.with_options(workers=workers))
        assert again.batches == first.batches
        assert again.log.entries == first.log.entries
        assert _bytes(again.batches) == _bytes(first.batches)


def _bytes(batches: list[pa.RecordBatch]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def test_every_file_is_decoded_once(tmp_path: Path, reads: Reads) -> None:
    plate = build_plate(tmp_path, [("A01", "1"), ("A02", "1")])
    masks = tmp_path / "masks"
    masks.mkdir()
    for image_set in plate.sets:
        # One mask of the site serves both of its channels.
        name = image_set.channels[0].file_name
        tifffile.imwrite(masks / name.replace("_DNA", ""), np.ones(SHAPE, np.uint16))
    profiles = [profile_rows(s, [GOOD] * 5) for s in plate.sets]
    options = {"segmentation_file_regex": {r"^([A-H]\d\d_s\d+)\.tif$": r"^([A-H]\d\d_s\d+)_"}}
    sources = dataclasses.replace(plate.with_options(**options), mask_dir=masks)
    result = crop(profiles, plate.sets, sources)
    assert result.table["ome_arrow_mask"].null_count == 0
    wanted = [f"PlateA/{name}" for name in plate.images]
    wanted += [f"masks/{path.name}" for path in masks.iterdir()]
    assert sorted(name for name, _ in reads) == sorted(wanted)


def test_image_sets_in_flight_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plate = build_plate(tmp_path, [("A01", str(site)) for site in range(1, 9)])
    loaded: list[str] = []
    load = loading.ImageSetLoader.load

    def counted(self: Any, image_set: Any, *rest: Any) -> Any:
        loaded.append(image_set.image_id)
        return load(self, image_set, *rest)

    monkeypatch.setattr(loading.ImageSetLoader, "load", counted)
    profiles = (profile_rows(s, [GOOD]) for s in plate.sets)
    stream = image_crops(
        profiles, plate.sets, plate.with_options(workers=2), RejectionLog(), "Cells"
    )
    next(stream)
    assert len(loaded) <= 3
    stream.close()  # type: ignore[attr-defined]
    assert len(loaded) <= 3


def test_batches_are_bounded_in_bytes(plate: Plate, monkeypatch: pytest.MonkeyPatch) -> None:
    two_crops = 2 * 10 * 7 * 2
    monkeypatch.setattr(cutting, "BATCH_BYTES", two_crops * 2)
    result = crop([profile_rows(plate.sets[0], [GOOD] * 5)], plate.sets, plate.sources)
    # Whole objects: both channels of one lie in one batch.
    assert [batch.num_rows for batch in result.batches] == [4, 4, 2]


def test_an_image_that_changes_while_read_ends_the_run(
    plate: Plate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(path: Path, **_: object) -> None:
        raise InputChangedError(f"image {path}: changed while it was read")

    monkeypatch.setattr(loading, "open_image", changed)
    with pytest.raises(InputChangedError, match="changed"):
        crop([profile_rows(plate.sets[0], [GOOD])], plate.sets, plate.sources)


def test_crops_of_no_profiles_are_none(plate: Plate) -> None:
    result = crop([], plate.sets, plate.sources)
    assert result.books == CropBooks()
