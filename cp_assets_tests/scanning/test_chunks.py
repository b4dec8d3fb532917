"""Rows of the chunk index, held against the files themselves and against iceberg-bioimage."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tifffile
import zarr
from iceberg_bioimage.api import scan_store
from iceberg_bioimage.publishing.chunk_index import scan_result_to_chunk_rows

from cp_assets.datasets import PlateKey
from cp_assets.errors import ImageReadError
from cp_assets.scanning import CHUNK_INDEX, chunk_index_batches, own_keys, scan
from cp_assets_tests.scanning import stores

PLATE = PlateKey("dataset", "batch", "plate")


def rows_of(path: Path) -> list[dict[str, Any]]:
    assets = [(asset, own_keys(asset)) for asset in scan(str(path)).image_assets]
    batches = chunk_index_batches(PLATE, assets)
    return pa.Table.from_batches(batches, CHUNK_INDEX.schema).to_pylist()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_agree_with_iceberg_bioimage(tmp_path: Path, zarr_format: int) -> None:
    stores.write_pyramid(tmp_path / "a.zarr", zarr_format)
    expected = scan_result_to_chunk_rows(scan_store(str(tmp_path / "a.zarr")))
    expected.sort(key=lambda row: str(row["image_id"]))
    found = rows_of(tmp_path / "a.zarr")
    names = ("image_id", "array_path", "chunk_key", "chunk_coords_json")
    assert [tuple(row[name] for name in names) for row in found] == [
        tuple(row[name] for name in names) for row in expected
    ]
    # What it calls byte_length is the size of the pixels: it does not look at the files.
    assert [row["decoded_bytes"] for row in found] == [row["byte_length"] for row in expected]


@pytest.mark.parametrize(
    "options",
    [
        {"zarr_format": 2},
        {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"zarr_format": 3},
        {"zarr_format": 3, "chunk_key_encoding": {"name": "default", "separator": "."}},
        {"zarr_format": 3, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    ],
)
def test_files_of_chunks(tmp_path: Path, options: dict[str, Any]) -> None:
    stores.write_array(tmp_path / "a.zarr", stores.PIXELS + 1, **options)
    rows = rows_of(tmp_path / "a.zarr")
    chunks = {
        str(file)
        for file in (tmp_path / "a.zarr").rglob("*")
        if file.is_file() and file.name not in {".zarray", ".zattrs", "zarr.json"}
    }
    assert {row["file"] for row in rows} == chunks
    assert {row["codec"] for row in rows} == {"zstd"}
    assert {row["byte_offset"] for row in rows} == {None}


def pieces(row: dict[str, Any]) -> tuple[slice, ...]:
    starts, shape = row["chunk_start"], row["chunk_shape"]
    return tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))


@pytest.mark.parametrize("index_location", ["start", "end"])
def test_chunks_in_shards(tmp_path: Path, index_location: str) -> None:
    sharding = zarr.codecs.ShardingCodec(
        chunk_shape=(1, 2, 16, 16),
        codecs=[zarr.codecs.BytesCodec(endian="little"), zarr.codecs.GzipCodec()],
        index_location=index_location,
    )
    pixels = stores.PIXELS + 1
    pixels[:, :, :16, 16:32] = 0
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=pixels.shape,
        chunks=(1, 2, 32, 32),
        dtype=pixels.dtype,
        serializer=sharding,
        compressors=None,
        filters=None,
        zarr_format=3,
        config={"write_empty_chunks": False},
    )
    array[...] = pixels
    rows = rows_of(tmp_path / "a.zarr")
    assert len(rows) == 2 * 2 * 3 * 4
    for row in rows:
        expected = pixels[pieces(row)]
        assert row["decoded_bytes"] == expected.nbytes
        if row["byte_offset"] is None:
            assert not expected.any()
            continue
        data = Path(row["file"]).read_bytes()
        stored = data[row["byte_offset"] : row["byte_offset"] + row["byte_length"]]
        chunk = np.frombuffer(gzip.decompress(stored), "<u2").reshape(1, 2, 16, 16)
        inside = tuple(slice(0, size) for size in row["chunk_shape"])
        np.testing.assert_array_equal(chunk[inside], expected)
        assert row["codec"] == "gzip"
    assert sum(row["byte_offset"] is None for row in rows) == 4


def test_shard_that_is_cut(tmp_path: Path) -> None:
    stores.write_array(tmp_path / "a.zarr", stores.PIXELS + 1, 3, shards=(1, 2, 32, 32))
    shard = tmp_path / "a.zarr" / "c" / "0" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[-70:-8])
    with pytest.raises(ImageReadError, match=r"c/0/0/0/0: .*copy the store again"):
        rows_of(tmp_path / "a.zarr")


def test_shard_that_is_not_there(tmp_path: Path) -> None:
    stores.write_array(tmp_path / "a.zarr", stores.PIXELS + 1, 3, shards=(1, 2, 32, 32))
    shard = tmp_path / "a.zarr" / "c" / "0" / "0" / "0" / "0"
    shard.unlink()
    rows = [row for row in rows_of(tmp_path / "a.zarr") if row["file"] == str(shard)]
    assert len(rows) == 4
    assert {row["byte_length"] for row in rows} == {None}


def decoded(row: dict[str, Any], tile: tuple[int, ...]) -> Any:
    data = Path(row["file"]).read_bytes()
    stored = data[row["byte_offset"] : row["byte_offset"] + row["byte_length"]]
    raw = zlib.decompress(stored) if row["codec"] == "adobe_deflate" else stored
    return np.frombuffer(raw, "<u2").reshape(tile)


@pytest.mark.parametrize("ome", [True, False])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiles(tmp_path: Path, *, ome: bool, compression: str | None) -> None:
    metadata = {"axes": "CZYX"} if ome else None
    tifffile.imwrite(
        tmp_path / "a.tif",
        stores.PIXELS,
        tile=(16, 32),
        ome=ome,
        photometric="minisblack",
        compression=compression,
        metadata=metadata,
    )
    pixels = stores.PIXELS if ome else stores.PIXELS.reshape(-1, 40, 50)
    rows = rows_of(tmp_path / "a.tif")
    assert len(rows) == 6 * 3 * 2
    for row in rows:
        inside = tuple(slice(0, size) for size in row["chunk_shape"][-2:])
        tile = decoded(row, (16, 32))[inside]
        np.testing.assert_array_equal(tile, pixels[pieces(row)].reshape(tile.shape))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiles_of_colours(tmp_path: Path, planar: str) -> None:
    shape = (40, 50, 3) if planar == "contig" else (3, 40, 50)
    pixels = np.arange(40 * 50 * 3, dtype=np.uint16).reshape(shape)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, tile=(16, 32), photometric="rgb", planarconfig=planar
    )
    for row in rows_of(tmp_path / "a.tif"):
        one = (16, 32, 3) if planar == "contig" else (1, 16, 32)
        inside = tuple(slice(0, size) for size in row["chunk_shape"])
        np.testing.assert_array_equal(decoded(row, one)[inside], pixels[pieces(row)])


def test_none_of_unchunked_images(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stores.PIXELS[0, 0])
    assert rows_of(tmp_path / "a.tif") == []


def test_keys(tmp_path: Path) -> None:
    stores.write_plate(tmp_path / "a.zarr")
    row = rows_of(tmp_path / "a.zarr")[0]
    assert (row["dataset_id"], row["batch_id"], row["plate_id"]) == ("dataset", "batch", "plate")
    assert (row["well_id"], row["Metadata_Site"]) == ("A01", "0")


def test_store_that_changed(tmp_path: Path) -> None:
    stores.write_array(tmp_path / "a.zarr")
    assets = [(asset, own_keys(asset)) for asset in scan(str(tmp_path / "a.zarr")).image_assets]
    stores.change_json(tmp_path / "a.zarr" / ".zarray", shape=[1, 1, 1, 1])
    with pytest.raises(ImageReadError, match="scan it again"):
        list(chunk_index_batches(PLATE, assets))


@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed`")
def test_shards_of_transposed_axes(tmp_path: Path) -> None:
    pixels = np.arange(15 * 20 * 30, dtype="<u2").reshape(15, 20, 30) + 1
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=pixels.shape,
        dtype="uint16",
        chunks=(10, 20, 30),
        compressors=None,
        filters=[zarr.codecs.TransposeCodec(order=(2, 0, 1))],
        serializer=zarr.codecs.ShardingCodec(
            chunk_shape=(10, 2, 5), codecs=[zarr.codecs.BytesCodec()]
        ),
    )
    array[...] = pixels
    rows = rows_of(tmp_path / "a.zarr")
    assert len(rows) == 8 * 4 * 3
    for row in rows:
        data = Path(row["file"]).read_bytes()
        stored = data[row["byte_offset"] : row["byte_offset"] + row["byte_length"]]
        chunk = np.frombuffer(stored, "<u2").reshape(10, 2, 5).transpose(1, 2, 0)
        inside = chunk[: row["chunk_shape"][0]]
        np.testing.assert_array_equal(inside, pixels[pieces(row)])


def test_transposed_by_what_is_no_order(tmp_path: Path) -> None:
    stores.write_array(tmp_path / "a.zarr", stores.PIXELS + 1, 3, shards=(1, 2, 32, 32))
    file = tmp_path / "a.zarr" / "zarr.json"
    codecs = json.loads(file.read_text())["codecs"]
    turned = {"name": "transpose", "configuration": {"order": [0, 1, 2, 2]}}
    stores.change_json(file, codecs=[turned, *codecs])
    with pytest.raises(ImageReadError, match=r"transposed by \[0, 1, 2, 2\]; expected"):
        rows_of(tmp_path / "a.zarr")


def test_shard_that_is_compressed_whole(tmp_path: Path) -> None:
    stores.write_array(tmp_path / "a.zarr", stores.PIXELS + 1, 3, shards=(1, 2, 32, 32))
    file = tmp_path / "a.zarr" / "zarr.json"
    codecs = json.loads(file.read_text())["codecs"]
    stores.change_json(file, codecs=[*codecs, {"name": "gzip", "configuration": {"level": 5}}])
    for shard in (tmp_path / "a.zarr" / "c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(gzip.compress(shard.read_bytes()))
    rows = rows_of(tmp_path / "a.zarr")
    assert rows
    assert {(row["byte_offset"], row["byte_length"]) for row in rows} == {(None, None)}


def test_tiles_of_separate_samples_in_one_run(tmp_path: Path) -> None:
    pixels = np.arange(5 * 3 * 16 * 16, dtype="<u2").reshape(5, 3, 16, 16)
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(16, 16), planarconfig="separate", **options)
    tifffile.imwrite(tmp_path / "a.tif", pixels[0, :2], append=True, **options)
    rows = rows_of(tmp_path / "a.tif")
    assert len(rows) == 5 * 3
    for row in rows:
        np.testing.assert_array_equal(decoded(row, (1, 1, 16, 16)), pixels[pieces(row)])


HUGE = 2**62


@pytest.mark.parametrize(
    ("shape", "chunks", "named"),
    [
        ([HUGE, HUGE], [1, 1], "over 2.124 chunks"),
        ([2**70, 5], [2**69, 5], "over 2.70 pixels along an axis"),
        ([2**50, 2**50], [2**50, 2**50], "over 2.101 bytes in a chunk"),
        ([2**21, 2**20], [1, 1], "2,199,023,255,552 chunks, expected at most 1,099,511,627,776"),
        ([1] * 70, [1] * 70, "70 axes"),
    ],
)
def test_sizes_that_no_array_has(
    tmp_path: Path, shape: list[int], chunks: list[int], named: str
) -> None:
    stores.write_array(tmp_path / "a.zarr")
    stores.change_json(tmp_path / "a.zarr" / ".zarray", shape=shape, chunks=chunks)
    with pytest.raises(ImageReadError, match=f"claim {named}.*copy the store again"):
        scan(str(tmp_path / "a.zarr"))


def test_shard_of_more_chunks_than_are_read(tmp_path: Path) -> None:
    stores.write_array(tmp_path / "a.zarr", stores.PIXELS[0, 0], 3, shards=(32, 32))
    file = tmp_path / "a.zarr" / "zarr.json"
    document = json.loads(file.read_text())
    document["chunk_grid"]["configuration"]["chunk_shape"] = [2**20, 2**20]
    document["codecs"][0]["configuration"]["chunk_shape"] = [1, 1]
    stores.change_json(file, **document)
    with pytest.raises(ImageReadError, match="1,099,511,627,776 chunks in a shard"):
        scan(str(tmp_path / "a.zarr"))
