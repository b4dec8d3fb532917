"""Files read ahead: right bytes, bounded memory, side by side, never stuck."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from cp_assets.stores import ObjectPath, Prefetch, prefetched
from cp_assets.stores.connections import connect
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.stores.conftest import Bucket

_COUNT = 40
_SIZE = 10_000


def _data(name: str) -> bytes:
    return random.Random(name).randbytes(_SIZE)  # noqa: S311 - data of a test


@pytest.fixture
def files(s3: Bucket) -> list[ObjectPath]:
    """Files of one folder as a listing gives them."""
    for number in range(_COUNT):
        (s3.root / f"f{number:02}").write_bytes(_data(f"f{number:02}"))
    s3.proxy.forget()
    return list(s3.root.iterdir())


def test_files_come_in_order(files: list[ObjectPath], tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"local")
    places = [*files[:20], tmp_path / "local", *files[20:]]
    found = list(prefetched(iter(places), max_bytes=5 * _SIZE, workers=4))
    assert [place for place, _ in found] == places
    assert found[20][1] == b"local"
    assert all(data == _data(place.name) for place, data in found if place.name != "local")


def test_files_are_taken_in_any_order_by_many_threads(files: list[ObjectPath]) -> None:
    shuffled = files * 2
    random.Random(3).shuffle(shuffled)  # noqa: S311 - order of a test
    wrong: list[str] = []

    def take(ahead: Prefetch, paths: list[ObjectPath]) -> None:
        wrong.extend(path.name for path in paths if ahead.read(path) != _data(path.name))

    with Prefetch(files, max_bytes=3 * _SIZE, workers=4) as ahead:
        takers = [threading.Thread(target=take, args=(ahead, shuffled[n::3])) for n in range(3)]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join(60)
    assert wrong == []


def test_no_more_is_read_ahead_than_fits(s3: Bucket, files: list[ObjectPath]) -> None:
    room = 5
    with Prefetch(files, max_bytes=room * (_SIZE + 4096), workers=8) as ahead:
        assert ahead.read(files[0]) == _data("f00")
        for path in files[1:4]:
            ahead.read(path)
        threading.Event().wait(0.3)
        assert s3.proxy.count("GetObject") <= 4 + room
    assert s3.proxy.count("HeadObject") == 0


def test_reads_go_side_by_side(s3: Bucket, files: list[ObjectPath]) -> None:
    together = threading.Barrier(8, timeout=30)
    store = connect(s3.url, s3.root.options)
    read = store.read

    def read_together(*args: object, **options: object) -> object:
        together.wait()
        return read(*args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "read", read_together)
        with Prefetch(files[:16], max_bytes=10**9, workers=8) as ahead:
            assert [ahead.read(path) for path in files[:16]] == [
                _data(path.name) for path in files[:16]
            ]


def test_an_error_is_raised_where_the_file_is_taken(s3: Bucket, files: list[ObjectPath]) -> None:
    s3.proxy.play(Fault("slow_down", path="*/f01"))
    missing = s3.root / "none"
    with Prefetch([missing, *files[:3]], max_bytes=10**6, workers=2) as ahead:
        assert ahead.read(files[0]) == _data("f00")
        assert ahead.read(files[2]) == _data("f02")
        with pytest.raises(FileNotFoundError, match="/none"):
            ahead.read(missing)
        with pytest.raises(Exception, match=r"/f01: .* attempts failed"):
            ahead.read(files[1])


def test_what_is_not_taken_does_not_keep_the_end_waiting(files: list[ObjectPath]) -> None:
    with Prefetch(files, max_bytes=_SIZE, workers=4):
        pass
    before = threading.active_count()
    next(iter(prefetched(files, max_bytes=_SIZE, workers=2)))
    assert threading.active_count() <= before + 3
