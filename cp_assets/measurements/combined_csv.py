"""CellProfiler's single ``object.csv``: several compartments side by side, under two header rows.

ExportToSpreadsheet, asked to combine objects, writes the object's name over each column and the
n-th object of every compartment of an image set in one row: objects of equal number, which need not
belong together. An image set has as many rows as its compartment with the most objects; the others
are filled up with empty values. Columns of the image set are repeated in each row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cp_assets.datasets.combined_header import (
    HEADER_ROWS,
    IMAGE,
    CombinedHeader,
    combined_header,
    read_combined_header,
)
from cp_assets.datasets.csv_text import open_csv
from cp_assets.datasets.presets import KEYS
from cp_assets.errors import MeasurementError
from cp_assets.measurements.chunks import (
    CHUNK_BYTES,
    TableChunk,
    in_books,
    in_pieces,
    without_rows,
)
from cp_assets.measurements.columns import ADDED, ARROW_TYPES, SOURCE_ROW, column_kind
from cp_assets.measurements.csv_pieces import typed_pieces
from cp_assets.measurements.table_rules import ColumnRules
from cp_assets.measurements.table_source import TableSource
from cp_assets.measurements.typed_csv import CsvColumns, TypedRows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from cp_assets.measurements.table_rules import TableName

_NUMBER_IN_TABLE = "Number_Object_Number"


@dataclass(frozen=True)
class CombinedCsvTable(TableSource):
    """One compartment of a combined file; ``file.table`` is what the file calls it.

    The rows are as those of the compartment's own file. An object is there if it has a
    ``Number_Object_Number``, or, without such a column, any value. Of the compartment Image,
    different rows are given once, so that an image set is repeated only if the file contradicts
    itself; image sets without objects are not in the file.
    """

    def types(self) -> dict[str, pa.DataType]:
        """Of the compartment's own columns and the keys."""
        if not self.file.path.stat().st_size:
            return {}
        header = read_combined_header(self.file.path, self.table.name)
        return {
            name: ARROW_TYPES[kind] for name, kind in self._of(header).columns.rules.kinds.items()
        }

    def chunks(
        self, chunk_bytes: int | None = CHUNK_BYTES, only: Collection[str] | None = None
    ) -> Iterator[TableChunk]:
        """Of about so many bytes of the file, most of which may be of other compartments."""
        return in_pieces(self._chunks(chunk_bytes or CHUNK_BYTES), chunk_bytes, only)

    def _chunks(self, chunk_bytes: int) -> Iterator[TableChunk]:
        if not self.file.path.stat().st_size:
            yield without_rows(self.table, "empty_file", "the file has 0 bytes")
            return
        with open_csv(self.file.path, self.table.name, HEADER_ROWS) as text:
            one = self._of(combined_header(self.table.name, text.header))
            pieces = typed_pieces(one.columns, text, chunk_bytes)
            chunks = (one.own_rows(piece) for piece in pieces)
            left_out = self.table.columns_left_out(one.taken)
            told = "the file has two header rows and no other"
            nothing = without_rows(self.table, "header_only", told, left_out)
            yield from in_books(chunks, left_out, nothing)

    def _of(self, header: CombinedHeader) -> _Compartment:
        stored = self.file.table or self.table.compartment
        if stored not in header.compartments:
            there = ", ".join(header.compartments)
            msg = f"{self.table.name} has no compartment {stored}; it has {there}"
            raise MeasurementError(msg)
        return _Compartment.of(header, self.table, stored, self.overrides)


@dataclass(frozen=True)
class _Compartment:
    """What is read for one compartment.

    ``own`` are its own columns, without the keys that it shares; ``taken`` those that are left out,
    since their names are. ``seen`` are the rows of Image that were given.
    """

    columns: CsvColumns
    own: tuple[str, ...]
    taken: tuple[str, ...]
    seen: set[tuple[object, ...]] = field(default_factory=set)

    @classmethod
    def of(
        cls, header: CombinedHeader, table: TableName, stored: str, overrides: Mapping[str, str]
    ) -> _Compartment:
        places = {
            column: at for at, (owner, column) in enumerate(header.columns) if owner == stored
        }
        is_image = table.compartment == IMAGE
        # The keys stand under Image and under the first object only, for all.
        first = [column for _, column in header.columns]
        shared = KEYS[:1] if is_image else KEYS
        keys = {key: places.get(key, first.index(key)) for key in shared}
        own = {column: at for column, at in places.items() if column not in {*KEYS, *ADDED}}
        kinds = {column: column_kind(column, overrides) for column in (*keys, *own)}
        columns = CsvColumns(
            ColumnRules(
                table,
                kinds,
                # An ObjectNumber of its own is empty where it has fewer objects than others.
                keys=frozenset(key for key in keys if key == "ImageNumber" or key not in places),
                # As in a table of its own: such values only describe the image set.
                optional=frozenset(c for c in own if is_image and kinds[c] != "string"),
            ),
            width=len(header.columns),
            places={**keys, **own},
        )
        return cls(columns, tuple(own), tuple(column for column in places if column in ADDED))

    def own_rows(self, typed: TypedRows) -> TableChunk:
        """The compartment's rows, without those that only other compartments have."""
        own = self._image_sets if self.columns.rules.table.compartment == IMAGE else self._objects
        return own(typed)

    def _image_sets(self, typed: TypedRows) -> TableChunk:
        # A row that is no row, or of no image set, is recorded with the objects.
        known = ("column_count", "no_key")
        rows = self._unseen(typed.rows)
        given = set(rows[SOURCE_ROW].to_pylist())
        faults = (one for one in typed.rejections if one.reason not in known)
        # A value is repeated with every object, and at fault once.
        once = (one for one in faults if one.outcome == "rejected" or one.source_row in given)
        return TableChunk(rows, tuple(once))

    def _objects(self, typed: TypedRows) -> TableChunk:
        rows = typed.rows
        told_by = (_NUMBER_IN_TABLE,) if _NUMBER_IN_TABLE in self.own else self.own
        there = np.zeros(rows.num_rows, dtype=bool)
        for column in told_by:
            there |= rows[column].is_valid().to_numpy()
        is_numbered = rows["ObjectNumber"].is_valid().to_numpy()
        nameless = [
            self.columns.rules.table.rejection(
                "no_key", "ObjectNumber is empty: it identifies the row", row
            )
            for row in rows[SOURCE_ROW].filter(pa.array(there & ~is_numbered)).to_pylist()
        ]
        kept = rows.filter(pa.array(there & is_numbered))
        return TableChunk(kept, (*typed.rejections, *nameless))

    def _unseen(self, rows: pa.Table) -> pa.Table:
        names = [name for name in rows.column_names if name != SOURCE_ROW]
        first = rows.group_by(names, use_threads=False).aggregate([(SOURCE_ROW, "min")])
        first = first.select([*names, f"{SOURCE_ROW}_min"]).rename_columns([*names, SOURCE_ROW])
        content = [tuple(row.values()) for row in first.select(names).to_pylist()]
        new = [row not in self.seen for row in content]
        self.seen.update(content)
        return first.filter(pa.array(new, pa.bool_())).sort_by(SOURCE_ROW)
