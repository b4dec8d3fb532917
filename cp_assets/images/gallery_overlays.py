"""The gallery's overlay folders: ``masks`` and ``outlines`` beside each site's measurements."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from cp_assets.datasets.walking import walk_each
from cp_assets.images.folder_index import FolderIndex
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cp_assets.datasets.model import PlateSources
    from cp_assets.datasets.walking import Entry
    from cp_assets.stores import Place

_NAMES = ("masks", "outlines")


class GalleryOverlays:
    """Overlay folders of a plate's measurement folders; none in another layout."""

    def __init__(self, sources: PlateSources) -> None:
        is_gallery = sources.dataset.layout == "cell-painting-gallery"
        self._measured = tuple(one.path for one in sources.folders) if is_gallery else ()
        self._root = sources.dataset.root
        self._follow_links = sources.dataset.images.follow_links
        self.is_gallery = is_gallery

    def has(self, name: str) -> bool:
        """Whether there is any ``masks``, or any ``outlines``."""
        return any(self._is_there(folder / name) for folder in self._measured)

    def index(self, below: str) -> FolderIndex | None:
        """Index a folder below the dataset's root; None if there is none.

        Raises
        ------
        ConfigurationError
            If it cannot be listed.
        """
        folder = self._root / below
        if not self._is_there(folder):
            return None
        if isinstance(folder, ObjectPath):
            return FolderIndex.of(folder, self._listed[folder])
        return FolderIndex.scan(folder, follow_links=self._follow_links)

    def _is_there(self, folder: Place) -> bool:
        return bool(self._listed.get(folder)) if isinstance(folder, ObjectPath) else folder.is_dir()

    @cached_property
    def _listed(self) -> Mapping[Place, list[Entry]]:
        """What lies in the folders in a store: all of a plate are listed together."""
        folders = [folder / name for folder in self._measured for name in _NAMES]
        return dict(zip(folders, walk_each(folders), strict=True))
