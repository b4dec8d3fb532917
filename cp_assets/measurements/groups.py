"""Walking through several compartments together, one image set at a time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.measurements.image_sets import ImageSetKey, SortKey, sort_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cp_assets.datasets.model import PlateSources


@dataclass(frozen=True)
class ImageSetGroup:
    """All raw rows of one image set: compartment -> table."""

    image_id: str
    tables: Mapping[str, pa.Table]


def walk_together(
    streams: Mapping[str, Iterable[pa.RecordBatch]], sources: PlateSources
) -> Iterator[ImageSetGroup]:
    """Image sets in the plate's order, each with its rows of every compartment that has some.

    Each stream must be in that order, as `cp_assets.measurements.raw` writes it; a batch may hold
    many image sets and an image set may lie in several batches.
    """
    ranks = {folder.relative: rank for rank, folder in enumerate(sources.folders)}
    pieces = [_pieces(name, stream, ranks) for name, stream in streams.items()]
    merged = heapq.merge(*pieces, key=lambda piece: (piece.order, piece.image_id))
    for image_id, together in groupby(merged, key=lambda piece: piece.image_id):
        tables: dict[str, list[pa.Table]] = {}
        for piece in together:
            tables.setdefault(piece.compartment, []).append(piece.rows)
        yield ImageSetGroup(
            image_id,
            {
                name: parts[0]
                if len(parts) == 1
                else pa.concat_tables(parts, promote_options="default")
                for name, parts in tables.items()
            },
        )


@dataclass(frozen=True)
class _Piece:
    order: SortKey
    image_id: str
    compartment: str
    rows: pa.Table


def _pieces(
    compartment: str, batches: Iterable[pa.RecordBatch], ranks: Mapping[str, int]
) -> Iterator[_Piece]:
    """Each run of rows of one image set."""
    for batch in batches:
        if not batch.num_rows:
            continue
        rows = pa.Table.from_batches([batch])
        ids = pc.dictionary_encode(batch["image_id"])
        codes = ids.indices.to_numpy()
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
        ends = np.r_[starts[1:], len(codes)]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            yield _Piece(_order(batch, start, ranks), batch["image_id"][start].as_py(), compartment,
                         rows.slice(start, end - start))  # fmt: skip


def _order(batch: pa.RecordBatch, row: int, ranks: Mapping[str, int]) -> SortKey:
    well, site, folder, number = (
        batch[name][row].as_py() for name in ("well_id", "site_id", "source_folder", "ImageNumber")
    )
    table = batch["TableNumber"][row].as_py() if "TableNumber" in batch.schema.names else None
    key = ImageSetKey(table, number)
    return sort_key(ranks.get(folder, len(ranks)), well, site, key)
