"""Images in an object store: the same pixels as from a disk, for few requests, of one version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from cp_assets.errors import ImageReadError, InputChangedError, StoreError, StoreUnavailableError
from cp_assets.images.readers import ImageFile, Region, open_image
from cp_assets.stores import ObjectPath
from cp_assets_tests.images.readers.files import pixels, read, write_ome_set, write_zarr
from cp_assets_tests.images.readers.test_windows import FORMATS
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.services.faulty import FaultyS3

IMAGE = pixels("uint16", (37, 41))


@pytest.mark.parametrize("name", FORMATS)
def test_pixels_are_those_on_disk(tmp_path: Path, bucket: Bucket, name: str) -> None:
    shape, write = FORMATS[name]
    image = pixels("uint8", shape)
    path = write(tmp_path, image)
    root = bucket.put(tmp_path)
    placed = root / path.relative_to(tmp_path).as_posix()
    window = Region(*((size // 3, size // 3 * 2 + 1) for size in shape))
    on_disk, _ = read(path)
    header, whole = read(placed)
    np.testing.assert_array_equal(whole, image)
    np.testing.assert_array_equal(read(placed, window)[1], image[window.slices])
    assert str(header.path) == str(on_disk.path).replace(str(tmp_path), str(root))
    for said in ("format", "shape", "dtype", "axes", "chunk_shape", "channel_names", "array_path"):
        assert getattr(header, said) == getattr(on_disk, said)


@pytest.mark.parametrize("name", ["tiff-lzw", "tiff-tiles", "png"])
def test_a_file_is_one_request(tmp_path: Path, bucket: Bucket, faulty: FaultyS3, name: str) -> None:
    shape, write = FORMATS[name]
    path = write(tmp_path, pixels("uint8", shape))
    (listed,) = bucket.put(tmp_path).iterdir()
    assert listed.name == path.name
    faulty.forget()
    read(listed)
    assert faulty.counts() == {"GetObject": 1}
    read(listed.known_as(None))
    assert faulty.counts() == {"GetObject": 2}


def test_bytes_that_were_fetched_are_not_asked_for_again(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    placed = bucket.put(tmp_path) / "a.tif"
    data = placed.read_bytes()
    faulty.forget()
    with open_image(ImageFile(placed, data)) as reader:
        np.testing.assert_array_equal(reader.read()[0, 0, 0], IMAGE)
        assert reader.held_bytes == len(data)
    assert not faulty.requests


def test_windows_of_a_large_tiled_file_take_few_requests(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    image = pixels("uint16", (3000, 4000))
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(256, 256))
    (listed,) = bucket.put(tmp_path).iterdir()
    faulty.forget()
    with open_image(listed) as reader:
        assert faulty.counts() == {"GetObject": 1}
        for y, x in ((0, 0), (2000, 1000), (2700, 3000)):
            region = Region((0, 1), (0, 1), (0, 1), (y, y + 300), (x, x + 300))
            np.testing.assert_array_equal(
                reader.read(region)[0, 0, 0], image[y : y + 300, x : x + 300]
            )
    # Each window touches two rows of tiles, which lie apart.
    assert faulty.counts() == {"GetObject": faulty.count("GetObject")}
    assert faulty.count("GetObject") <= 1 + 3 * 2


def test_zarr_is_read_by_chunk(tmp_path: Path, bucket: Bucket, faulty: FaultyS3) -> None:
    write_zarr(tmp_path / "a.zarr", IMAGE, chunks=(10, 10))
    (listed,) = bucket.put(tmp_path).iterdir()
    faulty.forget()
    with open_image(listed) as reader:
        opening = faulty.counts()
        region = Region((0, 1), (0, 1), (0, 1), (5, 15), (0, 10))
        np.testing.assert_array_equal(reader.read(region)[0, 0, 0], IMAGE[5:15, :10])
    # Four names in the folder, and four in the one above that may hold it.
    assert opening == {"GetObject": 8}
    assert faulty.counts() == {"GetObject": 10}


def test_a_set_of_files_asks_for_each_once(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    image = pixels("uint8", (4, 37, 41))
    write_ome_set(tmp_path, image)
    files = {file.name: file for file in bucket.put(tmp_path).iterdir()}
    faulty.forget()
    with open_image(ImageFile(files["t0.ome.tif"], beside=files.get)) as reader:
        np.testing.assert_array_equal(reader.read()[:, 0, 0], image)
    assert faulty.counts() == {"GetObject": 4}


def test_another_version_than_the_listed_one_is_a_change(tmp_path: Path, bucket: Bucket) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    (listed,) = bucket.put(tmp_path).iterdir()
    tifffile.imwrite(bucket.on_disk(listed), IMAGE + 1)
    with pytest.raises(InputChangedError, match=r"a\.tif: changed"):
        open_image(listed)


def test_another_version_than_the_opened_one_is_a_change(tmp_path: Path, bucket: Bucket) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels("uint16", (2000, 3000)))
    placed = bucket.put(tmp_path) / "a.tif"
    with open_image(placed) as reader:
        tifffile.imwrite(bucket.on_disk(placed), pixels("uint16", (2000, 3000), seed=2))
        with pytest.raises(InputChangedError, match=r"a\.tif: changed"):
            reader.read()


def test_a_shard_of_two_versions_is_a_change(tmp_path: Path, bucket: Bucket) -> None:
    image = pixels("uint8", (40, 40))
    write_zarr(tmp_path / "a.zarr", image, chunks=(10, 10), shards=(40, 40))
    placed = bucket.put(tmp_path) / "a.zarr"
    with open_image(placed) as reader:
        corner = Region((0, 1), (0, 1), (0, 1), (0, 10), (0, 10))
        np.testing.assert_array_equal(reader.read(corner)[0, 0, 0], image[:10, :10])
        write_zarr(bucket.on_disk(placed), 119 - image, chunks=(10, 10), shards=(40, 40))
        with pytest.raises(InputChangedError, match="changed"):
            reader.read(corner)


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_nothing_there_is_an_image_that_cannot_be_read(
    tmp_path: Path, bucket: Bucket, name: str
) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(ImageReadError, match=rf"{name}: cannot be opened \(.*no such object"):
        open_image(bucket.put(tmp_path) / name)


def test_bytes_that_are_no_image_are_refused_as_on_disk(tmp_path: Path, bucket: Bucket) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:200])
    (tmp_path / "b.tif").write_bytes(b"text of some length")
    root = bucket.put(tmp_path)
    for path in (tmp_path / "a.tif", tmp_path / "b.tif"):
        with pytest.raises(ImageReadError) as on_disk:
            read(path)
        with pytest.raises(ImageReadError) as placed:
            read(root / path.name)
        assert str(placed.value) == str(on_disk.value).replace(str(tmp_path), str(root))


@pytest.mark.parametrize("kind", ["slow_down", "reset", "short"])
@pytest.mark.parametrize("name", ["tiff-lzw", "png", "zarr-sharded"])
def test_passing_faults_change_no_pixel(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3, name: str, kind: str
) -> None:
    shape, write = FORMATS[name]
    image = pixels("uint8", shape)
    path = write(tmp_path, image)
    placed = bucket.put(tmp_path) / path.name
    faulty.play(Fault(kind, operation="GetObject", times=3))  # type: ignore[arg-type]
    np.testing.assert_array_equal(read(placed)[1], image)


@pytest.mark.parametrize("name", ["tiff-lzw", "png", "zarr-3", "zarr-sharded", "ome-set"])
def test_a_store_that_fails_is_no_bad_image(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3, name: str
) -> None:
    shape, write = FORMATS[name]
    path = write(tmp_path, pixels("uint8", shape))
    placed = bucket.put(tmp_path, attempts=1) / path.name
    requests = _requests_of(placed, faulty)
    assert requests
    for after in sorted({0, requests // 2, requests - 1}):
        faulty.play(Fault("slow_down", operation="GetObject", after=after))
        with pytest.raises(StoreUnavailableError, match=rf"{placed.bucket}/"):
            read(placed)


def test_a_bucket_that_is_not_there_is_no_bad_image(bucket: Bucket) -> None:
    with pytest.raises(StoreError, match="no such bucket"):
        open_image(ObjectPath("s3://no-such-bucket-here", "a.tif", bucket.options()))


def _requests_of(placed: ObjectPath, faulty: FaultyS3) -> int:
    faulty.forget()
    read(placed)
    return faulty.count("GetObject")
