"""What lies in folders, of a disk or of a store, for as few requests as can be.

A store's listing gives 1,000 names a request, and a request takes some 50 ms: 3,456 folders of
sites are listed as one, by what lies below the folder above them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cp_assets.stores import ObjectPath
from cp_assets.stores.model import ObjectState
from cp_assets.streams import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cp_assets.stores import Place

    Item = TypeVar("Item")
    Result = TypeVar("Result")

REQUESTS_AT_ONCE = 16
"""Requests to a store under way at a time."""

NAMES_A_REQUEST = 1000
"""What a store lists for one request."""


@dataclass(frozen=True)
class Listing:
    """A folder, and what lies directly in it but for names that begin with a dot.

    Those are the file system's own, such as macOS's ``._Cells.csv``.
    """

    folder: Place
    files: tuple[Place, ...]

    @classmethod
    def of(cls, folder: Place, children: Sequence[Place] | None = None) -> Listing:
        """List a folder, or take what was listed."""
        there = entries(folder) if children is None else children
        return cls(folder, tuple(path for path in there if path.name[0] != "."))


def entries(folder: Place) -> list[Place]:
    """What lies directly in a folder, sorted; nothing where there is no such folder."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def subfolders(folder: Place) -> list[Place]:
    """Folders in a folder, sorted, but for hidden ones."""
    return [child for child in entries(folder) if child.is_dir() and child.name[0] != "."]


def with_subfolders(base: Place) -> list[Listing]:
    """What lies in a folder, and in each folder in it, in their order."""
    children = entries(base)
    folders = [child for child in children if child.is_dir()]
    return [Listing.of(base, children), *_listings(base, folders)]


def _listings(base: Place, folders: Sequence[Place]) -> list[Listing]:
    below = files_of_each(base, folders)
    if below is None:
        return list(on_each(Listing.of, folders, base))
    return [
        Listing.of(folder, sorted(_directly(folder, files)))
        for folder, files in zip(folders, below, strict=True)
    ]


def _directly(folder: Place, files: Sequence[tuple[str, ObjectPath]]) -> Iterator[Place]:
    """Of the files below a folder those in it, and the folders that the others lie in."""
    seen = set()
    for relative, path in files:
        name, _, deeper = relative.partition("/")
        if not deeper:
            yield path
        elif name not in seen:
            seen.add(name)
            yield folder / name


def files_of_each(
    base: Place, folders: Sequence[Place]
) -> list[list[tuple[str, ObjectPath]]] | None:
    """All files below each of some folders in a folder of a store, by one listing of that.

    Each with its path below its folder, in the order of the keys. None where to ask for each
    folder takes fewer requests: of few folders, or where much more lies beside them.
    """
    if not isinstance(base, ObjectPath) or len(folders) <= REQUESTS_AT_ONCE:
        return None
    found: dict[str, list[tuple[str, ObjectPath]]] = {folder.name: [] for folder in folders}
    most = NAMES_A_REQUEST * len(folders)
    there = files_below(base)
    for relative, path in islice(there, most):
        name, _, rest = relative.partition("/")
        if rest and name in found:
            found[name].append((rest, path))
    return list(found.values()) if next(there, None) is None else None


def files_below(folder: ObjectPath) -> Iterator[tuple[str, ObjectPath]]:
    """All files below a folder of a store, each with its path below that."""
    start = len(folder.key) + 1 if folder.key else 0
    for path in folder.files_below():
        yield path.key[start:], path


def on_each(
    function: Callable[[Item], Result], items: Sequence[Item], place: Place
) -> Iterator[Result]:
    """``map(function, items)``; where they ask the store of a place, many at a time."""
    if isinstance(place, ObjectPath) and len(items) > 1:
        return ordered_map(function, items, REQUESTS_AT_ONCE)
    return map(function, items)


def existing_file(file: Place) -> Place | None:
    """A file as it is now, or None if there is none.

    One of a store is read in this version or not at all.
    """
    if not isinstance(file, ObjectPath):
        return file if file.is_file() else None
    try:
        now = file.stat()
    except FileNotFoundError:
        return None
    return file.known_as(ObjectState(now.st_size, now.etag, now.st_mtime_ns))


def relative_path(path: Place, folder: Place) -> str:
    """A path below a folder, with ``/``; ``.`` for the folder itself.

    Raises
    ------
    ValueError
        If it does not lie there.
    """
    if isinstance(path, ObjectPath) and isinstance(folder, ObjectPath):
        return path.relative_to(folder).as_posix()
    return Path(str(path)).relative_to(str(folder)).as_posix()


def lies_below(path: Place, folder: Place) -> bool:
    """Whether a path is a folder or lies below it; never for those of different kinds."""
    if isinstance(path, ObjectPath):
        return path.is_relative_to(folder)
    return not isinstance(folder, ObjectPath) and path.is_relative_to(folder)
