"""The prefix map: where the user says that a recorded folder lies now."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import existing_file
from cp_assets.datasets.walking import leads_out
from cp_assets.images import recorded
from cp_assets.stores import ObjectPath, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cp_assets.datasets.model import ImageOptions
    from cp_assets.stores import Place

_ASKED_ALONE = 8
"""Names of one folder of a store that are looked up one by one, before all of it is listed: a plate
has thousands of images in a folder, and a listing gives a thousand of them for one request."""


@dataclass(frozen=True, slots=True)
class MappedPath:
    """Where a recorded path would lie: below the folder ``target``, at ``relative`` with ``/``."""

    target: Place
    relative: str
    path: Place


class _Objects:
    """Looks objects up, by listing their folder where that takes fewer requests."""

    def __init__(self) -> None:
        self._asked: Counter[ObjectPath] = Counter()
        self._found: dict[ObjectPath, ObjectPath | None] = {}
        self._listed: dict[ObjectPath, Mapping[str, ObjectPath]] = {}

    def find(self, path: ObjectPath) -> ObjectPath | None:
        """An object or an OME-Zarr as it is now; None if there is none."""
        if path not in self._found:
            self._found[path] = self._look(path)
        return self._found[path]

    def _look(self, path: ObjectPath) -> ObjectPath | None:
        folder = path.parent
        self._asked[folder] += 1
        is_zarr = path.suffix.lower() == ".zarr"
        if self._asked[folder] <= _ASKED_ALONE:
            if is_zarr and path.is_dir():
                return path.known_as("folder")
            found = existing_file(path)
            return found if isinstance(found, ObjectPath) else None
        if folder not in self._listed:
            self._listed[folder] = {child.name: child for child in folder.iterdir()}
        child = self._listed[folder].get(path.name)
        return child if child is not None and (child.is_file() or is_zarr) else None


@dataclass(frozen=True)
class PrefixMap:
    """Recorded prefixes and their folders, the longest prefix first.

    Attributes
    ----------
    follow_links
        Whether links that lead out of a mapped folder are followed.
    """

    pairs: tuple[tuple[str, Place], ...]
    follow_links: bool
    _folders: dict[str, str] = field(default_factory=dict, repr=False)
    _objects: _Objects = field(default_factory=_Objects, repr=False)

    @classmethod
    def of(cls, options: ImageOptions) -> PrefixMap:
        """The map of a dataset."""
        given = sorted(options.path_prefix_map.items(), key=lambda pair: (-len(pair[0]), pair[0]))
        pairs = tuple((recorded.normalise(prefix).rstrip("/"), place(at)) for prefix, at in given)
        return cls(pairs, options.follow_links)

    @property
    def names(self) -> tuple[str, ...]:
        """The recorded prefixes."""
        return tuple(prefix for prefix, _ in self.pairs)

    def files(self, form: str) -> Iterator[MappedPath]:
        """The files, or folders of an OME-Zarr, that a recorded path may mean: most trusted first.

        Raises
        ------
        StoreError
            If an object store cannot be asked.
        """
        for mapped in self._places(form):
            path = self._existing(mapped.path)
            if path is not None:
                yield replace(mapped, path=path)

    def _places(self, form: str) -> Iterator[MappedPath]:
        for prefix, target in self.pairs:
            if form.startswith(f"{prefix}/"):
                # Leading slashes would make the rest absolute, and `/` would drop the target.
                rest = form[len(prefix) :].lstrip("/")
                for spelling in recorded.spellings(rest):
                    yield MappedPath(target, spelling, target / spelling)

    def _existing(self, path: Place) -> Place | None:
        if isinstance(path, ObjectPath):
            return self._objects.find(path)
        try:
            is_there = path.is_file() or (path.suffix.lower() == ".zarr" and path.is_dir())
        except OSError:  # too long a name
            return None
        return path if is_there else None

    def leads_out(self, mapped: MappedPath) -> str | None:
        """Where a file really lies if that is outside of its mapped folder, else None."""
        if self.follow_links or isinstance(mapped.path, ObjectPath):
            return None
        folder = self._real(str(mapped.path.parent))
        return leads_out(self._real(str(mapped.target)), f"{folder}/{mapped.path.name}")

    def _real(self, folder: str) -> str:
        """Real path of a folder, found once: a plate has many files in few of them."""
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return self._folders[folder]
