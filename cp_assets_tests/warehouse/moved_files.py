"""Data files that nobody can open for a while: whoever needs them fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit


def path_of(location: str) -> Path:
    """A data file on a disk, by its location in a table."""
    return Path(unquote(urlsplit(location).path))


@contextmanager
def hidden(paths: Iterable[Path]) -> Iterator[None]:
    """Rename files, and put them back."""
    moved = [(path, path.with_name(f"{path.name}.hidden")) for path in paths]
    for path, away in moved:
        path.rename(away)
    try:
        yield
    finally:
        for path, away in moved:
            away.rename(path)
