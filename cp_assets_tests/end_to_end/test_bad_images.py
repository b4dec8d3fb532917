"""Bad images and overlays: rejected crops or empty overlays, each with its reason."""

from __future__ import annotations

import shutil
from pathlib import Path

from cp_assets_tests.end_to_end.plate import Prefix
from cp_assets_tests.warehouses import replace_text

CROPS = "images.image_crops"


def test_images_that_cannot_be_read_reject_their_crops(prefix: Prefix, tmp_path: Path) -> None:
    truncated = prefix.image(channel=5)
    truncated.write_bytes(truncated.read_bytes()[:-3000])
    prefix.image(channel=1).write_bytes(b"")
    prefix.image(channel=3).write_bytes(b"not an image at all")
    prefix.image(channel=2).unlink()
    made = prefix.convert(tmp_path / "wh")
    cells = len(prefix.lines("Cells")) - 1
    unreadable = {row["channel"]: row for row in made.rejected(CROPS, "unreadable_image")}
    (missing,) = made.rejected(CROPS, "missing_image")
    assert set(unreadable) == {"OrigDNA", "OrigMito", "OrigRNA"}
    assert missing["channel"] == "OrigAGP"
    assert {row["count"] for row in (missing, *unreadable.values())} == {cells}
    assert truncated.name in unreadable["OrigDNA"]["detail"]
    assert unreadable["OrigDNA"]["source_file"].endswith(truncated.name)
    assert "neither TIFF, PNG nor Zarr" in unreadable["OrigRNA"]["detail"]
    assert "not found; recorded as" in missing["detail"]
    left = made.warehouse.read_table(CROPS, site="1", columns=["Metadata_Channel"])
    assert set(left["Metadata_Channel"].to_pylist()) == {"OrigER"}
    assert made.failed_checks() == []


def test_image_name_that_leads_out_is_never_followed(prefix: Prefix, tmp_path: Path) -> None:
    image = prefix.image(channel=5)
    secret = prefix.root.parent / "secret.tiff"
    shutil.copy(image, secret)
    replace_text(prefix.table("Image"), image.name, "../../secret.tiff")
    made = prefix.convert(tmp_path / "wh")
    rows = made.rejected(CROPS, "unsafe_path")
    assert [row["count"] for row in rows] == [len(prefix.lines("Cells")) - 1]
    assert "nothing outside of the image folders is read" in rows[0]["detail"]
    paths = made.warehouse.read_table(CROPS, columns=["source_image_path"])
    assert not [path for path in paths["source_image_path"].to_pylist() if "secret" in path]
    assert made.failed_checks() == []


def test_two_candidate_overlays_leave_it_empty_and_say_so(prefix: Prefix, tmp_path: Path) -> None:
    (mask,) = prefix.folder().glob("masks/*cell_mask.tiff")
    shutil.copy(mask, mask.with_name(mask.name.replace("cell_mask", "cell_mask_v2")))
    made = prefix.convert(tmp_path / "wh")
    (row,) = made.rejected(CROPS, "ambiguous_overlay")
    assert row["outcome"] == "incomplete"
    assert "cell_mask.tiff" in row["detail"]
    assert "cell_mask_v2.tiff" in row["detail"]
    crops = made.warehouse.read_table(CROPS, site="1", where="ome_arrow_mask IS NULL")
    assert crops.num_rows == 5 * (len(prefix.lines("Cells")) - 1)
    assert crops["ome_arrow_outline"].null_count == 0
    assert made.failed_checks() == []


def test_image_of_another_size_rejects_its_crops(prefix: Prefix, tmp_path: Path) -> None:
    for size in ("Height_OrigDNA", "Width_OrigDNA"):
        prefix.set_value("Image", size, "4000")
    made = prefix.convert(tmp_path / "wh")
    (row,) = made.rejected(CROPS, "image_shape")
    assert "is it the file that was measured?" in row["detail"]
    assert made.failed_checks() == []
