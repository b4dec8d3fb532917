"""Which mask and which outline belong to an image."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Literal

from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.images import recorded
from cp_assets.images.claims import Claim, Refusal, refusals
from cp_assets.images.folder_index import FolderIndex
from cp_assets.images.gallery_overlays import GalleryOverlays
from cp_assets.images.overlay_patterns import OverlayPattern, compiled
from cp_assets.images.plate_folders import PlateFolders, is_of_another_well
from cp_assets.images.resolve import ImageResolver, ResolvedImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ChannelFile, ImageSet
    from cp_assets.stores import Place

OverlayKind = Literal["mask", "outline"]
OVERLAY_KINDS: tuple[OverlayKind, OverlayKind] = ("mask", "outline")

_WELL_IN_NAME = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{1,2}\d{1,2})(?![0-9])")
_SITE_AFTER_WELL = re.compile(r"[-_ ]*(?:site|field|fov|s|f)?[-_ ]*(\d+)(?!\d)", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ONE_PLANE = (".png", ".jpg", ".jpeg", ".bmp", ".dib")
"""Endings of files that never hold several planes."""

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
        The relative paths of what could not be used, where something was found.
    shared
        Whether several image sets, each a plane of one image, have this file: only its plane of the
        channel's series and frame is meant, and a file of one plane is none of theirs.
    reason, detail
        Why it could not: ``ambiguous_overlay`` (several could be it, or one that another image set
        has too) or ``unsafe_path`` (a link that leads out of the folder); else None.
    """

    path: Place | None = None
    relative: str | None = None
    candidates: tuple[str, ...] = ()
    shared: bool = False
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class _Place:
    """One overlay folder and the image sets whose overlays it holds.

    ``prefix`` is put before its relative paths.
    """

    index: FolderIndex
    prefix: str
    per_site: bool
    sets: tuple[ImageSet, ...]
    patterns: tuple[OverlayPattern, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """What one rule finds for an image; ``form`` is the path that it looked up."""

    candidates: Iterable[str]
    form: str | None = None
    certain: bool = False


@dataclass(frozen=True, slots=True)
class _Choice:
    """A match, and the rule that found it."""

    match: OverlayMatch
    rule: _Rule


_Key = tuple[str, "ChannelFile", str]
"""Image set, channel's file and where its image lies."""


class OverlayFinder:
    """Finds the overlays of one plate; safe to use from several threads.

    Parameters
    ----------
    sources
        The plate: given folders, or the gallery's ``masks`` and ``outlines`` in each measurement
        folder.
    sets
        All image sets of the plate; a folder with one image set needs no names to match, and an
        overlay that several image sets lead to is given only to those that may have it.
    compartment
        Whose objects are cropped: it decides between ``cell_outlines`` and ``nuclei_outlines``.
    images
        Finds the images of these image sets; None to look them up here.

    Raises
    ------
    ConfigurationError
        If ``segmentation_file_regex`` holds no valid patterns, or a folder cannot be listed.
    """

    def __init__(
        self,
        sources: PlateSources,
        sets: Iterable[ImageSet],
        compartment: str,
        images: ImageResolver | None = None,
    ) -> None:
        self._sources = sources
        self._sets = tuple(sets)
        self._in_folder: dict[str, list[ImageSet]] = {}
        for image_set in self._sets:
            self._in_folder.setdefault(image_set.source_folder, []).append(image_set)
        self._names = _names_of(compartment)
        self._plate = PlateFolders.of(sources)
        self._patterns = compiled(sources.dataset.images.segmentation_file_regex or {})
        self._gallery = GalleryOverlays(sources)
        self._in_gallery: dict[str, _Place | None] = {}
        self._settled: dict[int, Mapping[_Key, OverlayMatch]] = {}
        self._lock = Lock()
        given = {"mask": sources.mask_dir, "outline": sources.outline_dir}
        follow_links = sources.dataset.images.follow_links
        self._given = {
            kind: self._place(FolderIndex.scan(folder, follow_links=follow_links), "", self._sets)
            for kind, folder in given.items()
            if folder is not None
        }
        self._images = images

    @property
    def kinds(self) -> frozenset[OverlayKind]:
        """The kinds of which the plate may have any: it has a folder of them."""
        return frozenset(
            kind for kind in OVERLAY_KINDS if kind in self._given or self._gallery.has(f"{kind}s")
        )

    def find(
        self, kind: OverlayKind, image_set: ImageSet, file: ChannelFile, relative: str
    ) -> OverlayMatch:
        """Find the overlay of one channel's image.

        Parameters
        ----------
        relative
            Where the image was found below its own folder; overlays often mirror that.
        """
        with self._lock:
            place = self._given.get(kind) or self._gallery_place(kind, image_set)
            if place is None:
                return OverlayMatch()
            if id(place) not in self._settled:
                self._settled[id(place)] = self._settle(place)
            known = self._settled[id(place)].get((image_set.image_id, file, relative))
        return known or self._choice(place, image_set, file, relative).match

    def _place(self, index: FolderIndex, prefix: str, sets: tuple[ImageSet, ...]) -> _Place:
        patterns = tuple(OverlayPattern.over(*pair, index.files) for pair in self._patterns)
        return _Place(index, prefix, bool(prefix), sets, patterns)

    def _gallery_place(self, kind: OverlayKind, image_set: ImageSet) -> _Place | None:
        if not self._gallery.is_gallery:
            return None
        below = "/".join(part for part in (image_set.source_folder, f"{kind}s") if part)
        if below not in self._in_gallery:
            index = self._gallery.index(below)
            beside = tuple(self._in_folder.get(image_set.source_folder, ()))
            self._in_gallery[below] = (
                self._place(index, f"{below}/", beside) if index is not None else None
            )
        return self._in_gallery[below]

    def _settle(self, place: _Place) -> dict[_Key, OverlayMatch]:
        """Match all image sets of a folder, and refuse what two of them cannot share."""
        if self._images is None:
            self._images = ImageResolver(self._sources, self._sets)
        matches: dict[_Key, OverlayMatch] = {}
        claims: dict[Claim, _Key] = {}
        planes_of: dict[Place, set[tuple[tuple[int, int], ...]]] = {}
        for image_set in place.sets:
            found = {file: self._images.resolve(image_set, file) for file in image_set.channels}
            images = {file: one for file, one in found.items() if isinstance(one, ResolvedImage)}
            # Image sets of the same image files are planes of them, or were measured twice.
            identity = tuple(image.path for image in images.values())
            planes = tuple((one.series or 0, one.frame or 0) for one in images)
            for file, image in images.items():
                key = (image_set.image_id, file, image.relative)
                choice = self._choice(place, image_set, file, image.relative)
                matches[key] = choice.match
                if choice.match.path is not None:
                    planes_of.setdefault(choice.match.path, set()).add(planes)
                    claims[_claim(image_set, file, choice, identity)] = key
        for refusal in refusals(claims):
            key = claims[refusal.claim]
            matches[key] = _refused(matches[key], refusal)
        shared = {path for path, planes in planes_of.items() if len(planes) > 1}
        return {
            key: _of_planes(match) if match.path in shared else match
            for key, match in matches.items()
        }

    def _choice(
        self, place: _Place, image_set: ImageSet, file: ChannelFile, relative: str
    ) -> _Choice:
        for rule in self._rules(place, image_set, file, relative):
            unique = self._plate.of_this_plate(sorted(set(rule.candidates)))
            if unique:
                return _Choice(self._chosen(place, unique), rule)
        link = place.index.refused_link(relative)
        match = _unsafe(place, *link) if link else OverlayMatch()
        return _Choice(match, _Rule(()))

    def _rules(
        self, place: _Place, image_set: ImageSet, file: ChannelFile, relative: str
    ) -> Iterator[_Rule]:
        """Candidates of each rule, in the order of trust; the first rule with any decides."""
        others = tuple(other for other in image_set.channels if other != file)
        yield _by_pattern(place, (file,))
        yield _by_pattern(place, others)
        yield _recorded(place, image_set.saved)
        yield _mirrored(place, relative)
        yield _recorded(place, (file,))
        yield _recorded(place, others)
        if place.per_site:
            yield _Rule(self._of_site(place, image_set))

    def _of_site(self, place: _Place, image_set: ImageSet) -> list[str]:
        alone = len(self._in_folder.get(image_set.source_folder, ())) <= 1
        return [
            overlay for overlay in place.index.files if alone or _names_site(overlay, image_set)
        ]

    def _chosen(self, place: _Place, candidates: tuple[str, ...]) -> OverlayMatch:
        """Take the only candidate, or the only one that names the compartment."""
        left = candidates
        if len(left) > 1:
            left = (
                tuple(c for c in candidates if self._names & _words(recorded.stem(c)))
                or tuple(c for c in candidates if self._names & _words(c.rpartition("/")[0]))
                or candidates
            )
        if len(left) > 1:
            names = tuple(place.prefix + name for name in left)
            detail = f"several files could be it: {', '.join(names)}"
            return OverlayMatch(candidates=names, reason="ambiguous_overlay", detail=detail)
        (found,) = left
        if found in place.index.refused:
            return _unsafe(place, found, place.index.refused[found])
        return OverlayMatch(place.index.path(found), place.prefix + found)


def _by_pattern(place: _Place, files: tuple[ChannelFile, ...]) -> _Rule:
    found = [
        name for pattern in place.patterns for file in files for name in pattern.of(file.file_name)
    ]
    return _Rule(found, certain=True)


def _mirrored(place: _Place, relative: str) -> _Rule:
    """Files at the image's own place or name; only the ending may be another."""
    found = _like(place, relative, (relative,))
    ending = recorded.ending(found[0]) if found else ""
    return _Rule(found, recorded.bare(relative) + ending)


def _recorded(place: _Place, files: tuple[ChannelFile, ...]) -> _Rule:
    """Files that fit the records, each by the first of its paths that leads to any."""
    found: list[str] = []
    first = None
    for file in files:
        forms = recorded.forms(file)
        for form in forms:
            fits = _like(place, form, forms)
            if fits:
                found += fits
                first = first or form
                break
    return _Rule(found, first)


def _like(place: _Place, form: str, forms: tuple[str, ...]) -> list[str]:
    return [name for name in place.index.named_like(form) if not is_of_another_well(forms, name)]


def _claim(image_set: ImageSet, file: ChannelFile, choice: _Choice, identity: object) -> Claim:
    forms = (choice.rule.form,) if choice.rule.form else ()
    return Claim(
        owner=image_set,
        channel=file.channel,
        file=str(choice.match.path),
        forms=forms,
        identity=identity,
        certain=choice.rule.certain,
    )


def _refused(match: OverlayMatch, refusal: Refusal) -> OverlayMatch:
    detail = (
        f"{match.path} is the only file that fits, and that of {refusal.rival} too; one overlay "
        "belongs to one image set: put the missing one back, or set segmentation_file_regex"
    )
    names = (match.relative,) if match.relative else ()
    return OverlayMatch(candidates=names, reason="ambiguous_overlay", detail=detail)


def _of_planes(match: OverlayMatch) -> OverlayMatch:
    """The overlay of an image whose planes are of several image sets: it must have planes too."""
    if not str(match.relative).lower().endswith(_ONE_PLANE):
        return replace(match, shared=True)
    detail = (
        f"{match.path} holds one plane, and several image sets are planes of the image that it "
        "belongs to; save one overlay an image set, and name both in segmentation_file_regex"
    )
    names = (match.relative,) if match.relative else ()
    return OverlayMatch(candidates=names, reason="ambiguous_overlay", detail=detail)


def _unsafe(place: _Place, link: str, target: str) -> OverlayMatch:
    detail = (
        f"{place.index.path(link)} is a link to {target}, outside of its folder, and is not read; "
        "if that is meant, set images.follow_links to true"
    )
    return OverlayMatch(candidates=(place.prefix + link,), reason="unsafe_path", detail=detail)


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
