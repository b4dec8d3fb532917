"""Which requests go wrong, and how: a script of faults, played the same way each time."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Kind = Literal["slow_down", "reset", "lost", "hang", "short", "truncated"]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    kind
        ``slow_down``: 503 SlowDown, nothing done. ``reset``: the connection breaks, nothing done.
        ``lost``: done, then the connection breaks before the answer. ``hang``: nothing is done and
        nothing answered for `seconds`, then the connection breaks. ``short``: the answer's body
        ends half way. ``truncated``: the same, and its length says that this is all.
    operation
        Pattern (``*``, ``?``) of S3's name: ``ListObjectsV2``, ``GetObject``, ``PutObject``, ...
    method, path
        Patterns of the HTTP method and of ``/bucket/key``.
    after
        How many such requests pass before.
    times
        How often it goes wrong at most; None for ever.
    probability
        Of going wrong, where it may.
    """

    kind: Kind
    operation: str = "*"
    method: str = "*"
    path: str = "*"
    after: int = 0
    times: int | None = None
    probability: float = 1.0
    seconds: float = 3600.0


@dataclass(frozen=True)
class Request:
    """A request as it came.

    Attributes
    ----------
    path
        ``/bucket/key`` as in the request line, without the query.
    range
        Header ``Range``, or an empty text.
    """

    method: str
    operation: str
    path: str
    query: str
    range: str = ""


class Script:
    """Faults, and how far each has been played."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._faults = faults
        self._seen = [0] * len(faults)
        self._played = [0] * len(faults)
        self._random = random.Random(seed)  # noqa: S311 - chance in a test
        self._lock = threading.Lock()

    def next_fault(self, request: Request) -> Fault | None:
        """The first fault that is due for this request."""
        with self._lock:
            due = [at for at, fault in enumerate(self._faults) if self._is_due(at, fault, request)]
            if not due:
                return None
            self._played[due[0]] += 1
            return self._faults[due[0]]

    def _is_due(self, at: int, fault: Fault, request: Request) -> bool:
        wanted = (fault.operation, fault.method, fault.path)
        got = (request.operation, request.method, request.path)
        if not all(fnmatchcase(one, pattern) for one, pattern in zip(got, wanted, strict=True)):
            return False
        self._seen[at] += 1
        if self._seen[at] <= fault.after or self._played[at] == fault.times:
            return False
        return self._random.random() < fault.probability
