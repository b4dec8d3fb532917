"""One writer at a time, and who of them is still alive: locks that end with their process."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom
    from pathlib import Path


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock; waits for whoever has it."""
    with _opened(file) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold a lock that nobody else takes but to see whether we live."""
    with _opened(file) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def is_held(file: Path) -> bool:
    """Whether somebody who lives holds the lock."""
    try:
        with file.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _opened(file: Path) -> BufferedRandom:
    return file.open("a+b")
