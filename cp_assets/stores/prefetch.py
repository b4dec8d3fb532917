"""Objects fetched before their turn comes: many at a time, each once, in bounded memory.

A request takes some 20 to 100 ms, what is done with an object often less: so the objects of the
next items come side by side, while those of the current ones are used. What waits here is bounded:
no object is asked for before there is room for all that its item wants.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from threading import Condition
from typing import TYPE_CHECKING, TypeVar

from cp_assets.stages import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
    from typing import Self

    from cp_assets.stores.object_path import ObjectPath

Item = TypeVar("Item")

_THREADS = 32
"""Reads at a time: they are waited for, not computed."""

_ITEMS_AHEAD = 32
"""Items whose objects are asked for before their turn, so that empty ones have an end too."""


@dataclass(eq=False, slots=True)
class Fetched:
    """The objects of one item, as far as they are fetched; each is wanted until `release`."""

    prefetch: Prefetch
    files: tuple[ObjectPath, ...] = ()
    coming: dict[ObjectPath, Future[bytes]] = field(default_factory=dict)
    has_begun: bool = False

    def data(self, file: ObjectPath) -> bytes | None:
        """All bytes of an object; None if it is not fetched, or no longer there.

        Raises
        ------
        InputChangedError
            If it is not as it was listed.
        StoreError
            If its store cannot be read.
        """
        try:
            return self.coming[file].result() if file in self.coming else None
        except FileNotFoundError:
            return None

    def release(self) -> None:
        """Say that the objects wait no longer: others may come in their place."""
        self.prefetch.release(self)


class Prefetch:
    """Fetches objects on threads, in the order of the items that want them; to be closed.

    Safe to use from several threads. Items are to be taken in the order in which they were asked
    for; several may be at a time.

    Parameters
    ----------
    memory
        Most bytes that are fetched, or on their way, and not released. The objects of an item that
        wants more are not fetched.
    largest
        Bytes of the largest object that is fetched.
    """

    def __init__(self, memory: int, largest: int) -> None:
        self._memory = memory
        self._largest = largest
        self._free = memory
        self._users: dict[ObjectPath, int] = {}
        self._coming: dict[ObjectPath, Future[bytes]] = {}
        self._waiting: deque[Fetched] = deque()
        self._asked: dict[Hashable, deque[Fetched]] = {}
        self._changed = Condition()
        self._is_closed = False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cp-assets-prefetch")

    def ahead(
        self,
        items: Iterable[Item],
        wanted: Callable[[Item], tuple[Hashable, Iterable[ObjectPath]] | None],
    ) -> Iterator[Item]:
        """The same items, while what those to come want is fetched.

        Parameters
        ----------
        wanted
            Item -> the key under which its objects are taken, and the objects, see `ask`.
        """
        coming: deque[Item] = deque()
        for item in items:
            asked = wanted(item)
            if asked is not None:
                self.ask(*asked)
            coming.append(item)
            if len(coming) > _ITEMS_AHEAD:
                yield coming.popleft()
        yield from coming

    def ask(self, key: Hashable, files: Iterable[ObjectPath]) -> None:
        """Ask for the objects of an item, as a listing gave them."""
        wanted = tuple(file for file in dict.fromkeys(files) if _size(file) <= self._largest)
        fits = sum(map(_size, wanted)) <= self._memory
        order = Fetched(self, wanted if fits else ())
        with self._changed:
            self._asked.setdefault(key, deque()).append(order)
            self._waiting.append(order)
            self._begin()

    def take(self, key: Hashable) -> Fetched:
        """The objects of an item, once they are on their way; none where none were asked for."""
        with self._changed:
            orders = self._asked.get(key)
            if not orders:
                return Fetched(self)
            order = orders.popleft()
            if not orders:
                del self._asked[key]
            self._changed.wait_for(lambda: order.has_begun or self._is_closed)
        if self._is_closed:
            raise CancelledError
        return order

    def release(self, order: Fetched) -> None:
        """Give back the room of objects that no other item wants too."""
        with self._changed:
            for file in order.coming:
                self._users[file] -= 1
                if not self._users[file]:
                    del self._users[file], self._coming[file]
                    self._free += _size(file)
            order.coming.clear()
            self._begin()

    def close(self) -> None:
        """Fetch nothing any more; who waits for an object is told so."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        """Fetch for the items that come next, as far as there is room."""
        while self._waiting and not self._is_closed:
            order = self._waiting[0]
            new = [file for file in order.files if file not in self._coming]
            if sum(map(_size, new)) > self._free:
                return
            self._waiting.popleft()
            self._fetch(new)
            for file in order.files:
                self._users[file] += 1
                order.coming[file] = self._coming[file]
            order.has_begun = True
            self._changed.notify_all()

    def _fetch(self, files: Collection[ObjectPath]) -> None:
        for file in files:
            self._free -= _size(file)
            self._users[file] = 0
            self._coming[file] = self._threads.submit(copy_context().run, _read, file)


def _read(file: ObjectPath) -> bytes:
    with stage("fetching", _size(file)):
        return file.read_bytes()


def _size(file: ObjectPath) -> int:
    return file.stat().st_size
