"""Opening a Zarr array: its dtype and codecs are known, its chunks of the size that they claim."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import zarr
from numcodecs import Delta
from numcodecs.abc import Codec as NumcodecsCodec
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.core.metadata.v2 import ArrayV2Metadata
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.storage import StorePath

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.compressed import decompress
from cp_assets.images.readers.guarding import check_stored
from cp_assets.images.readers.zarr_chunks import DiskChunks, ObjectChunks
from cp_assets.images.readers.zarr_layout import MAX_CHUNKS_IN_SHARD
from cp_assets.images.readers.zarr_nodes import V3
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.abc.codec import Codec
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

    from cp_assets.images.readers.zarr_chunks import Chunks
    from cp_assets.images.readers.zarr_nodes import Json, Node, ZarrStore
    from cp_assets.stores import Place

_V2_DTYPE = re.compile(r"[<>|][biuf]\d+")
_V3_DTYPES = frozenset({"bool", "float16", "float32", "float64"}) | {
    f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}
_COMPRESSORS = frozenset({"blosc", "bz2", "gzip", "lz4", "zlib", "zstd"})
_FILTERS = frozenset({"delta", "shuffle"})
_V3_CODECS = frozenset({"blosc", "bytes", "crc32c", "gzip", "transpose", "zstd"})
_PACKING = frozenset({"blosc", "gzip", "sharding_indexed", "zstd"})
_INDEX_CODECS = frozenset({"bytes", "crc32c"})
_SHARDING = "sharding_indexed"
_V3_NAMES = {BloscCodec: "blosc", GzipCodec: "gzip", ZstdCodec: "zstd"}
_CHECKSUM_BYTES = 4
_SPARE_BYTES = 2**20


@dataclass(frozen=True)
class _BoundedV3(BytesBytesCodec):
    """Stands in for a compressor of Zarr 3 and knows how large a chunk becomes.

    Attributes
    ----------
    checksums
        Bytes of checksums that are compressed together with the pixels.
    """

    name: str
    checksums: int

    is_fixed_size = False

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        size = prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        data = chunk_data.to_bytes()
        decoded = await asyncio.to_thread(decompress, self.name, data, size + self.checksums)
        return chunk_spec.prototype.buffer.from_bytes(decoded)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError


class _BoundedV2(NumcodecsCodec):  # type: ignore[misc]
    """Stands in for a compressor of Zarr 2 and knows how large a chunk becomes."""

    codec_id = "bounded"

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size

    def encode(self, buf: Any) -> Any:
        raise NotImplementedError

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress a chunk."""
        return decompress(self._name, bytes(buf), self._size)

    def get_config(self) -> Json:
        """Name the codec, as numcodecs does."""
        return {"id": self._name}


def open_array(store: ZarrStore, node: Node, limit: int) -> tuple[zarr.Array[Any], Chunks]:
    """Open an array whose codecs are known and bounded.

    Raises
    ------
    ImageReadError
        If its metadata are incomplete, or name a dtype or codec that is not read: among these are
        objects and pickle, which run code when they are read.
    """
    document = node.array or {}
    metadata = _v3(node.folder, document) if node.zarr_format == V3 else _v2(node.folder, document)
    dtype = metadata.dtype.to_native_dtype()
    stored_chunk = metadata.shards or metadata.chunks
    if min((*metadata.chunks, *stored_chunk, 1)) < 1:
        msg = f"image {node.folder}: chunks of {stored_chunk} pixels; the metadata are corrupt"
        raise ImageReadError(msg)
    decoded = prod(metadata.chunks) * dtype.itemsize
    check_stored(node.folder, "a chunk", decoded, decoded, limit)
    inner = prod(stored_chunk) // prod(metadata.chunks)
    if inner > MAX_CHUNKS_IN_SHARD:
        msg = (
            f"image {node.folder}: shards of {inner:,} chunks; at most {MAX_CHUNKS_IN_SHARD:,} are "
            "read"
        )
        raise ImageReadError(msg)
    largest = 2 * prod(stored_chunk) * dtype.itemsize + _SPARE_BYTES + 64 * inner
    if isinstance(node.folder, ObjectPath):
        chunks: DiskChunks | ObjectChunks = ObjectChunks(node.folder, largest)
    else:
        chunks = DiskChunks(store, node.folder, largest)
    return zarr.Array(zarr.AsyncArray(metadata, StorePath(chunks))), chunks


def _v2(folder: Place, document: Json) -> ArrayV2Metadata:
    dtype, compressor = document.get("dtype"), document.get("compressor")
    if not isinstance(dtype, str) or not _V2_DTYPE.fullmatch(dtype):
        _refuse_dtype(folder, dtype)
    filters = document.get("filters") or []
    _check_codecs(folder, [] if compressor is None else [compressor], "id", _COMPRESSORS)
    _check_codecs(folder, filters, "id", _FILTERS)
    metadata = ArrayV2Metadata.from_dict({**document, "filters": filters or None})
    if compressor is None:
        return metadata
    size = prod(metadata.chunks) * metadata.dtype.to_native_dtype().itemsize
    for one in metadata.filters or ():
        if isinstance(one, Delta):  # it may store its differences in another type
            size = size // one.dtype.itemsize * one.astype.itemsize
    return replace(metadata, compressor=_BoundedV2(compressor["id"], size))


def _v3(folder: Place, document: Json) -> ArrayV3Metadata:
    dtype = document.get("data_type")
    if not isinstance(dtype, str) or dtype not in _V3_DTYPES:
        _refuse_dtype(folder, dtype)
    _check_v3_codecs(folder, document.get("codecs"), sharded=False)
    metadata = ArrayV3Metadata.from_dict(document)
    return replace(metadata, codecs=_bounded(metadata.codecs))


def _check_v3_codecs(folder: Place, codecs: object, *, sharded: bool) -> None:
    allowed = _V3_CODECS if sharded else _V3_CODECS | {_SHARDING}
    _check_codecs(folder, codecs, "name", allowed)
    chain = codecs if isinstance(codecs, list) else []
    packing = [codec["name"] for codec in chain if codec["name"] in _PACKING]
    if len(packing) > 1:
        msg = (
            f"image {folder}: has the codecs {' and '.join(packing)} one after another, which is "
            "not read; write the array again with one compressor, inside its shards if it has any"
        )
        raise ImageReadError(msg)
    for codec in chain:
        if codec["name"] == _SHARDING:
            settings = codec.get("configuration")
            settings = settings if isinstance(settings, dict) else {}
            _check_v3_codecs(folder, settings.get("codecs"), sharded=True)
            _check_codecs(folder, settings.get("index_codecs", []), "name", _INDEX_CODECS)


def _check_codecs(folder: Place, codecs: object, key: str, allowed: frozenset[str]) -> None:
    names = [
        codec.get(key) if isinstance(codec, dict) else codec
        for codec in (codecs if isinstance(codecs, list) else [codecs])
    ]
    dicts = isinstance(codecs, list) and all(isinstance(codec, dict) for codec in codecs)
    refused = [name for name in names if not isinstance(name, str) or name not in allowed]
    if refused or not dicts:
        msg = (
            f"image {folder}: has the codec {(refused or names)[0]!r}, which is not read; expected "
            f"one of {', '.join(sorted(allowed))}. Write the array again with one of these"
        )
        raise ImageReadError(msg)


def _refuse_dtype(folder: Place, dtype: object) -> None:
    msg = f"image {folder}: pixels of type {dtype!r}; expected whole or real numbers"
    raise ImageReadError(msg)


def _bounded(codecs: Iterable[Codec]) -> tuple[Codec, ...]:
    bounded: list[Codec] = []
    checksums = 0
    for codec in codecs:
        if isinstance(codec, ShardingCodec):
            bounded.append(replace(codec, codecs=_bounded(codec.codecs)))
        elif type(codec) in _V3_NAMES:
            bounded.append(_BoundedV3(_V3_NAMES[type(codec)], checksums))
        else:
            bounded.append(codec)
        checksums += _CHECKSUM_BYTES if isinstance(codec, Crc32cCodec) else 0
    return tuple(bounded)
