"""Bad measurements: one clear line, or a rejected row with its reason; never a silent loss."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from cp_assets.errors import CpAssetsError, InputChangedError, MeasurementError
from cp_assets_tests.end_to_end.plate import Prefix
from cp_assets_tests.warehouses import rejected, written

RAW, JOINED, CROPS = "profiles.raw_measurements", "profiles.joined_profiles", "images.image_crops"


def test_empty_csv_is_rejected_and_the_rest_is_built(prefix: Prefix, tmp_path: Path) -> None:
    prefix.table("Nuclei").write_bytes(b"")
    made = prefix.convert(tmp_path / "wh")
    (row,) = made.rejected(RAW, "empty_file")
    assert row["source_file"].endswith("-1/Nuclei.csv")
    assert row["outcome"] == "rejected"
    assert made.rejected(JOINED, "no_nuclei")
    assert made.failed_checks() == []


def test_header_only_csv_is_in_the_books(prefix: Prefix, tmp_path: Path) -> None:
    prefix.write_lines(prefix.lines("Cells")[:1], "Cells")
    made = prefix.convert(tmp_path / "wh")
    (row,) = made.rejected(RAW, "header_only")
    assert row["source_file"].endswith("-1/Cells.csv")
    lost = made.rejected(JOINED, "no_parent") + made.rejected(JOINED, "no_child")
    assert {row["compartment"] for row in lost} == {"Cytoplasm", "Nuclei"}
    assert made.failed_checks() == []


def test_missing_key_column_fails_in_one_line_that_names_the_file(
    prefix: Prefix, tmp_path: Path
) -> None:
    lines = prefix.lines("Cells")
    prefix.write_lines([lines[0].replace("ObjectNumber", "Number", 1), *lines[1:]], "Cells")
    with pytest.raises(
        MeasurementError, match=r"-1/Cells\.csv has no column ObjectNumber"
    ) as caught:
        prefix.convert(tmp_path / "wh")
    assert "\n" not in str(caught.value)


def test_missing_parent_column_fails_in_one_line(prefix: Prefix, tmp_path: Path) -> None:
    for site in (1, 2):
        for name in ("Cells", "Cytoplasm", "Nuclei"):
            lines = prefix.lines(name, site)
            prefix.write_lines([lines[0].replace("Parent_", "Ancestor_"), *lines[1:]], name, site)
    with pytest.raises(CpAssetsError, match="Parent_") as caught:
        prefix.convert(tmp_path / "wh")
    assert "\n" not in str(caught.value)


def test_duplicate_keys_are_left_out_with_their_reason(prefix: Prefix, tmp_path: Path) -> None:
    lines = prefix.lines("Cells")
    prefix.write_lines([*lines, lines[1]], "Cells")
    made = prefix.convert(tmp_path / "wh")
    rows = made.rejected(JOINED, "duplicate_key")
    assert [row["source_row"] for row in rows] == [1, len(lines)]
    assert {row["object_number"] for row in rows} == {int(lines[1].split(",")[1])}
    assert made.failed_checks() == []
    (warning,) = made.failed_checks(blocking=False)
    assert "keys_unique" in warning


def test_cell_without_parent_is_kept_and_told(prefix: Prefix, tmp_path: Path) -> None:
    prefix.set_value("Cells", "Parent_Nuclei", "0")
    made = prefix.convert(tmp_path / "wh")
    told = made.rejected(JOINED, "no_nuclei")
    assert [row["outcome"] for row in told] == ["incomplete"]
    where = "Metadata_ObjectID IS NOT NULL AND Metadata_Nuclei_ObjectNumber IS NULL"
    assert made.warehouse.read_table(JOINED, where=where).num_rows == 1
    assert made.failed_checks() == []


def test_cytoplasm_without_parent_is_rejected(prefix: Prefix, tmp_path: Path) -> None:
    prefix.set_value("Cytoplasm", "Parent_Cells", "999")
    made = prefix.convert(tmp_path / "wh")
    (row,) = made.rejected(JOINED, "no_parent")
    assert row["compartment"] == "Cytoplasm"
    assert row["source_file"].endswith("-1/Cytoplasm.csv")
    assert made.failed_checks() == []


def test_boxes_that_cannot_be_cut_are_rejected_for_each_channel(
    prefix: Prefix, tmp_path: Path
) -> None:
    faults = [
        ("Minimum_X", "nan", "no_box"),
        ("Maximum_Y", "", "no_box"),
        ("Maximum_X", "0", "inverted_box"),
        ("Maximum_X", "9999", "box_outside_image"),
        ("Minimum_Y", "-3", "box_outside_image"),
        ("Minimum_Y", "0.5", "fractional_box"),
    ]
    for row, (end, value, _) in enumerate(faults, start=1):
        prefix.set_value("Cells", f"AreaShape_BoundingBox{end}", value, row)
    made = prefix.convert(tmp_path / "wh")
    numbers = [int(line.split(",")[1]) for line in prefix.lines("Cells")[1:]]
    found = Counter(
        (row["object_number"], row["reason"]) for row in rejected(made.warehouse, CROPS)
    )
    reasons = [reason for *_, reason in faults]
    assert found == dict.fromkeys(zip(numbers, reasons, strict=False), 5)
    assert made.failed_checks() == []


def test_text_in_a_feature_rejects_the_row(prefix: Prefix, tmp_path: Path) -> None:
    prefix.set_value("Cells", "AreaShape_Area", "big", row=2)
    made = prefix.convert(tmp_path / "wh")
    (row,) = made.rejected(RAW, "not_a_number")
    assert row["source_row"] == 2
    assert row["source_file"].endswith("-1/Cells.csv")
    assert "AreaShape_Area is 'big'" in row["detail"]
    assert made.failed_checks() == []


def test_odd_height_costs_neither_the_image_set_nor_its_crops(
    prefix: Prefix, tmp_path: Path
) -> None:
    before = prefix.convert(tmp_path / "good").warehouse
    channel = next(
        name.removeprefix("Height_")
        for name in prefix.lines("Image")[0].split(",")
        if name.startswith("Height_")
    )
    prefix.set_value("Image", f"Height_{channel}", "1.5")
    made = prefix.convert(tmp_path / "wh")
    (row,) = rejected(made.warehouse, RAW)
    assert (row["reason"], row["outcome"]) == ("not_a_whole_number", "incomplete")
    assert row["source_file"].endswith("-1/Image.csv")
    assert f"Height_{channel} is 1.5" in row["detail"]
    assert written(made.warehouse, CROPS) == written(before, CROPS)
    assert made.failed_checks() == []


def test_file_that_changes_while_it_is_read_stops_the_plate(prefix: Prefix, tmp_path: Path) -> None:
    before = prefix.convert(tmp_path / "wh").warehouse
    rows = written(before, RAW)
    lines = prefix.lines("Cells")
    # Large enough that reading it takes longer than the pause between two changes.
    prefix.write_lines([*lines, *lines[1:2] * 6_000], "Cells")
    stop = threading.Event()

    def upload() -> None:
        moment = 0
        while not stop.wait(0.001):
            moment += 1
            os.utime(prefix.table("Cells"), ns=(moment, moment))

    uploading = threading.Thread(target=upload)
    uploading.start()
    try:
        with pytest.raises(
            InputChangedError, match=r"Cells\.csv changed while it was read"
        ) as caught:
            prefix.convert(tmp_path / "wh")
    finally:
        stop.set()
        uploading.join()
    assert "\n" not in str(caught.value)
    assert written(before, RAW).equals(rows)
