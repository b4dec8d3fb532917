"""The chunks of images as rows of ``images.chunk_index``, a stream of constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.errors import ImageReadError, one_line
from cp_assets.images.readers.zarr_layout import pixel_bytes
from cp_assets.rejections import Rejection
from cp_assets.scanning.chunk_places import chunk_blocks, joined
from cp_assets.scanning.tables import CHUNK_INDEX, AssetKeys, key_values
from cp_assets.stores import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from cp_assets.datasets import PlateKey
    from cp_assets.rejections import RejectionLog
    from cp_assets.scanning.chunk_places import ChunkBlock
    from cp_assets.scanning.model import ImageAsset
    from cp_assets.stores import Place, StoreSettings


def chunk_index_batches(
    plate: PlateKey,
    assets: Iterable[tuple[ImageAsset, AssetKeys]],
    stores: StoreSettings | None = None,
    log: RejectionLog | None = None,
) -> Iterator[pa.RecordBatch]:
    """The chunks of image assets as rows of `CHUNK_INDEX`; none of an image that is not chunked.

    A chunk has a row whether it was ever written or not. Offset and length are null where a chunk
    is a whole file, or was never written.

    Parameters
    ----------
    stores
        How object stores are reached.
    log
        Takes each asset whose chunks cannot be listed (kind ``image``), and the others go on.

    Returns
    -------
    batches of the schema of `CHUNK_INDEX`, in the order of the assets; some ten thousand rows each

    Raises
    ------
    ImageReadError
        If a store is no longer as it was scanned, or the index of a shard is corrupt, and there is
        no log.
    InputChangedError, StoreError
        If a store changes, or an object store cannot be read.
    """
    for asset, keys in assets:
        yield from chunks_of(plate, asset, keys, place(asset.uri, stores), log)


def chunks_of(
    plate: PlateKey,
    asset: ImageAsset,
    keys: AssetKeys,
    path: Place,
    log: RejectionLog | None = None,
) -> Iterator[pa.RecordBatch]:
    """The chunks of one image asset, whose store lies at a path; see `chunk_index_batches`."""
    rows = 0
    try:
        for block in chunk_blocks(asset, path):
            yield _batch(plate, asset, keys, block)
            rows += len(block.positions)
    except ImageReadError as error:
        if log is None:
            raise
        log.add(_unreadable(asset, keys, error, rows))


def _unreadable(asset: ImageAsset, keys: AssetKeys, error: ImageReadError, rows: int) -> Rejection:
    """An asset whose chunks end after some rows, which are streamed and stay."""
    kept = f"; the {rows:,} chunks before it are listed" if rows else ""
    return Rejection(
        "image",
        "unreadable_chunks",
        f"{one_line(error)}{kept}",
        outcome="incomplete" if rows else "rejected",
        well_id=keys.well_id,
        site_id=keys.site_id,
        image_id=keys.image_id,
        channel=keys.channel,
        source_file=asset.uri,
    )


def _batch(
    plate: PlateKey, asset: ImageAsset, keys: AssetKeys, block: ChunkBlock
) -> pa.RecordBatch:
    chunk = np.array(asset.chunk_shape, dtype=np.int64)
    starts = block.positions * chunk
    shapes = np.minimum(chunk, np.array(asset.shape, dtype=np.int64) - starts)
    places = block.places
    columns = {
        "uri": asset.uri,
        "array_path": asset.array_path,
        "chunk_key": joined(block.positions, "/"),
        "chunk_coords_json": pc.binary_join_element_wise(
            "[", joined(block.positions, ", "), "]", ""
        ),
        "chunk_position": _lists(block.positions),
        "chunk_start": _lists(starts),
        "chunk_shape": _lists(shapes),
        "decoded_bytes": _decoded_bytes(asset.dtype, shapes),
        "byte_offset": None if places is None else _known(places[:, 0]),
        "byte_length": None if places is None else _known(places[:, 1]),
        "codec": block.codec,
        "file": block.files,
        **key_values(plate, keys),
    }
    rows, schema = len(block.positions), CHUNK_INDEX.schema
    arrays = [_column(columns[field.name], rows, field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _column(values: pa.Array | str | None, rows: int, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.repeat(pa.scalar(values, kind), rows)


def _decoded_bytes(dtype: str, shapes: npt.NDArray[np.int64]) -> pa.Array | None:
    """Bytes of each chunk's pixels; None for a type whose size numpy does not know."""
    size = pixel_bytes(dtype)
    return None if size is None else pa.array(shapes.prod(axis=1) * size)


def _lists(rows: npt.NDArray[np.int64]) -> pa.Array:
    count, width = rows.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.reshape(-1)))


def _known(numbers: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(numbers, mask=numbers < 0)
