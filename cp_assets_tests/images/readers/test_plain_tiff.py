"""What is read of a TIFF without tifffile is what tifffile reads, and damage is left to it."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cp_assets.errors import CpAssetsError
from cp_assets.images.readers.image_file import ImageFile
from cp_assets.images.readers.tiff_series import TiffSeries, list_plain_series, list_series

TEXTS = st.sampled_from(
    [
        *(
            "",
            "a",
            "four",
            "made by hand",
            "ImageJ=1.11a\nimages=2\n",
            "SCIFIO=1\n",
            "shape=(4, 5)",
        ),
        *('{"shape": [20, 24]}', '{"shape": [480]}', '{"shape": [20, 24], "axes": "YX"}', "{}"),
        *("state.a=1", "x scanimage.SI x", "Aperio a|b", "<OME>", "<OME></OME>", "a</scn>", "日"),
    ]
)
OPTIONS = st.fixed_dictionaries(
    {
        "byteorder": st.sampled_from("<>"),
        "bigtiff": st.booleans(),
        "photometric": st.sampled_from(["minisblack", "miniswhite"]),
        "tile": st.sampled_from([None, (16, 16), (32, 16)]),
        "compression": st.sampled_from([None, "zlib", "lzw", "packbits", "zstd"]),
        "description": TEXTS,
        "software": st.sampled_from([False, "tifffile.py", "SI.5", "ISS Vista", "PerkinElmer-QPI"]),
        "resolution": st.sampled_from([None, (10.0, 20.0)]),
        "datetime": st.booleans(),
    }
)
DTYPES = st.sampled_from(
    [*("uint8", "uint16", "int16", "uint32", "float16", "float32", "float64", "complex64", "bool")]
)
SHAPES = st.sampled_from([(20, 24), (1, 7), (7, 1), (2, 20, 24), (20, 24, 3)])


def same(file: Path) -> list[TiffSeries] | None:
    """The images of a file, which are those that tifffile finds, if it takes no tifffile."""
    found = list_plain_series(file)
    if found is not None:
        assert found == list_series(ImageFile(file))
    return found


@settings(max_examples=300, deadline=None)
@given(OPTIONS, DTYPES, SHAPES)
def test_as_tifffile_writes_and_reads(
    options: dict[str, Any], dtype: str, shape: tuple[int, ...]
) -> None:
    options = dict(options)
    if shape[-1] == 3:
        options["photometric"] = "rgb"
    if dtype == "bool":
        options |= {"tile": None, "compression": None}
    text = options.pop("description")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.tif"
        pixels = np.zeros(shape, dtype)
        try:
            tifffile.imwrite(file, pixels, metadata=None, description=text or None, **options)
        except (ValueError, UnicodeEncodeError):
            return  # not every combination can be written
        same(file)


@settings(max_examples=150, deadline=None)
@given(
    st.permutations("TCZ"),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.sampled_from([None, (16, 16)]),
    st.booleans(),
    st.integers(1, 2),
    st.booleans(),
)
def test_ome_tiff(
    order: list[str],
    sizes: tuple[int, ...],
    tile: tuple[int, int] | None,
    big: bool,
    images: int,
    names: bool,
) -> None:
    metadata: dict[str, Any] = {"axes": "".join(order) + "YX", "PhysicalSizeX": 0.5}
    if names:
        metadata["Channel"] = {"Name": [f"channel {n}" for n in range(sizes[order.index("C")])]}
    pixels = np.zeros((*sizes, 20, 24), np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.ome.tif"
        with tifffile.TiffWriter(file, ome=True, bigtiff=big) as writer:
            for _ in range(images):
                writer.write(pixels, tile=tile, photometric="minisblack", metadata=metadata)
        found = same(file)
        assert (found is None) == big


def written_by_tifffile() -> bytes:
    data = io.BytesIO()
    tifffile.imwrite(data, np.zeros((4, 5), np.uint16), metadata=None, description="some words")
    return data.getvalue()


def written_by_pillow() -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(data, "TIFF", compression="tiff_lzw")
    return data.getvalue()


def written_as_ome() -> bytes:
    data = io.BytesIO()
    pixels = np.zeros((2, 4, 5), np.uint16)
    tifffile.imwrite(data, pixels, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    return data.getvalue()


FILES = {made.__name__: made() for made in (written_by_tifffile, written_by_pillow, written_as_ome)}


@pytest.mark.parametrize("name", FILES)
def test_common_files_take_no_tifffile(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tif").write_bytes(FILES[name])
    assert same(tmp_path / "a.tif")


def test_shape_that_tifffile_writes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint16))
    assert same(tmp_path / "a.tif")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(FILES)), st.data())
def test_damage(name: str, data: st.DataObject) -> None:
    damaged = bytearray(FILES[name])
    damaged = damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))]
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            place = data.draw(st.integers(0, min(len(damaged), 400) - 1))
            damaged[place] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.tif"
        file.write_bytes(damaged)
        found = list_plain_series(file)
        if found is None:
            return
        try:
            expected = list_series(ImageFile(file))
        except CpAssetsError as error:
            raise AssertionError(json.dumps([str(error), damaged.hex()])) from error
        assert found == expected


@pytest.mark.parametrize("loop", [True, False])
def test_pages_without_an_end(tmp_path: Path, *, loop: bool) -> None:
    damaged = bytearray(FILES["written_as_ome"])
    with tifffile.TiffFile(io.BytesIO(damaged)) as tiff:
        last = tiff.pages[1]
        assert isinstance(last, tifffile.TiffPage)
        at = last.offset + 2 + 12 * len(last.tags)
    damaged[at : at + 4] = (last.offset if loop else 10**6).to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(damaged)
    assert list_plain_series(tmp_path / "a.tif") is None
