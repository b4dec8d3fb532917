"""An index of the image files below a folder, built once and never changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cp_assets.errors import ConfigurationError
from cp_assets.images import recorded
from cp_assets.images.image_sets import IMAGE_SUFFIXES

_Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class FolderIndex:
    """Image files below a folder, by relative path, base name and stem.

    Attributes
    ----------
    files
        Relative paths with ``/``, sorted.
    """

    root: Path
    files: tuple[str, ...]
    known: frozenset[str]
    by_name: _Names
    by_stem: _Names

    @classmethod
    def scan(cls, root: Path) -> FolderIndex:
        """Walk a folder. Symbolic links are followed: they are the owner's own; loops end.

        Raises
        ------
        ConfigurationError
            If the folder is not there or cannot be listed.
        """
        try:
            files = tuple(sorted(_walk(root, "", ())))
        except OSError as error:
            msg = (
                f"image folder {root}: cannot be listed ({error.strerror or error}); expected a "
                "readable folder, check image_dir, mask_dir and outline_dir"
            )
            raise ConfigurationError(msg) from error
        by_name: dict[str, list[str]] = {}
        by_stem: dict[str, list[str]] = {}
        for file in files:
            by_name.setdefault(recorded.base_name(file), []).append(file)
            by_stem.setdefault(recorded.stem(file), []).append(file)
        return cls(root, files, frozenset(files), _frozen(by_name), _frozen(by_stem))

    def tail_of(self, form: str) -> str | None:
        """Find the longest end of a recorded path that is a relative path of this folder."""
        return next((tail for tail in recorded.tails(form) if tail in self.known), None)

    def named_like(self, form: str) -> tuple[str, ...]:
        """Files that fit a recorded path: by its longest tail, else base name, else stem."""
        tail = self.tail_of(form)
        if tail is not None:
            return (tail,)
        name = recorded.base_name(form)
        return self.by_name.get(name) or self.by_stem.get(recorded.stem(form), ())

    def path(self, relative: str) -> Path:
        """Full path of one of `files`."""
        return self.root / relative


def _frozen(names: dict[str, list[str]]) -> _Names:
    return {name: tuple(files) for name, files in names.items()}


def _walk(folder: Path, below: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """List image files; a folder that lies above itself by a link is not entered again."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        relative = f"{below}{entry.name}"
        is_image = entry.name.lower().endswith(IMAGE_SUFFIXES)
        if entry.is_dir() and not is_image:
            yield from _walk(Path(entry.path), f"{relative}/", (*above, identity))
        elif is_image and (entry.is_file() or entry.is_dir()):
            # An image may be a folder: OME-Zarr. Its chunks are not images.
            yield relative
