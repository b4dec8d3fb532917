"""What an image set is once its files have been found and opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import ExitStack

    from cp_assets.images.image_sets import ChannelFile, ImageSet
    from cp_assets.images.pixels import PixelSource
    from cp_assets.images.readers import PhysicalSize
    from cp_assets.images.resolve import ResolvedImage
    from cp_assets.rejections import Rejection


@dataclass(frozen=True, eq=False, slots=True)
class LoadedOverlay:
    """A mask or an outline, as large as its image in Y and X, and its path as tables have it."""

    pixels: PixelSource
    relative: str

    @property
    def file_name(self) -> str:
        """Last part of the path."""
        return self.relative.rsplit("/", 1)[-1]


@dataclass(frozen=True, eq=False, slots=True)
class LoadedChannel:
    """One channel of an image set.

    Attributes
    ----------
    name
        As our tables call it: the Image table's name of the file, and where the file holds several
        channels what tells them apart, see `cp_assets.images.planes.channel_names`.
    pixels
        Shape (T, 1, Z, Y, X).
    """

    name: str
    file: ChannelFile
    found: ResolvedImage
    pixels: PixelSource
    physical_size: PhysicalSize
    mask: LoadedOverlay | None
    outline: LoadedOverlay | None

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of one pixel in Z, Y and X, over all T, with its mask and outline."""
        images = (self.pixels, *(one.pixels for one in (self.mask, self.outline) if one))
        return sum(one.shape[0] * one.shape[1] * one.dtype.itemsize for one in images)


@dataclass(frozen=True, slots=True)
class ChannelFault:
    """A channel that cannot be used for this image set.

    Attributes
    ----------
    reason
        ``missing_image``, ``ambiguous_image``, ``unsafe_path``, ``unreadable_image``,
        ``image_shape``, ``image_too_large``.
    source_file
        The file as recorded, or where it was found.
    """

    channel: str
    reason: str
    detail: str
    source_file: str | None


@dataclass(frozen=True, eq=False, slots=True)
class LoadedImageSet:
    """An image set to cut from, until it is closed.

    Attributes
    ----------
    channels
        The channels that could be read, in the image set's order.
    faults
        The others, one entry each.
    incomplete
        Overlays that could not be used: the crops are written without them.
    cut_at_once
        Whether all that is cut fits into the memory beside the images; else it is to be written
        batch by batch.
    room
        Bytes that are left for the pixels of one batch.
    """

    image_set: ImageSet
    channels: tuple[LoadedChannel, ...]
    faults: tuple[ChannelFault, ...]
    incomplete: tuple[Rejection, ...]
    cut_at_once: bool
    room: int
    files: ExitStack

    def __enter__(self) -> LoadedImageSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()
