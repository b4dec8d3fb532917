"""Tables as text, as CellProfiler's ExportToSpreadsheet and the Gallery's metadata write them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table_bytes(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    delimiter: str = ",",
    line_end: str = "\r\n",
) -> bytes:
    """UTF-8 text of a table; floats in the shortest form that reads back as the same number."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
