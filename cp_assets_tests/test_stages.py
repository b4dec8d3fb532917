"""Stages add up, over threads too, and cost nothing where nobody asks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cp_assets.stages import stage, stage_clock, timed
from cp_assets.streams import ahead, ordered_map


def slow(closed: list[bool]) -> Iterator[bytes]:
    try:
        for size in (3, 4):
            time.sleep(0.02)
            yield bytes(size)
    finally:
        closed.append(True)


def test_timed_counts_what_the_items_take_and_hold() -> None:
    closed: list[bool] = []
    with stage_clock() as clock:
        for _ in timed("reading", slow(closed), len):
            time.sleep(0.05)
    found = clock.stages()["reading"]
    assert 0.04 <= found.seconds < 0.1
    assert found.bytes == 7
    assert closed == [True]


def test_timed_closes_the_items_and_raises_their_errors() -> None:
    closed: list[bool] = []
    items = timed("reading", slow(closed))
    next(items)
    items.close()
    assert closed == [True]

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    with pytest.raises(ValueError, match="two"):
        list(timed("reading", broken()))


def test_stages_of_threads_are_those_of_the_clock_that_ran_outside() -> None:
    def work(number: int) -> int:
        with stage("decoding", 10):
            time.sleep(0.02)
        return number

    with stage_clock() as clock:
        assert list(ordered_map(work, range(6), workers=3)) == list(range(6))
        assert len(list(ahead(timed("joining", slow([]), len)))) == 2
    stages = clock.stages()
    assert stages["decoding"].bytes == 60
    assert stages["decoding"].seconds >= 0.12
    assert stages["joining"].bytes == 7


def test_without_a_clock_nothing_is_kept() -> None:
    with stage("decoding", 10):
        pass
    assert list(timed("reading", slow([]), len)) == [bytes(3), bytes(4)]
    with stage_clock() as clock:
        pass
    with stage("decoding", 10):
        pass
    assert clock.stages() == {}
