"""Building OME-Arrow payloads: many planes at once, straight from their buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cp_assets.errors import ConfigurationError
from cp_assets.images.payload_type import OME_ARROW_TAG, OME_ARROW_TYPE, OME_ARROW_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Plane = npt.NDArray[Any]

MAX_BATCH_BYTES = 2**31 - 1
"""Most pixel bytes of one payload array: its offsets are int32, as Iceberg's binary is."""

OME_PIXEL_TYPES = {
    "bool": "bit",
    "float32": "float",
    "float64": "double",
    "complex64": "complex",
    "complex128": "double-complex",
}
"""numpy dtype -> OME's word, where they differ. Integers have the same name in both."""

_META: pa.StructType = OME_ARROW_TYPE.field("pixels_meta").type
_GRID: pa.StructType = OME_ARROW_TYPE.field("chunk_grid").type
_CHUNKS: pa.ListType = OME_ARROW_TYPE.field("chunks").type
_CHANNELS: pa.ListType = _META.field("channels").type
_PLANES: pa.ListType = OME_ARROW_TYPE.field("planes").type


def payload_array(
    planes: Sequence[Plane | None],
    *,
    ids: Sequence[str],
    names: Sequence[str | None],
    channels: Sequence[str],
    image_type: Literal["image", "label"] = "image",
) -> pa.StructArray:
    """Payloads of single planes, type `OME_ARROW_TYPE`, one for each plane.

    A payload has T = C = Z = 1 and one uncompressed chunk: the pixels in C order, little-endian, in
    their own dtype, whose numpy name is in the chunk and whose OME word is in ``pixels_meta``. What
    is not known, such as the pixel's physical size, is null.

    Parameters
    ----------
    planes
        Arrays of shape (Y, X); None gives a null payload.
    ids, names, channels
        Of each payload: its id, the name of its source file, its channel's name.
    image_type
        ``image`` for intensities, ``label`` for masks and outlines.

    Raises
    ------
    ConfigurationError
        If the pixels together exceed `MAX_BATCH_BYTES`; build the planes in several arrays.
    """
    total = len(planes)
    present = [plane for plane in planes if plane is not None]
    if not present:
        return pa.nulls(total, OME_ARROW_TYPE)
    missing = np.fromiter((plane is None for plane in planes), bool, total)
    starts = np.concatenate(([0], np.cumsum(~missing))).astype(np.int32)
    shapes = np.ones((total, 2), np.int32)
    shapes[~missing] = [plane.shape for plane in present]
    channel_names = pa.array(channels, pa.string()).filter(pa.array(~missing))
    return _struct(
        OME_ARROW_TYPE,
        total,
        {
            "type": _repeat(OME_ARROW_TAG, total),
            "version": _repeat(OME_ARROW_VERSION, total),
            "id": pa.array(ids, pa.string()),
            "name": pa.array(names, pa.string()),
            "image_type": _repeat(image_type, total),
            "pixels_meta": _pixels_meta(planes, shapes, starts, channel_names),
            "chunk_grid": _chunk_grid(shapes),
            "chunks": _list(_CHUNKS, starts, _chunks(present, shapes[~missing])),
            # Empty as in ome_arrow's own byte payloads: the pixels are in the chunks.
            "planes": _list(
                _PLANES, np.zeros(total + 1, np.int32), pa.nulls(0, _PLANES.value_type)
            ),
        },
        missing,
    )


def _pixels_meta(
    planes: Sequence[Plane | None],
    shapes: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int32],
    channel_names: pa.StringArray,
) -> pa.StructArray:
    total, present = len(planes), len(channel_names)
    dtypes = {plane.dtype for plane in planes if plane is not None}
    words = {dtype: OME_PIXEL_TYPES.get(dtype.name, dtype.name) for dtype in dtypes}
    types = [None if plane is None else words[plane.dtype] for plane in planes]
    channels = _struct(
        _CHANNELS.value_type, present, {"id": _repeat("ch-0", present), "name": channel_names}
    )
    return _struct(
        _META,
        total,
        {
            "dimension_order": _repeat("XYZCT", total),
            "type": pa.array(types, pa.string()),
            "size_x": pa.array(shapes[:, 1]),
            "size_y": pa.array(shapes[:, 0]),
            **_ones(("size_z", "size_c", "size_t"), total),
            "channels": _list(_CHANNELS, starts, channels),
        },
    )


def _chunk_grid(shapes: npt.NDArray[np.int32]) -> pa.StructArray:
    total = len(shapes)
    return _struct(
        _GRID,
        total,
        {
            "order": _repeat("TCZYX", total),
            **_ones(("chunk_t", "chunk_c", "chunk_z"), total),
            "chunk_y": pa.array(shapes[:, 0]),
            "chunk_x": pa.array(shapes[:, 1]),
            "chunk_order": _repeat("ZYX", total),
        },
    )


def _chunks(planes: list[Plane], shapes: npt.NDArray[np.int32]) -> pa.StructArray:
    total = len(planes)
    zero = pa.array(np.zeros(total, np.int32))
    # `dtype.name` is slow: asked once for each dtype, not once for each plane.
    names = {dtype: dtype.name for dtype in {plane.dtype for plane in planes}}
    return _struct(
        _CHUNKS.value_type,
        total,
        {
            **dict.fromkeys(("t", "c", "z", "y", "x"), zero),
            **_ones(("shape_z",), total),
            "shape_y": pa.array(shapes[:, 0]),
            "shape_x": pa.array(shapes[:, 1]),
            "dtype": pa.array([names[plane.dtype] for plane in planes], pa.string()),
            "pixel_bytes": _pixel_bytes(planes),
        },
    )


def _pixel_bytes(planes: list[Plane]) -> pa.BinaryArray:
    """All pixels in one buffer; each plane is copied once, from its place in the image."""
    ends = np.cumsum([plane.nbytes for plane in planes], dtype=np.int64)
    if ends[-1] > MAX_BATCH_BYTES:
        msg = (
            f"{len(planes)} planes hold {ends[-1]} bytes; one array of payloads holds at most "
            f"{MAX_BATCH_BYTES}, build them in several"
        )
        raise ConfigurationError(msg)
    # Arrow's pool hands memory out again without the page faults of fresh memory.
    buffer = pa.allocate_buffer(int(ends[-1]))
    pixels = np.frombuffer(buffer, np.uint8)
    little = {dtype: dtype.newbyteorder("<") for dtype in {plane.dtype for plane in planes}}
    start = 0
    for plane, end in zip(planes, ends.tolist(), strict=True):
        pixels[start:end].view(little[plane.dtype]).reshape(plane.shape)[...] = plane
        start = end
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    return pa.Array.from_buffers(pa.binary(), len(planes), [None, pa.py_buffer(offsets), buffer])


def _struct(
    kind: pa.StructType,
    length: int,
    given: Mapping[str, pa.Array],
    missing: npt.NDArray[np.bool_] | None = None,
) -> pa.StructArray:
    """Make a struct array of the fields that are given and null for all others."""
    fields = list(kind)
    arrays = [
        given[field.name] if field.name in given else pa.nulls(length, field.type)
        for field in fields
    ]
    mask = None if missing is None else pa.array(missing)
    return pa.StructArray.from_arrays(arrays, fields=fields, mask=mask)


def _list(kind: pa.ListType, starts: npt.NDArray[np.int32], values: pa.StructArray) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(starts), values, type=kind)


def _repeat(text: str, length: int) -> pa.StringArray:
    return pa.repeat(pa.scalar(text, pa.string()), length)


def _ones(names: tuple[str, ...], length: int) -> dict[str, pa.Array]:
    return dict.fromkeys(names, pa.array(np.ones(length, np.int32)))
