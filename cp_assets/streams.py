"""Work side by side with results in order, and a bounded amount of it in memory."""

from __future__ import annotations

import sys
from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from threading import Condition
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


_END = object()


class Admit(Protocol):
    """Asked by work, at most once, before it takes memory: returns when there is room."""

    def __call__(self, size: int, /) -> None:
        """Wait for ``size`` bytes."""


def ahead(items: Generator[Item, None, None]) -> Generator[Item, None, None]:
    """The same items; the next is made on a thread of its own while one is used.

    An error of the items is raised in its place.
    """
    with (
        closing(items),
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="cp-assets-ahead") as thread,
    ):
        coming = thread.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, items, _END)
            yield item  # type: ignore[misc]


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """``map(function, items)`` on threads: same results, same order, for any number of workers.

    At most ``workers + 1`` items are in work or waiting to be fetched, so memory does not grow with
    the number of items. The first error ends the work and is raised in its place in the order.
    """
    return bounded_map(lambda item, _admit: function(item), items, workers, sys.maxsize)


def bounded_map(
    function: Callable[[Item, Admit], Result], items: Iterable[Item], workers: int, memory: int
) -> Iterator[Result]:
    """`ordered_map` of items that differ in size.

    What the items in work and waiting have asked for is together at most ``memory`` bytes; an item
    that asks for more has it alone. An item's memory is free again when the result after its own is
    asked for.
    """
    workers = max(1, workers)
    budget = Budget(memory)
    waiting: deque[Future[tuple[Result, int]]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="cp-assets-worker")

    def fetched() -> Iterator[Result]:
        result, size = waiting.popleft().result()
        yield result
        budget.release(size)

    try:
        for turn, item in enumerate(items):
            # Each with the context of its own: what is measured or logged knows whose it is.
            run = copy_context().run
            waiting.append(pool.submit(run, _run, function, item, budget, turn))
            if len(waiting) > workers:
                yield from fetched()
        while waiting:
            yield from fetched()
    finally:
        budget.stop()
        pool.shutdown(wait=True, cancel_futures=True)


def _run(
    function: Callable[[Item, Admit], Result], item: Item, budget: Budget, turn: int
) -> tuple[Result, int]:
    asked = 0

    def admit(size: int, /) -> None:
        nonlocal asked
        budget.take(turn, size)
        asked = size

    try:
        return function(item, admit), asked
    finally:
        budget.pass_turn(turn)


class Budget:
    """Lets items take memory in their order, so that the one waited for is never shut out.

    Parameters
    ----------
    limit
        In bytes. An item that asks for more has it alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._turn = 0
        self._passed: set[int] = set()
        self._stopped = False
        self._changed = Condition()

    def take(self, turn: int, size: int) -> None:
        """Wait for the item's turn and for room."""

        def may_go_on() -> bool:
            fits = size <= self._free or self._free == self._limit
            return self._stopped or (turn == self._turn and fits)

        with self._changed:
            self._changed.wait_for(may_go_on)
            if self._stopped:
                raise CancelledError
            self._free -= size
            self._advance(turn)

    def pass_turn(self, turn: int) -> None:
        """Say that an item will not ask, or has asked."""
        with self._changed:
            self._advance(turn)

    def release(self, size: int) -> None:
        """Give memory back."""
        with self._changed:
            self._free += size
            self._changed.notify_all()

    def stop(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _advance(self, turn: int) -> None:
        if turn >= self._turn:
            self._passed.add(turn)
        while self._turn in self._passed:
            self._passed.remove(self._turn)
            self._turn += 1
        self._changed.notify_all()
