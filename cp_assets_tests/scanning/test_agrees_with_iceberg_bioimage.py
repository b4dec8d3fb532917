"""The scan of iceberg-bioimage 0.1.0 of the same stores, field by field.

Where ours says something else, `_DIFFERENCES` gives the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from iceberg_bioimage.api import scan_store, summarize_store

from cp_assets.scanning import scan, summarize
from cp_assets_tests.scanning import stores

FIELDS = ("uri", "array_path", "shape", "dtype", "chunk_shape", "image_id")
"""Compared one by one, with each key that iceberg-bioimage's metadata have."""


@dataclass(frozen=True)
class Difference:
    """Where our scan says something else, and why."""

    theirs: Any
    ours: Any
    reason: str


def compare(path: Path, differences: dict[str, Difference] | None = None) -> None:
    """Hold the two scans of a store against each other."""
    expected, found = scan_store(str(path)).to_dict(), scan(str(path)).to_dict()
    differences = dict(differences or {})
    assert found["source_uri"] == expected["source_uri"]
    _same("format_family", expected, found, differences)
    of_ours = {asset["array_path"]: asset for asset in found["image_assets"]}
    of_theirs = {asset["array_path"]: asset for asset in expected["image_assets"]}
    assert list(of_ours) == sorted(of_theirs, key=str)
    used = set()
    for array_path, theirs in of_theirs.items():
        ours = of_ours[array_path]
        for name in FIELDS:
            used.add(_same(name, theirs, ours, differences))
        for name in theirs["metadata"]:
            used.add(_same(name, theirs["metadata"], ours["metadata"], differences))
        for name in {"axes", "channel_count"} - theirs["metadata"].keys():
            used.add(_same(name, {name: None}, ours["metadata"], differences))
    # One that no longer occurs is to be taken out.
    assert differences.keys() <= used | {"format_family"}


def _same(
    name: str, theirs: dict[str, Any], ours: dict[str, Any], differences: dict[str, Difference]
) -> str | None:
    if theirs[name] == ours.get(name):
        return None
    assert name in differences, f"{name}: {theirs[name]!r}, ours {ours.get(name)!r}"
    assert (theirs[name], ours.get(name)) == (differences[name].theirs, differences[name].ours)
    return name


def test_published_ome_tiff(test_data: Path) -> None:
    files = sorted((test_data / "ome_tiff").glob("*.ome.tiff"))
    assert files
    for file in files:
        compare(file)


NOT_OME = Difference("ome-tiff", "tiff", "a TIFF without OME-XML is called what it is")


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": {"axes": "CZYX"}},
        {"metadata": {"axes": "ZCYX"}},
        {"metadata": {"axes": "TZYX"}},
        {"metadata": {"axes": "CZYX"}, "bigtiff": True},
        {"metadata": {"axes": "CZYX"}, "byteorder": ">"},
        {"metadata": {"axes": "CZYX"}, "compression": "zlib"},
    ],
)
def test_ome_tiff(tmp_path: Path, options: dict[str, Any]) -> None:
    file = tmp_path / "a.b.ome.tif"
    tifffile.imwrite(file, stores.PIXELS, ome=True, **options)
    compare(file)


def test_ome_tiff_of_several_images(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tiff", ome=True) as writer:
        writer.write(stores.PIXELS, metadata={"axes": "CZYX"})
        writer.write(stores.PIXELS[0, 0].astype("uint8"), metadata={"axes": "YX"})
    compare(tmp_path / "a.ome.tiff")


def test_plain_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.TIF", stores.PIXELS[0, 0], metadata=None)
    compare(tmp_path / "a.TIF", {"format_family": NOT_OME})


@pytest.mark.parametrize("options", [{"metadata": None}, {"imagej": True}, {}])
def test_stacks(tmp_path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stores.PIXELS[0], photometric="minisblack", **options)
    compare(tmp_path / "a.tif", {"format_family": NOT_OME})


def test_tiff_of_several_series(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(stores.PIXELS[0], photometric="minisblack")
        writer.write(stores.PIXELS[0, 0].astype("float32"))
    compare(tmp_path / "a.tif", {"format_family": NOT_OME})


def test_colours(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb")
    compare(tmp_path / "a.tif", {"format_family": NOT_OME})


def test_tiles(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stores.PIXELS[0, 0], tile=(16, 32), metadata=None)
    tiles = Difference(None, [16, 32], "a tiled TIFF is chunked, and its tiles can be indexed")
    compare(tmp_path / "a.tif", {"format_family": NOT_OME, "chunk_shape": tiles})


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_array(tmp_path: Path, zarr_format: int) -> None:
    stores.write_array(tmp_path / "a.zarr", zarr_format=zarr_format)
    compare(tmp_path / "a.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "bool", ">u2", "complex64"])
def test_types(tmp_path: Path, zarr_format: int, dtype: str) -> None:
    stores.write_array(tmp_path / "a.zarr", stores.PIXELS.astype(dtype), zarr_format)
    compare(tmp_path / "a.zarr")


def test_named_dimensions(tmp_path: Path) -> None:
    axes = ("c", "z", "y", "x")
    stores.write_array(tmp_path / "a.zarr", zarr_format=3, dimension_names=axes)
    compare(
        tmp_path / "a.zarr",
        {
            "axes": Difference(None, "czyx", "dimension_names name the axes of Zarr v3"),
            "channel_count": Difference(None, 2, "so the channels are known"),
        },
    )


def test_shards(tmp_path: Path) -> None:
    stores.write_array(tmp_path / "a.zarr", zarr_format=3, shards=(1, 2, 32, 32))
    shards = Difference(
        [1, 2, 32, 32], [1, 2, 16, 16], "a chunk is what is read at once, in a shard as elsewhere"
    )
    compare(tmp_path / "a.zarr", {"chunk_shape": shards})


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "multiscales": stores.write_pyramid,
    "plate": stores.write_plate,
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", WRITERS)
def test_ome_zarr(tmp_path: Path, name: str, zarr_format: int) -> None:
    WRITERS[name](tmp_path / "a.ome.zarr", zarr_format)
    nested = Difference(None, "czyx", "OME-Zarr 0.5 keeps its metadata under the key ome")
    count = Difference(None, 2, "so the channels are known")
    compare(
        tmp_path / "a.ome.zarr",
        {"axes": nested, "channel_count": count} if zarr_format == 3 else None,
    )


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_groups_in_groups(tmp_path: Path, zarr_format: int) -> None:
    root = tmp_path / "a.zarr"
    stores.write_group(root, {}, zarr_format)
    stores.write_group(root / "b", {}, zarr_format)
    stores.write_array(root / "b" / "deep", zarr_format=zarr_format)
    stores.write_array(root / "top", stores.PIXELS[0], zarr_format)
    stores.write_pyramid(root / "c", 2) if zarr_format == 2 else None
    compare(root)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_summaries(tmp_path: Path, zarr_format: int) -> None:
    stores.write_pyramid(tmp_path / "a.ome.zarr", zarr_format)
    expected = summarize_store(str(tmp_path / "a.ome.zarr")).to_dict()
    found = summarize(str(tmp_path / "a.ome.zarr")).to_dict()
    if zarr_format == 3:
        expected |= {"axes": ["czyx"], "channel_counts": [2]}  # see test_ome_zarr
    found["array_paths"].sort()
    expected["array_paths"].sort()  # of Zarr v2 they come in the order of the disk
    assert {name: found[name] for name in expected} == expected
