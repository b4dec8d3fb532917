"""Seconds and bytes of a table's making, by stage; nothing is kept where nobody asks."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Item = TypeVar("Item")

_END: Any = object()


@dataclass(frozen=True)
class Stage:
    """What a stage took.

    Attributes
    ----------
    seconds
        Wall time; of work on several threads, that of all of them together.
    bytes
        What went through it: rows in memory, pixels as decoded, files as written. 0 if not counted.
    """

    seconds: float = 0.0
    bytes: int = 0


class StageClock:
    """Adds up stages; safe to use from several threads."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}
        self._lock = Lock()

    def add(self, name: str, seconds: float, size: int = 0) -> None:
        """Count some seconds and bytes in."""
        with self._lock:
            so_far = self._stages.get(name, Stage())
            self._stages[name] = Stage(so_far.seconds + seconds, so_far.bytes + size)

    def stages(self) -> Mapping[str, Stage]:
        """Stage -> what it took so far."""
        with self._lock:
            return dict(self._stages)


_CLOCK: ContextVar[StageClock | None] = ContextVar("cp_assets_stages", default=None)


@contextmanager
def stage_clock() -> Iterator[StageClock]:
    """Record the stages of what runs inside, also on threads that inherit the context."""
    clock = StageClock()
    token = _CLOCK.set(clock)
    try:
        yield clock
    finally:
        _CLOCK.reset(token)


@contextmanager
def stage(name: str, size: int = 0) -> Iterator[None]:
    """Time what runs inside as part of a stage, through which go so many bytes."""
    start = time.perf_counter()
    try:
        yield
    finally:
        clock = _CLOCK.get()
        if clock is not None:
            clock.add(name, time.perf_counter() - start, size)


def timed(
    name: str, items: Iterable[Item], size_of: Callable[[Item], int] | None = None
) -> Generator[Item, None, None]:
    """The same items; the time that each takes to come is part of a stage.

    The clock is the one that runs where this is called, whichever thread takes the items.

    Parameters
    ----------
    size_of
        Item -> bytes of it.
    """
    return _timed(_CLOCK.get() or StageClock(), name, iter(items), size_of)


def _timed(
    clock: StageClock,
    name: str,
    items: Iterator[Item],
    size_of: Callable[[Item], int] | None,
) -> Generator[Item, None, None]:
    try:
        while True:
            start = time.perf_counter()
            item = next(items, _END)
            seconds = time.perf_counter() - start
            if item is _END:
                clock.add(name, seconds)
                return
            clock.add(name, seconds, size_of(item) if size_of else 0)
            yield item
    finally:
        if isinstance(items, Generator):
            items.close()
