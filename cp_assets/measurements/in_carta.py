"""Reading IN Carta's CSV export: one row an object, its compartments in the names of the columns.

``OBJECT ID`` begins again in every field of view. Plate, well, field, plane and time point tell
image sets apart; they are numbered in the order of the file, as CellProfiler numbers its own.
Measurements are named ``<Compartment> <measurement> wv<wavelength>``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.csv_text import open_csv
from cp_assets.datasets.identity import (
    WELL_ROWS,
    normalise_site,
    normalise_well,
    row_letters,
    without_point,
)
from cp_assets.datasets.presets import KEYS
from cp_assets.errors import InputChangedError
from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk, in_books, without_rows
from cp_assets.measurements.columns import ARROW_TYPES, SOURCE_ROW
from cp_assets.measurements.csv_pieces import typed_pieces
from cp_assets.measurements.in_carta_header import IDENTITY, InCartaHeader
from cp_assets.measurements.numbers_of_text import floats_of_text, written_numbers
from cp_assets.measurements.table_rules import ColumnRules, TableName
from cp_assets.measurements.typed_csv import CsvColumns, TypedRows, parse_piece
from cp_assets.stores import state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from cp_assets.measurements.columns import ColumnKind
    from cp_assets.stores import Place, State

_PADDED = r"^[+-]?0\d"

_Texts = tuple[str | None, ...]
"""What a row says of its identity, in the order of `InCartaHeader.places`."""


@dataclass(frozen=True)
class InCartaFile:
    """An export, looked through once.

    Attributes
    ----------
    header
        Its columns; None for a file of 0 bytes.
    kinds
        Column -> what it holds. Measurements are numbers by their names; identities are text; any
        other column is numbers if all of its values are, without leading zeros, else text. One
        without any value is of no kind, and is left out: in another file it may hold either.
    image_sets
        One row an image set: ``ImageNumber`` (int64, from 1) and the `IDENTITY` (text; well and
        site normalised), in the order of the file. Null where the file has no such column.
    """

    path: Place
    header: InCartaHeader | None
    kinds: Mapping[str, ColumnKind]
    image_sets: pa.Table
    _state: State
    _numbers: Mapping[_Texts, int | None] = field(repr=False)

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Columns of the objects as `chunks` gives them, with their types."""
        if self.header is None:
            return {}
        own = [column for column in self.header.columns if column in self.kinds]
        named = {column: ARROW_TYPES[self.kinds[column]] for column in own}
        return {**dict.fromkeys(KEYS, pa.int64()), **named}

    def chunks(self, table: TableName, chunk_bytes: int = CHUNK_BYTES) -> Iterator[TableChunk]:
        """Read the objects in pieces of about so many bytes, at least one piece.

        Each object has ``ImageNumber`` and ``ObjectNumber`` (int64), all columns of the file under
        their own names (int64, float64 or text, null where empty) and `SOURCE_ROW`. An object
        without number, well or field of view, or with text for a measurement, is left out and
        recorded; so is a column that has the name of one that is added.

        Parameters
        ----------
        table
            The objects as rejections and errors name them.

        Raises
        ------
        MeasurementError
            If the file is no CSV text in UTF-8.
        InputChangedError
            If the file changed since it was opened, or changes while it is read.
        """
        if state_of(self.path) != self._state:
            msg = f"{self.path} changed since it was opened; run the plate again"
            raise InputChangedError(msg)
        if self.header is None:
            yield without_rows(table, "empty_file", "the file has 0 bytes")
            return
        header, left_out = self.header, table.columns_left_out(self.header.taken)
        columns = _columns(table, header, self.kinds, is_objects=True)
        told = "the file has a header and no row"
        nothing = without_rows(table, "header_only", told, left_out)
        with open_csv(self.path, table.name) as text:
            pieces = typed_pieces(columns, text, chunk_bytes)
            chunks = (self._identified(header, columns, piece) for piece in pieces)
            yield from in_books(chunks, left_out, nothing)

    def _identified(
        self, header: InCartaHeader, columns: CsvColumns, typed: TypedRows
    ) -> TableChunk:
        """Rows with their keys; those of no known image set are rejected."""
        rows = typed.rows
        said, which = _identities(rows, header)
        numbers = [self._numbers[texts] for texts in said]
        image_number = pa.array(numbers, pa.int64()).take(pa.array(which))
        keys = [image_number, rows[header.object_id]]
        table = pa.table([*keys, *rows.columns], names=[*KEYS, *rows.column_names])
        nowhere = np.flatnonzero(image_number.is_null().to_numpy(zero_copy_only=False))
        rejections = [
            columns.rules.table.rejection(
                "no_image_set",
                f"{_shown(said[which[at]], header)}: expected a well of a plate up to 1536 wells "
                "(A01 to AF48) and a field of view",
                rows[SOURCE_ROW][at].as_py(),
            )
            for at in nowhere.tolist()
        ]
        known = table.filter(image_number.is_valid()) if rejections else table
        return TableChunk(known, (*typed.rejections, *rejections))


def open_in_carta(
    path: Place,
    name: str,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int = CHUNK_BYTES,
) -> InCartaFile:
    """Look through an export for its image sets and the kinds of its columns.

    Parameters
    ----------
    name
        The file as errors name it.
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule is wrong; not for identities.
    chunk_bytes
        Bytes that are read at once, about.

    Raises
    ------
    MeasurementError
        If the file lacks ``OBJECT ID``, ``FOV`` or a column of the well, repeats a column, or is no
        CSV text in UTF-8.
    InputChangedError
        If the file changes while it is read.
    """
    state = state_of(path)
    sets = _ImageSets()
    with open_csv(path, name) as text:
        if not state[0]:
            return InCartaFile(path, None, {}, sets.table(), state, sets.numbers)
        names = text.header[0] if text.header else ()
        header = InCartaHeader.of(names, name, overrides or {})
        unknown = {column: _Seen() for column in header.unknown}
        looked_at = dict.fromkeys((*header.places.values(), *unknown), "string")
        columns = _columns(TableName(name, "Image"), header, looked_at, is_objects=False)  # type: ignore[arg-type]
        for piece in text.pieces(chunk_bytes):
            rows = parse_piece(columns, piece, 0).rows
            sets.look(_identities(rows, header)[0], header)
            for column, seen in unknown.items():
                seen.look(rows[column])
    found = {column: kind for column, seen in unknown.items() if (kind := seen.kind())}
    kinds = {**header.kinds, **found}
    return InCartaFile(path, header, kinds, sets.table(), state, sets.numbers)


def _columns(
    table: TableName, header: InCartaHeader, kinds: Mapping[str, ColumnKind], *, is_objects: bool
) -> CsvColumns:
    places = {column: at for at, column in enumerate(header.columns) if column in kinds}
    keys = frozenset({header.object_id} if is_objects else ())
    rules = ColumnRules(table, kinds, keys, optional=frozenset())
    return CsvColumns(rules, len(header.columns), places)


def _shown(texts: _Texts, header: InCartaHeader) -> str:
    """What a row says of its well and field."""
    said = zip(header.places.items(), texts, strict=True)
    return ", ".join(
        f"{column} is {(text or '')[:50]!r}"
        for (part, column), text in said
        if part in ("label", "row", "column", "site")
    )


def _identities(rows: pa.Table, header: InCartaHeader) -> tuple[list[_Texts], npt.NDArray[Any]]:
    """What rows say of their identity, each once and in the order of rows, and which a row has."""
    columns = list(header.places.values())
    codes = np.zeros(rows.num_rows, dtype=np.int64)
    for column in columns:
        encoded = rows[column].combine_chunks().dictionary_encode(null_encoding="encode")
        codes = codes * max(1, len(encoded.dictionary)) + encoded.indices.to_numpy()
        # Kept small, so that their products are.
        codes = np.unique(codes, return_inverse=True)[1]
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    said = rows.select(columns).take(pa.array(first[order])).to_pylist()
    return [tuple(row[column] for column in columns) for row in said], np.argsort(order)[which]


@dataclass
class _Seen:
    """Whether the values of a column are numbers."""

    has_any: bool = False
    are_numbers: bool = True

    def look(self, values: pa.ChunkedArray) -> None:
        """Look at values, as text."""
        there = written_numbers(values).drop_null()
        if not self.are_numbers or not len(there):
            return
        self.has_any = True
        is_padded = pc.any(pc.match_substring_regex(there, _PADDED)).as_py()
        self.are_numbers = not is_padded and bool(floats_of_text(there)[1].all())

    def kind(self) -> ColumnKind | None:
        """What the column holds; None where it holds nothing."""
        if not self.has_any:
            return None
        return "float" if self.are_numbers else "string"


class _ImageSets:
    """Numbers image sets in the order in which they are met.

    ``numbers`` is what rows say of their identity -> number, None for one without well or site.
    """

    def __init__(self) -> None:
        self.numbers: dict[_Texts, int | None] = {}
        self._found: dict[_Texts, int] = {}

    def look(self, said: list[_Texts], header: InCartaHeader) -> None:
        """Number identities."""
        for texts in said:
            if texts not in self.numbers:
                stripped = [None if text is None else text.strip() for text in texts]
                self.numbers[texts] = self._number(dict(zip(header.places, stripped, strict=True)))

    def _number(self, parts: Mapping[str, str | None]) -> int | None:
        well, site = _well(parts), normalise_site(parts["site"] or "")
        if well is None or site is None:
            return None
        identity = (parts.get("plate"), well, site, parts.get("z"), parts.get("t"))
        return self._found.setdefault(identity, len(self._found) + 1)

    def table(self) -> pa.Table:
        """One row an image set."""
        columns = zip(*self._found, strict=True) if self._found else ((),) * len(IDENTITY)
        texts = [pa.array(list(column), pa.string()) for column in columns]
        numbers = pa.array(np.arange(1, len(self._found) + 1, dtype=np.int64))
        return pa.table([numbers, *texts], names=["ImageNumber", *IDENTITY])


def _well(parts: Mapping[str, str | None]) -> str | None:
    """The well of a label such as ``C - 3``, else of a row (letters, or its number) and column."""
    label = "".join((parts.get("label") or "").split())
    row, column = (without_point(parts.get(part) or "") for part in ("row", "column"))
    if not label and row and column:
        is_number = re.fullmatch(r"\d{1,2}", row) and 1 <= int(row) <= WELL_ROWS
        label = f"{row_letters(int(row) - 1) if is_number else row}{column}"
    return normalise_well(label)
