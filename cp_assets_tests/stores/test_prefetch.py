"""Objects fetched ahead: in order, side by side, each once, and no more than there is room for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.errors import StoreError, StoreUnavailableError
from cp_assets.stages import stage_clock
from cp_assets.stores import ObjectPath, Prefetch, object_path, prefetch
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.stores.conftest import Bucket
from cp_assets_tests.stores.memory import MemoryStore

_SIZE = 100


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


def test_files_come_in_the_order_of_their_items_as_far_as_there_is_room(
    store: MemoryStore,
) -> None:
    files = store.files()
    with Prefetch(7 * _SIZE, _SIZE) as ahead:
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


def test_a_file_of_several_items_comes_once_and_stays_for_all(store: MemoryStore) -> None:
    shared, *others = store.files()
    with Prefetch(3 * _SIZE, _SIZE) as ahead:
        ahead.ask("a", [shared, others[0], shared])
        ahead.ask("b", [shared, others[1]])
        ahead.ask("c", [others[2]])
        _wait_for(store, 3)
        ahead.take("a").release()
        _wait_for(store, 4)
        assert ahead.take("b").data(shared) == store.objects["f00"]
    assert store.reads["f00"] == 1


def test_what_is_too_large_is_not_fetched(store: MemoryStore) -> None:
    small, large, *others = store.files()
    store.objects[large.key] = bytes(2 * _SIZE)
    large = store.files()[1]
    with Prefetch(3 * _SIZE, _SIZE) as ahead:
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
    with Prefetch(3 * _SIZE, _SIZE) as ahead:
        ahead.ask("a", [gone, refused])
        fetched = ahead.take("a")
        assert fetched.data(gone) is None
        with pytest.raises(StoreError, match="refused"):
            fetched.data(refused)


def test_who_waits_is_told_of_the_end(store: MemoryStore) -> None:
    files = store.files()
    ahead = Prefetch(_SIZE, _SIZE)
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


def _one_each(file: ObjectPath) -> tuple[str, list[ObjectPath]]:
    return file.key, [file]


def _data(ahead: Prefetch, key: str, file: ObjectPath) -> bytes | None:
    fetched = ahead.take(key)
    try:
        return fetched.data(file)
    finally:
        fetched.release()


def test_no_more_items_are_looked_at_than_are_ahead(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "_ITEMS_AHEAD", 4)
    looked: list[str] = []

    def items() -> Iterator[ObjectPath]:
        for file in store.files():
            looked.append(file.key)
            yield file

    with Prefetch(10**6, _SIZE) as ahead:
        for number, file in enumerate(ahead.ahead(items(), _one_each), start=1):
            assert len(looked) == min(30, number + 4)
            assert _data(ahead, file.key, file) == store.objects[file.key]
    assert number == 30


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), max_size=25),
    memory=st.integers(1, 20),
    takers=st.integers(1, 3),
)
def test_any_files_come_whole_and_in_bounded_memory(
    sizes: list[int], memory: int, takers: int
) -> None:
    store = MemoryStore({f"f{n:02}": bytes([n]) * size for n, size in enumerate(sizes)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_path, "connect", lambda _bucket, _options: store)
        files = store.files()
        with Prefetch(memory, 8) as ahead:
            coming = ahead.ahead(files, _one_each)
            lock = threading.Lock()
            found: dict[str, bytes | None] = {}

            def take() -> None:
                while True:
                    with lock:
                        file = next(coming, None)
                    if file is None:
                        return
                    found[file.key] = _data(ahead, file.key, file)
                    assert 0 <= ahead._free <= memory

            threads = [Thread(target=take) for _ in range(takers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert ahead._free == memory
    fits = {key: data for key, data in store.objects.items() if len(data) <= min(memory, 8)}
    assert found == {**dict.fromkeys(store.objects), **fits}


def test_reads_of_a_stage_are_counted_where_they_were_asked_for(store: MemoryStore) -> None:
    with stage_clock() as clock, Prefetch(10**6, _SIZE) as ahead:
        for file in ahead.ahead(store.files(), _one_each):
            _data(ahead, file.key, file)
    assert clock.stages()["fetching"].bytes == 30 * _SIZE


def test_threads_end_though_nothing_was_taken(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "_THREADS", 4)
    store.seconds = 0.05
    with Prefetch(10**6, _SIZE) as ahead:
        for file in store.files():
            ahead.ask(*_one_each(file))
    ours = [one for one in threading.enumerate() if one.name.startswith("cp-assets-prefetch")]
    for thread in ours:
        thread.join(20)
        assert not thread.is_alive()
    assert store.reads.total() < 30


@pytest.fixture
def files(s3: Bucket) -> list[ObjectPath]:
    """Files of a real store as a listing gives them."""
    for number in range(40):
        (s3.root / f"f{number:02}").write_bytes(bytes([number]) * _SIZE)
    s3.proxy.forget()
    return list(s3.root.iterdir())


def test_each_object_of_a_listing_is_one_request(s3: Bucket, files: list[ObjectPath]) -> None:
    listings = len(s3.proxy.requests)
    with Prefetch(5 * _SIZE, _SIZE) as ahead:
        for number, file in enumerate(ahead.ahead(files, _one_each)):
            assert _data(ahead, file.key, file) == bytes([number]) * _SIZE
    assert s3.proxy.count("GetObject") == 40 == len(s3.proxy.requests) - listings


def test_an_error_is_raised_where_the_object_is_taken(s3: Bucket, files: list[ObjectPath]) -> None:
    s3.proxy.play(Fault("slow_down", path="*/f01"))
    with Prefetch(10**6, _SIZE) as ahead:
        for file in files[:3]:
            ahead.ask(*_one_each(file))
        assert _data(ahead, "f00", files[0]) == bytes([0]) * _SIZE
        assert _data(ahead, "f02", files[2]) == bytes([2]) * _SIZE
        with pytest.raises(StoreUnavailableError, match=r"/f01: .* attempts failed"):
            _data(ahead, "f01", files[1])
