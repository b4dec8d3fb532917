"""Pixels to cut from: decoded, or still in their file and read window by window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cp_assets.images.readers import Region

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cp_assets.images.readers import ImageHeader, ImageReader, Pixels, Shape5
    from cp_assets.images.windows import Window

_WINDOWED_BELOW = 0.5
"""Share of an image's chunks, each counted for every window that touches it, below which windows
are read from the file: decoding a chunk twice still costs less than decoding all."""

_WITH_ALPHA = (2, 4)
"""Samples of a pixel of which the last is opacity: grey or RGB with alpha."""


class PixelSource(Protocol):
    """One image or overlay: some planes of a file."""

    @property
    def shape(self) -> Shape5:
        """Sizes in T, C, Z, Y, X."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""

    def read(self, window: Window) -> Pixels:
        """Pixels (T, C, Z, Y, X) of a window that lies inside; maybe a view, not to be changed."""

    def channel(self, number: int) -> PixelSource:
        """One of its channels."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels in memory, (T, C, Z, Y, X)."""

    pixels: Pixels

    @property
    def shape(self) -> Shape5:
        """Sizes in T, C, Z, Y, X."""
        t, c, z, y, x = self.pixels.shape
        return t, c, z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self.pixels.dtype

    def read(self, window: Window) -> Pixels:
        """Give a view."""
        return self.pixels[window.slices]

    def channel(self, number: int) -> Decoded:
        """One of its channels."""
        return Decoded(self.pixels[:, number : number + 1])


@dataclass(frozen=True, eq=False)
class InFile:
    """Pixels that are decoded when a window is read."""

    reader: ImageReader
    region: Region

    @property
    def shape(self) -> Shape5:
        """Sizes in T, C, Z, Y, X."""
        return self.region.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self.reader.header.dtype

    def read(self, window: Window) -> Pixels:
        """Decode what the window touches."""
        start = self.region.z[0]
        z = (start + window.z[0], start + window.z[1])
        return self.reader.read(Region(self.region.t, self.region.c, z, window.y, window.x))

    def channel(self, number: int) -> InFile:
        """One of its channels."""
        first = self.region.c[0] + number
        return InFile(self.reader, replace(self.region, c=(first, first + 1)))


def can_be_windowed(header: ImageHeader) -> bool:
    """Whether a part can be decoded alone.

    Colour files are decoded whole: only all of their pixels tell whether they are grey.
    """
    chunk = header.chunk_shape
    return chunk is not None and header.samples == 1 and chunk != header.shape


def better_by_windows(header: ImageHeader, windows: Iterable[Window]) -> bool:
    """Whether reading windows that lie inside decodes clearly less than reading the image."""
    if header.chunk_shape is None or not can_be_windowed(header):
        return False
    _, _, z, y, x = header.chunk_shape
    whole = _chunks((0, header.shape[3]), y) * _chunks((0, header.shape[4]), x)
    depth = _chunks((0, header.shape[2]), z)
    touched = 0
    for window in windows:
        touched += _chunks(window.y, y) * _chunks(window.x, x) * _chunks(window.z, z)
        if touched >= _WINDOWED_BELOW * whole * depth:
            return False
    return True


def _chunks(edges: tuple[int, int], size: int) -> int:
    low, high = edges
    return (high - 1) // size - low // size + 1 if high > low else 0


def without_equal_colours(pixels: Pixels, samples: int) -> Pixels:
    """Take the grey plane of a grey image that was stored as RGB; real colours stay.

    An alpha channel that is opaque everywhere says nothing and goes too.
    """
    if samples == 1 or pixels.shape[1] != samples:
        return pixels
    colours = pixels
    if samples in _WITH_ALPHA:
        opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
        if not (pixels[:, -1] == opaque).all():
            return pixels
        colours = pixels[:, :-1]
    return colours[:, :1] if (colours == colours[:, :1]).all() else colours
