"""What every image file is to the rest of the house: one array in T, C, Z, Y, X."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from cp_assets.payloads.types import PhysicalSize, Pixels

if TYPE_CHECKING:
    import numpy as np

    from cp_assets.stores import Place

Shape5 = tuple[int, int, int, int, int]
"""Sizes in the order T, C, Z, Y, X."""

ImageFormat = Literal["tiff", "ome-tiff", "png", "zarr", "ome-zarr"]

AXES = "TCZYX"


UNKNOWN_SIZE = PhysicalSize()
"""What a file without physical sizes says."""


@dataclass(frozen=True, slots=True)
class Region:
    """A window of an image: half-open ranges in T, C, Z, Y, X, inside the image."""

    t: tuple[int, int]
    c: tuple[int, int]
    z: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]

    @property
    def shape(self) -> Shape5:
        """Sizes of the window."""
        ranges = (self.t, self.c, self.z, self.y, self.x)
        t, c, z, y, x = (stop - start for start, stop in ranges)
        return t, c, z, y, x

    @property
    def slices(self) -> tuple[slice, slice, slice, slice, slice]:
        """The window as numpy takes it."""
        return slice(*self.t), slice(*self.c), slice(*self.z), slice(*self.y), slice(*self.x)


@dataclass(frozen=True, slots=True)
class FilePart:
    """What a file itself holds of an image that lies in several files.

    Attributes
    ----------
    region
        The planes that the file holds; None if it holds none, or not all in a range of T, C and Z.
    others
        The other files of the set.
    """

    region: Region | None
    others: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image file says of itself, read without its pixels.

    Attributes
    ----------
    path
        The file as it was asked for; of a set of OME-TIFF files, the one that was. Zarr: folder of
        the store, that is of the outermost group or array around what was asked for.
    array_path
        Zarr: path of the array below the store, such as ``0``; empty for other formats.
    shape
        Sizes in T, C, Z, Y, X; axes that the file lacks are 1. Colour samples (RGB) are channels.
    dtype
        Of the pixels, in the machine's byte order; bool for 1-bit files.
    axes
        The file's own axes in the file's order, as its library names them, such as ``ZCYX``; ``S``
        is a colour sample.
    plane_axes
        Those of T, C and Z along which the file's planes are counted, slowest first, without axes
        of size 1: plane number ``n`` of the file is the n-th in C order over these axes, where C
        counts ``shape[1] // samples`` planes.
    samples
        Colour samples of a pixel: 1 for grey, 3 for RGB, 4 with alpha.
    channel_names
        One for each channel; None where the file does not name it.
    chunk_shape
        Sizes in T, C, Z, Y, X of what is decoded at once (tile, strip, chunk); None if only the
        whole image is.
    part
        Which planes lie in the file at `path`; None if all do.
    """

    path: Place
    format: ImageFormat
    shape: Shape5
    dtype: np.dtype[Any]
    axes: str
    plane_axes: str = ""
    samples: int = 1
    channel_names: tuple[str | None, ...] = (None,)
    physical_size: PhysicalSize = UNKNOWN_SIZE
    chunk_shape: Shape5 | None = None
    array_path: str = ""
    part: FilePart | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels, decoded."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def whole(self) -> Region:
        """The window that is the whole image."""
        t, c, z, y, x = self.shape
        return Region((0, t), (0, c), (0, z), (0, y), (0, x))


class ImageReader(ABC):
    """An open image file; closed by ``with`` or `close`. One thread uses a reader at a time."""

    header: ImageHeader
    held_bytes: int = 0
    """Bytes of an object that are in memory while it is open; 0 for a file on a disk."""

    @abstractmethod
    def read(self, region: Region | None = None) -> Pixels:
        """Decode a window, or the whole image.

        Only the chunks, tiles or strips that the window touches are decoded where the format allows
        it.

        Returns
        -------
        array of shape ``region.shape`` (T, C, Z, Y, X), C-contiguous, machine byte order

        Raises
        ------
        ImageReadError
            If the pixels cannot be decoded, or were never written.
        InputChangedError
            If the file changed since it was opened.
        StoreError
            If its object store cannot be read.
        """

    def peak_bytes(self, region: Region | None = None) -> int:
        """Bound the memory that a read takes at its highest, its result included.

        Computed from the header alone, before any pixel is read: the result and a copy of it, and
        all that it touches, stored and decoded.

        Returns
        -------
        bytes; some MiB that a read always takes may come on top
        """
        region = self.header.whole if region is None else region
        return 2 * self._nbytes(region) + 3 * self._nbytes(self._touched(region))

    def _nbytes(self, region: Region) -> int:
        """Bytes of a window, decoded."""
        return prod(region.shape) * self.header.dtype.itemsize

    def _touched(self, region: Region) -> Region:
        """Window of all chunks that a window touches, also where they leave the image."""
        chunk = self.header.chunk_shape
        if chunk is None:
            return self.header.whole
        ranges = (region.t, region.c, region.z, region.y, region.x)
        return Region(
            *(
                (start // size * size, -(-stop // size) * size)
                for (start, stop), size in zip(ranges, chunk, strict=True)
            )
        )

    @abstractmethod
    def close(self) -> None:
        """Release the file; harmless when called twice."""

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
