"""Zarr stores that are wrong, by accident or on purpose."""

from __future__ import annotations

import gzip
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from cp_assets.images.readers import Region, open_image
from cp_assets_tests.images.readers.files import pixels, read, write_ome_zarr, write_zarr
from cp_assets_tests.images.readers.hostile import CORNER, HUGE, refused

pytestmark = pytest.mark.usefixtures("little_memory")


def _document(path: Path, **changes: Any) -> Path:
    file = path / (".zarray" if (path / ".zarray").exists() else "zarr.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return path


@pytest.fixture(params=[2, 3])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A Zarr of 64x64 pixels in four chunks."""
    return write_zarr(
        tmp_path / "a.zarr", pixels("uint16", (64, 64)), chunks=(32, 32), zarr_format=request.param
    )


def _chunk(store: Path) -> Path:
    return store / "0.0" if (store / "0.0").exists() else store / "c" / "0" / "0"


def test_zarr_that_claims_a_million_squared(store: Path) -> None:
    _document(store, shape=[HUGE, HUGE])
    with open_image(store) as reader:
        assert reader.header.nbytes == 2 * HUGE**2
        reader.read(CORNER)
    refused(store, "more than the 4,294,967,296 that one read may take")


def test_zarr_whose_shape_passes_any_integer(store: Path) -> None:
    _document(store, shape=[2**80, 2**80])
    refused(store, "more than the 4,294,967,296|cannot be decoded")


def test_zarr_chunk_that_claims_a_million_squared(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint8", (8, 8)), zarr_format=2)
    _document(path, chunks=[HUGE, HUGE])
    refused(path, r"a chunk decodes to 1,000,000,000,000 bytes")


def test_zarr_of_a_billion_chunks(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint8", (8, 8)), zarr_format=2)
    _document(path, shape=[40_000, 40_000], chunks=[1, 1])
    refused(path, "1,600,000,000 chunks of .* in one window")


def test_zarr_shard_of_a_billion_chunks(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint8", (8, 8)), chunks=(1, 1), shards=(8, 8))
    grid = {"name": "regular", "configuration": {"chunk_shape": [40_000, 40_000]}}
    refused(_document(path, chunk_grid=grid), "shards of 1,600,000,000 chunks")


@pytest.mark.parametrize("name", ["zlib", "gzip", "bz2", "lz4", "zstd", "blosc"])
def test_zarr_v2_chunk_that_is_a_bomb(tmp_path: Path, name: str) -> None:
    codec = numcodecs.get_codec({"id": name})
    path = write_zarr(
        tmp_path / "a.zarr", pixels("uint8", (64, 64)), zarr_format=2, compressors=codec
    )
    (path / "0.0").write_bytes(codec.encode(bytes(2**27)))
    if (path / "0.0").stat().st_size > 2**20:
        refused(path, "which is too much|cannot be decoded")
    else:
        refused(path, "cannot be decoded")


def test_zarr_v3_chunk_that_is_a_bomb(tmp_path: Path) -> None:
    codec = zarr.codecs.GzipCodec()
    path = write_zarr(tmp_path / "a.zarr", pixels("uint8", (64, 64)), compressors=codec)
    (path / "c" / "0" / "0").write_bytes(gzip.compress(bytes(2**27)))
    refused(path, "cannot be decoded")


def test_zarr_chunk_of_the_wrong_size(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (64, 64)), compressors=None)
    for size in (2 * 64 * 64 - 1, 2 * 64 * 64 + 2, 2):
        (path / "c" / "0" / "0").write_bytes(bytes(size))
        refused(path, "cannot be decoded")


def test_zarr_chunk_that_is_empty(store: Path) -> None:
    _chunk(store).write_bytes(b"")
    refused(store, "a chunk of 0 bytes, which is truncated")


def test_zarr_chunk_that_is_far_too_large(store: Path) -> None:
    os.truncate(_chunk(store), 2**34)
    refused(store, "which is too much")


def test_zarr_chunk_that_is_garbage(store: Path) -> None:
    _chunk(store).write_bytes(b"garbage")
    refused(store, "cannot be decoded")


def test_zarr_shard_that_is_truncated(tmp_path: Path) -> None:
    image = pixels("uint16", (64, 64))
    options: dict[str, Any] = {"chunks": (16, 16), "shards": (64, 64)}
    for location in ("start", "end"):
        codec = zarr.codecs.ShardingCodec(chunk_shape=(16, 16), index_location=location)
        path = tmp_path / "a.zarr"
        options = {"chunks": (64, 64), "serializer": codec, "compressors": None}
        write_zarr(path, image, **options)
        shard = path / "c" / "0" / "0"
        np.testing.assert_array_equal(read(path)[1][0, 0, 0], image)
        os.truncate(shard, shard.stat().st_size // 2)
        last = Region((0, 1), (0, 1), (0, 1), (50, 60), (50, 60))
        for region in (None, last):
            refused(path, "truncated|cannot be decoded", region)


def test_zarr_chunk_that_is_no_file(store: Path) -> None:
    chunk = _chunk(store)
    chunk.unlink()
    os.mkfifo(chunk)
    refused(store, "is no file")


@pytest.mark.parametrize("leads_to", ["chunk", "metadata", "array"])
def test_zarr_link_that_leads_out_of_the_store(tmp_path: Path, leads_to: str) -> None:
    image = pixels("uint8", (16, 16))
    path = write_ome_zarr(tmp_path / "a.zarr", image, ["y", "x"])
    inside = {"chunk": path / "0" / "0" / "0", "metadata": path / ".zattrs", "array": path / "0"}
    outside = tmp_path / "elsewhere"
    inside[leads_to].rename(outside)
    inside[leads_to].symlink_to(outside)
    refused(path, "a link that leads out of the store")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"shape": NaN}', "\xff"])
@pytest.mark.parametrize("name", ["zarr.json", ".zarray"])
def test_zarr_metadata_that_are_corrupt(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / name).write_text(text, encoding="latin-1")
    refused(tmp_path / "a.zarr", r"a\.zarr")


def test_zarr_metadata_that_are_too_large(store: Path) -> None:
    os.truncate(store / (".zarray" if (store / ".zarray").exists() else "zarr.json"), 2**27)
    refused(store, "at most 64 MiB are read")


class _Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("place", ["filters", "compressor"])
@pytest.mark.parametrize("dtype", ["|O", "<u2"])
def test_zarr_pickle_is_never_opened(tmp_path: Path, place: str, dtype: str) -> None:
    path = write_zarr(
        tmp_path / "a.zarr", pixels("uint16", (8, 8)), zarr_format=2, compressors=None
    )
    codec = {"id": "pickle", "protocol": 5}
    _document(path, dtype=dtype, **{place: [codec] if place == "filters" else codec})
    (path / "0.0").write_bytes(pickle.dumps(_Trap(str(tmp_path / "sprung"))))
    refused(path, r"pixels of type '\|O'|has the codec 'pickle', which is not read")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("dtype", ["<c8", "<M8[s]", "<U4", "|V3", [["a", "<u2"]], None, 7])
def test_zarr_v2_dtypes_that_are_no_numbers(tmp_path: Path, dtype: Any) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (8, 8)), zarr_format=2)
    refused(_document(path, dtype=dtype), "pixels of type .*; expected whole or real numbers")


@pytest.mark.parametrize("dtype", ["complex64", "string", {"name": "struct"}, None])
def test_zarr_v3_dtypes_that_are_no_numbers(tmp_path: Path, dtype: Any) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (8, 8)))
    refused(_document(path, data_type=dtype), "pixels of type .*; expected whole or real numbers")


@pytest.mark.parametrize(
    "codecs",
    [
        [{"name": "bytes"}, {"name": "unknown"}],
        [{"name": "vlen-bytes"}],
        ["bytes"],
        {"name": "bytes"},
        None,
        [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "pickle"}]}}],
        [{"name": "sharding_indexed", "configuration": 3}],
    ],
)
def test_zarr_codecs_that_are_unknown(tmp_path: Path, codecs: Any) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (8, 8)))
    refused(_document(path, codecs=codecs), "has the codec .*, which is not read")


@pytest.mark.parametrize("path", ["../b.zarr/0", "/etc", "", None, "gone", "."])
def test_ome_zarr_that_names_a_path_outside(tmp_path: Path, path: Any) -> None:
    image = pixels("uint8", (16, 16))
    write_ome_zarr(tmp_path / "b.zarr", image, ["y", "x"])
    store = write_ome_zarr(tmp_path / "a.zarr", image, ["y", "x"])
    attributes = {"multiscales": [{"datasets": [{"path": path}]}]}
    (store / ".zattrs").write_text(json.dumps(attributes))
    refused(store, "expected a path inside it|a folder without")


def test_zarr_groups_that_never_end(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    zarr.open_group(root, mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    (root / "0").symlink_to(".")
    refused(root, r"a\.zarr")
