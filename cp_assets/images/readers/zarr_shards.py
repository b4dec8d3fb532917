"""Where the chunks of a shard lie in its file, by the index that the shard holds."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cp_assets.errors import ImageReadError
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    import numpy.typing as npt

    from cp_assets.images.readers.zarr_layout import ArrayLayout
    from cp_assets.stores import Place

_ABSENT = 2**64 - 1
_CHECKSUM_BYTES = 4
_ENTRY_BYTES = 16


def read_shard_index(file: Place, layout: ArrayLayout) -> npt.NDArray[np.int64]:
    """Offset and length of each chunk of a shard.

    Returns
    -------
    array of shape (chunks, 2) in C order over the shard; -1 for a chunk that was never written, as
    for all of a shard that is not there, or whose index is encoded in a way that is not read

    Raises
    ------
    ImageReadError
        If the file ends before its index, or the index points outside of it.
    """
    chunks = prod(whole // part for whole, part in zip(layout.files, layout.chunks, strict=True))
    nothing = np.full((chunks, 2), -1, dtype=np.int64)
    if not layout.index.readable:
        return nothing
    wanted = chunks * _ENTRY_BYTES
    extra = _CHECKSUM_BYTES if layout.index.checksum else 0
    try:
        size, data = _ranges(file, wanted + extra, at_end=layout.index.at_end)
    except FileNotFoundError:
        return nothing
    if len(data) < wanted + extra:
        msg = f"image {file}: a shard of {size:,} bytes, less than its index; copy the store again"
        raise ImageReadError(msg)
    entries = np.frombuffer(data[:wanted], f"{layout.index.byte_order}u8").reshape(-1, 2)
    there = (entries != _ABSENT).all(axis=1)
    found = np.where(there[:, None], entries, 0)
    if (found > size).any() or (found.sum(axis=1) > size).any():
        msg = f"image {file}: the index of the shard points behind its end; copy the store again"
        raise ImageReadError(msg)
    return _in_order(np.where(there[:, None], found.astype(np.int64), -1), layout)


def _in_order(places: npt.NDArray[np.int64], layout: ArrayLayout) -> npt.NDArray[np.int64]:
    """Entries of an index in the order of the array's axes, where the shard has them in another."""
    order = layout.index.order
    if order is None:
        return places
    grid = [layout.files[axis] // layout.chunks[axis] for axis in order]
    axes = [order.index(axis) for axis in range(len(order))]
    return places.reshape(*grid, 2).transpose(*axes, len(order)).reshape(-1, 2)


def _ranges(file: Place, count: int, *, at_end: bool) -> tuple[int, bytes]:
    """Size of a file, and its last or first bytes."""
    size = file.stat().st_size
    start = max(0, size - count) if at_end else 0
    if isinstance(file, ObjectPath):
        return size, file.read_range(start, start + count)
    with file.open("rb") as opened:
        opened.seek(start)
        return size, opened.read(count)
