"""Files that are wrong, by accident or on purpose, end in one kind of error."""

from __future__ import annotations

import gzip
import json
import logging
import os
import pickle
import resource
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from cp_assets.errors import ImageReadError, InputChangedError
from cp_assets.images.readers import Region, open_image
from cp_assets_tests.images.readers.files import (
    limit_memory,
    ome_xml,
    pixels,
    read,
    write_ome_set,
    write_ome_zarr,
    write_zarr,
)

CORNER = Region((0, 1), (0, 1), (0, 1), (0, 4), (0, 4))
HUGE = 1_000_000


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    """No more than 1 GiB beyond what the process already has."""
    limits = limit_memory(2**30)
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def _refused(path: Path, match: str, region: Region | None = None, **options: Any) -> None:
    with pytest.raises(ImageReadError, match=match):
        read(path, region, **options)


def _tiff(path: Path, image: Any = None, **options: Any) -> Path:
    image = pixels("uint8", (64, 64)) if image is None else image
    tifffile.imwrite(path, image, metadata=None, **options)
    return path


def _retag(path: Path, **values: Any) -> Path:
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in values.items():
            tiff.pages.first.tags[name].overwrite(value)
    return path


# -- any file


def test_missing_file(tmp_path: Path) -> None:
    _refused(tmp_path / "gone.tif", r"gone\.tif: cannot be opened \(No such file")


@pytest.mark.parametrize("content", [b"", b"II", b"GIF89a.....", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    _refused(tmp_path / "a.tif", "neither TIFF, PNG nor Zarr|cannot be decoded")


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    _refused(tmp_path / "a.tif", "neither a file nor a folder")


def test_path_that_cannot_be() -> None:
    _refused(Path("a\0.tif"), "cannot be opened")


# -- TIFF


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_header_that_claims_a_million_squared(tmp_path: Path, tile: Any) -> None:
    path = _tiff(tmp_path / "a.tif", tile=tile, compression="zlib")
    _retag(path, ImageWidth=HUGE, ImageLength=HUGE)
    with open_image(path) as reader:
        assert reader.header.nbytes == HUGE**2
    _refused(path, "more than the 4,294,967,296 that one read may take")
    _refused(path, "never written|claims to decode|cannot be decoded|more than", CORNER)


def test_tiff_strip_that_claims_a_million_squared(tmp_path: Path) -> None:
    path = _tiff(tmp_path / "a.tif", compression="zlib", rowsperstrip=64)
    _retag(path, ImageWidth=HUGE, ImageLength=HUGE, RowsPerStrip=HUGE)
    _refused(path, r"a strip or tile decodes to 1,000,000,000,000 bytes", CORNER)


def test_tiff_of_many_samples_counts_them_all(tmp_path: Path) -> None:
    image = pixels("uint8", (64, 64, 100))
    path = _tiff(tmp_path / "a.tif", image, photometric="minisblack", planarconfig="contig")
    one = Region((0, 1), (7, 8), (0, 1), (0, 64), (0, 64))
    np.testing.assert_array_equal(read(path, one)[1][0, 0, 0], image[..., 7])
    _refused(path, "a window of a page decodes to 409,600 bytes", one, limit=2**18)


def test_tiff_that_claims_a_billion_planes(tmp_path: Path) -> None:
    description = '{"shape": [1000000000, 4, 4]}'
    path = _tiff(tmp_path / "a.tif", pixels("uint8", (4, 4)), description=description)
    _refused(path, "claims to hold 1,000,000,000 planes; at most 262,144 are read")


def test_tiff_that_claims_planes_past_its_end(tmp_path: Path) -> None:
    description = '{"shape": [1000, 4, 4]}'
    path = _tiff(tmp_path / "a.tif", pixels("uint8", (4, 4)), description=description)
    _refused(path, "cannot be decoded")


def test_tiff_tile_that_claims_a_gigabyte(tmp_path: Path) -> None:
    path = _tiff(tmp_path / "a.tif", compression="zlib", tile=(64, 64))
    _retag(path, TileWidth=32768, TileLength=32768)
    _refused(path, "claims to decode to 1,073,741,824 bytes from")


def test_tiff_deflate_bomb_stops_at_the_size_of_its_tile(tmp_path: Path) -> None:
    path = _tiff(tmp_path / "a.tif", compression="zlib", tile=(64, 64))
    compressor = zlib.compressobj(1)
    bomb = b"".join(compressor.compress(bytes(2**24)) for _ in range(8)) + compressor.flush()
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bomb)
    _retag(path, TileOffsets=[size], TileByteCounts=[len(bomb)])
    _refused(path, "cannot be decoded")


def test_tiff_tiles_that_share_their_bytes(tmp_path: Path) -> None:
    path = _tiff(tmp_path / "a.tif", np.zeros((512, 512), "u1"), compression="zlib", tile=(16, 16))
    with path.open("ab") as file:
        file.write(bytes(2**20))
    _retag(path, TileOffsets=[1000] * 1024, TileByteCounts=[2**16 - 1] * 1024)
    _refused(path, "overlap|end at byte")


@pytest.mark.parametrize("start", [1, 150])
def test_tiff_page_chain_that_loops(tmp_path: Path, start: int) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(start + 3):
            writer.write(pixels("uint8", (4, 4)), contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        first, last = tiff.pages[start - 1].offset, tiff.pages.next_page_offset
    with path.open("r+b") as file:
        file.seek(last)
        file.write(struct.pack("<I", first))
    _refused(path, "leads back to an earlier one")


def test_tiff_page_past_the_end_of_the_file(tmp_path: Path) -> None:
    path = _tiff(tmp_path / "a.tif")
    with tifffile.TiffFile(path) as tiff:
        link = tiff.pages.next_page_offset
    with path.open("r+b") as file:
        file.seek(link)
        file.write(struct.pack("<I", 2**31))
    _refused(path, "cannot be decoded")


def test_tiff_first_page_past_the_end_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\x00" + struct.pack("<I", 2**31))
    _refused(tmp_path / "a.tif", "its first page is not inside the file")


@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
def test_tiff_page_without_pixels(tmp_path: Path, tag: str) -> None:
    _refused(_retag(_tiff(tmp_path / "a.tif"), **{tag: 0}), "holds no pixels|cannot be decoded")


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_tiff_strips_that_were_never_written(tmp_path: Path, compression: Any) -> None:
    path = _tiff(tmp_path / "a.tif", tile=(16, 16), compression=compression)
    _refused(
        _retag(path, TileByteCounts=[0] * 16), "16 of its 16 strips or tiles were never written"
    )


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_that_is_truncated(tmp_path: Path, compression: Any, tile: Any) -> None:
    image = pixels("uint16", (90, 90))
    path = _tiff(tmp_path / "a.tif", image, compression=compression, tile=tile)
    os.truncate(path, path.stat().st_size - 1000)
    _refused(path, r"a\.tif: strips or tiles end at byte [\d,]+ in a file of")


def test_tiff_strip_shorter_than_its_rows(tmp_path: Path) -> None:
    path = _retag(_tiff(tmp_path / "a.tif"), StripByteCounts=[64 * 63])
    _refused(path, "hold 4,032 of 4,096 bytes")


def test_tiff_strips_of_no_rows(tmp_path: Path) -> None:
    path = _retag(_tiff(tmp_path / "a.tif"), RowsPerStrip=0)
    with pytest.raises(ImageReadError, match="its tiles or strips have 1x0x64 pixels"):
        open_image(path)


@pytest.mark.parametrize("tag", ["TileWidth", "TileLength"])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_tiff_tiles_of_no_pixels(tmp_path: Path, tag: str, compression: Any) -> None:
    path = _retag(_tiff(tmp_path / "a.tif", tile=(16, 16), compression=compression), **{tag: 0})
    with pytest.raises(ImageReadError, match="its tiles or strips have"):
        open_image(path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"II*\x00" + struct.pack("<I", 0), "its first page is not inside the file"),
        (b"II*\x00" + struct.pack("<I", 2**31), "its first page is not inside the file"),
        (b"MM\x00*", "it ends inside one of its headers"),
        (b"II*\x00" + struct.pack("<IH", 8, 1) + b"\x00\x01", "corrupt"),
    ],
    ids=["none", "outside", "short", "half"],
)
def test_tiff_that_is_refused_says_why_and_nothing_else(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    content: bytes,
    match: str,
) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    _refused(tmp_path / "a.tif", match)
    assert capfd.readouterr().err == ""
    assert not caplog.records


def test_log_of_tifffile_is_ours_at_debug_while_we_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\x00" + struct.pack("<I", 2**31))
    with caplog.at_level(logging.DEBUG):
        _refused(tmp_path / "a.tif", "its first page")
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert "invalid offset to first page" in caplog.text
    caplog.clear()
    logging.getLogger("tifffile").warning("said to others")
    assert [record.name for record in caplog.records] == ["tifffile"]


@pytest.mark.parametrize("inner", ["jpeg", "png", "webp"])
def test_tiff_tile_that_is_a_larger_image(tmp_path: Path, inner: str) -> None:
    image = pixels("uint8", (64, 64, 3))
    path = _tiff(tmp_path / "a.tif", image, photometric="rgb", compression=inner, tile=(64, 64))
    _retag(path, TileWidth=16, TileLength=16, ImageWidth=16, ImageLength=16)
    _refused(path, "64x64 in a tile of 256")


# -- OME-TIFF


def _ome(path: Path, xml: str, pages: int = 1) -> Path:
    return _tiff(path, pixels("uint8", (pages, 8, 8)), description=xml, photometric="minisblack")


def test_ome_xml_with_an_entity_bomb(tmp_path: Path) -> None:
    entities = '<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    xml = ome_xml('SizeX="8" SizeY="8"', "&j;<TiffData/>", before=f"<!DOCTYPE x [{entities}]>")
    _refused(_ome(tmp_path / "a.tif", xml), "declares a document type or entities")


def test_ome_xml_with_an_external_entity(tmp_path: Path) -> None:
    before = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    xml = ome_xml('SizeX="8" SizeY="8"', "&e;<TiffData/>", before=before)
    _refused(_ome(tmp_path / "a.tif", xml), "declares a document type or entities")


def test_ome_xml_that_is_too_large(tmp_path: Path) -> None:
    xml = ome_xml('SizeX="8" SizeY="8"', f"<TiffData/><!--{'x' * 2**26}-->")
    _refused(_ome(tmp_path / "a.tif", xml), "at most 64 MiB are read")


@pytest.mark.parametrize(
    ("sizes", "inside", "match"),
    [
        ('SizeX="8" SizeY="8" SizeZ="1000000000"', "<TiffData/>", "planes; at most 262,144"),
        ('SizeX="8" SizeY="8" SizeZ="0"', "<TiffData/>", "sizes"),
        ('SizeX="8" SizeY="8"', '<TiffData PlaneCount="1000000000"/>', "TiffData of 10000000"),
        ('SizeX="8" SizeY="8"', '<TiffData FirstZ="7"/>', "FirstZ 7 of 1"),
        ('SizeX="8" SizeY="8"', '<TiffData IFD="-1"/>', "page -1"),
        ('SizeX="8" SizeY="8"', '<TiffData IFD="9"/>', "names page 9 of itself, which has 1"),
        ('SizeX="800" SizeY="8"', "<TiffData/>", "OME-XML says 8x800 pixels"),
        ('SizeX="8" SizeY="eight"', "<TiffData/>", "cannot be used"),
        (
            'SizeX="8" SizeY="8" SizeC="6"',
            '<Channel SamplesPerPixel="4"/><TiffData/>',
            "samples for each pixel",
        ),
    ],
    ids=["planes", "zero", "count", "first", "negative", "page", "size", "number", "samples"],
)
def test_ome_xml_that_says_the_impossible(
    tmp_path: Path, sizes: str, inside: str, match: str
) -> None:
    _refused(_ome(tmp_path / "a.tif", ome_xml(sizes, inside)), match)


def test_ome_xml_that_is_broken(tmp_path: Path) -> None:
    _refused(_ome(tmp_path / "a.tif", "<OME><Image></OME>"), "its OME-XML cannot be used")


def test_ome_xml_that_lists_planes_again_and_again(tmp_path: Path) -> None:
    sizes = 'SizeX="8" SizeY="8" SizeZ="200000"'
    xml = ome_xml(sizes, '<TiffData PlaneCount="200000"/>' * 2000)
    _refused(_ome(tmp_path / "a.tif", xml), "lists planes again and again")


def test_ome_plane_that_was_never_written(tmp_path: Path) -> None:
    blocks = '<TiffData FirstZ="1" IFD="0" PlaneCount="1"/>'
    path = _ome(tmp_path / "a.tif", ome_xml('SizeX="8" SizeY="8" SizeZ="2"', blocks))
    written = Region((0, 1), (0, 1), (1, 2), (0, 8), (0, 8))
    np.testing.assert_array_equal(read(path, written)[1][0, 0], pixels("uint8", (1, 8, 8)))
    _refused(path, "plane T=0 C=0 Z=0 was never written")


@pytest.mark.parametrize("kind", ["parent", "absolute", "link"])
def test_ome_set_that_leaves_its_folder(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    _tiff(tmp_path / "secret.tif", pixels("uint8", (8, 8)))
    (folder / "link.tif").symlink_to(tmp_path / "secret.tif")
    names = {"parent": "../secret.tif", "absolute": tmp_path / "secret.tif", "link": "link.tif"}
    blocks = f'<TiffData IFD="0"><UUID FileName="{names[kind]}">urn:uuid:2</UUID></TiffData>'
    xml = ome_xml('SizeX="8" SizeY="8"', blocks, root=' UUID="urn:uuid:1"')
    _refused(_ome(folder / "a.tif", xml), "which lies outside its folder")


def test_ome_set_of_which_a_file_is_missing(tmp_path: Path) -> None:
    first, second, _ = write_ome_set(tmp_path, pixels("uint8", (3, 8, 8)))
    second.unlink()
    _refused(first, r"names 't1\.ome\.tif', which is not there; copy the 2 files")


def test_ome_set_of_one_file_that_is_missing(tmp_path: Path) -> None:
    blocks = '<TiffData IFD="0"><UUID FileName="b.tif">urn:uuid:2</UUID></TiffData>'
    xml = ome_xml('SizeX="8" SizeY="8"', blocks, root=' UUID="urn:uuid:1"')
    _refused(_ome(tmp_path / "a.tif", xml), r"'b\.tif', which is not there; copy it into")


def test_ome_set_whose_files_differ(tmp_path: Path) -> None:
    first, second = write_ome_set(tmp_path, pixels("uint8", (2, 8, 8)))
    _tiff(second, pixels("uint16", (8, 8)))
    _refused(first, r"plane T=1 C=0 Z=0 is uint16 \(8, 8\), others are uint8")


# -- PNG


def _png(path: Path, width: int, height: int, mode: str = "L") -> Path:
    Image.fromarray(pixels("uint8", (32, 32))).convert(mode).save(path)
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("mode", ["L", "P"])
def test_png_header_that_claims_a_million_squared(tmp_path: Path, mode: str) -> None:
    path = _png(tmp_path / "a.png", HUGE, HUGE, mode)
    with open_image(path) as reader:
        assert reader.header.nbytes == HUGE**2
    _refused(path, "more than the 4,294,967,296 that one read may take")
    _refused(path, "the image decodes to 1,000,000,000,000 bytes", CORNER)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_png_header_that_claims_a_gigabyte(tmp_path: Path, mode: str) -> None:
    _refused(_png(tmp_path / "a.png", 32768, 32768, mode), "claims to decode to 1,073,741,824")


def test_png_without_pixels(tmp_path: Path) -> None:
    _refused(_png(tmp_path / "a.png", 0, 32), "0x32 pixels")


def test_png_that_is_truncated(tmp_path: Path) -> None:
    Image.fromarray(pixels("uint8", (90, 90))).save(tmp_path / "a.png")
    os.truncate(tmp_path / "a.png", 2000)
    _refused(tmp_path / "a.png", r"a\.png: cannot be decoded")


@pytest.mark.parametrize("mode", ["1", "P", "L", "I;16", "RGB"])
@pytest.mark.parametrize("damage", ["zeros", "flip", "half", "no-end"])
def test_png_that_is_damaged(tmp_path: Path, mode: str, damage: str) -> None:
    path = tmp_path / "a.png"
    image = pixels("uint16", (200, 300))
    grey = Image.fromarray(image if mode == "I;16" else image.astype("uint8") * 2)
    (grey if mode == "I;16" else grey.convert(mode)).save(path)
    data = path.read_bytes()
    half = len(data) // 2
    damaged = {
        "zeros": data[:half] + bytes(len(data) - half),
        "flip": data[:half] + bytes([data[half] ^ 255]) + data[half + 1 :],
        "half": data[:half],
        "no-end": data[:-12],
    }
    path.write_bytes(damaged[damage])
    _refused(path, "cannot be decoded .*(checksum of its chunk|ends inside)")


# -- Zarr


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
    _refused(store, "more than the 4,294,967,296 that one read may take")


def test_zarr_whose_shape_passes_any_integer(store: Path) -> None:
    _document(store, shape=[2**80, 2**80])
    _refused(store, "more than the 4,294,967,296|cannot be decoded")


def test_zarr_chunk_that_claims_a_million_squared(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint8", (8, 8)), zarr_format=2)
    _document(path, chunks=[HUGE, HUGE])
    _refused(path, r"a chunk decodes to 1,000,000,000,000 bytes")


def test_zarr_of_a_billion_chunks(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint8", (8, 8)), zarr_format=2)
    _document(path, shape=[40_000, 40_000], chunks=[1, 1])
    _refused(path, "1,600,000,000 chunks of .* in one window")


def test_zarr_shard_of_a_billion_chunks(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint8", (8, 8)), chunks=(1, 1), shards=(8, 8))
    grid = {"name": "regular", "configuration": {"chunk_shape": [40_000, 40_000]}}
    _refused(_document(path, chunk_grid=grid), "shards of 1,600,000,000 chunks")


@pytest.mark.parametrize("name", ["zlib", "gzip", "bz2", "lz4", "zstd", "blosc"])
def test_zarr_v2_chunk_that_is_a_bomb(tmp_path: Path, name: str) -> None:
    codec = numcodecs.get_codec({"id": name})
    path = write_zarr(
        tmp_path / "a.zarr", pixels("uint8", (64, 64)), zarr_format=2, compressors=codec
    )
    (path / "0.0").write_bytes(codec.encode(bytes(2**27)))
    if (path / "0.0").stat().st_size > 2**20:
        _refused(path, "which is too much|cannot be decoded")
    else:
        _refused(path, "cannot be decoded")


def test_zarr_v3_chunk_that_is_a_bomb(tmp_path: Path) -> None:
    codec = zarr.codecs.GzipCodec()
    path = write_zarr(tmp_path / "a.zarr", pixels("uint8", (64, 64)), compressors=codec)
    (path / "c" / "0" / "0").write_bytes(gzip.compress(bytes(2**27)))
    _refused(path, "cannot be decoded")


def test_zarr_chunk_of_the_wrong_size(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (64, 64)), compressors=None)
    for size in (2 * 64 * 64 - 1, 2 * 64 * 64 + 2, 2):
        (path / "c" / "0" / "0").write_bytes(bytes(size))
        _refused(path, "cannot be decoded")


def test_zarr_chunk_that_is_empty(store: Path) -> None:
    _chunk(store).write_bytes(b"")
    _refused(store, "a chunk of 0 bytes, which is truncated")


def test_zarr_chunk_that_is_far_too_large(store: Path) -> None:
    os.truncate(_chunk(store), 2**34)
    _refused(store, "which is too much")


def test_zarr_chunk_that_is_garbage(store: Path) -> None:
    _chunk(store).write_bytes(b"garbage")
    _refused(store, "cannot be decoded")


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
            _refused(path, "truncated|cannot be decoded", region)


def test_zarr_chunk_that_is_no_file(store: Path) -> None:
    chunk = _chunk(store)
    chunk.unlink()
    os.mkfifo(chunk)
    _refused(store, "is no file")


@pytest.mark.parametrize("leads_to", ["chunk", "metadata", "array"])
def test_zarr_link_that_leads_out_of_the_store(tmp_path: Path, leads_to: str) -> None:
    image = pixels("uint8", (16, 16))
    path = write_ome_zarr(tmp_path / "a.zarr", image, ["y", "x"])
    inside = {"chunk": path / "0" / "0" / "0", "metadata": path / ".zattrs", "array": path / "0"}
    outside = tmp_path / "elsewhere"
    inside[leads_to].rename(outside)
    inside[leads_to].symlink_to(outside)
    _refused(path, "a link that leads out of the store")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"shape": NaN}', "\xff"])
@pytest.mark.parametrize("name", ["zarr.json", ".zarray"])
def test_zarr_metadata_that_are_corrupt(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / name).write_text(text, encoding="latin-1")
    _refused(tmp_path / "a.zarr", r"a\.zarr")


def test_zarr_metadata_that_are_too_large(store: Path) -> None:
    os.truncate(store / (".zarray" if (store / ".zarray").exists() else "zarr.json"), 2**27)
    _refused(store, "at most 64 MiB are read")


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
    _refused(path, r"pixels of type '\|O'|has the codec 'pickle', which is not read")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("dtype", ["<c8", "<M8[s]", "<U4", "|V3", [["a", "<u2"]], None, 7])
def test_zarr_v2_dtypes_that_are_no_numbers(tmp_path: Path, dtype: Any) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (8, 8)), zarr_format=2)
    _refused(_document(path, dtype=dtype), "pixels of type .*; expected whole or real numbers")


@pytest.mark.parametrize("dtype", ["complex64", "string", {"name": "struct"}, None])
def test_zarr_v3_dtypes_that_are_no_numbers(tmp_path: Path, dtype: Any) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (8, 8)))
    _refused(_document(path, data_type=dtype), "pixels of type .*; expected whole or real numbers")


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
    _refused(_document(path, codecs=codecs), "has the codec .*, which is not read")


@pytest.mark.parametrize("path", ["../b.zarr/0", "/etc", "", None, "gone", "."])
def test_ome_zarr_that_names_a_path_outside(tmp_path: Path, path: Any) -> None:
    image = pixels("uint8", (16, 16))
    write_ome_zarr(tmp_path / "b.zarr", image, ["y", "x"])
    store = write_ome_zarr(tmp_path / "a.zarr", image, ["y", "x"])
    attributes = {"multiscales": [{"datasets": [{"path": path}]}]}
    (store / ".zattrs").write_text(json.dumps(attributes))
    _refused(store, "expected a path inside it|a folder without")


def test_zarr_groups_that_never_end(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    zarr.open_group(root, mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    (root / "0").symlink_to(".")
    _refused(root, r"a\.zarr")


# -- files that change


@pytest.mark.parametrize("kind", ["tif", "png", "set", "zarr"])
@pytest.mark.parametrize("gone", [True, False], ids=["removed", "changed"])
def test_file_that_changes_while_it_is_read(tmp_path: Path, kind: str, gone: bool) -> None:
    image = pixels("uint8", (3, 16, 16))
    path = changed = tmp_path / f"a.{kind}"
    if kind == "tif":
        _tiff(path, image[0], compression="lzw")
    elif kind == "png":
        Image.fromarray(image[0]).save(path)
    elif kind == "set":
        path, changed, _ = write_ome_set(tmp_path, image)
    else:
        changed = write_zarr(path, image) / "zarr.json"
    with open_image(path) as reader:
        reader.read()
        if gone:
            changed.unlink()
        else:
            with changed.open("ab") as file:
                file.write(b" ")
        with pytest.raises(InputChangedError, match="changed while it was read"):
            reader.read()
