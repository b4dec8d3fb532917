from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.warehouse.training.batches import _overlap
from cp_assets.warehouse.training.order import OPEN_FILES, Unit, mixed, shuffled


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(1, 6), st.integers(0, 3))
def test_mixed_keeps_every_item_and_moves_it_less_than_a_window(
    sizes: list[int], window: int, seed: int
) -> None:
    steps = [[(step, i) for i in range(size)] for step, size in enumerate(sizes)]
    dealt = list(mixed(steps, window, np.random.default_rng(seed)))
    assert sorted(item for items in dealt for item in items) == [i for s in steps for i in s]
    for place, items in enumerate(dealt):
        assert all(step <= place < step + window for step, _ in items)


def test_shuffled_mixes_row_groups_of_few_files_at_a_time() -> None:
    files = 3 * OPEN_FILES
    in_order = [
        Unit(((f"f{file:02d}", row),), continues=False) for file in range(files) for row in range(4)
    ]
    order = shuffled(in_order, np.random.default_rng(1))
    assert sorted(unit.parts for unit in order) == [unit.parts for unit in in_order]
    for start in range(0, len(order), 4 * OPEN_FILES):
        near = [unit.parts[0][0] for unit in order[start : start + 4 * OPEN_FILES]]
        assert len(set(near)) == OPEN_FILES
        assert near != sorted(near)


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("length", range(1, 8))
def test_overlap_puts_the_middle_onto_the_middle(length: int, size: int) -> None:
    target, source = _overlap(length, size)
    pairs = dict(zip(range(size)[target], range(length)[source], strict=True))
    assert pairs[size // 2] == length // 2
    assert len(pairs) == min(length, size)
    assert all(to - size // 2 == at - length // 2 for to, at in pairs.items())
