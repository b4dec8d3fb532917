from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.streams import Admit, ahead, bounded_map, ordered_map


@settings(max_examples=20, deadline=None)
@given(items=st.lists(st.integers(), max_size=20), workers=st.integers(0, 5))
def test_ordered_map_is_map(items: list[int], workers: int) -> None:
    assert list(ordered_map(lambda item: item * 2, items, workers)) == [item * 2 for item in items]


def test_ordered_map_keeps_the_order_of_slow_items() -> None:
    def slow(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item

    assert list(ordered_map(slow, range(10), 4)) == list(range(10))


def test_ordered_map_raises_in_its_place_and_ends_its_threads() -> None:
    def fails(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    found: list[int] = []
    results = ordered_map(fails, range(100), 2)
    with pytest.raises(ValueError, match="two"):
        found.extend(results)
    assert found == [0, 1]
    assert not [t for t in threading.enumerate() if t.name.startswith("cp-assets-worker")]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 15), max_size=20),
    workers=st.integers(1, 4),
    memory=st.integers(1, 20),
)
def test_bounded_map_holds_no_more_than_its_memory(
    sizes: list[int], workers: int, memory: int
) -> None:
    lock, held = threading.Lock(), {"now": 0}
    seen: list[int] = []

    def work(size: int, admit: Admit) -> int:
        if size % 5:
            admit(size)
            with lock:
                held["now"] += size
                seen.append(held["now"])
        return size

    done = []
    for size in bounded_map(work, sizes, workers, memory):
        done.append(size)
        with lock:
            held["now"] -= size if size % 5 else 0
    assert done == sizes
    assert max(seen, default=0) <= max(memory, *sizes, 0)


def test_bounded_map_lets_go_of_work_that_waits_when_another_fails() -> None:
    def fails(item: int, admit: Admit) -> int:
        admit(10)
        if item == 1:
            raise ValueError("one")
        return item

    with pytest.raises(ValueError, match="one"):
        list(bounded_map(fails, range(50), 4, 10))
    assert not [t for t in threading.enumerate() if t.name.startswith("cp-assets-worker")]


def test_bounded_map_that_is_not_read_to_its_end_leaves_no_thread() -> None:
    def work(item: int, admit: Admit) -> int:
        admit(10)
        return item

    results = bounded_map(work, range(50), 4, 10)
    assert next(results) == 0
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("cp-assets-worker")]


def test_ahead_makes_one_item_while_one_is_used() -> None:
    made: list[int] = []
    is_made = threading.Event()

    def items() -> Iterator[int]:
        for item in range(4):
            made.append(item)
            if item == 1:
                is_made.set()
            yield item

    found = ahead(items())
    assert next(found) == 0
    assert is_made.wait(10)
    assert [*found] == [1, 2, 3]
    assert made == [0, 1, 2, 3]


def test_ahead_raises_in_its_place_and_ends_its_thread() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)
    assert not [t for t in threading.enumerate() if t.name.startswith("cp-assets-ahead")]


def test_ahead_that_is_not_read_to_its_end_closes_its_items() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(50)
        finally:
            closed.set()

    found = ahead(items())
    assert next(found) == 0
    found.close()
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name.startswith("cp-assets-ahead")]
