"""CSV files of one header, parsed as one text.

A site has some hundred rows of thousands of columns. To make a column takes as long as to parse a
few hundred values, so the sites of a plate are parsed some at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cp_assets.datasets.csv_text import open_csv
from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.csv_table import csv_columns
from cp_assets.measurements.typed_csv import parse_piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cp_assets.measurements.csv_table import CsvTable

TEXT_BYTES = 16 * 2**20
"""Bytes of text that are parsed as one: some 400 rows of 2,000 columns."""


def read_together(tables: Sequence[CsvTable]) -> tuple[pa.Table, list[int]] | None:
    """The rows of some small files one after another, and how many each has.

    None where each file is to be read by itself: their headers differ, quotes, line ends or empty
    lines leave open which row is whose, or anything is to be recorded.

    Raises
    ------
    MeasurementError
        If the files lack a key column or repeat a column.
    InputChangedError
        If a file changes while it is read.
    """
    header: Sequence[str] = ()
    texts: list[bytes] = []
    counts: list[int] = []
    for table in tables:
        with open_csv(table.file.path, table.table.name) as text:
            header = header or next(iter(text.header), ())
            if not header or text.header[0] != header:
                return None
            pieces = list(text.pieces(None))
        lines = _lines(pieces[0]) if len(pieces) == 1 else None
        if lines is None:
            return None
        counts.append(lines)
        texts.append(pieces[0] if pieces[0].endswith(b"\n") else pieces[0] + b"\n")
    rules = tables[0].rules(header)
    try:
        typed = parse_piece(csv_columns(rules, header), b"".join(texts), 0)
    except MeasurementError:
        # Of which file is not known here.
        return None
    if typed.rejections or rules.columns_left_out() or typed.rows.num_rows != sum(counts):
        return None
    return _numbered(rules.complete(typed.rows), counts), counts


def _lines(text: bytes) -> int | None:
    """How many rows a text has, where each of its lines is one for Arrow too; else None."""
    if b'"' in text:
        return None
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    if not text.endswith(b"\n"):
        ends = np.append(ends, len(text))
    # The character before a line's end: the line's own last one, or its carriage return.
    before = characters[ends - 1]
    returns = before == ord("\r")
    widths = np.diff(ends, prepend=-1) - 1 - returns
    is_plain = (widths > 0).all() and text.count(b"\r") == returns.sum()
    return len(ends) if is_plain else None


def _numbered(rows: pa.Table, counts: Sequence[int]) -> pa.Table:
    """The rows, each with its place in its own file."""
    numbers = np.concatenate([np.arange(1, count + 1) for count in counts])
    return rows.set_column(
        rows.schema.get_field_index(SOURCE_ROW), SOURCE_ROW, pa.array(numbers, pa.int64())
    )
