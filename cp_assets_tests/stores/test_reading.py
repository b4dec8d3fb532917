"""Objects and parts of them, against the bytes that were written."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from cp_assets.errors import InputChangedError
from cp_assets.stores import ObjectPath
from cp_assets.stores.connections import connect
from cp_assets.stores.parts import PART_BYTES
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.stores.conftest import Bucket

_LARGE = 3 * PART_BYTES + 12_345


def _some_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - data of a test


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_any_range_is_what_a_slice_is(bucket: Bucket, size: int) -> None:
    data = _some_bytes(size)
    (bucket.root / "file").write_bytes(data)
    store = connect(bucket.url, bucket.root.options)
    state = store.head("file")
    assert state is not None
    chance = random.Random(size)  # noqa: S311 - data of a test
    places = [(0, None), (0, size), (0, size + 1), (size, None), (size, size + 9), (size + 5, None)]
    places += [(5, 5), (7, 3), (size + 1, size + 2)]
    places += [(chance.randint(0, size), chance.randint(0, 2 * size)) for _ in range(12)]
    if bucket.url.startswith("az://") and not size:
        # Of the first byte of nothing Azurite sends bytes 0 to -1, where Azure says 416.
        places.remove((0, 1))
    for start, stop in places:
        found, found_state = store.read("file", start, stop, etag=state.etag)
        assert found == data[start:stop], (start, stop)
        assert (found_state.size, found_state.etag) == (size, state.etag)
    assert (bucket.root / "file").read_bytes() == data
    assert next(bucket.root.iterdir()).read_bytes() == data


def test_no_range_of_another_version_is_read(bucket: Bucket) -> None:
    (bucket.root / "file").write_bytes(b"0123456789")
    store = connect(bucket.url, bucket.root.options)
    for start, stop in ((0, None), (2, 5), (0, 0), (20, 30), (0, 30)):
        with pytest.raises(InputChangedError, match="/file: changed"):
            store.read("file", start, stop, etag="another")
        with pytest.raises(FileNotFoundError, match="/none: there is no such object"):
            store.read("none", start, stop)


@pytest.fixture
def large(bucket: Bucket) -> tuple[ObjectPath, bytes]:
    data = _some_bytes(_LARGE)
    path = bucket.root / "large"
    path.write_bytes(data)
    bucket.proxy.forget()
    return path, data


def test_large_objects_are_read_in_parts(
    bucket: Bucket, large: tuple[ObjectPath, bytes], tmp_path: Path
) -> None:
    path, data = large
    assert path.read_bytes() == data
    ranges = [one.range for one in bucket.proxy.requests if one.range]
    assert len(ranges) == 4
    assert len(set(ranges)) == 4
    (listed,) = bucket.root.iterdir()
    assert listed.read_bytes() == data
    path.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    with path.open() as file:
        assert file.read() == data


def test_parts_are_of_one_version(bucket: Bucket, large: tuple[ObjectPath, bytes]) -> None:
    path, data = large
    (listed,) = bucket.root.iterdir()
    path.write_bytes(data[::-1])
    with pytest.raises(InputChangedError):
        listed.read_bytes()


def test_an_open_object_is_read_as_a_file_is(large: tuple[ObjectPath, bytes]) -> None:
    path, data = large
    expected, chance = io.BytesIO(data), random.Random(1)  # noqa: S311 - data of a test
    with path.open() as file:
        for _ in range(40):
            if chance.random() < 0.4:
                whence = chance.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
                base = {io.SEEK_SET: 0, io.SEEK_CUR: expected.tell(), io.SEEK_END: _LARGE}[whence]
                offset = chance.randint(0, _LARGE + 10) - base
                assert file.seek(offset, whence) == expected.seek(offset, whence)
            size = chance.choice([0, 1, 100, 70_000, 2_000_000])
            assert file.read(size) == expected.read(size)
            assert file.tell() == expected.tell()


def test_reading_on_asks_for_more_each_time_and_elsewhere_for_little(
    bucket: Bucket, large: tuple[ObjectPath, bytes]
) -> None:
    path, data = large
    with path.open() as file:
        while file.read(10_000):
            pass
        assert len(bucket.proxy.requests) <= 6
        bucket.proxy.forget()
        for place in (20_000_000, 12_000_000, 20_500_000):
            file.seek(place)
            assert file.read(10) == data[place : place + 10]
    sizes = [_length(one.range) for one in bucket.proxy.requests]
    assert sum(sizes) <= 4 * 2**20


def test_small_files_are_one_request(bucket: Bucket) -> None:
    (bucket.root / "small").write_bytes(_some_bytes(50_000))
    (listed,) = bucket.root.iterdir()
    bucket.proxy.forget()
    with listed.open() as file:
        for place in (49_000, 8, 30_000, 0):
            file.seek(place)
            file.read(100)
    listed.read_bytes()
    assert len(bucket.proxy.requests) == 2


def test_a_large_object_survives_bodies_that_break_off(
    bucket: Bucket, large: tuple[ObjectPath, bytes]
) -> None:
    path, data = large
    bucket.proxy.play(Fault("short", method="GET", path="*/large", times=2))
    assert path.read_bytes() == data


def _length(asked: str) -> int:
    start, stop = asked.removeprefix("bytes=").split("-")
    return int(stop) - int(start) + 1
