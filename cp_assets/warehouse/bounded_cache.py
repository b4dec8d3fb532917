"""A cache in a bound of memory, for what was read of files that never change."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Values by key; those used longest ago go when all together pass a number of bytes.

    A value that passes it alone is handed out and not kept. Safe to share between threads;
    two that miss the same key at once both make its value.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[BoundedCache[Value]], tuple[int]]:
        # Another process starts with an empty one.
        return type(self), (self.limit,)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable, make: Callable[[], tuple[Value, int]]) -> Value:
        """The value of a key; ``make`` gives it, and its size in bytes, where it is not there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        value, size = make()
        if size > self.limit:
            return value
        with self._lock:
            self._drop(key)
            self._kept[key] = (value, size)
            self.bytes += size
            while self.bytes > self.limit:
                self._drop(next(iter(self._kept)))
        return value

    def _drop(self, key: Hashable) -> None:
        if key in self._kept:
            self.bytes -= self._kept.pop(key)[1]
