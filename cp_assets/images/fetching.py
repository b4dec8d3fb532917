"""Files of image sets, fetched from object stores before their turn comes.

A request takes some 20 to 100 ms, decoding a file some 10: so the files of the next image sets come
side by side, while the current ones are decoded. What waits here is bounded: no file is asked for
before there is room for all that belongs to its image set.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from threading import Condition
from typing import TYPE_CHECKING

from cp_assets.stages import stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from types import TracebackType

    from cp_assets.stores import ObjectPath

LARGEST_FILE = 64 * 2**20
"""Bytes of the largest file that is fetched whole; of others what is needed is read by ranges."""

_THREADS = 16


@dataclass(eq=False, slots=True)
class Fetched:
    """The files of one image set, as far as they are fetched; each is wanted until `release`."""

    fetching: Fetching
    files: tuple[ObjectPath, ...] = ()
    coming: dict[ObjectPath, Future[bytes]] = field(default_factory=dict)
    has_begun: bool = False

    def data(self, file: ObjectPath) -> bytes | None:
        """All bytes of a file; None if it is not fetched, or no longer there.

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
        """Say that the files wait no longer: others may come in their place."""
        self.fetching.release(self)


class Fetching:
    """Fetches files on threads, in the order of their image sets; to be closed.

    Safe to use from several threads. Image sets are to be taken in the order in which they were
    asked for; several may be at a time.

    Parameters
    ----------
    memory
        Most bytes that are fetched, or on their way, and not released. The files of an image set
        that takes more are not fetched.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._free = memory
        self._users: dict[ObjectPath, int] = {}
        self._coming: dict[ObjectPath, Future[bytes]] = {}
        self._waiting: deque[Fetched] = deque()
        self._asked: dict[str, deque[Fetched]] = {}
        self._changed = Condition()
        self._is_closed = False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cp-assets-fetch")

    def ask(self, image_id: str, files: Iterable[ObjectPath]) -> None:
        """Ask for the files of an image set, as a listing gave them."""
        wanted = tuple(file for file in dict.fromkeys(files) if _size(file) <= LARGEST_FILE)
        fits = sum(map(_size, wanted)) <= self._memory
        order = Fetched(self, wanted if fits else ())
        with self._changed:
            self._asked.setdefault(image_id, deque()).append(order)
            self._waiting.append(order)
            self._begin()

    def take(self, image_id: str) -> Fetched:
        """The files of an image set, once they are on their way; none where none were asked for."""
        with self._changed:
            orders = self._asked.get(image_id)
            if not orders:
                return Fetched(self)
            order = orders.popleft()
            self._changed.wait_for(lambda: order.has_begun or self._is_closed)
        if self._is_closed:
            raise CancelledError
        return order

    def release(self, order: Fetched) -> None:
        """Give back the room of files that no other image set wants too."""
        with self._changed:
            for file in order.coming:
                self._users[file] -= 1
                if not self._users[file]:
                    del self._users[file], self._coming[file]
                    self._free += _size(file)
            order.coming.clear()
            self._begin()

    def close(self) -> None:
        """Fetch nothing any more; who waits for a file is told so."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Fetching:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """Fetch for the image sets that come next, as far as there is room."""
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
