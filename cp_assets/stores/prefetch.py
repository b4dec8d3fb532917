"""Whole files read ahead, side by side, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TYPE_CHECKING

from cp_assets.stores.object_path import ObjectPath
from cp_assets.streams import Admit, Budget, bounded_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from cp_assets.stores.places import Place

_WORKERS = 16
"""Reads at a time: small objects are waited for, not computed."""

_OVERHEAD_BYTES = 4096
"""Of a file besides its bytes, so that empty ones are not read ahead without end."""


def prefetched(
    places: Iterable[Place], *, max_bytes: int, workers: int = _WORKERS
) -> Iterator[tuple[Place, bytes]]:
    """Each place and its bytes, in the order given; the next are read meanwhile.

    Parameters
    ----------
    places
        May be made as they are asked for. What a listing gave costs one request, else it is two.
    max_bytes
        Of all that was read and not used up. A file that is larger comes alone.
    workers
        Reads at a time.
    """

    def read(path: Place, admit: Admit) -> tuple[Place, bytes]:
        admit(path.stat().st_size + _OVERHEAD_BYTES)
        return path, path.read_bytes()

    return bounded_map(read, places, workers, max_bytes)


@dataclass(eq=False, slots=True)
class _Coming:
    """A file on its way, or waiting to be taken."""

    path: ObjectPath
    turn: int
    data: Future[bytes] = field(default_factory=Future)
    size: int = 0
    wanted: bool = False

    def is_wanted(self) -> bool:
        """Whether someone waits for it."""
        return self.wanted


class Prefetch:
    """Reads objects ahead of threads that take them by name.

    Local files are not read ahead: the system does that.

    Parameters
    ----------
    places
        In about the order in which they will be wanted.
    max_bytes
        Of all that was read and not taken. A file that is larger comes alone.
    workers
        Reads at a time.
    """

    def __init__(self, places: Iterable[Place], *, max_bytes: int, workers: int = _WORKERS) -> None:
        announced = ((path, None) for path in places if isinstance(path, ObjectPath))
        self._waiting = OrderedDict(announced)
        self._coming: dict[ObjectPath, _Coming] = {}
        self._turns = 0
        self._stopped = False
        self._lock = Lock()
        self._budget = Budget(max_bytes)
        self._threads = [
            Thread(target=self._work, name="cp-assets-prefetch", daemon=True)
            for _ in range(min(max(1, workers), len(self._waiting)))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, path: Place) -> bytes:
        """Take a file's bytes; waits until they are there.

        One whose turn has not come, or that was not announced, is read at once, and one that waits
        for room gets it: to take them in another order costs time, and never stops.

        Raises
        ------
        OSError, CpAssetsError
            What reading it raised.
        """
        if not isinstance(path, ObjectPath):
            return path.read_bytes()
        with self._lock:
            self._waiting.pop(path, None)
            coming = self._coming.pop(path, None)
        if coming is None:
            return path.read_bytes()
        coming.wanted = True
        self._budget.look_again()
        try:
            return coming.data.result()
        finally:
            self._budget.release(coming.size)

    def close(self) -> None:
        """End the threads and forget what was not taken."""
        with self._lock:
            self._stopped = True
        self._budget.stop()
        for thread in self._threads:
            thread.join()
        self._coming.clear()

    def _work(self) -> None:
        while (coming := self._begin()) is not None:
            try:
                size = coming.path.stat().st_size + _OVERHEAD_BYTES
                self._budget.take(coming.turn, size, at_once=coming.is_wanted)
                coming.size = size
                coming.data.set_result(coming.path.read_bytes())
            except Exception as error:  # noqa: BLE001 - raised where the file is taken
                coming.data.set_exception(error)
            finally:
                self._budget.pass_turn(coming.turn)

    def _begin(self) -> _Coming | None:
        """The next file, entered as on its way; None at the end."""
        with self._lock:
            if self._stopped or not self._waiting:
                return None
            path, _ = self._waiting.popitem(last=False)
            coming = self._coming[path] = _Coming(path, self._turns)
            self._turns += 1
            return coming
