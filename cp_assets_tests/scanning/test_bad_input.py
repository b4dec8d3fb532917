"""What cannot be scanned is told in one clear line, and does not hide what can be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cp_assets.errors import ImageReadError
from cp_assets.scanning import scan, scan_all, summarize
from cp_assets_tests.scanning import stores
from cp_assets_tests.test_cli import run

NOBODY = 65534


def refusal(path: Path) -> str:
    """The one line that the command line ends with."""
    result = run("scan", path, "--json", code=2)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("cp-assets: ")
    assert str(path) in line
    return line


def test_no_such_path(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "nothing.tif")
    assert "No such file or directory" in refusal(tmp_path / "nothing")
    assert "No such file or directory" in refusal(tmp_path / "nothing.zarr")


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    assert "holds no image; expected files that end in .tif" in refusal(tmp_path)


def test_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no image")
    assert "neither TIFF, PNG nor Zarr" in refusal(tmp_path / "a.txt")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    refusal(tmp_path / "a.tif")


def test_zarr_without_metadata(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    assert "without .zarray, .zgroup or zarr.json" in refusal(tmp_path / "a.zarr")


def test_zarr_without_arrays(tmp_path: Path) -> None:
    stores.write_group(tmp_path / "a.zarr", {})
    assert "without an array" in refusal(tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["{", "[]", "", '{"zarr_format": 3, "node_type": "array"}'])
def test_corrupt_metadata(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(text)
    refusal(tmp_path / "a.zarr")


def test_corrupt_metadata_of_one_array(tmp_path: Path) -> None:
    stores.write_pyramid(tmp_path / "a.zarr", 3)
    (tmp_path / "a.zarr" / "1" / "zarr.json").write_text("{")
    result = scan(str(tmp_path / "a.zarr"))
    assert [asset.array_path for asset in result.image_assets] == ["0"]
    (warning,) = result.warnings
    assert "a.zarr/1/zarr.json: is not valid JSON" in warning


def test_array_that_a_pyramid_names_and_lacks(tmp_path: Path) -> None:
    attributes = {"multiscales": stores.multiscales("0", "1")}
    stores.write_group(tmp_path / "a.zarr", attributes)
    stores.write_array(tmp_path / "a.zarr" / "0")
    (warning,) = scan(str(tmp_path / "a.zarr")).warnings
    assert "a.zarr/1: named by" in warning


def test_formats_mixed_in_one_node(tmp_path: Path) -> None:
    stores.write_array(tmp_path / "a.zarr", zarr_format=3)
    stores.write_array(tmp_path / "b.zarr", zarr_format=2)
    (tmp_path / "b.zarr" / ".zarray").rename(tmp_path / "a.zarr" / ".zarray")
    result = scan(str(tmp_path / "a.zarr"))
    assert result.image_assets[0].storage_variant == "zarr-v3"
    assert "metadata of Zarr v2 and v3; those of v3 are read" in result.warnings[0]


@pytest.mark.parametrize("outer", [2, 3])
def test_formats_mixed_in_one_store(tmp_path: Path, outer: int) -> None:
    stores.write_group(tmp_path / "a.zarr", {}, outer)
    stores.write_array(tmp_path / "a.zarr" / "same", zarr_format=outer)
    stores.write_array(tmp_path / "a.zarr" / "other", zarr_format=5 - outer)
    result = scan(str(tmp_path / "a.zarr"))
    assert [asset.array_path for asset in result.image_assets] == ["same"]
    (warning,) = result.warnings
    assert f"other: Zarr v{5 - outer} in a group of Zarr v{outer}" in warning


def test_stores_of_both_formats_in_one_folder(tmp_path: Path) -> None:
    for zarr_format in (2, 3):
        stores.write_pyramid(tmp_path / f"{zarr_format}.zarr", zarr_format)
    summary = summarize(str(tmp_path))
    assert summary.storage_variants == ("zarr-v2", "zarr-v3")
    assert (summary.store_count, summary.warning_count) == (2, 0)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_no_dimensions(tmp_path: Path, zarr_format: int) -> None:
    stores.write_array(tmp_path / "a.zarr", np.array(3, np.uint16), zarr_format)
    result = scan(str(tmp_path / "a.zarr"))
    (asset,) = result.image_assets
    assert (asset.shape, asset.chunk_shape, asset.sizes) == ((), None, None)
    (warning,) = result.warnings
    assert "an image has at least the axes Y and X" in warning
    run("scan", tmp_path / "a.zarr")


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder with a readable and a locked image, looked at by a user who is not root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "images").mkdir()
        for file in ("locked.tif", "open.tif"):
            tifffile.imwrite(folder / "images" / file, stores.PIXELS[0, 0])
        (folder / "images" / "locked.tif").chmod(0)
        (folder / "locked").mkdir(mode=0)
        list(scan_all(folder / "images"))  # what is imported late is imported by now
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            (folder / "locked").chmod(0o755)


def test_file_that_may_not_be_read(locked: Path) -> None:
    assert "Permission denied" in refusal(locked / "images" / "locked.tif")


def test_folder_that_may_not_be_read(locked: Path) -> None:
    assert "Permission denied" in refusal(locked / "locked")


def test_one_of_many_that_may_not_be_read(locked: Path) -> None:
    first, second = scan_all(locked / "images")
    assert "Permission denied" in first.warnings[0]
    assert second.image_assets


def test_folder_in_a_folder_that_may_not_be_read(locked: Path) -> None:
    result = run("scan", locked, code=2)
    assert "locked: cannot be listed (Permission denied)" in result.stderr


def test_damaged_file_among_others(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, stores.PIXELS[0, 0])
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:20])
    first, second = scan_all(str(tmp_path))
    assert first.image_assets == ()
    assert str(tmp_path / "a.tif") in first.warnings[0]
    assert second.image_assets
    result = run("scan", tmp_path, "--json")
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("warning: ")


def test_link_that_leads_out(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stores.PIXELS[0, 0])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.tif").symlink_to(tmp_path / "a.tif")
    (result,) = scan_all(str(tmp_path / "folder"))
    assert "not followed" in result.warnings[0]


def test_link_that_leads_round(tmp_path: Path) -> None:
    stores.write_pyramid(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "again").symlink_to(tmp_path / "a.zarr")
    assert len(scan(str(tmp_path / "a.zarr")).image_assets) == 2


def test_hostile_names(tmp_path: Path) -> None:
    stores.write_group(tmp_path / "a.zarr", {"multiscales": stores.multiscales("../b.zarr")})
    stores.write_array(tmp_path / "b.zarr")
    with pytest.raises(ImageReadError, match="without an array"):
        scan(str(tmp_path / "a.zarr"))
