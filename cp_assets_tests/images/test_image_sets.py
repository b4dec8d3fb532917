from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cp_assets.errors import ConfigurationError
from cp_assets.images import image_sets


def _batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    keys = {"well_id": "A01", "site_id": "1", "source_folder": "f", "ImageNumber": 1}
    full = [{"image_id": f"id{i}", **keys, **row} for i, row in enumerate(rows)]
    names = dict.fromkeys(name for row in full for name in row)
    return pa.RecordBatch.from_pylist([{n: row.get(n) for n in names} for row in full])


def test_image_sets_of_example_human_are_its_three_source_images(human: Any) -> None:
    (image_set,) = human.sets
    assert [file.channel for file in image_set.channels] == ["DNA", "PH3", "cellbody"]
    assert [file.channel for file in image_set.saved] == ["OrigOverlay"]
    assert image_set.channels[0].height == 512
    assert image_set.channels[0].recorded.startswith("file:/usr/local/src/ExampleHuman")


def test_image_sets_of_the_gallery_leave_illumination_functions_out(example_human: Path) -> None:
    site = example_human.parent / "cpg0043_BR00116991" / "BR00116991-A01-1" / "Image.csv"
    import csv

    with site.open(newline="") as file:
        rows = [{**row, "ImageNumber": 1} for row in csv.DictReader(file)]
    (image_set,) = image_sets([_batch(*rows)])
    names = [file.channel for file in image_set.channels]
    assert len(names) == 8
    assert all(name.startswith("Orig") for name in names)


def test_image_sets_without_marks_take_all_images() -> None:
    (image_set,) = image_sets([_batch({"FileName_B": " b.png ", "FileName_A": "a.TIFF"})])
    assert [(f.channel, f.file_name) for f in image_set.channels] == [
        ("A", "a.TIFF"),
        ("B", "b.png"),
    ]


def test_image_sets_with_a_missing_name_call_the_channel_absent() -> None:
    first, second = image_sets(
        [
            _batch(
                {"FileName_A": "a.tif", "FileName_B": "b.tif"},
                {"FileName_A": "", "FileName_B": "b.tif"},
            )
        ]
    )
    assert first.absent == ()
    assert second.absent == ("A",)
    assert [file.channel for file in second.channels] == ["B"]


def test_image_sets_ignore_columns_that_only_other_plates_fill() -> None:
    row = {"FileName_A": "a.tif", "MD5Digest_Z": None, "FileName_Z": None, "FileName_M": "m.mat"}
    (image_set,) = image_sets([_batch(row)])
    assert [file.channel for file in image_set.channels] == ["A"]
    assert image_set.absent == ()


def test_image_sets_keep_the_order_of_explicit_channels() -> None:
    row = {"FileName_A": "a.tif", "Height_A": "7", "FileName_B": "b.tif", "Height_B": "8.0"}
    row["FileName_Out"] = "o.png"
    (image_set,) = image_sets([_batch(row)], ("B", "A"))
    assert [(f.channel, f.height) for f in image_set.channels] == [("B", 8), ("A", 7)]
    assert [file.channel for file in image_set.saved] == ["Out"]


def test_image_sets_with_an_unknown_channel_raise() -> None:
    with pytest.raises(ConfigurationError, match=r"Mito not among .* there are A"):
        list(image_sets([_batch({"FileName_A": "a.tif"})], ("Mito",)))
