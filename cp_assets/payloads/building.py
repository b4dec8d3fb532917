"""Building OME-Arrow payloads: many images at once, straight from their buffers."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cp_assets.errors import ConfigurationError
from cp_assets.payloads.memory import PIXEL_MEMORY
from cp_assets.payloads.types import OME_ARROW_TAG, OME_ARROW_TYPE, OME_ARROW_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cp_assets.payloads.types import PhysicalSize, Pixels

Plane = npt.NDArray[Any]
"""Pixels of shape (Y, X)."""

MAX_BATCH_BYTES = 2**31 - 1
"""Most pixel bytes of one payload array: its offsets are int32, as Iceberg's binary is."""

CHUNK_BYTES = 8 * 2**20
"""Most pixel bytes of one chunk. Larger images have several, so that a reader can take a part."""

CHUNK_EDGE = 1024
"""Edge, in pixels, of the chunks of a plane that is larger than `CHUNK_BYTES`."""

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

_MICROMETRE = "\N{MICRO SIGN}m"
_TO_5D = {2: (None, None, None), 3: (None, None), 4: (None,), 5: ()}
_Z_Y_X = 3


def payload_array(
    images: Sequence[Pixels | None],
    *,
    ids: Sequence[str],
    names: Sequence[str | None],
    channels: Sequence[str],
    image_type: Literal["image", "label"] = "image",
    physical_sizes: Sequence[PhysicalSize] | None = None,
) -> pa.StructArray:
    """Payloads of type `OME_ARROW_TYPE`, one for each image.

    The pixels lie in uncompressed chunks in C order, little-endian, in their own dtype, whose numpy
    name is in the chunk and whose OME word is in ``pixels_meta``. An image has one chunk for each T
    and C; one of more than `CHUNK_BYTES` is split further, see `chunk_shape`. What is not known is
    null.

    Parameters
    ----------
    images
        Arrays of shape (T, C, Z, Y, X), or of fewer axes, the last of these; None gives a null
        payload.
    ids, names, channels
        Of each payload: its id, the name of its source file, the name of its channels.
    image_type
        ``image`` for intensities, ``label`` for masks and outlines.
    physical_sizes
        Size of a pixel of each payload, micrometres.

    Raises
    ------
    ConfigurationError
        If the pixels together exceed `MAX_BATCH_BYTES`; build the images in several arrays.
    """
    total = len(images)
    present = [image[_TO_5D[image.ndim]] for image in images if image is not None]
    if not present:
        return pa.nulls(total, OME_ARROW_TYPE)
    missing = np.fromiter((image is None for image in images), bool, total)
    shapes = np.ones((total, 5), np.int32)
    shapes[~missing] = [image.shape for image in present]
    grids = np.ones((total, 3), np.int32)
    grids[~missing] = _grids(present, shapes[~missing])
    chunks, places, counts = _split(present, grids[~missing])
    return _struct(
        OME_ARROW_TYPE,
        total,
        {
            "type": _repeat(OME_ARROW_TAG, total),
            "version": _repeat(OME_ARROW_VERSION, total),
            "id": pa.array(ids, pa.string()),
            "name": pa.array(names, pa.string()),
            "image_type": _repeat(image_type, total),
            "pixels_meta": _pixels_meta(images, shapes, missing, channels, physical_sizes),
            "chunk_grid": _chunk_grid(grids),
            "chunks": _list(_CHUNKS, _starts(counts, missing), _chunks(chunks, places)),
            # Empty as in ome_arrow's own byte payloads: the pixels are in the chunks.
            "planes": _list(
                _PLANES, np.zeros(total + 1, np.int32), pa.nulls(0, _PLANES.value_type)
            ),
        },
        missing,
    )


def chunk_shape(shape: Sequence[int], itemsize: int) -> tuple[int, int, int]:
    """Sizes (Z, Y, X) of an image's chunks: the whole stack, else a plane, else square tiles.

    Parameters
    ----------
    shape
        Sizes whose last three are Z, Y, X.
    """
    z, y, x = (int(size) for size in shape[-_Z_Y_X:])
    if z * y * x * itemsize <= CHUNK_BYTES:
        return z, y, x
    if y * x * itemsize <= CHUNK_BYTES:
        return 1, y, x
    return 1, min(y, CHUNK_EDGE), min(x, CHUNK_EDGE)


def _grids(images: Sequence[Pixels], shapes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Chunk sizes (Z, Y, X) of each image; crops, which are small, are their own chunks."""
    grids = shapes[:, 2:].copy()
    for row, image in enumerate(images):
        if image.nbytes > CHUNK_BYTES:
            grids[row] = chunk_shape(image.shape, image.itemsize)
    return grids


def _split(
    images: Sequence[Pixels], grids: npt.NDArray[np.int32]
) -> tuple[list[Pixels], npt.NDArray[np.int32], list[int]]:
    """Chunks (Z, Y, X) of all images, their places (T, C, Z, Y, X), and how many an image has."""
    if all(image.shape[:2] == (1, 1) and image.nbytes <= CHUNK_BYTES for image in images):
        chunks = [image[0, 0] for image in images]
        return chunks, np.zeros((len(chunks), 5), np.int32), [1] * len(chunks)
    found: list[tuple[Pixels, tuple[int, ...]]] = []
    counts = []
    for image, grid in zip(images, grids.tolist(), strict=True):
        before = len(found)
        steps = (1, 1, *grid)
        for place in product(*(range(0, n, k) for n, k in zip(image.shape, steps, strict=True))):
            t, c, z, y, x = place
            chunk = image[t, c, z : z + grid[0], y : y + grid[1], x : x + grid[2]]
            found.append((chunk, place))
        counts.append(len(found) - before)
    return [chunk for chunk, _ in found], np.array([p for _, p in found], np.int32), counts


def _starts(counts: Sequence[int], missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Offsets of a list column with ``counts`` elements in the rows that are there."""
    lengths = np.zeros(len(missing), np.int32)
    lengths[~missing] = counts
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)


def _pixels_meta(
    images: Sequence[Pixels | None],
    shapes: npt.NDArray[np.int32],
    missing: npt.NDArray[np.bool_],
    names: Sequence[str],
    physical_sizes: Sequence[PhysicalSize] | None,
) -> pa.StructArray:
    total = len(images)
    dtypes = {image.dtype for image in images if image is not None}
    words = {dtype: OME_PIXEL_TYPES.get(dtype.name, dtype.name) for dtype in dtypes}
    types = [None if image is None else words[image.dtype] for image in images]
    sizes = dict(zip("tczyx", shapes.T, strict=True))
    return _struct(
        _META,
        total,
        {
            "dimension_order": _repeat("XYZCT", total),
            "type": pa.array(types, pa.string()),
            **{f"size_{axis}": pa.array(size) for axis, size in sizes.items()},
            **_physical(physical_sizes),
            "channels": _channels(shapes[:, 1], missing, names),
        },
    )


def _physical(sizes: Sequence[PhysicalSize] | None) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    # Most files say nothing of it: seen once for each file, not once for each crop.
    different = {id(size): size for size in sizes or ()}.values()
    for axis in "zyx":
        if any(getattr(size, axis) is not None for size in different):
            values = [getattr(size, axis) for size in sizes or ()]
            name = f"physical_size_{axis}"
            units = [None if value is None else _MICROMETRE for value in values]
            columns[name] = pa.array(values, _META.field(name).type)
            columns[f"{name}_unit"] = pa.array(units, pa.string())
    return columns


def _channels(
    counts: npt.NDArray[np.int32], missing: npt.NDArray[np.bool_], names: Sequence[str]
) -> pa.ListArray:
    present = counts[~missing]
    # 0, 1, ... within each payload.
    numbers = np.arange(present.sum()) - np.repeat(np.cumsum(present) - present, present)
    repeated = np.repeat(np.flatnonzero(~missing), present)
    values = _struct(
        _CHANNELS.value_type,
        len(numbers),
        {
            "id": pa.array([f"ch-{number}" for number in numbers.tolist()], pa.string()),
            "name": pa.array(names, pa.string()).take(pa.array(repeated)),
        },
    )
    return _list(_CHANNELS, _starts(present.tolist(), missing), values)


def _chunk_grid(grids: npt.NDArray[np.int32]) -> pa.StructArray:
    total = len(grids)
    return _struct(
        _GRID,
        total,
        {
            "order": _repeat("TCZYX", total),
            **_ones(("chunk_t", "chunk_c"), total),
            **{f"chunk_{axis}": pa.array(grids[:, n]) for n, axis in enumerate("zyx")},
            "chunk_order": _repeat("ZYX", total),
        },
    )


def _chunks(chunks: list[Pixels], places: npt.NDArray[np.int32]) -> pa.StructArray:
    # `dtype.name` is slow: asked once for each dtype, not once for each chunk.
    names = {dtype: dtype.name for dtype in {chunk.dtype for chunk in chunks}}
    shapes = np.array([chunk.shape for chunk in chunks], np.int32)
    return _struct(
        _CHUNKS.value_type,
        len(chunks),
        {
            **{axis: pa.array(places[:, n]) for n, axis in enumerate("tczyx")},
            **{f"shape_{axis}": pa.array(shapes[:, n]) for n, axis in enumerate("zyx")},
            "dtype": pa.array([names[chunk.dtype] for chunk in chunks], pa.string()),
            "pixel_bytes": _pixel_bytes(chunks),
        },
    )


def _pixel_bytes(chunks: list[Pixels]) -> pa.BinaryArray:
    """All pixels in one buffer; each chunk is copied once, from its place in the image."""
    ends = np.cumsum([chunk.nbytes for chunk in chunks], dtype=np.int64)
    if ends[-1] > MAX_BATCH_BYTES:
        msg = (
            f"{len(chunks)} chunks hold {ends[-1]} bytes; one array of payloads holds at most "
            f"{MAX_BATCH_BYTES}, build them in several"
        )
        raise ConfigurationError(msg)
    pixels = PIXEL_MEMORY.empty((int(ends[-1]),), np.uint8)
    little = {dtype: dtype.newbyteorder("<") for dtype in {chunk.dtype for chunk in chunks}}
    start = 0
    for chunk, end in zip(chunks, ends.tolist(), strict=True):
        pixels[start:end].view(little[chunk.dtype]).reshape(chunk.shape)[...] = chunk
        start = end
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(pixels)]
    return pa.Array.from_buffers(pa.binary(), len(chunks), buffers)


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
