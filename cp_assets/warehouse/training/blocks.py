"""Reading one row group of crops: its objects, each with a plane for every channel."""

from __future__ import annotations

import os
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cp_assets.errors import ImageReadError, QueryError
from cp_assets.payloads.reading import payload_stacks
from cp_assets.warehouse.lookup import OBJECT_ID
from cp_assets.warehouse.query import QUERY_ERRORS, open_connection, select_sql, told
from cp_assets.warehouse.sql_names import register
from cp_assets.warehouse.training.order import OPEN_FILES
from cp_assets.warehouse.view_sql import CROPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.dataset as pads

    from cp_assets.warehouse.lookup import DataFiles, SelectedFiles
    from cp_assets.warehouse.training.options import CropOptions
    from cp_assets.warehouse.training.order import Unit

CHANNEL = "Metadata_Channel"
OBJECT_COLUMNS = (OBJECT_ID, "image_id", "plate_id", "well_id", "site_id")
IMAGE, MASK = "ome_arrow_image", "ome_arrow_mask"

Stack = npt.NDArray[Any] | list[npt.NDArray[Any]]
"""Planes of one object: an array (C, Y, X), or a list of C planes (Y, X)."""

_ROW = "_cp_assets_row"
_PAYLOAD_LEAVES = ("chunks", *(f"pixels_meta.size_{axis}" for axis in "tczyx"))


@dataclass(frozen=True)
class Block:
    """Objects of a row group that have every channel.

    Attributes
    ----------
    keys
        Columns `OBJECT_COLUMNS`, one row an object.
    stacks
        Of each object its channels (C, Y, X), or a list of C planes (Y, X).
    masks
        Of each object its mask as a stack of one plane; empty where masks are not asked for.
    skipped
        Objects that lack a channel, or a mask.
    """

    keys: dict[str, list[str | None]]
    stacks: list[Stack]
    masks: list[Stack]
    skipped: int

    def __len__(self) -> int:
        return len(self.keys[OBJECT_ID])


class OpenFiles:
    """Files that are open and idle, for whichever thread reads them next: opening takes a while."""

    def __init__(self) -> None:
        self._idle: deque[tuple[tuple[int, str], pq.ParquetFile]] = deque()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[OpenFiles], tuple[()]]:
        return OpenFiles, ()

    @contextmanager
    def file(self, footer: pads.ParquetFileFragment) -> Iterator[pq.ParquetFile]:
        """The file, open for this thread alone."""
        # A forked process must not read over the connections of its parent.
        key = (os.getpid(), footer.path)
        file = self._take(key) or pq.ParquetFile(
            footer.path, metadata=footer.metadata, filesystem=footer.filesystem
        )
        yield file
        with self._lock:
            self._idle.append((key, file))
            if len(self._idle) > OPEN_FILES:
                self._idle.popleft()[1].close()

    def _take(self, key: tuple[int, str]) -> pq.ParquetFile | None:
        with self._lock:
            found = next((place for place in self._idle if place[0] == key), None)
            if found is not None:
                self._idle.remove(found)
        return found[1] if found else None


@dataclass(frozen=True)
class BlockReader:
    """Reads units of ``images.image_crops``; safe to share between threads."""

    files: DataFiles
    selected: SelectedFiles
    options: CropOptions
    _open: OpenFiles = field(default_factory=OpenFiles)

    def read(self, unit: Unit) -> Block:
        """Read and decode a unit.

        Raises
        ------
        ImageReadError
            If a crop has more than one plane, or an object has a channel twice.
        QueryError
            If the predicate does not fit the table.
        """
        table = self._rows(unit)
        rows = self._chosen(table)
        objects = _runs(table[OBJECT_ID].combine_chunks())
        places, is_asked = self._places(table, rows, objects)
        complete = (places >= 0).all(axis=1)
        skipped = int(is_asked.sum() - complete.sum())
        places = places[complete]
        stacks = payload_stacks(table[IMAGE], places)
        masks = payload_stacks(table[MASK], places[:, :1]) if self.options.masks else []
        keys = table.select(OBJECT_COLUMNS).take(pa.array(places[:, 0])).to_pydict()
        return Block(
            keys=keys,
            stacks=stacks,
            masks=masks,
            skipped=skipped,
        )

    def _rows(self, unit: Unit) -> pa.Table:
        """The unit's rows: those of its own objects, from its own row group and the next ones."""
        table = self._row_group(*unit.parts[0])
        ids = table[OBJECT_ID]
        first, last = ids[0], ids[-1]
        if unit.continues:
            table = table.filter(pc.not_equal(ids, first))
        rest = [self._row_group(*part) for part in unit.parts[1:]]
        rest = [part.filter(pc.equal(part[OBJECT_ID], last)) for part in rest]
        return pa.concat_tables([table, *rest]) if rest else table

    def _row_group(self, path: str, number: int) -> pa.Table:
        footer = self.files.footer(self.selected, path)
        names = footer.physical_schema.names
        payloads = [IMAGE, *([MASK] if self.options.masks else [])]
        plain = [name for name in names if not name.startswith("ome_arrow_")]
        keys = plain if self.options.where else [name for name in plain if name in _KEY_COLUMNS]
        leaves = [f"{payload}.{leaf}" for payload in payloads for leaf in _PAYLOAD_LEAVES]
        with self._open.file(footer) as file:
            return file.read_row_group(number, columns=[*keys, *leaves], use_threads=False)

    def _chosen(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Which rows the selection keeps."""
        selection = self.options.selection()
        if not (selection.row_terms() or selection.where):
            return np.ones(len(table), bool)
        names = [name for name in table.column_names if not name.startswith("ome_arrow_")]
        numbered = table.select(names).append_column(_ROW, pa.array(np.arange(len(table))))
        chosen = np.zeros(len(table), bool)
        with open_connection() as connection:
            source = register(connection, "crops", numbered)
            try:
                sql = select_sql(source, selection).replace("SELECT *", f'SELECT "{_ROW}"', 1)
                kept = connection.sql(sql).to_arrow_table()[_ROW].to_numpy()
            except QUERY_ERRORS as error:
                msg = f"{CROPS} cannot be read with where={selection.where!r}: {told(error)}"
                raise QueryError(msg) from error
        chosen[kept] = True
        return chosen

    def _places(
        self, table: pa.Table, chosen: npt.NDArray[np.bool_], objects: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Row of each object's channels, -1 where there is none: (objects, C); and who is asked."""
        channels = pa.array(self.options.channels, pa.string())
        channel = pc.index_in(table[CHANNEL], value_set=channels).fill_null(-1).to_numpy()
        usable = chosen & (channel >= 0) & _is_valid(table[IMAGE])
        if self.options.masks:
            usable &= _is_valid(table[MASK])
        count = int(objects[-1]) + 1 if len(objects) else 0
        rows = np.flatnonzero(usable)
        places = np.full((count, len(channels)), -1, np.int64)
        places[objects[rows], channel[rows]] = rows
        if (places >= 0).sum() != len(rows):
            msg = (
                f"{CROPS}: an object has more than one crop of a channel; narrow the selection so "
                "that each object has one, for example with where="
            )
            raise ImageReadError(msg)
        is_asked = np.zeros(count, bool)
        is_asked[objects[chosen]] = True
        return places, is_asked


_KEY_COLUMNS = {*OBJECT_COLUMNS, CHANNEL, "dataset_id", "batch_id"}


def _is_valid(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(column.is_valid().to_numpy())


def _runs(ids: pa.Array) -> npt.NDArray[np.int64]:
    """Number of each row's run of equal ids, from 0."""
    first = np.zeros(len(ids), np.int64)
    if len(ids) > 1:
        first[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    return np.cumsum(first)
