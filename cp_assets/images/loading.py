"""Loading an image set: find its files, decode each once, say what could not be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.errors import ImageReadError
from cp_assets.images.overlays import OVERLAY_KINDS, OverlayFinder, OverlayKind
from cp_assets.images.reading import Plane, read_plane
from cp_assets.images.resolve import ImageResolver, ResolvedImage, UnresolvedImage
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ChannelFile, ImageSet


@dataclass(frozen=True, eq=False, slots=True)
class LoadedOverlay:
    """A mask or an outline, shape (Y, X) as its image, and its path as it goes into the tables."""

    plane: Plane
    relative: str


@dataclass(frozen=True, eq=False, slots=True)
class LoadedChannel:
    """One channel of an image set with its pixels, shape (Y, X)."""

    file: ChannelFile
    found: ResolvedImage
    plane: Plane
    mask: LoadedOverlay | None
    outline: LoadedOverlay | None

    @property
    def label(self) -> LoadedOverlay | None:
        """The outline where there is one, else the mask."""
        return self.outline or self.mask

    @property
    def label_kind(self) -> str | None:
        """``outline``, ``mask`` or None: what `label` is."""
        return "outline" if self.outline else "mask" if self.mask else None


@dataclass(frozen=True, slots=True)
class ChannelFault:
    """A channel that cannot be used for this image set.

    Attributes
    ----------
    reason
        ``missing_image``, ``ambiguous_image``, ``unsafe_path``, ``unreadable_image``,
        ``image_shape``.
    source_file
        The file as recorded, or where it was found.
    """

    channel: str
    reason: str
    detail: str
    source_file: str | None


@dataclass(frozen=True, eq=False, slots=True)
class LoadedImageSet:
    """An image set with its pixels.

    Attributes
    ----------
    channels
        The channels that could be read, in the image set's order.
    faults
        The others, one entry each.
    incomplete
        Overlays that could not be used: the crops are written without them.
    """

    image_set: ImageSet
    channels: tuple[LoadedChannel, ...]
    faults: tuple[ChannelFault, ...]
    incomplete: tuple[Rejection, ...]


class ImageSetLoader:
    """Loads the image sets of one plate; safe to use from several threads.

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
        self._images = ImageResolver(sources)
        self._overlays = OverlayFinder(sources, sets, compartment)

    def load(self, image_set: ImageSet) -> LoadedImageSet:
        """Decode every file of the image set once.

        Raises
        ------
        InputChangedError
            If a file changed while it was read.
        """
        channels: list[LoadedChannel] = []
        faults = [_absent(name) for name in image_set.absent]
        overlays = _SetOverlays(image_set, self._overlays)
        for file in image_set.channels:
            found = self._images.resolve(image_set, file)
            if isinstance(found, UnresolvedImage):
                faults.append(
                    ChannelFault(file.channel, found.reason, found.detail, found.original)
                )
                continue
            plane = _read_channel(file, found)
            if isinstance(plane, ChannelFault):
                faults.append(plane)
                continue
            mask, outline = (
                overlays.load(kind, file, found, plane.shape) for kind in OVERLAY_KINDS
            )
            channels.append(LoadedChannel(file, found, plane, mask, outline))
        return LoadedImageSet(image_set, tuple(channels), tuple(faults), tuple(overlays.incomplete))


def _absent(channel: str) -> ChannelFault:
    detail = (
        f"the Image table has no FileName_{channel} for this image set, as for others of the plate"
    )
    return ChannelFault(channel, "missing_image", detail, None)


def _read_channel(file: ChannelFile, found: ResolvedImage) -> Plane | ChannelFault:
    try:
        plane = read_plane(found.path)
    except ImageReadError as error:
        return ChannelFault(file.channel, "unreadable_image", str(error), found.relative)
    recorded = (file.height or plane.shape[0], file.width or plane.shape[1])
    if plane.shape != recorded:
        # Another file of the same name: its crops would be of other cells.
        detail = (
            f"image {found.path}: has {plane.shape} pixels (Y, X), the Image table says "
            f"{recorded}; is it the file that was measured?"
        )
        return ChannelFault(file.channel, "image_shape", detail, found.relative)
    return plane


class _SetOverlays:
    """The overlays of one image set: each file decoded once, each fault told once."""

    def __init__(self, image_set: ImageSet, finder: OverlayFinder) -> None:
        self.incomplete: list[Rejection] = []
        self._image_set = image_set
        self._finder = finder
        self._planes: dict[Path, Plane | None] = {}
        self._told: set[tuple[str, str]] = set()

    def load(
        self, kind: OverlayKind, file: ChannelFile, found: ResolvedImage, shape: tuple[int, ...]
    ) -> LoadedOverlay | None:
        """Load the overlay of one channel; None where there is none that fits."""
        match = self._finder.find(kind, self._image_set, file, found.relative)
        if match.candidates:
            names = ", ".join(match.candidates)
            self._tell(
                "ambiguous_overlay", names, f"several files could be the {kind}: {names}", kind
            )
        if match.path is None or match.relative is None:
            return None
        plane = self._read(kind, match.path, match.relative)
        if plane is None:
            return None
        if plane.shape != shape:
            detail = (
                f"{kind} {match.path}: has {plane.shape} pixels (Y, X), its image "
                f"{file.file_name} has {shape}; they must be equal"
            )
            self._tell("overlay_shape", match.relative, detail, kind)
            return None
        return LoadedOverlay(plane, match.relative)

    def _read(self, kind: OverlayKind, path: Path, relative: str) -> Plane | None:
        if path not in self._planes:
            try:
                self._planes[path] = read_plane(path)
            except ImageReadError as error:
                self._planes[path] = None
                self._tell("unreadable_overlay", relative, str(error), kind)
        return self._planes[path]

    def _tell(self, reason: str, what: str, detail: str, kind: OverlayKind) -> None:
        if (reason, what) in self._told:
            return
        self._told.add((reason, what))
        self.incomplete.append(
            Rejection(
                kind="image",
                reason=reason,
                detail=f"{detail}; the {kind} is left empty",
                outcome="incomplete",
                well_id=self._image_set.well_id,
                site_id=self._image_set.site_id,
                image_id=self._image_set.image_id,
                source_file=what,
            )
        )
