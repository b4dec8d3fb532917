"""CellProfiler's single ``object.csv``: several compartments side by side, under two header rows.

ExportToSpreadsheet, asked to combine objects, writes the object's name over each column and the
n-th object of every compartment of an image set in one row: objects of equal number, which need not
belong together. An image set has as many rows as its compartment with the most objects; the others
are filled up with empty values. Columns of the image set are repeated in each row.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk, together, without_rows
from cp_assets.measurements.columns import ADDED, SOURCE_ROW, column_kind
from cp_assets.measurements.typed_csv import CsvColumns, TypedRows, parse_piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cp_assets.datasets.model import TableFile
    from cp_assets.measurements.chunks import TableName
    from cp_assets.rejections import Rejection

_NUMBER_IN_TABLE = "Number_Object_Number"


def read_combined_chunks(
    file: TableFile,
    table: TableName,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
    only: Iterable[str] | None = None,
) -> Iterator[TableChunk]:
    """Read one compartment of a combined file in pieces, at least one.

    The rows are as `cp_assets.measurements.csv_table.read_csv_chunks` gives those of the
    compartment's own file: typed by name, with ``ImageNumber``, ``ObjectNumber`` and `SOURCE_ROW`.
    An object is there if it has a ``Number_Object_Number``, or, without such a column, any value.
    Of the compartment Image, different rows are given once, so that an image set is repeated only
    if the file contradicts itself; image sets without objects are not in the file.

    Parameters
    ----------
    file
        Its ``table`` is the compartment as the file spells it.
    overrides
        Column -> ``float``, ``int`` or ``string`` where the type by name is wrong.
    chunk_bytes
        Size of a piece in bytes, about; None for the whole table at once.
    only
        The columns to read; None for all.

    Raises
    ------
    MeasurementError
        If the file has other header rows, lacks the compartment, repeats a column or is no CSV
        text in UTF-8.
    InputChangedError
        If the file changes while it is read.
    """
    chunks = _chunks(file, table, overrides or {}, chunk_bytes or CHUNK_BYTES)
    for chunk in chunks if chunk_bytes is not None else [together(chunks)]:
        yield chunk.only(only)


def _chunks(
    file: TableFile, table: TableName, overrides: Mapping[str, str], chunk_bytes: int
) -> Iterator[TableChunk]:
    if not file.path.stat().st_size:
        yield without_rows(table, "empty_file", "the file has 0 bytes")
        return
    with open_csv(file.path, table.name, HEADER_ROWS) as text:
        header = combined_header(table.name, text.header)
        one = _Compartment.of(header, table, file.table or table.compartment, overrides)
        rows_before, left_out = 0, one.left_out
        for piece in text.pieces(chunk_bytes):
            typed = parse_piece(one.columns, piece, rows_before)
            rows_before += typed.lines
            rows, faults = one.own_rows(typed)
            yield TableChunk(rows, (*left_out, *faults))
            left_out = ()
        if not rows_before:
            detail = "the file has two header rows and no other"
            nothing = without_rows(table, "header_only", detail)
            yield TableChunk(nothing.rows, (*left_out, *nothing.rejections))


def read_combined_columns(file: TableFile, table: TableName) -> list[str]:
    """Columns of one compartment of a combined file; none of a file of 0 bytes.

    Raises
    ------
    MeasurementError
        As `read_combined_chunks`.
    """
    if not file.path.stat().st_size:
        return []
    header = read_combined_header(file.path, table.name)
    one = _Compartment.of(header, table, file.table or table.compartment, {})
    return list(one.columns.places)


@dataclass(frozen=True)
class _Compartment:
    """What is read for one compartment.

    ``own`` are its own columns, without the keys that it shares. ``seen`` are the rows of Image
    that were given.
    """

    columns: CsvColumns
    own: tuple[str, ...]
    left_out: tuple[Rejection, ...]
    seen: set[tuple[object, ...]]

    @classmethod
    def of(
        cls, header: CombinedHeader, table: TableName, stored: str, overrides: Mapping[str, str]
    ) -> _Compartment:
        if stored not in header.compartments:
            there = ", ".join(header.compartments)
            msg = f"{table.name} has no compartment {stored}; it has {there}"
            raise MeasurementError(msg)
        places = {
            column: at for at, (owner, column) in enumerate(header.columns) if owner == stored
        }
        # The keys stand under Image and under the first object only, for all.
        shared = KEYS[:1] if table.compartment == IMAGE else KEYS
        first = [column for _, column in header.columns]
        keys = {key: places.get(key, first.index(key)) for key in shared}
        own = {column: at for column, at in places.items() if column not in {*KEYS, *ADDED}}
        taken = {**keys, **own}
        kinds = {column: column_kind(column, overrides) for column in taken}
        # An ObjectNumber of its own is empty where it has fewer objects than others.
        required = {key for key in keys if key == "ImageNumber" or key not in places}
        width = len(header.columns)
        is_image = table.compartment == IMAGE
        columns = CsvColumns(
            name=table.name,
            compartment=table.compartment,
            width=width,
            places=taken,
            kinds=kinds,
            keys=frozenset(required),
            # As in a table of its own: such values only describe the image set.
            optional=frozenset(c for c in own if is_image and kinds[c] == "int"),
        )
        left_out = tuple(
            columns.rejection(
                "column_name_taken",
                f"{column} is a column that every row is given, so the file's own is left out; "
                "name it otherwise to keep it",
                outcome="incomplete",
            )
            for column in places
            if column in ADDED
        )
        return cls(columns, tuple(own), left_out, set())

    def own_rows(self, typed: TypedRows) -> tuple[pa.Table, tuple[Rejection, ...]]:
        """The compartment's rows without those that only other compartments have."""
        if self.columns.compartment == IMAGE:
            # A row that is no row, or of no image set, is recorded with the objects.
            known = ("column_count", "no_key")
            rows = self._unseen(typed.rows)
            given = set(rows[SOURCE_ROW].to_pylist())
            faults = (one for one in typed.rejections if one.reason not in known)
            # A value is repeated with every object, and at fault once.
            once = (o for o in faults if o.outcome == "rejected" or o.source_row in given)
            return rows, tuple(once)
        rows = typed.rows
        told_by = [name for name in (_NUMBER_IN_TABLE,) if name in self.own] or self.own
        there = np.zeros(rows.num_rows, dtype=bool)
        for column in told_by:
            there |= rows[column].is_valid().to_numpy()
        kept = rows.filter(pa.array(there))
        nameless = kept.filter(kept["ObjectNumber"].is_null())[SOURCE_ROW].to_pylist()
        nameless_faults = [
            self.columns.rejection("no_key", "ObjectNumber is empty: it identifies the row", row)
            for row in nameless
        ]
        if nameless:
            kept = kept.filter(kept["ObjectNumber"].is_valid())
        return kept, (*typed.rejections, *nameless_faults)

    def _unseen(self, rows: pa.Table) -> pa.Table:
        names = [name for name in rows.column_names if name != SOURCE_ROW]
        first = rows.group_by(names, use_threads=False).aggregate([(SOURCE_ROW, "min")])
        first = first.select([*names, f"{SOURCE_ROW}_min"]).rename_columns([*names, SOURCE_ROW])
        content = [tuple(row.values()) for row in first.select(names).to_pylist()]
        new = [row not in self.seen for row in content]
        self.seen.update(content)
        return first.filter(pa.array(new, pa.bool_())).sort_by(SOURCE_ROW)
