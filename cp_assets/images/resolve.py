"""Where an image file lies now, given where the pipeline saw it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cp_assets.images import recorded
from cp_assets.images.claims import Claim, Refusal, refusals
from cp_assets.images.folder_index import FolderIndex
from cp_assets.images.load_data import LoadData
from cp_assets.images.plate_folders import PlateFolders, is_of_another_well
from cp_assets.images.prefixes import PrefixMap
from cp_assets.images.set_aside import set_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ChannelFile, ImageSet
    from cp_assets.stores import ObjectPath, Place

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
    path: Place
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


@dataclass(frozen=True, slots=True)
class _Found:
    """A file of an image set, the recorded paths that were looked up, and how it was found."""

    image: ResolvedImage
    image_id: str
    forms: tuple[str, ...]
    by_prefix: bool = False
    by_path: bool = False

    @property
    def identity(self) -> tuple[object, ...]:
        """What may share the file, beside other planes of it.

        A prefix map leads to one file for sure. The end of a path leads there for all records of
        the same path, if that has a folder. A mere name tells nothing of other image sets.
        """
        if self.by_prefix:
            return (self.image.path,)
        shared = self.by_path and "/" in self.forms[0]
        return (self.forms[0],) if shared else (self.forms[0], self.image_id)


class ImageResolver:
    """Finds the image files of one plate; the image folder is listed once, here.

    Parameters
    ----------
    sources
        The plate. Its image folder, LoadData files and path prefixes are used.
    sets
        All image sets of the plate: a file that the records of several lead to is given only to
        those that may have it. Image sets that are not among them are looked up by themselves.

    Raises
    ------
    ConfigurationError
        If the image folder cannot be listed.
    MeasurementError
        If a LoadData file cannot be used.
    """

    def __init__(self, sources: PlateSources, sets: Sequence[ImageSet] = ()) -> None:
        follow_links = sources.dataset.images.follow_links
        folder = sources.image_dir
        self._index = FolderIndex.scan(folder, follow_links=follow_links) if folder else None
        self._load_data = LoadData.read(sources.load_data)
        self._load_data_plate = sources.image_plate or sources.key.plate_id
        self._plate = PlateFolders.of(sources)
        self._prefixes = PrefixMap.of(sources.dataset.images)
        self._aside = set_aside(self._index, sources, sets) if self._index else frozenset()
        self._known = self._settle(sets)

    def resolve(self, image_set: ImageSet, file: ChannelFile) -> ResolvedImage | UnresolvedImage:
        """Find one channel's file.

        In order: the prefix map over what LoadData and then what the Image table recorded; the
        longest end of a recorded path that exists below the image folder; the only file of that
        base name; the longest end but for its ending, and the only file of that stem. The rules by
        name never take an overlay, a file that the pipeline saved, or one in another well's folder.
        """
        known = self._known.get((image_set.image_id, file))
        if known is not None:
            return known
        found = self._find(image_set, file)
        return found.image if isinstance(found, _Found) else found

    def beside(self, path: ObjectPath) -> Callable[[str], Place | None] | None:
        """Name -> the file of that name beside an image, where the listed folder holds both."""
        index = self._index
        if index is None or not path.is_relative_to(index.root):
            return None
        return partial(index.beside, path)

    def _settle(
        self, sets: Iterable[ImageSet]
    ) -> dict[tuple[str, ChannelFile], ResolvedImage | UnresolvedImage]:
        known: dict[tuple[str, ChannelFile], ResolvedImage | UnresolvedImage] = {}
        claims: dict[Claim, tuple[str, ChannelFile]] = {}
        for image_set in sets:
            for file in (*image_set.channels, *image_set.others):
                found = self._find(image_set, file)
                key = (image_set.image_id, file)
                if isinstance(found, _Found):
                    known[key] = found.image
                    claims[_claim(image_set, file, found)] = key
                else:
                    known[key] = found
        for refusal in refusals(claims):
            key = claims[refusal.claim]
            known[key] = self._refused(key[1], refusal)
        return known

    def _find(self, image_set: ImageSet, file: ChannelFile) -> _Found | UnresolvedImage:
        records = self._load_data.records(self._load_data_plate, image_set, file)
        for record in records:
            why = recorded.danger(record)
            if why:
                return _unsafe(file, why)
        forms = tuple(form for record in records for form in recorded.forms(record))
        return (
            self._by_prefix(image_set, file, forms)
            or self._in_folder(image_set, file, forms)
            or self._missing(file, forms)
        )

    def _by_prefix(
        self, image_set: ImageSet, file: ChannelFile, forms: tuple[str, ...]
    ) -> _Found | UnresolvedImage | None:
        for form in forms:
            for mapped in self._prefixes.files(form):
                target = self._prefixes.leads_out(mapped)
                if target is not None:
                    return _unsafe(file, _link(str(mapped.path), target))
                image = ResolvedImage(file.recorded, mapped.path, mapped.relative)
                return _Found(image, image_set.image_id, forms, by_prefix=True)
        return None

    def _in_folder(
        self, image_set: ImageSet, file: ChannelFile, forms: tuple[str, ...]
    ) -> _Found | UnresolvedImage | None:
        index = self._index
        if index is None:
            return None
        link = next(filter(None, map(index.refused_link, forms)), None)
        if link:
            return _unsafe(file, _link(*link))
        searches: tuple[Callable[[str], Iterable[str]], ...] = (
            lambda form: filter(None, (index.tail_of(form),)),
            index.of_name,
            index.of_stem,
        )
        for number, search in enumerate(searches):
            for form in forms:
                candidates = self._plate.of_this_plate(
                    one for one in search(form) if self._may_be(forms, one, by_path=number == 0)
                )
                if len(candidates) > 1:
                    return self._ambiguous(file, candidates)
                for found in candidates:
                    if found in index.refused:
                        return _unsafe(file, _link(found, index.refused[found]))
                    image = ResolvedImage(file.recorded, index.path(found), found)
                    return _Found(image, image_set.image_id, forms, by_path=number == 0)
        return None

    def _may_be(self, forms: tuple[str, ...], candidate: str, *, by_path: bool) -> bool:
        """Whether a file may be a record's: a path that agrees in a folder says so itself."""
        if by_path and "/" in candidate:
            return True
        return candidate not in self._aside and not is_of_another_well(forms, candidate)

    def _refused(self, file: ChannelFile, refusal: Refusal) -> UnresolvedImage:
        taken, rival = refusal.claim.file, refusal.rival
        if refusal.outdone:
            detail = (
                f"not found; {taken} is named so, but is the file of {rival}, whose recorded path "
                f"{rival.forms[0]} fits it better than {refusal.claim.forms[0]}; put the missing "
                "file back, or set path_prefix_map"
            )
            return UnresolvedImage(file.recorded, "missing_image", detail)
        detail = (
            f"{taken} is the only file named so, and {rival} has an equal claim to it (recorded as "
            f"{refusal.claim.forms[0]} and {rival.forms[0]}); put the missing file back, or set "
            "path_prefix_map so that the recorded folder says whose it is"
        )
        return UnresolvedImage(file.recorded, "ambiguous_image", detail)

    def _ambiguous(self, file: ChannelFile, candidates: tuple[str, ...]) -> UnresolvedImage:
        more = ", ..." if len(candidates) > _SHOWN else ""
        shown = ", ".join(candidates[:_SHOWN]) + more
        detail = (
            f"{file.file_name} is the name of {len(candidates)} files below {self._root}: "
            f"{shown}; set path_prefix_map so that the recorded folder says which"
        )
        return UnresolvedImage(file.recorded, "ambiguous_image", detail)

    def _missing(self, file: ChannelFile, forms: tuple[str, ...]) -> UnresolvedImage:
        folder = (
            f"path ends, name and stem below {self._root}"
            if self._index
            else "no image folder is set"
        )
        detail = (
            f"not found; recorded as {', '.join(forms)}; tried: path_prefix_map "
            f"({', '.join(self._prefixes.names) or 'empty'}), {folder}"
        )
        links = sorted(self._index.refused_folders.items()) if self._index else []
        if links:
            detail += f"; folders that were not entered: {_link(*links[0])}"
        return UnresolvedImage(file.recorded, "missing_image", detail)

    @property
    def _root(self) -> str:
        return str(self._index.root) if self._index else ""


def _claim(image_set: ImageSet, file: ChannelFile, found: _Found) -> Claim:
    return Claim(
        owner=image_set,
        channel=file.channel,
        file=found.image.path.as_posix(),
        forms=found.forms,
        identity=found.identity,
        plane=(file.series or 0, file.frame or 0),
        certain=found.by_prefix,
    )


def _unsafe(file: ChannelFile, why: str) -> UnresolvedImage:
    detail = f"{why}; nothing outside of the image folders is read"
    return UnresolvedImage(file.recorded, "unsafe_path", detail)


def _link(link: str, target: str) -> str:
    return (
        f"{link} is a link to {target}, outside of its folder; if that is meant, set "
        "images.follow_links to true"
    )
