"""Files in the image folder that are no source images: overlays, and what the pipeline saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.images import recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.folder_index import FolderIndex
    from cp_assets.images.image_sets import ImageSet
    from cp_assets.stores import Place


def set_aside(
    index: FolderIndex, sources: PlateSources, sets: Iterable[ImageSet]
) -> frozenset[str]:
    """Relative paths that only a full path makes a source image, never a mere name.

    They are the files of mask and outline folders that lie below the image folder, and the files
    that the image sets record as saved. A name that a source image has too is not set aside, unless
    the saved file's folder says that it is the saved one.
    """
    folders = frozenset(_overlay_folders(index, sources))
    overlays = (
        file for file in index.files if folders and not folders.isdisjoint(_folders_above(file))
    )
    return frozenset((*overlays, *_saved(index, tuple(sets))))


def _overlay_folders(index: FolderIndex, sources: PlateSources) -> Iterator[str]:
    for folder in (sources.mask_dir, sources.outline_dir):
        below = _below(index.root, folder) if folder is not None else None
        if below:
            yield below
    top = _below(index.root, sources.dataset.root)
    if sources.dataset.layout == "cell-painting-gallery" and top is not None:
        for measured in sources.folders:
            for name in ("masks", "outlines"):
                yield "/".join(part for part in (top, measured.relative, name) if part)


def _below(root: Place, folder: Place) -> str | None:
    """Path of a folder below another, with ``/``, empty for itself; None if it lies elsewhere."""
    start = f"{root.resolve().as_posix().rstrip('/')}/"
    path = f"{folder.resolve().as_posix().rstrip('/')}/"
    return path.removeprefix(start).rstrip("/") if path.startswith(start) else None


def _folders_above(file: str) -> Iterator[str]:
    parts = file.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))


def _saved(index: FolderIndex, sets: tuple[ImageSet, ...]) -> Iterator[str]:
    loaded = {
        recorded.composed(file.file_name) for image_set in sets for file in image_set.channels
    }
    for image_set in sets:
        for file in image_set.saved:
            for form in recorded.forms(file):
                tail = index.tail_of(form)
                if tail is not None and "/" in tail:
                    yield tail
                elif recorded.composed(file.file_name) not in loaded:
                    yield from index.of_name(form)
