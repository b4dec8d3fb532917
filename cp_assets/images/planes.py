"""Which planes of a file are which channel.

One file may hold one plane, a stack, several channels, or planes of several image sets. The Image
table's ``Frame_X``, a plane counted from 0 in the file's own order, says which where it has to:
where the plate's records name one file for more than one image set or channel. An image that lies
in several files is, to a record that names one of them, what lies in that file.
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

    from cp_assets.images.image_sets import ChannelFile, ImageSet
    from cp_assets.images.readers import ImageHeader, Region
    from cp_assets.images.resolve import ImageResolver
    from cp_assets.stores import Place

_COLOURS = {
    2: ("Grey", "Alpha"),
    3: ("Red", "Green", "Blue"),
    4: ("Red", "Green", "Blue", "Alpha"),
}
"""Samples of a pixel -> what they are."""


class SharedFiles:
    """Which planes of its file each of the plate's records means.

    A record means all planes that its file holds; of a set of OME-TIFF files, those in the file
    that it names, as CellProfiler loads no other. Where the records of a file number its planes,
    each means the one plane of its ``Frame_X``, counted in the same way. Only where the plate's
    records name no other file of the set, and a ``Frame_X`` or ``Channel_X`` of theirs lies beyond
    what the file holds, do they number the planes of the whole set.

    Parameters
    ----------
    sets
        All image sets of the plate, with all of their records.
    images
        Finds the file of a record.
    """

    def __init__(self, sets: Iterable[ImageSet], images: ImageResolver) -> None:
        # Only numbers other than 0 tell of planes: CellProfiler writes 0 for most files. Every file
        # that is named has a series here.
        self._last_series: dict[Place, int] = defaultdict(int)
        self._last_plane: dict[tuple[Place, int], tuple[int, int]] = {}
        for image_set in sets:
            for file in (*image_set.channels, *image_set.others):
                found = images.resolve(image_set, file)
                if isinstance(found, ResolvedImage):
                    self._add(file, found.path)

    def _add(self, file: ChannelFile, path: Place) -> None:
        series = file.series or 0
        self._last_series[path] = max(self._last_series[path], series)
        frame, colour = self._last_plane.get((path, series), (0, 0))
        if file.frame or file.colour:
            last = max(frame, file.frame or 0), max(colour, file.colour or 0)
            self._last_plane[path, series] = last

    def region(self, header: ImageHeader, file: ChannelFile, path: Place) -> Region:
        """The planes that a record means.

        Raises
        ------
        ImageReadError
            If the file has no such plane or channel, or its planes are numbered and the record does
            not say which is its own.
        """
        last_frame, last_colour = self._last_plane.get((path, file.series or 0), (0, 0))
        if file.series is None and self._last_series.get(path):
            raise _unsaid(path, "Series", file)
        if file.frame is None and last_frame:
            raise _unsaid(path, "Frame", file)
        of_set = self._number_set(header, last_frame, last_colour)
        return meant_region(header, file.frame if last_frame else None, file.colour, of_set=of_set)

    def _number_set(self, header: ImageHeader, last_frame: int, last_colour: int) -> bool:
        """Whether the records of a file number the planes of all files of its set."""
        part = header.part
        if part is None or not self._last_series.keys().isdisjoint(part.others):
            return False
        if part.region is None:
            return True
        planes = prod(_count_planes(header, part.region))
        return last_frame >= planes or last_colour >= _width(part.region.c)


def _unsaid(path: Place, column: str, file: ChannelFile) -> ImageReadError:
    msg = (
        f"image {path}: other records of the plate name a {column} of it, this one has no "
        f"{column}_{file.channel} that can be used; fill it in the Image table"
    )
    return ImageReadError(msg)


def meant_region(
    header: ImageHeader, frame: int | None, colour: int | None = None, *, of_set: bool = False
) -> Region:
    """The planes of a file that a record means: all of them, the one of a frame, or one channel.

    Parameters
    ----------
    colour
        The channel of these planes that is meant; None for all of them.
    of_set
        Whether the planes of the other files of its set are meant too.

    Raises
    ------
    ImageReadError
        If the file has no such plane or channel.
    """
    region = header.whole if of_set else _own_planes(header)
    if frame is not None:
        region = _plane(header, region, frame)
    if colour is None:
        return region
    first = region.c[0]
    if colour >= _width(region.c):
        msg = (
            f"image {header.path}: has {_width(region.c)} channels, the Image table's Channel is "
            f"{colour} (counted from 0); is it the file that was measured?"
        )
        raise ImageReadError(msg)
    return replace(region, c=(first + colour, first + colour + 1))


def _own_planes(header: ImageHeader) -> Region:
    if header.part is None:
        return header.whole
    if header.part.region is None:
        msg = (
            f"image {header.path}: one of {len(header.part.others) + 1} OME-TIFF files; the planes "
            "that it holds itself are not a range of the image in T, C and Z. Export the image "
            "with one file a channel, or as one file"
        )
        raise ImageReadError(msg)
    return header.part.region


def _count_planes(header: ImageHeader, region: Region) -> list[int]:
    """Planes of a region along each of the file's `plane_axes`."""
    sizes = {"T": _width(region.t), "C": _width(region.c) // header.samples, "Z": _width(region.z)}
    return [sizes[axis] for axis in header.plane_axes]


def _width(edges: tuple[int, int]) -> int:
    return edges[1] - edges[0]


def _plane(header: ImageHeader, region: Region, frame: int) -> Region:
    counts = _count_planes(header, region)
    if frame >= prod(counts):
        msg = (
            f"image {header.path}: has {prod(counts)} planes, the Image table's Frame is {frame} "
            "(counted from 0); is it the file that was measured?"
        )
        raise ImageReadError(msg)
    index = map(int, np.unravel_index(frame, counts)) if counts else ()
    at = dict(zip(header.plane_axes, index, strict=True))
    t, z = region.t[0] + at.get("T", 0), region.z[0] + at.get("Z", 0)
    c = region.c[0] + at.get("C", 0) * header.samples
    return replace(region, t=(t, t + 1), c=(c, c + header.samples), z=(z, z + 1))


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
