from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import tifffile

from cp_assets.images import SOURCE_IMAGES_SCHEMA, source_images
from cp_assets.payloads import payload_planes
from cp_assets.rejections import RejectionLog
from cp_assets_tests.images.plates import SHAPE, Human, build_plate, crop, profile_rows


def test_source_images_of_example_human_are_its_files(human: Human) -> None:
    log = RejectionLog()
    table = pa.Table.from_batches(source_images(human.sets, human.sources, log))
    table.validate(full=True)
    assert len(log) == 0
    for file, plane in zip(
        table["source_image_file"].to_pylist(),
        payload_planes(table["ome_arrow_image"]),
        strict=True,
    ):
        np.testing.assert_array_equal(plane, tifffile.imread(human.folder / file))
    crops = crop([human.profiles], human.sets, human.sources).table
    assert set(table["Metadata_ImageID"].to_pylist()) == set(crops["Metadata_ImageID"].to_pylist())


def test_source_images_hold_masks_and_reject_what_is_missing(tmp_path: Path) -> None:
    plate = build_plate(tmp_path, [("A01", "1"), ("A01", "2")])
    (tmp_path / "m").mkdir()
    tifffile.imwrite(tmp_path / "m" / "A01_s1_DNA.tif", np.full(SHAPE, 7, np.int32))
    (tmp_path / "images/PlateA/A01_s2_DNA.tif").unlink()
    sources = dataclasses.replace(plate.with_options(workers=2), mask_dir=tmp_path / "m")
    log = RejectionLog()
    table = pa.Table.from_batches(source_images(plate.sets, sources, log))
    assert set(SOURCE_IMAGES_SCHEMA.names) - set(table.column_names) == {"ome_arrow_outline"}
    assert table["Metadata_Channel"].to_pylist() == ["DNA", "ER", "ER"]
    assert table["label_source_kind"].to_pylist() == ["mask", "mask", None]
    assert table["Metadata_ImageNumber"].to_pylist() == [1, 1, 1]
    (plane, *_) = payload_planes(table["ome_arrow_label"])
    assert plane is not None
    assert (plane == 7).all()
    assert [(e.kind, e.reason, e.channel, e.count) for e in log] == [
        ("image", "missing_image", "DNA", 1)
    ]
    rows = profile_rows(plate.sets[0], [(0, 0, 1, 1)])
    assert (
        crop([rows], plate.sets, sources).table["Metadata_ImageID"].to_pylist()
        == table["Metadata_ImageID"].to_pylist()[:2]
    )
