from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cp_assets.arrow_types import iceberg_native
from cp_assets.errors import ConfigurationError, ImageReadError
from cp_assets.payloads import (
    OME_ARROW_TYPE,
    payload_array,
    payload_planes,
    payload_to_numpy,
    to_ome_arrow,
)
from cp_assets.payloads import building as payload_module

DTYPES = ["u1", "<u2", ">u2", "i2", "<u4", "i4", "<f4", "f8", "?"]
PLANES = st.one_of(
    st.none(),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
    ),
)


def _payloads(planes: list[Any], **options: Any) -> pa.StructArray:
    texts = [f"t{i}" for i in range(len(planes))]
    return payload_array(planes, ids=texts, names=texts, channels=texts, **options)


def _leaves(kind: pa.DataType) -> list[pa.DataType]:
    if pa.types.is_struct(kind):
        return [leaf for field in kind for leaf in _leaves(field.type)]
    return _leaves(kind.value_type) if pa.types.is_list(kind) else [kind]


def test_type_is_ome_arrows_in_icebergs_types() -> None:
    from ome_arrow.meta import OME_ARROW_BYTE_STRUCT

    assert iceberg_native(OME_ARROW_BYTE_STRUCT) == OME_ARROW_TYPE
    names = [field.name for field in OME_ARROW_BYTE_STRUCT if field.name != "masks"]
    assert [field.name for field in OME_ARROW_TYPE] == names
    allowed = {pa.string(), pa.int32(), pa.float32(), pa.timestamp("us"), pa.binary()}
    assert set(_leaves(OME_ARROW_TYPE)) == allowed


@settings(max_examples=60, deadline=None)
@given(planes=st.lists(PLANES, max_size=6))
def test_payloads_give_their_planes_back(planes: list[Any]) -> None:
    payloads = _payloads(planes)
    payloads.validate(full=True)
    assert payloads.type == OME_ARROW_TYPE
    for given_plane, plane, value in zip(planes, payload_planes(payloads), payloads, strict=True):
        if given_plane is None:
            assert plane is None
            assert value.as_py() is None
            continue
        assert plane is not None
        assert plane.dtype == given_plane.dtype.newbyteorder("<")
        np.testing.assert_array_equal(plane, given_plane)
        np.testing.assert_array_equal(payload_to_numpy(value)[0, 0, 0], given_plane)
        np.testing.assert_array_equal(payload_to_numpy(value.as_py())[0, 0, 0], given_plane)


@settings(max_examples=20, deadline=None)
@given(planes=st.lists(PLANES, min_size=1, max_size=6), start=st.integers(0, 5))
def test_payload_planes_read_slices_chunks_and_parquet(planes: list[Any], start: int) -> None:
    table = pa.table({"p": _payloads(planes)})
    file = io.BytesIO()
    pq.write_table(table, file)
    read = pq.read_table(file)["p"]
    several = pa.chunked_array([*table["p"].chunks, *read.chunks])
    pairs = [(table["p"].chunk(0), planes), (read, planes), (several, planes * 2)]
    for column, wanted in pairs:
        for plane, value in zip(payload_planes(column.slice(start)), wanted[start:], strict=True):
            assert (plane is None) == (value is None)
            if value is not None:
                np.testing.assert_array_equal(plane, value)


def test_payload_says_what_it_holds() -> None:
    big = np.arange(12, dtype=">u2").reshape(3, 4)[:, 1:3]
    (value,) = payload_array([big], ids=["i"], names=["f.tif"], channels=["DNA"]).to_pylist()
    meta, (chunk,) = value["pixels_meta"], value["chunks"]
    assert (value["type"], value["id"], value["name"], value["image_type"]) == (
        "ome.arrow",
        "i",
        "f.tif",
        "image",
    )
    assert (meta["dimension_order"], meta["type"]) == ("XYZCT", "uint16")
    assert [meta[f"size_{axis}"] for axis in "tczyx"] == [1, 1, 1, 3, 2]
    assert meta["physical_size_x"] is None
    assert meta["physical_size_x_unit"] is None
    assert [channel["name"] for channel in meta["channels"]] == ["DNA"]
    assert (chunk["dtype"], chunk["compression"]) == ("uint16", None)
    assert chunk["pixel_bytes"] == big.astype("<u2").tobytes()


@pytest.mark.parametrize(
    ("dtype", "word"),
    [
        ("u1", "uint8"),
        ("i2", "int16"),
        ("u4", "uint32"),
        ("f4", "float"),
        ("f8", "double"),
        ("?", "bit"),
    ],
)
def test_payload_uses_omes_words(dtype: str, word: str) -> None:
    (value,) = _payloads([np.zeros((2, 2), dtype)], image_type="label").to_pylist()
    assert value["pixels_meta"]["type"] == word
    assert value["chunks"][0]["dtype"] == np.dtype(dtype).name
    assert value["image_type"] == "label"


def test_payloads_beyond_int32_offsets_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_module, "MAX_BATCH_BYTES", 10)
    with pytest.raises(ConfigurationError, match="2 chunks hold 18 bytes"):
        _payloads([np.zeros((3, 3), "u1")] * 2)


def test_nulls_lie_between_payloads_of_one_and_of_several_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payload_module, "CHUNK_BYTES", 60)
    monkeypatch.setattr(payload_module, "CHUNK_EDGE", 5)
    large = np.arange(2 * 1 * 3 * 7 * 8, dtype="u2").reshape(2, 1, 3, 7, 8)
    small = np.arange(12, dtype="u1").reshape(3, 4)
    payloads = _payloads([None, large, None, small])
    payloads.validate(full=True)
    first, value, third, last = payloads
    assert [first.as_py(), third.as_py()] == [None, None]
    np.testing.assert_array_equal(payload_to_numpy(value), large)
    np.testing.assert_array_equal(payload_to_numpy(last)[0, 0, 0], small)
    assert [len(one["chunks"]) for one in (value, last)] == [2 * 3 * 2 * 2, 1]
    assert [channel["id"].as_py() for channel in value["pixels_meta"]["channels"]] == ["ch-0"]


def test_texts_of_payloads_may_be_arrow_arrays() -> None:
    planes = [np.ones((2, 3)), None, np.ones((4, 5))]
    texts = pa.array(["x", "t0", "t1", "t2"])[1:]
    made = payload_array(planes, ids=texts, names=texts, channels=texts)
    assert made.equals(_payloads(planes))


def test_payload_planes_are_views() -> None:
    payloads = _payloads([np.ones((5, 5), "u2")] * 3)
    first, second, _ = payload_planes(payloads)
    assert first is not None
    assert second is not None
    assert not first.flags.writeable
    assert second.ctypes.data - first.ctypes.data == 50


def test_payload_to_numpy_assembles_compressed_chunks() -> None:
    pixels = np.arange(2 * 6 * 8, dtype=np.uint16).reshape(1, 2, 1, 6, 8)
    record = _payloads([pixels[0, 0, 0]]).to_pylist()[0]
    record["pixels_meta"]["size_c"] = 2
    base = record["chunks"][0] | {"compression": "zstd", "shape_x": 4}
    codec = pa.Codec("zstd")
    record["chunks"] = [
        base
        | {
            "c": c,
            "x": x,
            "pixel_bytes": codec.compress(pixels[0, c, 0, :, x : x + 4].tobytes(), asbytes=True),
        }
        for c in (0, 1)
        for x in (0, 4)
    ]
    scalar = pa.scalar(record, type=OME_ARROW_TYPE)
    np.testing.assert_array_equal(payload_to_numpy(scalar), pixels)
    with pytest.raises(ImageReadError, match="not one plane"):
        payload_planes(pa.array([record], OME_ARROW_TYPE))
    record["pixels_meta"]["size_c"] = 1
    record["chunks"] = record["chunks"][:2]
    (plane,) = payload_planes(pa.array([record], OME_ARROW_TYPE))
    np.testing.assert_array_equal(plane, pixels[0, 0, 0])


def test_payload_to_numpy_of_a_bad_payload_raises() -> None:
    record = _payloads([np.zeros((3, 3), "u1")]).to_pylist()[0]
    with pytest.raises(ImageReadError, match="null"):
        payload_to_numpy(pa.scalar(None, OME_ARROW_TYPE))
    with pytest.raises(ImageReadError, match="no byte chunks"):
        payload_to_numpy({**record, "chunks": []})
    record["chunks"][0]["pixel_bytes"] = b"12"
    with pytest.raises(ImageReadError, match="does not fit"):
        payload_to_numpy(record)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "?"])
def test_to_ome_arrow_opens_with_the_right_pixels(dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 2, (7, 5)).astype(dtype)
    (value,) = _payloads([pixels])
    opened = to_ome_arrow(value)
    tensor = opened.tensor_view().to_numpy()
    assert tensor.dtype == pixels.dtype
    np.testing.assert_array_equal(tensor.reshape(7, 5), pixels)
    exported = opened.export("numpy", dtype=pixels.dtype)
    np.testing.assert_array_equal(exported[0, 0, 0], pixels)
    np.testing.assert_array_equal(to_ome_arrow(value.as_py()).export("numpy")[0, 0, 0], pixels)
    with pytest.raises(ImageReadError, match="null"):
        to_ome_arrow(pa.scalar(None, OME_ARROW_TYPE))


def test_ome_arrow_takes_a_value_of_a_payload_column_as_it_is() -> None:
    from ome_arrow import OMEArrow

    pixels = np.arange(35, dtype=np.uint16).reshape(7, 5)
    opened = OMEArrow(_payloads([pixels])[0])
    np.testing.assert_array_equal(opened.export("numpy")[0, 0, 0], pixels)
    assert opened.tensor_view().to_numpy().dtype == np.uint16
