"""Payloads, rows and files as objects of ome_arrow, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ome_arrow import OMEArrow
from ome_arrow.ingest import from_numpy

import cp_assets
from cp_assets.errors import ImageReadError
from cp_assets.payloads import (
    OME_ARROW_TYPE,
    PhysicalSize,
    from_ome_arrow,
    payload_array,
    payload_to_numpy,
    to_ome_arrow,
)
from cp_assets.payloads import building as building_module

DTYPES = ["u1", "<u2", ">u2", "i2", "<u4", "i4", "<f4", "f8", "?"]
IMAGES = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=5, max_dims=5, max_side=4))
)


def _payload(pixels: Any, **options: Any) -> pa.StructScalar:
    names = [[f"c{n}" for n in range(pixels.shape[1])]]
    return payload_array([pixels], ids=["i"], names=["n"], channels=names, **options)[0]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pixels=IMAGES, edge=st.sampled_from([2, 1024]))
def test_a_payload_comes_back_as_it_was(
    pixels: Any, edge: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(building_module, "CHUNK_EDGE", edge)
        patch.setattr(building_module, "CHUNK_BYTES", edge**2)
        payload = _payload(pixels, physical_sizes=[PhysicalSize(z=2.0, y=0.5, x=0.25)])
    opened = to_ome_arrow(payload)
    tensor = opened.export("numpy", dtype=pixels.dtype)
    np.testing.assert_array_equal(tensor, pixels)
    back = from_ome_arrow(opened)
    assert back.type == OME_ARROW_TYPE
    assert back.as_py() == payload.as_py() or np.isnan(pixels).any()
    np.testing.assert_array_equal(payload_to_numpy(back), pixels)


@settings(max_examples=15, deadline=None)
@given(
    pixels=hnp.arrays("u2", hnp.array_shapes(min_dims=5, max_dims=5, max_side=4)),
    encoding=st.sampled_from(["list", "bytes"]),
    compression=st.sampled_from([None, "zstd"]),
)
def test_what_ome_arrow_made_becomes_a_payload(
    pixels: Any, encoding: Any, compression: str | None
) -> None:
    names = [f"c{n}" for n in range(pixels.shape[1])]
    made = from_numpy(
        pixels,
        channel_names=names,
        chunk_shape=(1, 2, 2),
        chunk_encoding=encoding,
        chunk_compression=compression if encoding == "bytes" else None,
        physical_size_x=0.5,
    )
    payload = from_ome_arrow(OMEArrow(made))
    assert payload.type == OME_ARROW_TYPE
    np.testing.assert_array_equal(payload_to_numpy(payload), pixels)
    meta = payload.as_py()["pixels_meta"]
    assert [channel["name"] for channel in meta["channels"]] == names
    assert meta["physical_size_x"] == 0.5
    # White, which ome_arrow gives each channel, is beyond a signed number.
    again = to_ome_arrow(payload).data.as_py()["pixels_meta"]
    assert {channel["color_rgba"] for channel in again["channels"]} == {0xFFFFFFFF}
    np.testing.assert_array_equal(to_ome_arrow(payload).export("numpy"), pixels)


def test_a_row_is_opened_by_its_column() -> None:
    pixels = np.arange(12, dtype="u2").reshape(1, 1, 1, 3, 4)
    row = {
        "Metadata_Well": "A01",
        "ome_arrow_image": _payload(pixels).as_py(),
        "ome_arrow_mask": None,
    }
    np.testing.assert_array_equal(cp_assets.to_ome_arrow(row).export("numpy"), pixels)
    with pytest.raises(ImageReadError, match="null"):
        to_ome_arrow(row, "ome_arrow_mask")
    with pytest.raises(
        ImageReadError, match="no column ome_arrow_label; its payloads are ome_arrow"
    ):
        to_ome_arrow(row, "ome_arrow_label")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "bool"])
def test_a_file_keeps_its_pixels_channels_and_sizes(tmp_path: Path, dtype: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 2, (2, 3, 4, 16, 17)).astype(dtype)
    metadata = {
        "axes": "TCZYX",
        "Channel": {"Name": ["DNA", "ER", "Mito"]},
        "PhysicalSizeX": 0.65,
        "PhysicalSizeY": 0.66,
        "PhysicalSizeZ": 1.5,
    }
    path = tmp_path / "image.ome.tif"
    tifffile.imwrite(path, pixels, metadata=metadata, photometric="minisblack")
    opened = cp_assets.open_as_ome_arrow(path)
    found = opened.export("numpy", dtype=np.dtype(dtype))
    np.testing.assert_array_equal(found, pixels)
    record = from_ome_arrow(opened).as_py()
    meta = record["pixels_meta"]
    assert np.dtype(record["chunks"][0]["dtype"]) == pixels.dtype
    assert [channel["name"] for channel in meta["channels"]] == ["DNA", "ER", "Mito"]
    sizes = [meta[f"physical_size_{axis}"] for axis in "zyx"]
    assert sizes == pytest.approx([1.5, 0.66, 0.65])
    assert opened.info()["shape"] == pixels.shape


def test_a_real_file_is_read_as_it_is(test_data: Path) -> None:
    path = next((test_data / "example_human").glob("*.tif"))
    opened = cp_assets.open_as_ome_arrow(str(path))
    expected = tifffile.imread(path)
    found = opened.export("numpy", dtype=expected.dtype)
    np.testing.assert_array_equal(found[0, 0, 0], expected)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"none\.tif: cannot be opened"):
        cp_assets.open_as_ome_arrow(tmp_path / "none.tif")
