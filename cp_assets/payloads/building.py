"""Building OME-Arrow payloads: many images at once, straight from their buffers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, product
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cp_assets.errors import ConfigurationError
from cp_assets.payloads.memory import PIXEL_MEMORY
from cp_assets.payloads.types import OME_ARROW_TAG, OME_ARROW_TYPE, OME_ARROW_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cp_assets.payloads.types import PhysicalSize, Pixels

Plane = npt.NDArray[Any]
"""Pixels of shape (Y, X)."""

Texts: TypeAlias = Sequence[str | None] | pa.StringArray
"""A text for each payload."""

ChannelNames: TypeAlias = Texts | Sequence[Sequence[str | None]]
"""For each payload the name of its channels: one for all of them, or one for each."""

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
_TO_5D = {2: (None, None, None), 3: (None, None), 4: (None,)}
_Z_Y_X = 3
_AXES = 5
_NOTHING = np.zeros((1,) * _AXES, np.uint8)


def payload_array(
    images: Sequence[Pixels | None],
    *,
    ids: Texts,
    names: Texts,
    channels: ChannelNames,
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
        Of each payload: its id, the name of its source file, the name of its channels; a sequence
        of names names each channel.
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
    there = np.fromiter((image is not None for image in images), np.bool_, total)
    if not there.any():
        return pa.nulls(total, OME_ARROW_TYPE)
    # What a null payload holds is never seen.
    given = [_NOTHING if image is None else _to_5d(image) for image in images]
    shapes = np.array([image.shape for image in given], np.int32)
    dtypes = [image.dtype for image in given]
    chunks = _Chunks(given, shapes, there)
    return _struct(
        OME_ARROW_TYPE,
        total,
        {
            "type": _repeat(OME_ARROW_TAG, total),
            "version": _repeat(OME_ARROW_VERSION, total),
            "id": _texts(ids),
            "name": _texts(names),
            "image_type": _repeat(image_type, total),
            "pixels_meta": _struct(
                _META,
                total,
                {
                    "dimension_order": _repeat("XYZCT", total),
                    "type": _by_dtype(dtypes, lambda name: OME_PIXEL_TYPES.get(name, name)),
                    **_columns("size_{}", "tczyx", shapes),
                    **_physical(physical_sizes),
                    "channels": _channels(shapes[:, 1] * there, channels),
                },
            ),
            "chunk_grid": _struct(
                _GRID,
                total,
                {
                    "order": _repeat("TCZYX", total),
                    **_columns("chunk_{}", "tc", np.ones((total, 2), np.int32)),
                    **_columns("chunk_{}", "zyx", chunks.grids),
                    "chunk_order": _repeat("ZYX", total),
                },
            ),
            "chunks": _list(_CHUNKS, chunks.counts, chunks.structs()),
            # Empty as in ome_arrow's own byte payloads: the pixels are in the chunks.
            "planes": _list(_PLANES, np.zeros(total, np.int32), pa.nulls(0, _PLANES.value_type)),
        },
        None if there.all() else pa.array(~there),
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


def _to_5d(image: Pixels) -> Pixels:
    return image if image.ndim == _AXES else image[_TO_5D[image.ndim]]


class _Chunks:
    """The chunks of all images, one image after the other.

    Attributes
    ----------
    grids
        Chunk sizes of each image, shape (images, 3): Z, Y, X.
    counts
        How many chunks an image has.
    """

    def __init__(
        self,
        images: Sequence[Pixels],
        shapes: npt.NDArray[np.int32],
        there: npt.NDArray[np.bool_],
    ) -> None:
        self.grids = shapes[:, 2:]
        self.counts = there.astype(np.int32)
        self._pixels = list(compress(images, there))
        self._places = np.zeros((len(self._pixels), 5), np.int32)
        self._shapes = self.grids[there]
        # Crops, which are small, are their own chunks.
        if (shapes[:, :2] > 1).any() or any(image.nbytes > CHUNK_BYTES for image in images):
            self._split(there)

    def _split(self, there: npt.NDArray[np.bool_]) -> None:
        shapes = [chunk_shape(image.shape, image.itemsize) for image in self._pixels]
        parts = [
            [
                (place, image[tuple(map(slice, place, np.add(place, (1, 1, *shape))))])
                for place in _places(image.shape, (1, 1, *shape))
            ]
            for image, shape in zip(self._pixels, shapes, strict=True)
        ]
        self.grids = self.grids.copy()
        self.grids[there] = shapes
        self.counts[there] = [len(of_image) for of_image in parts]
        self._places = np.array([place for of_image in parts for place, _ in of_image], np.int32)
        self._pixels = [pixels for of_image in parts for _, pixels in of_image]
        self._shapes = np.array([pixels.shape[2:] for pixels in self._pixels], np.int32)

    def structs(self) -> pa.StructArray:
        """Chunks as payloads have them.

        Raises
        ------
        ConfigurationError
            If they are too large for one array.
        """
        return _struct(
            _CHUNKS.value_type,
            len(self._pixels),
            {
                **_columns("{}", "tczyx", self._places),
                **_columns("shape_{}", "zyx", self._shapes),
                "dtype": _by_dtype([chunk.dtype for chunk in self._pixels], str),
                "pixel_bytes": _pixel_bytes(self._pixels),
            },
        )


def _places(shape: Sequence[int], steps: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Where the chunks of an image begin, in C order."""
    return product(*(range(0, size, step) for size, step in zip(shape, steps, strict=True)))


def _pixel_bytes(chunks: Sequence[Pixels]) -> pa.BinaryArray:
    """All pixels in one buffer; each chunk is copied once, from its place in the image."""
    offsets = np.zeros(len(chunks) + 1, np.int64)
    np.cumsum([chunk.nbytes for chunk in chunks], out=offsets[1:])
    size = int(offsets[-1])
    if size > MAX_BATCH_BYTES:
        msg = (
            f"{len(chunks)} chunks hold {size} bytes; one array of payloads holds at most "
            f"{MAX_BATCH_BYTES}, build them in several"
        )
        raise ConfigurationError(msg)
    pixels = PIXEL_MEMORY.empty((size,), np.uint8)
    little = {dtype: dtype.newbyteorder("<") for dtype in {chunk.dtype for chunk in chunks}}
    for chunk, start in zip(chunks, offsets[:-1].tolist(), strict=True):
        np.ndarray(chunk.shape, little[chunk.dtype], pixels, start)[...] = chunk
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(pixels)]
    return pa.Array.from_buffers(pa.binary(), len(chunks), buffers)


def _by_dtype(dtypes: Sequence[np.dtype[Any]], word: Callable[[str], str]) -> pa.StringArray:
    """A word for the name of each dtype; the name, which is slow, is asked for once for each."""
    words = {dtype: word(dtype.name) for dtype in set(dtypes)}
    if len(words) == 1:
        return _repeat(words.popitem()[1], len(dtypes))
    return pa.array([words[dtype] for dtype in dtypes], pa.string())


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


def _channels(counts: npt.NDArray[np.int32], names: ChannelNames) -> pa.ListArray:
    """Channels of each payload: ``ch-0``, ``ch-1``, ..., each with its name."""
    ends = np.cumsum(counts)
    numbers = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
    ids = pa.array([f"ch-{number}" for number in range(counts.max())], pa.string())
    values = _struct(
        _CHANNELS.value_type,
        len(numbers),
        {"id": ids.take(pa.array(numbers)), "name": _names(counts, names)},
    )
    return _list(_CHANNELS, counts, values)


def _names(counts: npt.NDArray[np.int32], names: ChannelNames) -> pa.StringArray:
    """A name for each channel of each payload."""
    if not isinstance(names, pa.Array) and isinstance(names[0], list | tuple):
        given = [each for count, each in zip(counts, names, strict=True) if count]
        return pa.array([name for each in given for name in each], pa.string())
    return _texts(names).take(pa.array(np.repeat(np.arange(len(counts)), counts)))


def _columns(name: str, axes: str, values: npt.NDArray[np.int32]) -> dict[str, pa.Array]:
    """A column for each axis, of values of shape (rows, axes)."""
    return {name.format(axis): pa.array(values[:, n]) for n, axis in enumerate(axes)}


def _struct(
    kind: pa.StructType,
    length: int,
    given: Mapping[str, pa.Array],
    missing: pa.BooleanArray | None = None,
) -> pa.StructArray:
    """Make a struct array of the fields that are given and null for all others."""
    fields = list(kind)
    arrays = [
        given[field.name] if field.name in given else pa.nulls(length, field.type)
        for field in fields
    ]
    return pa.StructArray.from_arrays(arrays, fields=fields, mask=missing)


def _list(kind: pa.ListType, counts: npt.NDArray[np.int32], values: pa.StructArray) -> pa.ListArray:
    """Make a list array whose rows hold so many values each."""
    starts = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=starts[1:])
    return pa.ListArray.from_arrays(pa.array(starts), values, type=kind)


def _repeat(text: str, length: int) -> pa.StringArray:
    return pa.repeat(pa.scalar(text, pa.string()), length)


def _texts(values: Texts) -> pa.StringArray:
    return values if isinstance(values, pa.Array) else pa.array(values, pa.string())
