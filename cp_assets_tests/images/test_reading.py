from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cp_assets.errors import ImageReadError, InputChangedError
from cp_assets.images import read_plane, reading

DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "bool")


def _pixels(dtype: str, shape: tuple[int, ...] = (30, 20)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 120, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_read_plane_keeps_the_dtype_of_a_tiff(tmp_path: Path, dtype: str, byteorder: Any) -> None:
    pixels = _pixels(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=byteorder)
    plane = read_plane(tmp_path / "a.tif")
    assert plane.dtype == np.dtype(dtype)
    assert plane.dtype.isnative
    np.testing.assert_array_equal(plane, pixels)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    compression=st.sampled_from([None, "lzw", "zlib", "packbits", "zstd"]),
    tile=st.sampled_from([None, (16, 16), (32, 16)]),
)
def test_read_plane_reads_strips_tiles_and_compressions(
    tmp_path: Path, shape: tuple[int, int], compression: str | None, tile: tuple[int, int] | None
) -> None:
    pixels = _pixels("uint16", shape)
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression, tile=tile)
    np.testing.assert_array_equal(read_plane(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_read_plane_keeps_the_dtype_of_a_png(tmp_path: Path, dtype: str) -> None:
    pixels = _pixels(dtype)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    plane = read_plane(tmp_path / "a.png")
    assert plane.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(plane, pixels)


def test_read_plane_reduces_grey_colour_images(tmp_path: Path) -> None:
    grey = _pixels("uint8")
    Image.fromarray(grey).convert("RGB").save(tmp_path / "rgb.png")
    Image.fromarray(grey).convert("RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(grey).convert("LA").save(tmp_path / "la.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "p.png")
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([grey] * 3, -1), photometric="rgb")
    for path in sorted(tmp_path.iterdir()):
        np.testing.assert_array_equal(read_plane(path), grey)


def test_read_plane_of_a_coloured_palette_gives_its_labels(tmp_path: Path) -> None:
    labels = Image.fromarray(_pixels("bool").astype(np.uint8), "P")
    labels.putpalette([0, 0, 0, 255, 0, 0])
    labels.save(tmp_path / "p.png")
    assert set(np.unique(read_plane(tmp_path / "p.png"))) == {0, 1}


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_read_plane_refuses_real_colours(tmp_path: Path, name: str) -> None:
    Image.fromarray(_pixels("uint8", (9, 9, 3))).save(tmp_path / name)
    with pytest.raises(ImageReadError, match=r"a colour image .* later version"):
        read_plane(tmp_path / name)


def test_read_plane_refuses_transparency(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[0, 0, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(ImageReadError, match="transparent"):
        read_plane(tmp_path / "a.png")


def test_read_plane_refuses_several_pages(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "z.tif", _pixels("uint8", (3, 9, 8)), photometric="minisblack")
    with pytest.raises(
        ImageReadError, match=r"z\.tif: holds 3 pages .*\(3, 9, 8\).* later version"
    ):
        read_plane(tmp_path / "z.tif")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
def test_read_plane_of_a_truncated_tiff_raises(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "half.tif"
    tifffile.imwrite(path, _pixels("uint16", (90, 90)), compression=compression, rowsperstrip=10)
    os.truncate(path, path.stat().st_size * 2 // 3)
    with pytest.raises(ImageReadError, match=r"half\.tif: cannot be decoded"):
        read_plane(path)


def test_read_plane_of_a_truncated_png_raises(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    Image.fromarray(_pixels("uint8", (90, 90))).save(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ImageReadError, match=r"half\.png: cannot be decoded"):
        read_plane(path)


def test_read_plane_of_unwritten_strips_raises(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    tifffile.imwrite(path, _pixels("uint8", (64, 64)), tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["TileByteCounts"].overwrite([0] * 16)
    with pytest.raises(ImageReadError, match="16 of its 16 strips or tiles were never written"):
        read_plane(path)


def test_read_plane_of_something_else_raises(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("not found")
    (tmp_path / "empty.tif").touch()
    (tmp_path / "a.zarr").mkdir()
    for name, text in (("a.tif", "neither"), ("empty.tif", "neither"), ("a.zarr", "Zarr")):
        with pytest.raises(ImageReadError, match=text):
            read_plane(tmp_path / name)
    with pytest.raises(ImageReadError, match=r"gone\.tif: cannot be opened"):
        read_plane(tmp_path / "gone.tif")


@pytest.mark.parametrize("broken", [False, True])
def test_read_plane_of_a_changing_file_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _pixels("uint8"))
    decode = reading._decode

    def grows(file: Path) -> reading.Plane:
        plane = decode(file)
        with file.open("ab") as handle:
            handle.write(b"more")
        if broken:
            raise ValueError("half written")
        return plane

    monkeypatch.setattr(reading, "_decode", grows)
    with pytest.raises(InputChangedError, match=r"a\.tif: changed while it was read"):
        read_plane(path)


def test_read_plane_of_a_vanishing_file_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _pixels("uint8"))
    monkeypatch.setattr(reading, "_decode", lambda file: file.unlink())
    with pytest.raises(InputChangedError, match="changed"):
        read_plane(path)


def test_read_plane_of_ome_tiffs(example_human: Path) -> None:
    folder = example_human.parent / "ome_tiff"
    assert read_plane(folder / "single-channel.ome.tiff").ndim == 2
    with pytest.raises(ImageReadError, match="15 pages"):
        read_plane(folder / "multi-channel-z-series.ome.tiff")
