"""How a Zarr array is stored, by its metadata alone: type, chunks, shards, names of files."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.zarr_nodes import V3, json_dict, json_list

if TYPE_CHECKING:
    from cp_assets.images.readers.zarr_nodes import Json, Node
    from cp_assets.stores import Place

_SHARDING = "sharding_indexed"
_TRANSPOSE = "transpose"

MAX_CHUNKS_IN_SHARD = 2**20
_MAX_CHUNKS = 2**40
_MAX_AXES = 32
_MAX_SIZE = 2**63 - 1
"""Of an axis, and of a chunk in bytes: more is no number of 64 bits."""

_PACKING = frozenset({"blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"})


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where a shard says where its chunks lie.

    Attributes
    ----------
    at_end
        Whether the index is the end of the shard, or its beginning.
    byte_order
        ``<`` or ``>``.
    checksum
        Whether the index ends in a CRC-32C.
    readable
        Whether nothing else encodes it, or the shard around it.
    order
        Axes of the array in the order in which the shard has them; None for their own.
    """

    at_end: bool = True
    byte_order: str = "<"
    checksum: bool = False
    readable: bool = True
    order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """How an array is stored.

    Attributes
    ----------
    dtype
        As Zarr writes it: of format 2 numpy's name, with ``>`` for another byte order.
    chunks
        Sizes of what is decoded at once; of a shard, of the chunks in it.
    shards
        Sizes of a shard; None where each chunk is a file.
    prefix, separator
        Of the name of a chunk's file: ``c/0/1``, ``0.1``.
    codec
        Names of what compresses a chunk; None if nothing does.
    """

    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    prefix: str
    separator: str
    codec: str | None
    index: ShardIndex = ShardIndex()

    @property
    def files(self) -> tuple[int, ...]:
        """Sizes of what one file holds."""
        return self.shards or self.chunks


def layout_of(node: Node) -> ArrayLayout:
    """How an array is stored.

    Raises
    ------
    ImageReadError
        If its metadata lack shape, type or chunks, or say what cannot be.
    """
    document = node.array or {}
    if node.zarr_format == V3:
        return _v3(node.folder, document)
    separator = document.get("dimension_separator", ".")
    chunks = _sizes(node.folder, document, "chunks")
    layout = ArrayLayout(
        shape=_sizes(node.folder, document, "shape"),
        dtype=_v2_dtype(node.folder, document.get("dtype")),
        chunks=chunks,
        shards=None,
        prefix="",
        separator=separator if separator in {".", "/"} else ".",
        codec=_name(json_dict(document, "compressor"), "id"),
    )
    return _checked(node.folder, layout)


def _v3(folder: Place, document: Json) -> ArrayLayout:
    grid = json_dict(json_dict(document, "chunk_grid"), "configuration")
    files, chunks = _sizes(folder, grid, "chunk_shape"), None
    encoding = json_dict(document, "chunk_key_encoding")
    is_default = encoding.get("name", "default") == "default"
    separator = json_dict(encoding, "configuration").get("separator", "/" if is_default else ".")
    codecs, index = json_list(document, "codecs"), ShardIndex()
    names = [one.get("name") for one in codecs]
    is_sharded = _SHARDING in names
    if is_sharded:
        at = names.index(_SHARDING)
        settings = json_dict(codecs[at], "configuration")
        order = _axes_order(folder, codecs[:at], len(files))
        index = _shard_index(
            settings, order, is_plain={*names[:at]} <= {_TRANSPOSE} and at + 1 == len(names)
        )
        chunks = _unpermuted(_sizes(folder, settings, "chunk_shape"), order)
        codecs = json_list(settings, "codecs")
    layout = ArrayLayout(
        shape=_sizes(folder, document, "shape"),
        dtype=_v3_dtype(document.get("data_type")),
        chunks=files if chunks is None else chunks,
        shards=files if is_sharded else None,
        prefix="c" if is_default else "",
        separator=separator if separator in {".", "/"} else "/",
        codec="+".join(str(one.get("name")) for one in codecs if one.get("name") in _PACKING)
        or None,
        index=index,
    )
    return _checked(folder, layout)


def _axes_order(folder: Place, filters: list[Json], rank: int) -> tuple[int, ...] | None:
    """Axes of an array as they are behind some filters; None if none of these moves them."""
    order = None
    for one in filters:
        if one.get("name") != _TRANSPOSE:
            continue
        by = json_dict(one, "configuration").get("order")
        if not isinstance(by, list) or sorted(map(repr, by)) != sorted(map(repr, range(rank))):
            msg = (
                f"image {folder}: its axes are transposed by {by!r}; expected each number from 0 "
                f"to {rank - 1} once, copy the store again"
            )
            raise ImageReadError(msg)
        order = tuple(by if order is None else [order[axis] for axis in by])
    return order


def _unpermuted(sizes: tuple[int, ...], order: tuple[int, ...] | None) -> tuple[int, ...]:
    """Sizes behind a transposition, as those of the array's own axes."""
    if order is None or len(order) != len(sizes):
        return sizes
    return tuple(sizes[order.index(axis)] for axis in range(len(order)))


def _shard_index(settings: Json, order: tuple[int, ...] | None, *, is_plain: bool) -> ShardIndex:
    codecs = json_list(settings, "index_codecs")
    names = [one.get("name") for one in codecs]
    endian = next((json_dict(one, "configuration").get("endian") for one in codecs), "little")
    return ShardIndex(
        at_end=settings.get("index_location", "end") == "end",
        byte_order=">" if endian == "big" else "<",
        checksum="crc32c" in names,
        readable=is_plain and set(names) <= {"bytes", "crc32c"},
        order=order,
    )


def _checked(folder: Place, layout: ArrayLayout) -> ArrayLayout:
    ranks = {len(layout.shape), len(layout.chunks), len(layout.files)}
    uneven = layout.shards and any(
        shard % chunk for shard, chunk in zip(layout.shards, layout.chunks, strict=True)
    )
    if len(ranks) > 1 or min((*layout.chunks, *layout.files, 1)) < 1 or uneven:
        msg = (
            f"image {folder}: an array of shape {layout.shape} in chunks of {layout.chunks} and "
            f"files of {layout.files}; the metadata are corrupt, copy the store again"
        )
        raise ImageReadError(msg)
    _check_bounds(folder, layout)
    return layout


def pixel_bytes(dtype: str) -> int | None:
    """Bytes of a pixel; None for a type whose size numpy does not know."""
    try:
        return np.dtype(dtype).itemsize
    except (TypeError, ValueError, SyntaxError):
        return None


def _check_bounds(folder: Place, layout: ArrayLayout) -> None:
    """Refuse sizes that no array has, so that whoever lists its chunks can count on them."""
    chunks = prod(-(-size // part) for size, part in zip(layout.shape, layout.chunks, strict=True))
    in_shard = prod(file // part for file, part in zip(layout.files, layout.chunks, strict=True))
    stored = prod(layout.chunks) * (pixel_bytes(layout.dtype) or 1)
    claims = (
        ("axes", len(layout.shape), _MAX_AXES),
        ("pixels along an axis", max((*layout.shape, *layout.files, 0)), _MAX_SIZE),
        ("bytes in a chunk", stored, _MAX_SIZE),
        ("chunks", chunks, _MAX_CHUNKS),
        ("chunks in a shard", in_shard, MAX_CHUNKS_IN_SHARD),
    )
    for what, claimed, most in claims:
        if claimed > most:
            msg = (
                f"image {folder}: its metadata claim {_number(claimed)} {what}, expected at most "
                f"{most:,}; if they are corrupt copy the store again, else write it again with "
                "other chunks"
            )
            raise ImageReadError(msg)


def _number(count: int) -> str:
    """A count in digits; a power of two below one that is too long to read."""
    return f"{count:,}" if count <= 2**64 else f"over 2^{count.bit_length() - 1}"


def _sizes(folder: Place, document: Json, key: str) -> tuple[int, ...]:
    sizes = document.get(key)
    if not isinstance(sizes, list) or not all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes
    ):
        msg = (
            f"image {folder}: its metadata have {sizes!r} as {key}; expected a list of whole "
            "numbers, copy the store again"
        )
        raise ImageReadError(msg)
    return tuple(sizes)


def _v2_dtype(folder: Place, text: object) -> str:
    try:
        # A structure is a list of lists, which numpy wants as tuples.
        return str(np.dtype(text if isinstance(text, str) else [tuple(one) for one in text]))  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        msg = f"image {folder}: pixels of type {text!r}; expected one of numpy, such as '<u2'"
        raise ImageReadError(msg) from error


def _v3_dtype(data_type: object) -> str:
    if isinstance(data_type, dict):
        return str(data_type.get("name", data_type))
    return str(data_type)


def _name(codec: Json, key: str) -> str | None:
    name = codec.get(key)
    return str(name) if name is not None else None
