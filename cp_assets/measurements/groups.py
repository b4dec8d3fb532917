"""Walking through several compartments together, one image set at a time.

A batch has thousands of columns and many image sets. To cut them all for each image set would cost
more than reading them, so only the few columns that a join looks at are cut; the others stay whole,
and a group says where in them its rows lie.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.measurements.image_sets import ImageSetKey, SortKey, sort_key
from cp_assets.measurements.object_books import ROW_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from cp_assets.datasets.model import PlateSources


@dataclass(frozen=True)
class Run:
    """Rows of one image set within a batch, from ``start`` to before ``stop``."""

    batch: pa.RecordBatch
    start: int
    stop: int


@dataclass(frozen=True)
class ImageSetGroup:
    """All raw rows of one image set.

    Attributes
    ----------
    keys
        Compartment -> the columns of its rows that a join looks at.
    runs
        Compartment -> where its rows lie with all their columns, in the order of ``keys``.
    """

    image_id: str
    keys: Mapping[str, pa.Table]
    runs: Mapping[str, tuple[Run, ...]]


def walk_together(
    streams: Mapping[str, Iterable[pa.RecordBatch]],
    sources: PlateSources,
    numbers: Collection[str],
) -> Iterator[ImageSetGroup]:
    """Image sets in the plate's order, each with its rows of every compartment that has some.

    Each stream must be in that order, as `cp_assets.measurements.raw` writes it; a batch may hold
    many image sets and an image set may lie in several batches.

    Parameters
    ----------
    numbers
        The columns that a join looks at, beside `ROW_COLUMNS`; not all compartments have all.
    """
    ranks = {folder.relative: rank for rank, folder in enumerate(sources.folders)}
    pieces = [_pieces(name, stream, ranks, numbers) for name, stream in streams.items()]
    merged = heapq.merge(*pieces, key=lambda piece: (piece.order, piece.image_id))
    for image_id, together in groupby(merged, key=lambda piece: piece.image_id):
        found: dict[str, list[_Piece]] = {}
        for piece in together:
            found.setdefault(piece.compartment, []).append(piece)
        yield ImageSetGroup(
            image_id,
            {
                name: parts[0].keys
                if len(parts) == 1
                else pa.concat_tables([part.keys for part in parts], promote_options="default")
                for name, parts in found.items()
            },
            {name: tuple(part.run for part in parts) for name, parts in found.items()},
        )


@dataclass(frozen=True)
class _Piece:
    order: SortKey
    image_id: str
    compartment: str
    keys: pa.Table
    run: Run


def _pieces(
    compartment: str,
    batches: Iterable[pa.RecordBatch],
    ranks: Mapping[str, int],
    numbers: Collection[str],
) -> Iterator[_Piece]:
    """Each run of rows of one image set."""
    wanted = {*ROW_COLUMNS, *numbers, "TableNumber", "ImageNumber"}
    for batch in batches:
        if not batch.num_rows:
            continue
        names = [name for name in batch.schema.names if name in wanted]
        keys = pa.Table.from_batches([batch.select(names)])
        codes = pc.dictionary_encode(batch["image_id"]).indices.to_numpy()
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
        ends = np.r_[starts[1:], len(codes)]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            own = keys.slice(start, end - start)
            run = Run(batch, start, end)
            yield _Piece(_order(own, ranks), own["image_id"][0].as_py(), compartment, own, run)


def _order(rows: pa.Table, ranks: Mapping[str, int]) -> SortKey:
    well, site, folder, number = (
        rows[name][0].as_py() for name in ("well_id", "site_id", "source_folder", "ImageNumber")
    )
    has_table = rows.schema.get_field_index("TableNumber") >= 0
    key = ImageSetKey(rows["TableNumber"][0].as_py() if has_table else None, number)
    return sort_key(ranks.get(folder, len(ranks)), well, site, key)
