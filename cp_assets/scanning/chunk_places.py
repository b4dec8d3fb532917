"""Where the chunks of an image lie: numbers of chunks with their file and bytes, in blocks.

Each block is some thousand chunks, whatever the image holds, so that memory stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.listing import on_each
from cp_assets.errors import ImageReadError
from cp_assets.images.readers.guarding import Watch, decoding
from cp_assets.images.readers.image_file import ImageFile
from cp_assets.images.readers.tiff_series import list_tiles
from cp_assets.images.readers.zarr_layout import layout_of
from cp_assets.images.readers.zarr_nodes import ZarrStore
from cp_assets.images.readers.zarr_shards import read_shard_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from cp_assets.images.readers.tiff_series import PageTiles
    from cp_assets.images.readers.zarr_layout import ArrayLayout
    from cp_assets.scanning.model import ImageAsset
    from cp_assets.stores import Place

BLOCK = 2**15
"""Chunks in a block, at least; a shard, or a page, is never split."""


@dataclass(frozen=True, slots=True)
class ChunkBlock:
    """Some chunks of an image.

    Attributes
    ----------
    positions
        Place of each in the grid of chunks, int64 of shape (chunks, axes).
    files
        The file or object that holds each.
    places
        Offset and length in it, int64 of shape (chunks, 2), -1 where there are none; None if a
        chunk is a file.
    """

    positions: npt.NDArray[np.int64]
    files: pa.Array
    places: npt.NDArray[np.int64] | None
    codec: str | None


def chunk_blocks(asset: ImageAsset, path: Place) -> Iterator[ChunkBlock]:
    """All chunks of an asset of the store at a path, in blocks; nothing if it is not chunked.

    Those of a page, of an array and of a shard come in C order; of shards, one shard after another.

    Raises
    ------
    ImageReadError
        If the store is no longer as the asset says, or an index in it is corrupt.
    """
    if asset.chunk_shape is None:
        return
    if asset.format_family != "zarr":
        yield from _tiles(asset, path)
        return
    folder = path / asset.array_path if asset.array_path else path
    watch = Watch()
    with decoding(folder, watch):
        layout = layout_of(ZarrStore.around(folder, watch).node(folder))
    if (layout.shape, layout.chunks) != (asset.shape, asset.chunk_shape):
        msg = (
            f"image {folder}: has the shape {layout.shape} in chunks of {layout.chunks}, and had "
            f"{asset.shape} in {asset.chunk_shape} when it was scanned; scan it again"
        )
        raise ImageReadError(msg)
    uri = f"{asset.uri}/{asset.array_path}" if asset.array_path else asset.uri
    yield from _shards(layout, folder, uri) if layout.shards else _whole_files(layout, uri)


def grid_of(shape: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    """Number of chunks in each axis."""
    return tuple(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))


def joined(numbers: npt.NDArray[np.int64], separator: str) -> pa.Array:
    """Each row of numbers as a text."""
    texts = [pc.cast(pa.array(column), pa.string()) for column in numbers.T]
    return pc.binary_join_element_wise(*texts, separator)


def _whole_files(layout: ArrayLayout, uri: str) -> Iterator[ChunkBlock]:
    grid = grid_of(layout.shape, layout.chunks)
    for start in range(0, prod(grid), BLOCK):
        positions = _unravelled(start, min(start + BLOCK, prod(grid)), grid)
        yield ChunkBlock(positions, _keys(layout, uri, positions), None, layout.codec)


def _shards(layout: ArrayLayout, folder: Place, uri: str) -> Iterator[ChunkBlock]:
    grid, inner = grid_of(layout.shape, layout.chunks), grid_of(layout.files, layout.chunks)
    shards = grid_of(layout.shape, layout.files)
    inside = _unravelled(0, prod(inner), inner)
    step = max(1, BLOCK // prod(inner))
    for start in range(0, prod(shards), step):
        numbers = _unravelled(start, min(start + step, prod(shards)), shards)
        files = _keys(layout, uri, numbers)
        below = [folder / name[len(uri) + 1 :] for name in files.to_pylist()]
        read = on_each(lambda file: _read_index(file, layout), below, folder)
        places = np.concatenate(list(read))
        positions = (numbers[:, None] * np.array(inner) + inside).reshape(-1, len(grid))
        there = (positions < np.array(grid)).all(axis=1)
        owners = np.repeat(np.arange(len(numbers)), prod(inner))[there]
        yield ChunkBlock(
            positions[there], files.take(pa.array(owners)), places[there], layout.codec
        )


def _read_index(file: Place, layout: ArrayLayout) -> npt.NDArray[np.int64]:
    with decoding(file, Watch()):
        return read_shard_index(file, layout)


def _tiles(asset: ImageAsset, path: Place) -> Iterator[ChunkBlock]:
    """The tiles of a TIFF: in C order, page after page, as they stand in the grid of its axes."""
    grid, start = grid_of(asset.shape, asset.chunk_shape or ()), 0
    if asset.sizes is None:
        return  # which page is which is not known
    folder = asset.uri[: len(asset.uri) - len(path.name)]
    pages: list[PageTiles] = []
    for page in list_tiles(ImageFile(path), asset.series or 0):
        pages.append(page)
        count = sum(len(one.places) for one in pages)
        if count >= BLOCK:
            yield _block_of_pages(pages, start, grid, folder)
            pages, start = [], start + count
    if pages:
        yield _block_of_pages(pages, start, grid, folder)


def _block_of_pages(
    pages: list[PageTiles], start: int, grid: tuple[int, ...], folder: str
) -> ChunkBlock:
    places = np.concatenate([page.places for page in pages])
    files = [f"{folder}{page.file_name}" for page in pages]
    owners = np.repeat(np.arange(len(pages)), [len(page.places) for page in pages])
    positions = _unravelled(start, start + len(places), grid)
    return ChunkBlock(positions, pa.array(files).take(pa.array(owners)), places, pages[0].codec)


def _keys(layout: ArrayLayout, uri: str, positions: npt.NDArray[np.int64]) -> pa.Array:
    """Names of the files of an array."""
    first = f"{uri}/{layout.prefix}{layout.separator}" if layout.prefix else f"{uri}/"
    keys = joined(positions, layout.separator)
    return pc.binary_join_element_wise(pa.scalar(first), keys, "")


def _unravelled(start: int, stop: int, grid: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Places in a grid of the numbers from start to stop, a row each."""
    return np.stack(np.unravel_index(np.arange(start, stop), grid), axis=1)
