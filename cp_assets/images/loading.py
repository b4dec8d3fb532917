"""Loading an image set: find its files, decode each once, say what could not be used."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, TypeVar

from cp_assets.errors import ImageReadError
from cp_assets.images.loaded import (
    ChannelFault,
    LoadedChannel,
    LoadedImageSet,
    LoadedOverlay,
)
from cp_assets.images.overlays import OVERLAY_KINDS, OverlayFinder, OverlayKind
from cp_assets.images.pixels import (
    Decoded,
    InFile,
    better_by_windows,
    can_be_windowed,
    without_equal_colours,
)
from cp_assets.images.planes import SharedFiles, channel_names, meant_region
from cp_assets.images.readers import ImageFile, open_image
from cp_assets.images.resolve import ImageResolver, UnresolvedImage
from cp_assets.stages import stage
from cp_assets.stores import ObjectPath, Prefetch
from cp_assets.stores import place as place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ChannelFile, ImageSet
    from cp_assets.images.pixels import PixelSource
    from cp_assets.images.readers import ImageReader, Region, Shape5
    from cp_assets.images.resolve import ResolvedImage
    from cp_assets.images.windows import Placements
    from cp_assets.rejections import Rejection
    from cp_assets.stores import Place
    from cp_assets.stores.prefetch import Fetched
    from cp_assets.streams import Admit

    Placing = Callable[[Shape5], Placements]
    """Shape of an image (T, C, Z, Y, X) -> what will be cut from it."""

Item = TypeVar("Item")

_FETCHED_SHARE = 4

_LARGEST_FETCHED = 64 * 2**20
"""Bytes of the largest file that is fetched whole; of others what is needed is read by ranges."""


class ImageSetLoader:
    """Loads the image sets of one plate; safe to use from several threads, and to be closed.

    Of files in object stores, a share of ``max_memory`` is for those that are fetched and not
    opened yet.

    Parameters
    ----------
    sources
        The plate; its folders are listed once, here.
    sets
        All image sets of the plate.
    compartment
        Whose objects are cropped, to choose between overlays.
    """

    def __init__(self, sources: PlateSources, sets: Iterable[ImageSet], compartment: str) -> None:
        all_sets = tuple(sets)
        self.images = ImageResolver(sources, all_sets)
        self.overlays = OverlayFinder(sources, all_sets, compartment, self.images)
        self.shared = SharedFiles(all_sets, self.images)
        memory = sources.dataset.images.max_memory
        share = memory // _FETCHED_SHARE if _is_in_stores(sources) else 0
        self.given_memory = memory
        self.max_memory = memory - share
        self._prefetch = Prefetch(share, _LARGEST_FETCHED) if share else None

    def __enter__(self) -> ImageSetLoader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._prefetch is not None:
            self._prefetch.close()

    def ahead(
        self, items: Iterable[Item], image_set_of: Callable[[Item], ImageSet | None]
    ) -> Iterator[Item]:
        """The same items, while what those to come need of object stores is fetched.

        Each is to be loaded in its turn.
        """
        if self._prefetch is None:
            return iter(items)

        def wanted(item: Item) -> tuple[str, Iterator[ObjectPath]] | None:
            image_set = image_set_of(item)
            return None if image_set is None else (image_set.image_id, self._objects(image_set))

        return self._prefetch.ahead(items, wanted)

    def load(self, image_set: ImageSet, place: Placing, admit: Admit) -> LoadedImageSet:
        """Decode every file of the image set once, or leave it to be read window by window.

        Parameters
        ----------
        place
            Shape of an image -> what will be cut from it.
        admit
            Asked for the memory that the decoded files and what is cut from them take together.

        Raises
        ------
        InputChangedError
            If a file changed while it was read.
        StoreError
            If an object store cannot be read.
        """
        fetched = self._prefetch.take(image_set.image_id) if self._prefetch else None
        try:
            with ExitStack() as files:
                return _SetLoading(self, image_set, place, files, fetched).load(admit)
        finally:
            if fetched is not None:
                fetched.release()

    def _objects(self, image_set: ImageSet) -> Iterator[ObjectPath]:
        """Objects that loading an image set opens."""
        for file in image_set.channels:
            found = self.images.resolve(image_set, file)
            if isinstance(found, UnresolvedImage):
                continue
            overlays = (
                self.overlays.find(kind, image_set, file, found.relative).path
                for kind in OVERLAY_KINDS
            )
            for path in (found.path, *overlays):
                if isinstance(path, ObjectPath) and path.is_file():
                    yield path


@dataclass(frozen=True, eq=False, slots=True)
class _OpenFile:
    """A file, the planes of it that are meant, and what will be cut from them."""

    reader: ImageReader
    region: Region
    placements: Placements

    @property
    def key(self) -> tuple[ImageReader, Region]:
        return self.reader, self.region

    @property
    def decoded_bytes(self) -> int:
        return prod(self.region.shape) * self.reader.header.dtype.itemsize

    @property
    def passing_bytes(self) -> int:
        """What decoding takes beyond its result, while it lasts."""
        return max(0, self.reader.peak_bytes(self.region) - self.decoded_bytes)

    @property
    def cut_bytes(self) -> int:
        t, c, _, _, _ = self.region.shape
        return self.placements.area * t * c * self.reader.header.dtype.itemsize


@dataclass(frozen=True, eq=False, slots=True)
class _OpenChannel:
    file: ChannelFile
    found: ResolvedImage
    image: _OpenFile
    overlays: Mapping[OverlayKind, tuple[_OpenFile, str]]

    @property
    def files(self) -> tuple[_OpenFile, ...]:
        return (self.image, *(file for file, _ in self.overlays.values()))


class _SetLoading:
    """The loading of one image set: each file opened and decoded once, each fault told once."""

    def __init__(
        self,
        loader: ImageSetLoader,
        image_set: ImageSet,
        place: Placing,
        files: ExitStack,
        fetched: Fetched | None,
    ) -> None:
        self._loader = loader
        self._set = image_set
        self._place = place
        self._files = files
        self._fetched = fetched
        self._readers: dict[tuple[Place, int], ImageReader | ImageReadError] = {}
        self._sources: dict[tuple[ImageReader, Region], PixelSource | ImageReadError] = {}
        self._faults = [_absent(name) for name in image_set.absent]
        self._incomplete: dict[tuple[str, str], Rejection] = {}

    def load(self, admit: Admit) -> LoadedImageSet:
        opened = [channel for file in self._set.channels if (channel := self._open(file))]
        limit = self._loader.max_memory
        files = {file.key: file for channel in opened for file in channel.files}
        to_decode = _to_decode(list(files.values()), limit)
        decoded = sum(files[key].decoded_bytes for key in to_decode)
        # One file is decoded after the other.
        decoded += max((files[key].passing_bytes for key in to_decode), default=0)
        decoded += sum(reader.held_bytes for reader in {file.reader for file in files.values()})
        cut = sum(file.cut_bytes for channel in opened for file in channel.files)
        if decoded > limit:
            memory = self._loader.given_memory
            self._faults += [_too_large(channel, decoded, limit, memory) for channel in opened]
            opened, decoded, cut = [], 0, 0
        cut_at_once = decoded + cut <= limit
        room = limit - decoded
        admit(decoded + (cut if cut_at_once else min(cut, room)))
        if self._fetched is not None:
            self._fetched.release()
        with stage("decoding", sum(files[key].decoded_bytes for key in to_decode)):
            channels = tuple(part for one in opened for part in self._parts(one, to_decode))
        return LoadedImageSet(
            image_set=self._set,
            channels=channels,
            faults=tuple(self._faults),
            incomplete=tuple(self._incomplete.values()),
            cut_at_once=cut_at_once,
            room=room,
            files=self._files.pop_all(),
        )

    def _open(self, file: ChannelFile) -> _OpenChannel | None:
        found = self._loader.images.resolve(self._set, file)
        if isinstance(found, UnresolvedImage):
            self._fault(file, found.reason, found.detail, found.original)
            return None
        try:
            reader = self._reader(found.path, file.series or 0)
            region = self._loader.shared.region(reader.header, file, found.path)
        except ImageReadError as error:
            self._fault(file, "unreadable_image", str(error), found.relative)
            return None
        shape = reader.header.shape
        recorded = (file.height or shape[3], file.width or shape[4])
        if shape[3:] != recorded:
            # Another file of the same name: its crops would be of other cells.
            detail = (
                f"image {found.path}: has {shape[3:]} pixels (Y, X), the Image table says "
                f"{recorded}; is it the file that was measured?"
            )
            self._fault(file, "image_shape", detail, found.relative)
            return None
        image = _OpenFile(reader, region, self._place(region.shape))
        overlays = {
            kind: overlay
            for kind in OVERLAY_KINDS
            if (overlay := self._overlay(kind, file, found, image))
        }
        return _OpenChannel(file, found, image, overlays)

    def _reader(self, path: Place, series: int) -> ImageReader:
        """Open a file once.

        Raises
        ------
        ImageReadError
            If it cannot be read; again each time it is asked for.
        """
        key = (path, series)
        if key not in self._readers:
            try:
                limit = self._loader.max_memory
                reader = open_image(self._file(path), series=series, limit=limit)
                self._readers[key] = self._files.enter_context(reader)
            except ImageReadError as error:
                self._readers[key] = error
        known = self._readers[key]
        if isinstance(known, ImageReadError):
            raise known
        return known

    def _file(self, path: Place) -> ImageFile:
        if not isinstance(path, ObjectPath):
            return ImageFile(path)
        data = self._fetched.data(path) if self._fetched is not None else None
        return ImageFile(path, data, self._loader.images.beside(path))

    def _overlay(
        self, kind: OverlayKind, file: ChannelFile, found: ResolvedImage, image: _OpenFile
    ) -> tuple[_OpenFile, str] | None:
        """Open the overlay of one channel's image; None where there is none that fits."""
        match = self._loader.overlays.find(kind, self._set, file, found.relative)
        if match.reason:
            self._tell(kind, match.reason, ", ".join(match.candidates), f"{kind}: {match.detail}")
        if match.path is None or match.relative is None:
            return None
        try:
            reader = self._reader(match.path, (file.series or 0) if match.shared else 0)
            # Planes of a stack that are several image sets have a plane of its mask each.
            region = meant_region(reader.header, (file.frame or 0) if match.shared else None)
        except ImageReadError as error:
            self._tell(kind, "unreadable_overlay", match.relative, str(error))
            return None
        t, _, z, y, x = region.shape
        want_t, _, want_z, *plane = image.region.shape
        if [y, x] != plane or t not in {1, want_t} or z not in {1, want_z}:
            detail = (
                f"{kind} {match.path}: has {(t, z, y, x)} pixels (T, Z, Y, X), its image "
                f"{file.file_name} has {(want_t, want_z, *plane)}; they must be equal, or 1 in T "
                "and Z"
            )
            self._tell(kind, "overlay_shape", match.relative, detail)
            return None
        return _OpenFile(reader, region, self._place(region.shape)), match.relative

    def _parts(
        self, opened: _OpenChannel, to_decode: Collection[tuple[ImageReader, Region]]
    ) -> Iterator[LoadedChannel]:
        """Decode a record's file and its overlays, and take its channels apart."""
        try:
            source = self._source(opened.image, to_decode)
        except ImageReadError as error:
            self._fault(opened.file, "unreadable_image", str(error), opened.found.relative)
            return
        overlays: dict[OverlayKind, LoadedOverlay] = {}
        for kind, (file, relative) in opened.overlays.items():
            try:
                overlays[kind] = LoadedOverlay(self._source(file, to_decode), relative)
            except ImageReadError as error:
                self._tell(kind, "unreadable_overlay", relative, str(error))
        header = opened.image.reader.header
        names = channel_names(opened.file.channel, header, opened.image.region, source.shape[1])
        for number, name in enumerate(names):
            yield LoadedChannel(
                name=name,
                file=opened.file,
                found=opened.found,
                pixels=source.channel(number),
                physical_size=header.physical_size,
                mask=overlays.get("mask"),
                outline=overlays.get("outline"),
            )

    def _source(
        self, file: _OpenFile, to_decode: Collection[tuple[ImageReader, Region]]
    ) -> PixelSource:
        """Decode a file once, or leave its pixels where they are.

        Raises
        ------
        ImageReadError
            If it cannot be decoded; again each time it is asked for.
        """
        if file.key not in self._sources:
            try:
                whole = file.key in to_decode
                self._sources[file.key] = _decoded(file) if whole else _in_file(file)
            except ImageReadError as error:
                self._sources[file.key] = error
        known = self._sources[file.key]
        if isinstance(known, ImageReadError):
            raise known
        return known

    def _fault(self, file: ChannelFile, reason: str, detail: str, source: str | None) -> None:
        self._faults.append(ChannelFault(file.channel, reason, detail, source))

    def _tell(self, kind: OverlayKind, reason: str, what: str, detail: str) -> None:
        self._incomplete.setdefault(
            (reason, what),
            self._set.rejection(
                "image",
                reason,
                f"{detail}; the {kind} is left empty",
                outcome="incomplete",
                source_file=what,
            ),
        )


def _is_in_stores(sources: PlateSources) -> bool:
    """Whether any of a plate's images and overlays may lie in an object store."""
    folders = (sources.image_dir, sources.mask_dir, sources.outline_dir, sources.dataset.root)
    mapped = map(place_of, sources.dataset.images.path_prefix_map.values())
    return any(isinstance(one, ObjectPath) for one in (*folders, *mapped))


def _absent(channel: str) -> ChannelFault:
    detail = (
        f"the Image table has no FileName_{channel} for this image set, as for others of the plate"
    )
    return ChannelFault(channel, "missing_image", detail, None)


def _too_large(channel: _OpenChannel, decoded: int, limit: int, memory: int) -> ChannelFault:
    left = "" if limit == memory else f", of which {limit / 2**20:.0f} MiB are for decoding"
    detail = (
        f"image {channel.found.path}: decoding the files of its image set takes "
        f"{decoded / 2**20:.0f} MiB, max_memory is {memory / 2**20:.0f} MiB{left}; raise it, or "
        "store the images in tiles, which are read one by one"
    )
    return ChannelFault(channel.file.channel, "image_too_large", detail, channel.found.relative)


def _to_decode(files: Sequence[_OpenFile], limit: int) -> set[tuple[ImageReader, Region]]:
    """Files to decode whole: those where windows save little, unless that is too much memory."""
    chosen = [
        one for one in files if not better_by_windows(one.reader.header, one.placements.inside)
    ]
    if sum(file.decoded_bytes for file in chosen) > limit:
        chosen = [file for file in chosen if not can_be_windowed(file.reader.header)]
    return {file.key for file in chosen}


def _in_file(file: _OpenFile) -> PixelSource:
    return InFile(file.reader, file.region)


def _decoded(file: _OpenFile) -> PixelSource:
    pixels = file.reader.read(file.region)
    return Decoded(without_equal_colours(pixels, file.reader.header.samples))
