"""Which planes of a file are which channel.

One file may hold one plane, a stack, several channels, or planes of several image sets. The Image
table's ``Frame_X``, a plane counted from 0 in the file's own order, says which where it has to:
where the plate's records name one file for more than one image set or channel.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cp_assets.errors import ImageReadError
from cp_assets.images.resolve import ResolvedImage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cp_assets.images.image_sets import ChannelFile, ImageSet
    from cp_assets.images.readers import ImageHeader, Region
    from cp_assets.images.resolve import ImageResolver

_COLOURS = {
    2: ("Grey", "Alpha"),
    3: ("Red", "Green", "Blue"),
    4: ("Red", "Green", "Blue", "Alpha"),
}
"""Samples of a pixel -> what they are."""


class SharedFiles:
    """What the plate's records of one file say together, where each is for a plane of its own.

    Parameters
    ----------
    sets
        All image sets of the plate, with all of their records.
    images
        Finds the file of a record.
    """

    def __init__(self, sets: Iterable[ImageSet], images: ImageResolver) -> None:
        # Only numbers other than 0 tell of planes: CellProfiler writes 0 for most files.
        self._last_series: dict[Path, int] = defaultdict(int)
        self._last_frame: dict[tuple[Path, int], int] = defaultdict(int)
        for image_set in sets:
            for file in (*image_set.channels, *image_set.others):
                found = images.resolve(image_set, file) if _is_numbered(file) else None
                if isinstance(found, ResolvedImage):
                    path, series = found.path, file.series or 0
                    self._last_series[path] = max(self._last_series[path], series)
                    frame = max(self._last_frame[path, series], file.frame or 0)
                    self._last_frame[path, series] = frame

    def region(self, header: ImageHeader, file: ChannelFile, path: Path) -> Region:
        """The planes of its file that a record means: one if the file is shared, else all.

        Raises
        ------
        ImageReadError
            If the file has no such plane or channel, or is shared and the record does not say
            which is its own.
        """
        shared = bool(self._last_frame.get((path, file.series or 0)))
        if file.series is None and self._last_series.get(path):
            raise _unsaid(path, "Series", file)
        if file.frame is None and shared:
            raise _unsaid(path, "Frame", file)
        return meant_region(header, file.frame if shared else None, file.colour)


def _is_numbered(file: ChannelFile) -> bool:
    return file.frame is not None or file.series is not None


def _unsaid(path: Path, column: str, file: ChannelFile) -> ImageReadError:
    msg = (
        f"image {path}: other records of the plate name a {column} of it, this one has no "
        f"{column}_{file.channel} that can be used; fill it in the Image table"
    )
    return ImageReadError(msg)


def meant_region(header: ImageHeader, frame: int | None, colour: int | None = None) -> Region:
    """The planes of a file that a record means: all of them, the one of a frame, or one channel.

    Parameters
    ----------
    colour
        The channel of these planes that is meant; None for all of them.

    Raises
    ------
    ImageReadError
        If the file has no such plane or channel.
    """
    region = header.whole if frame is None else _plane(header, frame)
    if colour is None:
        return region
    first, last = region.c
    if colour >= last - first:
        msg = (
            f"image {header.path}: has {last - first} channels, the Image table's Channel is "
            f"{colour} (counted from 0); is it the file that was measured?"
        )
        raise ImageReadError(msg)
    return replace(region, c=(first + colour, first + colour + 1))


def _plane(header: ImageHeader, frame: int) -> Region:
    sizes = dict(zip("TCZ", header.shape[:3], strict=True))
    sizes["C"] //= header.samples
    counts = [sizes[axis] for axis in header.plane_axes]
    if frame >= prod(counts):
        msg = (
            f"image {header.path}: has {prod(counts)} planes, the Image table's Frame is {frame} "
            "(counted from 0); is it the file that was measured?"
        )
        raise ImageReadError(msg)
    index = map(int, np.unravel_index(frame, counts)) if counts else ()
    at = dict(zip(header.plane_axes, index, strict=True))
    t, z = at.get("T", 0), at.get("Z", 0)
    c = at.get("C", 0) * header.samples
    return replace(header.whole, t=(t, t + 1), c=(c, c + header.samples), z=(z, z + 1))


def channel_names(channel: str, header: ImageHeader, region: Region, count: int) -> list[str]:
    """Name each channel that a record's planes hold.

    A single one has the Image table's name; where there are several, the file's own name or number
    follows it: ``OrigStack_DNA``, ``OrigStack_1``, ``OrigStack_Red``.

    Parameters
    ----------
    count
        Channels of the decoded pixels: fewer than the region's where equal colours became grey.
    """
    if count == 1:
        return [channel]
    names = _file_names(header)[region.c[0] :]
    return [f"{channel}_{name}" for name in names[:count]]


def _file_names(header: ImageHeader) -> tuple[str, ...]:
    """A name for each channel of the file; numbers where it names none, or one twice."""
    count = header.shape[1]
    if header.samples == count and count in _COLOURS:
        return _COLOURS[count]
    named = tuple(name for name in header.channel_names if name)
    if len(set(named)) == count:
        return named
    return tuple(map(str, range(count)))
