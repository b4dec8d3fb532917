"""Zarr and OME-Zarr."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.axes import shape5, sizes, to_tczyx
from cp_assets.images.readers.guarding import GuardedReader, Watch, check_dtype, decoding
from cp_assets.images.readers.model import AXES, ImageHeader
from cp_assets.images.readers.zarr_nodes import ZarrStore, image_axes
from cp_assets.images.readers.zarr_store import open_array
from cp_assets.payloads.memory import PIXEL_MEMORY

if TYPE_CHECKING:
    from cp_assets.images.readers.model import Region
    from cp_assets.images.readers.zarr_nodes import ZarrImage
    from cp_assets.payloads.types import Pixels
    from cp_assets.stores import Place

_MAX_CHUNKS = 2**18


class ZarrReader(GuardedReader):
    """One array of a Zarr store: format 2 or 3, plain or OME-Zarr, its full resolution.

    The axes are those that OME-Zarr says, else ``dimension_names`` or ``_ARRAY_DIMENSIONS``, else
    the last of T, C, Z, Y, X, as in OME-Zarr before it named them. A chunk that is not there has
    the array's fill value, as Zarr defines and writers rely on for empty background, unless the
    array has no fill value or not a single chunk: then nobody measured anything.
    """

    def __init__(self, path: Place, series: int, limit: int) -> None:
        super().__init__(path, Watch(), limit)
        with decoding(path, self._watch):
            store = ZarrStore.around(path, self._watch)
            image = store.find(path, series)
            self._array, self._chunks = open_array(store, image.node, limit)
            self._axes = image_axes(image, self._array.shape)
            self.header = _header(image, self._array, self._axes)

    def close(self) -> None:
        """Do nothing: chunks are open only while they are read."""

    def peak_bytes(self, region: Region | None = None) -> int:
        """Bound the memory of a read; see `ImageReader.peak_bytes`."""
        region = self.header.whole if region is None else region
        held = self._nbytes(self._touched(region))
        if self._array.shards is None:
            chunk = prod(self._array.chunks) * self.header.dtype.itemsize
            held = min(held, zarr.config.get("async.concurrency") * chunk)
        return 2 * self._nbytes(region) + 3 * held

    def _decode(self, region: Region) -> Pixels:
        windows = dict(zip(AXES, region.slices, strict=True))
        selection = tuple(windows.get(axis, slice(0, 1)) for axis in self._axes)
        touched = prod(
            -(-window.stop // chunk) - window.start // chunk
            for window, chunk in zip(selection, self._array.chunks, strict=True)
        )
        if touched > _MAX_CHUNKS:
            msg = (
                f"image {self._path}: {touched:,} chunks of {self._array.chunks} in one window; "
                f"read windows of at most {_MAX_CHUNKS:,}, or write the array in larger chunks"
            )
            raise ImageReadError(msg)
        self._chunks.absent.clear()
        if touched * prod(self._array.chunks) * self.header.dtype.itemsize <= self._limit:
            pixels = np.asarray(self._array[selection], dtype=self.header.dtype)
        else:
            pixels = self._one_by_one(selection)
        self._check_absent()
        return to_tczyx(pixels, self._axes)

    def _one_by_one(self, selection: tuple[slice, ...]) -> Pixels:
        """Decode the chunks of a window one after another; Zarr would hold several at once."""
        starts = [window.start for window in selection]
        shape = [window.stop - window.start for window in selection]
        pixels = PIXEL_MEMORY.empty(shape, self.header.dtype)
        pieces = [
            [
                slice(max(edge, window.start), min(edge + chunk, window.stop))
                for edge in range(window.start // chunk * chunk, window.stop, chunk)
            ]
            for window, chunk in zip(selection, self._array.chunks, strict=True)
        ]
        for piece in product(*pieces):
            place = tuple(
                slice(part.start - start, part.stop - start)
                for part, start in zip(piece, starts, strict=True)
            )
            pixels[place] = self._array[piece]
        return pixels

    def _check_absent(self) -> None:
        absent = self._chunks.absent
        if not absent or (self._array.fill_value is not None and self._chunks.has_chunks()):
            return
        why = "the array has no fill value" if self._chunks.has_chunks() else "nor is any other"
        msg = (
            f"image {self._path}: chunk {absent[0]} is not there, and {why}, so that nobody "
            "measured its pixels; copy the store again from its source"
        )
        raise ImageReadError(msg)


def open_zarr(path: Place, series: int, limit: int) -> ZarrReader:
    """Open a store, or a group or array inside one; see `open_image`."""
    return ZarrReader(path, series, limit)


def _header(image: ZarrImage, array: Any, axes: str) -> ImageHeader:
    folder, shape = image.node.folder, shape5(axes, array.shape)
    of = sizes(axes, array.shape)
    channels, names = shape[AXES.index("C")], image.channel_names
    return ImageHeader(
        path=image.store,
        format="ome-zarr" if image.is_ome else "zarr",
        shape=shape,
        dtype=check_dtype(folder, array.dtype),
        axes="".join(axis for axis in axes if axis in AXES),
        plane_axes="".join(axis for axis in axes if axis in "TCZ" and of[axis] > 1),
        channel_names=names if len(names) == channels else (None,) * channels,
        physical_size=image.physical_size,
        chunk_shape=shape5(axes, array.chunks),
        array_path=image.array_path,
    )
