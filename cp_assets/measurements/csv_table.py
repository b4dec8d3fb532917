"""A CSV file of its own, plain or gzipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.datasets.combined_header import is_combined_csv
from cp_assets.datasets.csv_files import open_bytes
from cp_assets.datasets.csv_text import CsvText, open_csv
from cp_assets.errors import MeasurementError
from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk, in_books, without_rows
from cp_assets.measurements.csv_pieces import typed_pieces
from cp_assets.measurements.table_rules import TableRules, table_rules
from cp_assets.measurements.table_source import TableSource
from cp_assets.measurements.typed_csv import CsvColumns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import pyarrow as pa


@dataclass(frozen=True)
class CsvTable(TableSource):
    """A CSV file under one header row, read by its text; rows at fault are recorded."""

    def types(self) -> dict[str, pa.DataType]:
        """By the header alone."""
        with open_csv(self.file.path, self.table.name) as text:
            header = self._header(text)
        return {} if header is None else self.rules(header).types

    def chunks(
        self, chunk_bytes: int | None = CHUNK_BYTES, only: Collection[str] | None = None
    ) -> Iterator[TableChunk]:
        """Of about so many bytes of text."""
        with open_csv(self.file.path, self.table.name) as text:
            header = self._header(text)
            if header is None:
                yield without_rows(self.table, "empty_file", "the file has 0 bytes")
                return
            rules = self.rules(header, only)
            pieces = typed_pieces(csv_columns(rules, header), text, chunk_bytes)
            chunks = (TableChunk(rules.complete(one.rows), one.rejections) for one in pieces)
            told = "the file has a header and no row"
            nothing = without_rows(self.table, "header_only", told)
            yield from in_books(chunks, rules.columns_left_out(), nothing)

    def rules(self, header: Sequence[str], only: Collection[str] | None = None) -> TableRules:
        """What the columns under a header are.

        Raises
        ------
        MeasurementError
            If it lacks a key column or repeats a column.
        """
        try:
            return table_rules(self.table, header, self.overrides, only)
        except MeasurementError as error:
            if not is_combined_csv(self.file.path):
                raise
            msg = (
                f"{self.table.name} has two header rows, as ExportToSpreadsheet's combined file, "
                "beside an Image table of its own; expected one of the two. Leave it out of the "
                "folder, or set the preset cellprofiler-combined-csv to read it alone"
            )
            raise MeasurementError(msg) from error

    def _header(self, text: CsvText) -> Sequence[str] | None:
        """The columns; None of a file of 0 bytes."""
        if text.header:
            return text.header[0]
        with open_bytes(self.file.path) as stream:
            return () if stream.read(1) else None


def csv_columns(rules: TableRules, header: Sequence[str]) -> CsvColumns:
    """What is read of the file, each of its columns once."""
    place = {stored: at for at, stored in enumerate(header)}
    places = {column: place[stored] for stored, column in rules.stored.items()}
    return CsvColumns(rules, len(header), places)
