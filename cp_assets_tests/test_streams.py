from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.streams import ordered_map


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
