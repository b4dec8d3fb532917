"""Which mask and which outline belong to an image."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.errors import ConfigurationError
from cp_assets.images import recorded
from cp_assets.images.folder_index import FolderIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ChannelFile, ImageSet

OverlayKind = Literal["mask", "outline"]
OVERLAY_KINDS: tuple[OverlayKind, OverlayKind] = ("mask", "outline")

_WELL_IN_NAME = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{1,2}\d{1,2})(?![0-9])")
_SITE_AFTER_WELL = re.compile(r"[-_ ]*(?:site|field|fov|s|f)?[-_ ]*(\d+)(?!\d)", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SINGULAR = {"nuclei": "nucleus"}


@dataclass(frozen=True, slots=True)
class OverlayMatch:
    """What was found for one image and one kind of overlay.

    Attributes
    ----------
    path, relative
        The file and its path below the overlay folder (in the gallery: below the dataset's root),
        or None.
    candidates
        The relative paths left when no single one could be chosen.
    """

    path: Path | None = None
    relative: str | None = None
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """One overlay folder; ``prefix`` is put before its relative paths."""

    index: FolderIndex
    prefix: str
    per_site: bool


class OverlayFinder:
    """Finds the overlays of one plate.

    Parameters
    ----------
    sources
        The plate: given folders, or the gallery's ``masks`` and ``outlines`` in each measurement
        folder.
    sets
        All image sets of the plate; a folder with one image set needs no names to match.
    compartment
        Whose objects are cropped: it decides between ``cell_outlines`` and ``nuclei_outlines``.

    Raises
    ------
    ConfigurationError
        If ``segmentation_file_regex`` holds no valid patterns, or a folder cannot be listed.
    """

    def __init__(self, sources: PlateSources, sets: Iterable[ImageSet], compartment: str) -> None:
        self._sources = sources
        self._sets_in_folder = Counter(image_set.source_folder for image_set in sets)
        self._names = _names_of(compartment)
        self._gallery: dict[str, _Place | None] = {}
        self._patterns = _compiled(sources.dataset.images.segmentation_file_regex or {})
        given = {"mask": sources.mask_dir, "outline": sources.outline_dir}
        self._given = {
            kind: _Place(FolderIndex.scan(folder), "", per_site=False)
            for kind, folder in given.items()
            if folder is not None
        }

    def find(
        self, kind: OverlayKind, image_set: ImageSet, file: ChannelFile, relative: str
    ) -> OverlayMatch:
        """Find the overlay of one channel's image.

        Parameters
        ----------
        relative
            Where the image was found below its own folder; overlays often mirror that.
        """
        place = self._given.get(kind) or self._gallery_place(kind, image_set)
        if place is None:
            return OverlayMatch()
        for candidates in self._rules(place, image_set, file, relative):
            unique = tuple(sorted(set(candidates)))
            if unique:
                return self._choose(place, unique)
        return OverlayMatch()

    def _gallery_place(self, kind: OverlayKind, image_set: ImageSet) -> _Place | None:
        if self._sources.dataset.layout != "cell-painting-gallery":
            return None
        below = "/".join(part for part in (image_set.source_folder, f"{kind}s") if part)
        if below not in self._gallery:
            # Two threads may both list a folder; they find the same.
            folder = self._sources.dataset.root / below
            place = None
            if folder.is_dir():
                place = _Place(FolderIndex.scan(folder), f"{below}/", per_site=True)
            self._gallery[below] = place
        return self._gallery[below]

    def _rules(
        self, place: _Place, image_set: ImageSet, file: ChannelFile, relative: str
    ) -> Iterator[Iterable[str]]:
        """Candidates of each rule, in the order of trust; the first rule with any decides."""
        others = tuple(other for other in image_set.channels if other != file)
        yield self._by_pattern(place, (file,))
        yield self._by_pattern(place, others)
        yield [name for saved in image_set.saved for name in self._recorded(place, saved)]
        yield place.index.named_like(relative)
        yield self._recorded(place, file)
        yield [name for other in others for name in self._recorded(place, other)]
        if place.per_site:
            yield self._of_site(place, image_set)

    @staticmethod
    def _recorded(place: _Place, file: ChannelFile) -> list[str]:
        return [name for form in recorded.forms(file) for name in place.index.named_like(form)]

    def _by_pattern(self, place: _Place, files: tuple[ChannelFile, ...]) -> list[str]:
        found = []
        for overlay_pattern, image_pattern in self._patterns:
            for file in files:
                name = recorded.base_name(recorded.normalise(file.file_name))
                match = image_pattern.search(name)
                if match is None:
                    continue
                identifiers = [g for g in match.groups() if g and g.strip()] or [
                    recorded.stem(name)
                ]
                found += [
                    overlay
                    for overlay in place.index.files
                    if overlay_pattern.search(recorded.base_name(overlay))
                    and all(_holds(recorded.stem(overlay), text) for text in identifiers)
                ]
        return found

    def _of_site(self, place: _Place, image_set: ImageSet) -> list[str]:
        alone = self._sets_in_folder[image_set.source_folder] <= 1
        return [
            overlay for overlay in place.index.files if alone or _names_site(overlay, image_set)
        ]

    def _choose(self, place: _Place, candidates: tuple[str, ...]) -> OverlayMatch:
        """Take the only candidate, or the only one that names the compartment."""
        left = candidates
        if len(left) > 1:
            left = (
                tuple(c for c in candidates if self._names & _words(recorded.stem(c)))
                or tuple(c for c in candidates if self._names & _words(c.rpartition("/")[0]))
                or candidates
            )
        if len(left) > 1:
            return OverlayMatch(candidates=tuple(place.prefix + name for name in left))
        return OverlayMatch(place.index.path(left[0]), place.prefix + left[0])


def _compiled(patterns: Mapping[str, str]) -> list[tuple[re.Pattern[str], re.Pattern[str]]]:
    compiled = []
    for pair in patterns.items():
        try:
            compiled.append((re.compile(pair[0]), re.compile(pair[1])))
        except re.error as error:
            msg = (
                f"segmentation_file_regex {pair[0]!r}: {pair[1]!r} is not a valid pair of regular "
                f"expressions ({error}); expected pattern of the overlay's name -> "
                "pattern of the image's"
            )
            raise ConfigurationError(msg) from error
    return compiled


def _holds(text: str, identifier: str) -> bool:
    """Whether a name holds an identifier; ``site_1`` is not in ``site_10``."""
    start = r"(?<!\d)" if identifier[0].isdigit() else ""
    end = r"(?!\d)" if identifier[-1].isdigit() else ""
    return re.search(f"{start}{re.escape(identifier)}{end}", text, re.IGNORECASE) is not None


def _names_site(overlay: str, image_set: ImageSet) -> bool:
    """Whether the name holds the well, and the site right after it: ``A01_s1--cells.png``."""
    name = recorded.stem(overlay)
    for found in _WELL_IN_NAME.finditer(name):
        if normalise_well(found[1]) != image_set.well_id or image_set.well_id is None:
            continue
        site = _SITE_AFTER_WELL.match(name, found.end())
        if (normalise_site(site[1]) if site else None) == image_set.site_id:
            return True
    return False


def _names_of(compartment: str) -> frozenset[str]:
    plural = compartment.lower()
    return frozenset({plural, _SINGULAR.get(plural, plural.removesuffix("s"))})


def _words(text: str) -> set[str]:
    """Lower-case words of a name: ``A01_s1--CellOutlines`` holds cell and outlines."""
    return {word.lower() for word in _WORD.findall(text)}
