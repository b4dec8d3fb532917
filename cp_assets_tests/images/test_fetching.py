"""Files fetched ahead: side by side, each once, and never more than there is room for."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import tifffile

from cp_assets.errors import StoreError
from cp_assets.images import fetching, image_crops, loading
from cp_assets.images.fetching import Fetching
from cp_assets.rejections import RejectionLog
from cp_assets.stores import ObjectPath, object_path
from cp_assets.stores.model import Listed, ObjectState, ObjectStore
from cp_assets_tests.images.plates import GOOD, build_plate, profile_rows

_BUCKET = "s3://memory"
_SIZE = 100


class MemoryStore(ObjectStore):
    """Objects in memory.

    Attributes
    ----------
    seconds
        How long a read takes.
    reads
        How often each key was read.
    most_at_once
        Most reads at a time.
    """

    url = _BUCKET

    def __init__(self, objects: dict[str, bytes], seconds: float = 0.0) -> None:
        self.objects = objects
        self.seconds = seconds
        self.reads: Counter[str] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def list(self, prefix: str, *, delimited: bool) -> Iterator[Listed]:
        folders = set()
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            name, slash, _ = key[len(prefix) :].partition("/")
            if not (delimited and slash):
                yield Listed(key, self.head(key))
            elif name not in folders:
                folders.add(name)
                yield Listed(prefix + name, None)

    def head(self, key: str) -> ObjectState | None:
        data = self.objects.get(key)
        return None if data is None else ObjectState(len(data), str(hash(data)), 0)

    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None
    ) -> tuple[bytes, ObjectState]:
        with self._lock:
            self.reads[key] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(self.seconds)
        with self._lock:
            self._at_once -= 1
        state = self.head(key)
        if state is None:
            raise FileNotFoundError(key)
        if not state.size:
            msg = "refused"
            raise StoreError(msg)
        return self.objects[key][start:stop], state

    def write(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def files(self) -> list[ObjectPath]:
        """All objects, as a listing gives them."""
        return list(ObjectPath(_BUCKET).files_below())


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """Thirty objects of a hundred bytes."""
    store = MemoryStore({f"f{number:02}": bytes([number]) * _SIZE for number in range(30)})
    monkeypatch.setattr(object_path, "connect", lambda _bucket, _options: store)
    return store


def _wait_for(store: MemoryStore, reads: int) -> None:
    """Wait until so many reads were made, and a moment for those that should not be."""
    end = time.monotonic() + 20
    while store.reads.total() < reads and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(0.02)
    assert store.reads.total() == reads


def test_files_come_in_the_order_of_their_image_sets_as_far_as_there_is_room(
    store: MemoryStore,
) -> None:
    files = store.files()
    with Fetching(7 * _SIZE) as ahead:
        for number in range(10):
            ahead.ask(str(number), files[3 * number : 3 * number + 3])
        _wait_for(store, 6)
        for number in range(10):
            fetched = ahead.take(str(number))
            assert [fetched.data(file) for file in files[3 * number : 3 * number + 3]] == [
                store.objects[file.key] for file in files[3 * number : 3 * number + 3]
            ]
            _wait_for(store, min(30, 6 + 3 * number))
            fetched.release()
            fetched.release()
    assert set(store.reads.values()) == {1}


def test_a_file_of_several_image_sets_comes_once_and_stays_for_all(store: MemoryStore) -> None:
    shared, *others = store.files()
    with Fetching(3 * _SIZE) as ahead:
        ahead.ask("a", [shared, others[0], shared])
        ahead.ask("b", [shared, others[1]])
        ahead.ask("c", [others[2]])
        _wait_for(store, 3)
        ahead.take("a").release()
        _wait_for(store, 4)
        assert ahead.take("b").data(shared) == store.objects["f00"]
    assert store.reads["f00"] == 1


def test_what_is_too_large_is_not_fetched(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large, *others = store.files()
    store.objects[large.key] = bytes(2 * _SIZE)
    large = store.files()[1]
    monkeypatch.setattr(fetching, "LARGEST_FILE", _SIZE)
    with Fetching(3 * _SIZE) as ahead:
        ahead.ask("a", [small, large])
        ahead.ask("b", others[:4])
        ahead.ask("c", others[:1])
        fetched = ahead.take("a")
        assert (fetched.data(small), fetched.data(large)) == (store.objects["f00"], None)
        assert ahead.take("b").data(others[0]) is None
        assert ahead.take("c").data(others[0]) is not None
        assert ahead.take("never asked for").data(small) is None


def test_a_file_that_is_gone_is_none_and_a_refusal_is_raised(store: MemoryStore) -> None:
    gone, refused, *_ = store.files()
    del store.objects[gone.key]
    store.objects[refused.key] = b""
    with Fetching(3 * _SIZE) as ahead:
        ahead.ask("a", [gone, refused])
        fetched = ahead.take("a")
        assert fetched.data(gone) is None
        with pytest.raises(StoreError, match="refused"):
            fetched.data(refused)


def test_who_waits_is_told_of_the_end(store: MemoryStore) -> None:
    files = store.files()
    ahead = Fetching(_SIZE)
    ahead.ask("a", files[:1])
    ahead.ask("b", files[1:2])
    told: list[type[BaseException]] = []

    def wait() -> None:
        try:
            ahead.take("b")
        except CancelledError as error:
            told.append(type(error))

    waiting = Thread(target=wait)
    waiting.start()
    ahead.close()
    waiting.join(timeout=20)
    assert told


def test_forty_image_sets_do_not_wait_for_each_of_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = build_plate(
        tmp_path, [(f"{row}{column:02}", "1") for row in "ABCD" for column in range(1, 11)]
    )
    (tmp_path / "masks").mkdir()
    for image_set in plate.sets:
        name = image_set.channels[0].file_name
        tifffile.imwrite(tmp_path / "masks" / name, np.ones(plate.images[name].shape, np.uint8))
    store = MemoryStore(
        {
            path.relative_to(tmp_path).as_posix(): path.read_bytes()
            for path in tmp_path.rglob("*.tif")
        },
        seconds=0.05,
    )
    assert len(store.objects) == 120
    monkeypatch.setattr(object_path, "connect", lambda _bucket, _options: store)
    # Room for the files of five image sets.
    monkeypatch.setattr(loading, "_FETCHED_SHARE", 2**10)
    peak = _watch_peak(monkeypatch)
    root = ObjectPath(_BUCKET)
    sources = dataclasses.replace(
        plate.with_options(max_memory=64 * 2**20),
        image_dir=root / "images",
        mask_dir=root / "masks",
    )
    profiles = [profile_rows(image_set, [GOOD]) for image_set in plate.sets]
    start = time.monotonic()
    rows = sum(
        batch.num_rows
        for batch in image_crops(profiles, plate.sets, sources, RejectionLog(), "Cells")
    )
    seconds = time.monotonic() - start
    assert rows == 80
    assert store.reads.total() == 120
    assert store.most_at_once > 8
    assert seconds < 120 * store.seconds / 2
    assert 2**15 < max(peak) <= 2**16


def _watch_peak(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that were fetched, or on their way, each time that more were asked for."""
    seen: list[int] = []
    fetch = Fetching._fetch

    def watched(self: Any, files: Any) -> None:
        fetch(self, files)
        seen.append(self._memory - self._free)

    monkeypatch.setattr(Fetching, "_fetch", watched)
    return seen
