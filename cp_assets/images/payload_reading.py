"""Reading OME-Arrow payloads back: as numpy arrays, or as ome_arrow's own object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cp_assets.errors import ImageReadError
from cp_assets.images.payload import OME_PIXEL_TYPES, Plane

if TYPE_CHECKING:
    from ome_arrow import OMEArrow

_Record = Mapping[str, Any]
_NUMPY_NAMES = {word: name for name, word in OME_PIXEL_TYPES.items()}


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


def payload_planes(payloads: pa.StructArray | pa.ChunkedArray) -> list[Plane | None]:
    """Planes (Y, X) of a whole column of payloads with T = C = Z = 1; None for nulls.

    Payloads of one uncompressed chunk, as `cp_assets` writes them, come as read-only views of the
    column's own buffer: nothing is copied. Others are assembled.

    Raises
    ------
    ImageReadError
        If a payload has more than one plane; read it with `payload_to_numpy`.
    """
    if isinstance(payloads, pa.ChunkedArray):
        return [plane for part in payloads.chunks for plane in payload_planes(part)]
    valid = payloads.is_valid().to_numpy(zero_copy_only=False)
    views = _chunk_views(payloads)
    return [
        (view if view is not None else _only_plane(payloads[row])) if valid[row] else None
        for row, view in enumerate(views)
    ]


def _only_plane(payload: pa.StructScalar) -> Plane:
    pixels = payload_to_numpy(payload)
    if pixels.shape[:3] != (1, 1, 1):
        msg = (
            f"payload of shape {pixels.shape} (T, C, Z, Y, X): not one plane; use payload_to_numpy"
        )
        raise ImageReadError(msg)
    return np.asarray(pixels[0, 0, 0])


def _chunk_views(payloads: pa.StructArray) -> list[Plane | None]:
    """For each payload the view of its only chunk, or None where one chunk is not all of it."""
    chunks = payloads.field("chunks")
    starts = np.asarray(chunks.offsets.to_numpy())
    values = chunks.values
    if not len(values):
        return [None] * len(payloads)
    first = np.minimum(starts[:-1], len(values) - 1)
    meta = payloads.field("pixels_meta")
    sizes = np.stack([_ints(meta.field(f"size_{axis}")) for axis in "tczyx"], axis=1)
    chunk_sizes = np.stack([_ints(values.field(f"shape_{axis}")) for axis in "zyx"], axis=1)[first]
    plain = values.field("compression").is_null().to_numpy(zero_copy_only=False)[first]
    whole = plain & (np.diff(starts) == 1) & (sizes[:, :2] == 1).all(axis=1)
    whole &= (chunk_sizes == sizes[:, 2:]).all(axis=1) & (chunk_sizes[:, 0] == 1)
    names = values.field("dtype")
    dtypes = {name: np.dtype(name).newbyteorder("<") for name in names.unique().to_pylist() if name}
    kinds = [dtypes.get(name) for name in names.take(pa.array(first)).to_pylist()]
    offsets, data = _binary_parts(values.field("pixel_bytes"))
    rows = zip(whole.tolist(), kinds, offsets[first].tolist(), sizes[:, 3:].tolist(), strict=True)
    return [
        np.frombuffer(data, kind, size[0] * size[1], offset).reshape(size)
        if is_whole and kind is not None
        else None
        for is_whole, kind, offset, size in rows
    ]


def _ints(values: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(values.cast(pa.int64()).fill_null(0).to_numpy())


def _binary_parts(values: pa.Array) -> tuple[npt.NDArray[Any], memoryview]:
    """Start of each value and the buffer that holds them all, for any of Arrow's binary types."""
    if values.type not in {pa.binary(), pa.large_binary()}:
        values = values.cast(pa.large_binary())
    _, offsets, data = values.buffers()
    width = np.dtype(np.int32 if values.type == pa.binary() else np.int64)
    starts = np.frombuffer(offsets, width, len(values), values.offset * width.itemsize)
    # Read-only also where the column is still in the memory it was built in.
    return starts, memoryview(data if data is not None else b"").toreadonly()


def to_ome_arrow(payload: pa.StructScalar | _Record) -> OMEArrow:
    """Open the payload as an ``ome_arrow.OMEArrow``, to view, slice or export with that library.

    ``OMEArrow(value)`` takes a value of a payload column as it is too. What this function adds:
    types that ome_arrow 0.1 expects (``OME_ARROW_BYTE_STRUCT``) and numpy's words for real and
    boolean pixels, so that ``tensor_view`` has the right dtype. ``OMEArrow(value.as_py())`` loses
    the pixels: ome_arrow 0.1 reads a dict as its list form, which has no bytes. ``export("numpy")``
    converts to uint16 unless its ``dtype`` says otherwise.

    Raises
    ------
    ImageReadError
        If the payload is null.
    """
    # Imported here: ome_arrow imports matplotlib and BioIO, which takes seconds.
    from ome_arrow import OMEArrow  # noqa: PLC0415
    from ome_arrow.meta import OME_ARROW_BYTE_STRUCT  # noqa: PLC0415

    record = payload.as_py() if isinstance(payload, pa.StructScalar) else dict(payload)
    if record is None:
        msg = "the payload is null: there is no image; filter on `is not null` first"
        raise ImageReadError(msg)
    meta = dict(record["pixels_meta"])
    meta["type"] = _NUMPY_NAMES.get(meta["type"], meta["type"])
    return OMEArrow(pa.scalar({**record, "pixels_meta": meta}, type=OME_ARROW_BYTE_STRUCT))
