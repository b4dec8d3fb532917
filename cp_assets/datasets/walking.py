"""Walking a folder that a user named: its own files, and links only as far as they may lead.

A link whose target lies inside the folder is followed. One that leads out of it is not, unless the
user says so: a plate from elsewhere must not bring in files of the machine that converts it. Only
links are looked at twice, so that a folder without links costs one listing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    """

    relative: str
    leads_out: str | None = None
    is_folder: bool = False


def walk(
    root: Path, *, follow_links: bool = False, is_leaf: Callable[[str], bool] | None = None
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
    walker = _Walker(
        None if follow_links else os.path.realpath(root), is_leaf or (lambda _name: False)
    )
    return walker.below(root, "", ())


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
            "folder, check image_dir, mask_dir, outline_dir and the rights of the folders in them"
        )
        raise ConfigurationError(msg) from error
    return (status.st_dev, status.st_ino), entries


def _is(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind; False for a link that leads round or to what is locked."""
    try:
        return kind()
    except OSError:
        return False
