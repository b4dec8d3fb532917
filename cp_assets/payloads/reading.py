"""Reading OME-Arrow payloads back as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cp_assets.errors import ImageReadError

if TYPE_CHECKING:
    from cp_assets.payloads.building import Plane

_Record = Mapping[str, Any]


def payload_to_numpy(payload: pa.StructScalar | _Record) -> npt.NDArray[Any]:
    """Read the pixels of one payload, shape (T, C, Z, Y, X), in their own dtype.

    Parameters
    ----------
    payload
        A value of a payload column, or its ``as_py()``; any number of chunks, also compressed ones.

    Raises
    ------
    ImageReadError
        If the payload is null, holds no byte chunks, or its chunks do not fit its shape.
    """
    record = payload.as_py() if isinstance(payload, pa.StructScalar) else payload
    if record is None:
        msg = "the payload is null: there is no image; filter on `is not null` first"
        raise ImageReadError(msg)
    meta, chunks = record["pixels_meta"], record["chunks"] or []
    if not chunks or any("pixel_bytes" not in chunk for chunk in chunks):
        msg = f"payload {record.get('id')}: has no byte chunks; open it with ome_arrow instead"
        raise ImageReadError(msg)
    shape = tuple(int(meta[f"size_{axis}"]) for axis in "tczyx")
    pixels = np.zeros(shape, np.dtype(chunks[0]["dtype"]))
    for chunk in chunks:
        t, c, z, y, x = (int(chunk[axis]) for axis in "tczyx")
        depth, height, width = (int(chunk[f"shape_{axis}"]) for axis in "zyx")
        target = pixels[t, c, z : z + depth, y : y + height, x : x + width]
        try:
            target[...] = _chunk_pixels(chunk, (depth, height, width))
        except (ValueError, pa.ArrowException) as error:
            msg = f"payload {record.get('id')}: a chunk does not fit the shape {shape} ({error})"
            raise ImageReadError(msg) from error
    return pixels


def _chunk_pixels(chunk: _Record, shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    dtype = np.dtype(chunk["dtype"]).newbyteorder("<")
    data = chunk["pixel_bytes"]
    if chunk.get("compression"):
        data = pa.decompress(data, int(np.prod(shape)) * dtype.itemsize, chunk["compression"])
    return np.frombuffer(data, dtype).reshape(shape)


def payload_planes(
    payloads: pa.StructArray | pa.ChunkedArray, rows: npt.NDArray[np.int64] | None = None
) -> list[Plane | None]:
    """Planes (Y, X) of a whole column of payloads with T = C = Z = 1; None for nulls.

    Payloads of one uncompressed chunk, as `cp_assets` writes them, come as read-only views of the
    column's own buffer: nothing is copied. Others are assembled.

    Parameters
    ----------
    payloads
        The column. Of a payload only ``chunks`` and the sizes in ``pixels_meta`` are looked at, so
        that a reader may leave out its other fields.
    rows
        Rows to read, in this order; all by default.

    Raises
    ------
    ImageReadError
        If a payload has more than one plane; read it with `payload_to_numpy`.
    """
    column = _one_array(payloads)
    asked = np.arange(len(column)) if rows is None else rows
    views = _Views.of(column, asked)
    return [
        views.plane(i) if views.is_view[i] else _only_plane(column[row])
        for i, row in enumerate(asked.tolist())
    ]


def payload_stacks(
    payloads: pa.StructArray | pa.ChunkedArray, rows: npt.NDArray[np.int64]
) -> list[npt.NDArray[Any] | list[Plane]]:
    """Planes of one size as arrays (C, Y, X), such as the channels of one object.

    Planes that lie side by side in the column's buffer come as one view of it.

    Parameters
    ----------
    rows
        Shape (N, C): for each of the N stacks the rows of its planes. None of them may be null.

    Returns
    -------
    N stacks. Planes that do not lie side by side, or differ in size, come as a list of C planes.

    Raises
    ------
    ImageReadError
        If a payload is null or has more than one plane.
    """
    column = _one_array(payloads)
    total, depth = rows.shape
    views = _Views.of(column, rows.ravel())
    starts, lengths = (part.reshape(rows.shape) for part in (views.starts, views.nbytes))
    same = views.is_view.reshape(rows.shape).all(axis=1)
    same &= (starts[:, 1:] == (starts + lengths)[:, :-1]).all(axis=1)
    for part in (views.kinds, views.heights, views.widths):
        by_stack = part.reshape(rows.shape)
        same &= (by_stack == by_stack[:, :1]).all(axis=1)
    return [
        views.stack(i * depth, depth)
        if same[i]
        else [
            views.plane(j) if views.is_view[j] else _needed_plane(column[row])
            for j, row in enumerate(rows[i].tolist(), start=i * depth)
        ]
        for i in range(total)
    ]


def _one_array(payloads: pa.StructArray | pa.ChunkedArray) -> pa.StructArray:
    if not isinstance(payloads, pa.ChunkedArray):
        return payloads
    return payloads.chunk(0) if payloads.num_chunks == 1 else payloads.combine_chunks()


def _needed_plane(payload: pa.StructScalar) -> Plane:
    plane = _only_plane(payload)
    if plane is None:
        msg = "the payload is null: there is no image; leave its row out"
        raise ImageReadError(msg)
    return plane


def _only_plane(payload: pa.StructScalar) -> Plane | None:
    if not payload.is_valid:
        return None
    pixels = payload_to_numpy(payload)
    if pixels.shape[:3] != (1, 1, 1):
        msg = (
            f"payload of shape {pixels.shape} (T, C, Z, Y, X): not one plane; use payload_to_numpy"
        )
        raise ImageReadError(msg)
    return np.asarray(pixels[0, 0, 0])


@dataclass(frozen=True)
class _Views:
    """Where the pixels of some payloads lie in the column's buffer, for those that lie there.

    Attributes
    ----------
    is_view
        Whether the payload is one plane, in one uncompressed chunk; the rest holds only for these.
    starts, nbytes
        First byte, and number of bytes.
    heights, widths
        Pixels.
    kinds
        Position in ``dtypes``.
    """

    data: memoryview
    is_view: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]
    nbytes: npt.NDArray[np.int64]
    heights: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    dtypes: list[np.dtype[Any]]

    @classmethod
    def of(cls, payloads: pa.StructArray, rows: npt.NDArray[np.int64]) -> _Views:
        chunks = payloads.field("chunks")
        values = chunks.values
        if not len(values):
            none = np.zeros(len(rows), np.int64)
            return cls(memoryview(b""), none.astype(bool), none, none, none, none, none, [])
        offsets = np.asarray(chunks.offsets.to_numpy())
        first = np.minimum(offsets[rows], len(values) - 1)
        sizes = [_ints(payloads.field("pixels_meta").field(f"size_{a}"))[rows] for a in "tczyx"]
        chunk_sizes = [_ints(values.field(f"shape_{axis}"))[first] for axis in "zyx"]
        names = values.field("dtype").dictionary_encode()
        dtypes = [np.dtype(name).newbyteorder("<") for name in names.dictionary.to_pylist()]
        kinds = names.indices.fill_null(len(dtypes)).to_numpy()[first].astype(np.int64)
        itemsizes = np.array([*(dtype.itemsize for dtype in dtypes), 0])
        starts, ends, data = _binary_parts(values.field("pixel_bytes"))
        is_view = _is_true(payloads.is_valid())[rows] & (np.diff(offsets)[rows] == 1)
        is_view &= _is_true(values.field("compression").is_null())[first]
        is_view &= np.logical_and.reduce([size == 1 for size in sizes[:3]])
        is_view &= np.logical_and.reduce(
            [a == b for a, b in zip(sizes[2:], chunk_sizes, strict=True)]
        )
        nbytes = sizes[3] * sizes[4] * itemsizes[kinds]
        is_view &= (nbytes > 0) & (nbytes == ends[first] - starts[first])
        first_bytes = starts[first].astype(np.int64)
        return cls(data, is_view, first_bytes, nbytes, sizes[3], sizes[4], kinds, dtypes)

    def plane(self, i: int) -> Plane:
        """The i-th plane, shape (Y, X)."""
        return np.asarray(self.stack(i, 1)[0])

    def stack(self, i: int, depth: int) -> npt.NDArray[Any]:
        """The i-th plane and those that lie behind it, shape (depth, Y, X)."""
        height, width = int(self.heights[i]), int(self.widths[i])
        count = depth * height * width
        dtype = self.dtypes[self.kinds[i]]
        pixels = np.frombuffer(self.data, dtype, count, int(self.starts[i]))
        return pixels.reshape(depth, height, width)


def _is_true(values: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _ints(values: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(values.cast(pa.int64()).fill_null(0).to_numpy())


def _binary_parts(values: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[Any], memoryview]:
    """Start and end of each value in the buffer that holds them all, for any of Arrow's types."""
    if values.type not in {pa.binary(), pa.large_binary()}:
        values = values.cast(pa.large_binary())
    _, offsets, data = values.buffers()
    width = np.dtype(np.int32 if values.type == pa.binary() else np.int64)
    places = np.frombuffer(offsets, width, len(values) + 1, values.offset * width.itemsize)
    # Read-only also where the column is still in the memory it was built in.
    return places[:-1], places[1:], memoryview(data if data is not None else b"").toreadonly()
