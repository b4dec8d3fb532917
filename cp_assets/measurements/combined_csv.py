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

from cp_assets.errors import MeasurementError
from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk
from cp_assets.measurements.columns import ADDED, KEYS, SOURCE_ROW, column_kind
from cp_assets.measurements.typed_csv import CsvColumns, TypedRows, open_csv, parse_piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cp_assets.rejections import Rejection

IMAGE = "Image"
_HEADER_ROWS = 2
_NUMBER_IN_TABLE = "Number_Object_Number"


@dataclass(frozen=True)
class CombinedHeader:
    """The two header rows: compartment and name of each column, in the file's order."""

    columns: tuple[tuple[str, str], ...]

    @property
    def compartments(self) -> tuple[str, ...]:
        """All compartments, Image first, then in the file's order."""
        return tuple(dict.fromkeys((IMAGE, *(compartment for compartment, _ in self.columns))))


def is_combined_csv(path: Path) -> bool:
    """Whether a CSV file has two header rows: object names over those of columns with the keys.

    A file that is no CSV text has not.
    """
    try:
        with open_csv(path, path.name, _HEADER_ROWS) as text:
            return _is_combined(text.header)
    except MeasurementError:
        return False


def _is_combined(header: tuple[tuple[str, ...], ...]) -> bool:
    if len(header) < _HEADER_ROWS:
        return False
    above, below = header
    return (
        len(above) == len(below)
        and all(above)
        and set(KEYS) <= set(below)
        and not set(KEYS) & set(above)
    )


def read_combined_header(path: Path, name: str) -> CombinedHeader:
    """Read the two header rows.

    Parameters
    ----------
    name
        The file as errors name it.

    Raises
    ------
    MeasurementError
        If the file has other header rows, lacks a key column, or repeats one in a compartment.
    """
    with open_csv(path, name, _HEADER_ROWS) as text:
        return _combined(name, text.header)


def _combined(name: str, header: tuple[tuple[str, ...], ...]) -> CombinedHeader:
    if not _is_combined(header):
        msg = (
            f"{name} has not the two header rows of ExportToSpreadsheet's combined file; expected "
            f"object names, then as many column names, {' and '.join(KEYS)} among them"
        )
        raise MeasurementError(msg)
    columns = tuple(zip(*header, strict=True))
    if len(set(columns)) < len(columns):
        compartment, column = next(one for one in columns if columns.count(one) > 1)
        msg = f"{name} has the column {column!r} of {compartment} more than once"
        raise MeasurementError(msg)
    return CombinedHeader(columns)


def read_combined_chunks(
    path: Path,
    name: str,
    compartment: str,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[TableChunk]:
    """Read one compartment of a combined file in pieces, at least one.

    The rows are as `cp_assets.measurements.csv_table.read_csv_chunks` gives those of the
    compartment's own file: typed by name, with ``ImageNumber``, ``ObjectNumber`` and `SOURCE_ROW`.
    An object is there if it has a ``Number_Object_Number``, or, without such a column, any value.
    Of the compartment Image, different rows are given once, so that an image set is repeated only
    if the file contradicts itself; image sets without objects are not in the file.

    Parameters
    ----------
    name
        The file as rejections and errors name it.
    compartment
        Image, or an object's name.
    overrides
        Column -> ``float``, ``int`` or ``string`` where the type by name is wrong.
    chunk_bytes
        Size of a piece in bytes, about.

    Raises
    ------
    MeasurementError
        If the file has other header rows, lacks the compartment, repeats a column or is no CSV
        text in UTF-8.
    InputChangedError
        If the file changes while it is read.
    """
    if not path.stat().st_size:
        detail = "the file has 0 bytes"
        columns = CsvColumns(name, compartment, 0, {}, {})
        yield TableChunk(_no_rows(), (columns.rejection("empty_file", detail),))
        return
    with open_csv(path, name, _HEADER_ROWS) as text:
        one = _Compartment.of(_combined(name, text.header), name, compartment, overrides or {})
        rows_before, left_out = 0, one.left_out
        for piece in text.pieces(chunk_bytes):
            typed = parse_piece(one.columns, piece, rows_before)
            rows_before += typed.lines
            rows, faults = one.own_rows(typed)
            yield TableChunk(rows, (*left_out, *faults))
            left_out = ()
        if not rows_before:
            detail = "the file has two header rows and no other"
            only = one.columns.rejection("header_only", detail, outcome="incomplete")
            yield TableChunk(_no_rows(), (*left_out, only))


def _no_rows() -> pa.Table:
    return pa.table({SOURCE_ROW: pa.array([], pa.int64())})


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
        cls, header: CombinedHeader, name: str, compartment: str, overrides: Mapping[str, str]
    ) -> _Compartment:
        if compartment not in header.compartments:
            msg = (
                f"{name} has no compartment {compartment}; it has {', '.join(header.compartments)}"
            )
            raise MeasurementError(msg)
        places = {
            column: at for at, (owner, column) in enumerate(header.columns) if owner == compartment
        }
        # The keys stand under Image and under the first object only, for all.
        shared = KEYS[:1] if compartment == IMAGE else KEYS
        first = [column for _, column in header.columns]
        keys = {key: places.get(key, first.index(key)) for key in shared}
        own = {column: at for column, at in places.items() if column not in {*KEYS, *ADDED}}
        taken = {**keys, **own}
        kinds = {column: column_kind(column, overrides) for column in taken}
        # An ObjectNumber of its own is empty where it has fewer objects than others.
        required = {key for key in keys if key == "ImageNumber" or key not in places}
        columns = CsvColumns(
            name, compartment, len(header.columns), taken, kinds, frozenset(required)
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
            faults = tuple(one for one in typed.rejections if one.reason not in known)
            return self._unseen(typed.rows), faults
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
