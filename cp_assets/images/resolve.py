"""Where an image file lies now, given where the pipeline saw it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.images import recorded
from cp_assets.images.folder_index import FolderIndex
from cp_assets.images.load_data import LoadData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ChannelFile, ImageSet


_SHOWN = 6


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """An image file that was found.

    Attributes
    ----------
    original
        The place as recorded: URL, or path and file name.
    path
        The file.
    relative
        The file below the folder it was found in: the image folder or a mapped prefix; with ``/``.
    """

    original: str
    path: Path
    relative: str


@dataclass(frozen=True, slots=True)
class UnresolvedImage:
    """An image file that was not found, and why.

    Attributes
    ----------
    reason
        ``unsafe_path``, ``ambiguous_image`` or ``missing_image``.
    """

    original: str
    reason: str
    detail: str


class ImageResolver:
    """Finds the image files of one plate; the image folder is listed once, here.

    Parameters
    ----------
    sources
        The plate. Its image folder, LoadData files and path prefixes are used.

    Raises
    ------
    ConfigurationError
        If the image folder cannot be listed.
    MeasurementError
        If a LoadData file cannot be used.
    """

    def __init__(self, sources: PlateSources) -> None:
        self._index = FolderIndex.scan(sources.image_dir) if sources.image_dir else None
        self._load_data = LoadData.read(sources.load_data)
        self._load_data_plate = sources.image_plate or sources.key.plate_id
        self._siblings = sources.siblings
        self._plate_names = tuple(filter(None, (sources.image_plate, sources.key.plate_id)))
        prefixes = sources.dataset.images.path_prefix_map
        self._prefixes = [
            (recorded.normalise(prefix).rstrip("/"), Path(target))
            for prefix, target in sorted(
                prefixes.items(), key=lambda pair: (-len(pair[0]), pair[0])
            )
        ]

    def resolve(self, image_set: ImageSet, file: ChannelFile) -> ResolvedImage | UnresolvedImage:
        """Find one channel's file.

        In order: the prefix map over what LoadData and then what the Image table recorded; the
        longest end of a recorded path that exists below the image folder; the only file of that
        base name; the only file of that stem.
        """
        loaded = self._load_data.find(
            self._load_data_plate, image_set.well_id, image_set.site_id, file.channel
        )
        records = (loaded, file) if loaded else (file,)
        for record in records:
            why = recorded.danger(record)
            if why:
                detail = f"{why}; nothing outside of the image folders is read"
                return UnresolvedImage(file.recorded, "unsafe_path", detail)
        forms = [form for record in records for form in recorded.forms(record)]
        return (
            self._by_prefix(file, forms)
            or self._in_folder(file, forms)
            or self._missing(file, forms)
        )

    def _by_prefix(self, file: ChannelFile, forms: list[str]) -> ResolvedImage | None:
        for form in forms:
            for prefix, target in self._prefixes:
                if not form.startswith(f"{prefix}/"):
                    continue
                # Leading slashes would make `rest` absolute, and `/` would drop the target.
                rest = form[len(prefix) :].lstrip("/")
                if _is_there(path := target / rest):
                    return ResolvedImage(file.recorded, path, rest)
        return None

    def _in_folder(
        self, file: ChannelFile, forms: list[str]
    ) -> ResolvedImage | UnresolvedImage | None:
        index = self._index
        if index is None:
            return None
        searches: tuple[Callable[[str], Iterable[str]], ...] = (
            lambda form: filter(None, (index.tail_of(form),)),
            lambda form: index.by_name.get(recorded.base_name(form), ()),
            lambda form: index.by_stem.get(recorded.stem(form), ()),
        )
        for search in searches:
            for form in forms:
                candidates = self._of_this_plate(tuple(search(form)))
                if len(candidates) == 1:
                    (found,) = candidates
                    return ResolvedImage(file.recorded, index.path(found), found)
                if candidates:
                    return self._ambiguous(file, candidates)
        return None

    def _of_this_plate(self, candidates: tuple[str, ...]) -> tuple[str, ...]:
        """Prefer, where several fit, those in a folder named like the plate."""
        for fits in (_is_name, _starts_with_name):
            chosen = tuple(
                candidate
                for candidate in candidates
                if len(candidates) > 1
                and any(
                    fits(part, name)
                    for part in candidate.split("/")[:-1]
                    for name in self._plate_names
                )
            )
            if chosen:
                return chosen
        return tuple(one for one in candidates if not self._is_of_a_sibling(one))

    def _is_of_a_sibling(self, candidate: str) -> bool:
        """Whether a folder of the candidate is named after another plate rather than this one."""
        parts = candidate.split("/")[:-1]
        own = _longest_name(parts, self._plate_names)
        return _longest_name(parts, self._siblings) > own

    def _ambiguous(self, file: ChannelFile, candidates: tuple[str, ...]) -> UnresolvedImage:
        more = ", ..." if len(candidates) > _SHOWN else ""
        shown = ", ".join(candidates[:_SHOWN]) + more
        detail = (
            f"{file.file_name} is the name of {len(candidates)} files below {self._root}: "
            f"{shown}; set path_prefix_map so that the recorded folder says which"
        )
        return UnresolvedImage(file.recorded, "ambiguous_image", detail)

    def _missing(self, file: ChannelFile, forms: list[str]) -> UnresolvedImage:
        prefixes = [prefix for prefix, _ in self._prefixes]
        folder = (
            f"path ends, name and stem below {self._root}"
            if self._index
            else "no image folder is set"
        )
        detail = (
            f"not found; recorded as {', '.join(forms)}; tried: path_prefix_map "
            f"({', '.join(prefixes) or 'empty'}), {folder}"
        )
        return UnresolvedImage(file.recorded, "missing_image", detail)

    @property
    def _root(self) -> str:
        return str(self._index.root) if self._index else ""


def _is_there(path: Path) -> bool:
    """Whether a foreign path is a file here; names too long for this file system are not."""
    try:
        return path.is_file()
    except OSError:
        return False


def _longest_name(parts: Iterable[str], names: tuple[str, ...]) -> int:
    """Letters of the longest plate name that one of the folders has; 0 for none."""
    return max(
        (len(name) for part in parts for name in names if _starts_with_name(part, name)), default=0
    )


def _is_name(part: str, plate: str) -> bool:
    return part == plate


def _starts_with_name(part: str, plate: str) -> bool:
    """Plate folders carry dates and runs: ``BR1__2021-Measurement1`` is of BR1, BR10 is not."""
    return part.startswith(plate) and not part[len(plate) : len(plate) + 1].isalnum()
