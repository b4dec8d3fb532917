"""The pieces of an open CSV file one after another, as typed rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.measurements.typed_csv import CsvColumns, TypedRows, parse_piece

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.datasets.csv_text import CsvText


def typed_pieces(
    columns: CsvColumns, text: CsvText, chunk_bytes: int | None
) -> Iterator[TypedRows]:
    """The rest of a file in pieces of about so many bytes, their rows numbered on; None for one.

    Raises
    ------
    MeasurementError
        If the file is no CSV text in UTF-8.
    """
    rows_before = 0
    for piece in text.pieces(chunk_bytes):
        typed = parse_piece(columns, piece, rows_before)
        rows_before += typed.lines
        yield typed
