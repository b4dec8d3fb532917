"""Walking a folder that a user named: its own files, and links only as far as they may lead.

A link whose target lies inside the folder is followed. One that leads out of it is not, unless the
user says so: a plate from elsewhere must not bring in files of the machine that converts it. Only
links are looked at twice, so that a folder without links costs one listing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import entries, files_below, files_of_each, on_each
from cp_assets.errors import ConfigurationError
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cp_assets.stores import Place

_FEW_FOLDERS = 8
"""So many folders of a store are listed one by one."""

_Above = tuple[tuple[int, int], ...]
"""Device and inode of the folders above: one of them again is a loop."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file below a folder, or a link that was not followed.

    Attributes
    ----------
    relative
        The path below the folder, with ``/``.
    leads_out
        Where the link leads, outside of the folder; None for what may be read.
    is_folder
        Whether it is a folder: a leaf, or a refused link to one.
    found
        In a store, the object as it was listed: to ask it for its state takes no request. None of
        a folder, and on a disk.
    """

    relative: str
    leads_out: str | None = None
    is_folder: bool = False
    found: ObjectPath | None = None

    def below(self, root: Place) -> Place:
        """The path of the entry, below the folder that was walked."""
        return self.found or root / self.relative


def walk(
    root: Place, *, follow_links: bool = False, is_leaf: Callable[[str], bool] | None = None
) -> Iterator[Entry]:
    """List the files below a folder, each folder in the order of its names; loops of links end.

    A link to nothing, to itself or to what may not be looked at is passed over.

    Parameters
    ----------
    root
        The folder; it may be a link itself.
    follow_links
        Whether links that lead out of the folder are followed too.
    is_leaf
        Whether a folder of that name is one entry and is not entered, such as an OME-Zarr image.

    Raises
    ------
    ConfigurationError
        If a folder cannot be listed; names it.
    """
    if isinstance(root, ObjectPath):
        return _walk_store(root, is_leaf)
    walker = _Walker(
        None if follow_links else os.path.realpath(root), is_leaf or (lambda _name: False)
    )
    return walker.below(root, "", ())


def walk_each(folders: Sequence[Place], *, follow_links: bool = False) -> Iterator[list[Entry]]:
    """List the files below each of some folders, of which some may be missing.

    Many that lie in the folders of one folder of a store, such as the outlines of each site, are
    listed by what lies below that one.
    """
    in_store = [folder for folder in folders if isinstance(folder, ObjectPath)]
    if not in_store or len(in_store) < len(folders):
        for folder in folders:
            there = isinstance(folder, ObjectPath) or folder.is_dir()
            yield list(walk(folder, follow_links=follow_links)) if there else []
        return
    above = sorted({folder.parent for folder in in_store})
    listed = files_of_each(above[0].parent, above) if len({a.parent for a in above}) == 1 else None
    if listed is None:
        yield from on_each(lambda folder: list(walk(folder)), in_store, in_store[0])
        return
    files = dict(zip(above, listed, strict=True))
    for folder in in_store:
        start = f"{folder.name}/"
        yield _in_order(
            (relative.removeprefix(start), path)
            for relative, path in files[folder.parent]
            if relative.startswith(start)
        )


def _walk_store(root: ObjectPath, is_leaf: Callable[[str], bool] | None) -> Iterator[Entry]:
    """The entries of a store's folder, in the order in which those of a disk would come.

    Without leaves, one listing of all files. A leaf may hold thousands of them, and to ask for its
    name alone is one request: folders beside leaves are listed one by one.
    """
    if is_leaf is None:
        yield from _in_order(files_below(root))
        return
    children = [child for child in entries(root) if isinstance(child, ObjectPath)]
    folders = [child.name for child in children if child.is_dir()]
    if len(folders) > _FEW_FOLDERS and not any(map(is_leaf, folders)):
        yield from _in_order(_with_leaves(files_below(root), is_leaf))
        return
    for child in children:
        if not child.is_dir():
            yield Entry(child.name, found=child)
        elif is_leaf(child.name):
            yield Entry(child.name, is_folder=True)
        else:
            for entry in _walk_store(child, is_leaf):
                yield replace(entry, relative=f"{child.name}/{entry.relative}")


def _with_leaves(
    files: Iterator[tuple[str, ObjectPath]], is_leaf: Callable[[str], bool]
) -> Iterator[tuple[str, ObjectPath | None]]:
    """Files, and each leaf once in place of the files below it."""
    seen = set()
    for relative, path in files:
        folders = relative.split("/")[:-1]
        depth = next((at for at, name in enumerate(folders, start=1) if is_leaf(name)), None)
        if depth is None:
            yield relative, path
            continue
        leaf = "/".join(folders[:depth])
        if leaf not in seen:
            seen.add(leaf)
            yield leaf, None


def _in_order(files: Iterable[tuple[str, ObjectPath | None]]) -> list[Entry]:
    """Entries by the names of their folders: keys are sorted otherwise, ``a-b/`` before ``a/``."""
    ordered = sorted(files, key=lambda file: file[0].split("/"))
    return [Entry(relative, is_folder=path is None, found=path) for relative, path in ordered]


def leads_out(root: str, path: str) -> str | None:
    """Where a path of a folder leads if that is outside of it, else None.

    Parameters
    ----------
    root
        Real path of the folder.
    path
        A path whose folder is real already; only its last part may be a link.
    """
    target = os.path.realpath(path) if Path(path).is_symlink() else path
    return None if target.startswith(root.rstrip("/") + "/") or target == root else target


@dataclass(frozen=True, slots=True)
class _Walker:
    """``root`` is the real path that links must not leave, or None where they may."""

    root: str | None
    is_leaf: Callable[[str], bool]

    def below(self, folder: Path, prefix: str, above: _Above) -> Iterator[Entry]:
        identity, entries = _listed(folder)
        if identity in above:
            return
        for entry in entries:
            relative = f"{prefix}{entry.name}"
            is_folder = _is(entry.is_dir)
            refused = self._leads_out(entry)
            if refused is not None:
                yield Entry(relative, refused, is_folder)
            elif is_folder and not self.is_leaf(entry.name):
                yield from self.below(Path(entry.path), f"{relative}/", (*above, identity))
            elif is_folder or _is(entry.is_file):
                yield Entry(relative, is_folder=is_folder)

    def _leads_out(self, entry: os.DirEntry[str]) -> str | None:
        is_link = self.root is not None and entry.is_symlink()
        return leads_out(self.root, entry.path) if is_link and self.root else None


def _listed(folder: Path) -> tuple[tuple[int, int], list[os.DirEntry[str]]]:
    """Device and inode of a folder, and what lies in it in the order of its names."""
    try:
        status = folder.stat()
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        msg = (
            f"folder {folder}: cannot be listed ({error.strerror or error}); expected a readable "
            "folder, check its rights, and image_dir, mask_dir or outline_dir if one names it"
        )
        raise ConfigurationError(msg) from error
    return (status.st_dev, status.st_ino), entries


def _is(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind; False for a link that leads round or to what is locked."""
    try:
        return kind()
    except OSError:
        return False
