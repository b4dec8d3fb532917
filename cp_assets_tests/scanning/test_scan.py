"""What a scan says beyond what iceberg-bioimage does: sizes, names, wells, folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cp_assets.payloads.types import PhysicalSize
from cp_assets.scanning import scan, scan_all, summarize
from cp_assets_tests.scanning import stores
from cp_assets_tests.test_cli import run


def test_ome_tiff(tmp_path: Path) -> None:
    metadata = {
        "axes": "CZYX",
        "Channel": {"Name": ["DNA", "ER"]},
        "PhysicalSizeX": 650,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeZ": 2,
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", stores.PIXELS, ome=True, metadata=metadata)
    (asset,) = scan(tmp_path / "a.ome.tif").image_assets
    assert asset.sizes == (1, 2, 3, 40, 50)
    assert asset.channel_names == ("DNA", "ER")
    assert asset.physical_size == PhysicalSize(x=pytest.approx(0.65), y=None, z=2.0)
    assert asset.channel_count == 2


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_pyramid(tmp_path: Path, zarr_format: int) -> None:
    stores.write_pyramid(tmp_path / "a.ome.zarr", zarr_format)
    full, half = scan(tmp_path / "a.ome.zarr").image_assets
    assert (full.level, half.level) == (0, 1)
    assert full.sizes == (1, 2, 3, 40, 50)
    assert half.sizes == (1, 2, 3, 20, 25)
    assert full.channel_names == half.channel_names == ("DNA", "ER")
    assert full.physical_size == PhysicalSize(z=2.0, y=0.5, x=0.5)
    assert half.physical_size == PhysicalSize(z=2.0, y=1.0, x=1.0)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plate(tmp_path: Path, zarr_format: int) -> None:
    stores.write_plate(tmp_path / "p.zarr", zarr_format)
    result = scan(tmp_path / "p.zarr")
    assert result.warnings == ()
    found = {asset.array_path: (asset.well, asset.field) for asset in result.image_assets}
    assert found == {
        f"{well}/{field}/{level}": (well, field)
        for well in ("A/1", "B/2")
        for field in "01"
        for level in "01"
    }


def test_well_that_a_plate_names_and_lacks(tmp_path: Path) -> None:
    stores.write_plate(tmp_path / "p.zarr")
    (tmp_path / "p.zarr" / "B" / "2").rename(tmp_path / "away")
    (warning,) = scan(tmp_path / "p.zarr").warnings
    assert "p.zarr/B/2: named by" in warning


def test_layout_of_bioformats2raw(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    stores.write_group(root, {"bioformats2raw.layout": 3})
    stores.write_group(root / "OME", {"series": ["0", "1"]})
    for series in "01":
        stores.write_pyramid(root / series)
    result = scan(root)
    assert [asset.image_id for asset in result.image_assets] == ["a:0/0", "a:0/1", "a:1/0", "a:1/1"]
    assert result.warnings == ()


def test_part_of_a_store(tmp_path: Path) -> None:
    stores.write_pyramid(tmp_path / "a.zarr")
    (asset,) = scan(f"{tmp_path}/a.zarr/1").image_assets
    assert (asset.uri, asset.array_path) == (f"{tmp_path}/a.zarr/1", None)
    assert (asset.axes, asset.level) == ("czyx", 1)


def test_labels(tmp_path: Path) -> None:
    stores.write_pyramid(tmp_path / "a.zarr")
    stores.write_group(tmp_path / "a.zarr" / "labels", {"labels": ["nuclei"]})
    stores.write_pyramid(tmp_path / "a.zarr" / "labels" / "nuclei", pixels=stores.PIXELS[0])
    paths = [asset.array_path for asset in scan(tmp_path / "a.zarr").image_assets]
    assert paths == ["0", "1", "labels/nuclei/0", "labels/nuclei/1"]


@pytest.mark.parametrize(
    ("mode", "axes", "dtype", "channels"),
    [("L", "YX", "uint8", 1), ("RGB", "YXS", "uint8", 3), ("I;16", "YX", "uint16", 1)],
)
def test_png(tmp_path: Path, mode: str, axes: str, dtype: str, channels: int) -> None:
    Image.new(mode, (30, 20)).save(tmp_path / "a.png")
    result = scan(tmp_path / "a.png")
    (asset,) = result.image_assets
    assert result.format_family == "png"
    assert asset.shape == ((20, 30) if channels == 1 else (20, 30, channels))
    assert (asset.axes, asset.dtype, asset.image_id) == (axes, dtype, "a")
    assert asset.sizes == (1, channels, 1, 20, 30)


def test_axes_that_have_no_place(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    result = scan(tmp_path / "a.tif")
    (asset,) = result.image_assets
    assert (asset.shape, asset.axes, asset.sizes) == (pixels.shape, "QQQYX", None)
    assert "one axis without a name" in result.warnings[0]


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    Image.new("L", (30, 20)).save(tmp_path / "a.tif", "PNG")
    assert scan(tmp_path / "a.tif").format_family == "png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of every kind, two folders deep."""
    (tmp_path / "b" / "c").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "2.tif", stores.PIXELS[0, 0])
    tifffile.imwrite(tmp_path / "b" / "1.TIFF", stores.PIXELS[0, 0].astype("uint8"))
    Image.new("L", (30, 20)).save(tmp_path / "b" / "c" / "a.png")
    stores.write_pyramid(tmp_path / "b" / "c" / "z.ome.zarr")
    (tmp_path / "b" / "notes.txt").write_text("no image")
    (tmp_path / "b" / "._1.tif").write_text("of the file system")
    return tmp_path


def test_folder(folder: Path) -> None:
    found = [result.source_uri for result in scan_all(str(folder))]
    names = ("2.tif", "b/1.TIFF", "b/c/a.png", "b/c/z.ome.zarr")
    assert found == [f"{folder}/{name}" for name in names]


def test_summary_of_a_folder(folder: Path) -> None:
    summary = summarize(str(folder))
    assert (summary.store_count, summary.image_asset_count) == (4, 5)
    assert (summary.chunked_asset_count, summary.warning_count) == (2, 0)
    assert summary.format_family == "png, tiff, zarr"
    assert summary.dtypes == ("uint16", "uint8")
    assert summary.channel_names == ("DNA", "ER")
    assert summary.storage_variants == ("zarr-v2",)
    assert summary.array_paths == ("<root>", "0", "1")


def test_command_prints_a_line_for_each_image(folder: Path) -> None:
    header, *lines = run("scan", folder).stdout.splitlines()
    assert header.split() == ["image", "dtype", "shape", "axes", "chunks", "channels"]
    assert lines[0].split() == [f"{folder}/2.tif", "uint16", "40x50", "YX"]
    assert lines[-1].split() == [
        f"{folder}/b/c/z.ome.zarr/1",
        *("uint16", "2x3x20x25", "czyx", "1x2x16x16", "DNA,", "ER"),
    ]


def test_command_prints_a_document_for_each_store(folder: Path) -> None:
    lines = run("scan", folder, "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        result.to_dict() for result in scan_all(str(folder))
    ]


def test_summarize(folder: Path) -> None:
    expected = summarize(str(folder))
    assert json.loads(run("summarize", folder, "--json").stdout) == expected.to_dict()
    lines = run("summarize", folder).stdout.splitlines()
    assert "image asset count     5" in lines
    assert "storage variants      zarr-v2" in lines
