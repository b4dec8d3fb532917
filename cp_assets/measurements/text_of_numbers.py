"""Numbers as text, where a column of names holds some: a whole one has no point in any dialect.

pandas keeps names such as 1053597806 as floats beside missing ones.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

SQL = (
    "CASE WHEN typeof({0}) = 'real' AND {0} = CAST({0} AS INTEGER) "
    "AND abs({0}) <= 9007199254740992 "
    "THEN CAST(CAST({0} AS INTEGER) AS TEXT) ELSE CAST({0} AS TEXT) END"
)
"""`text_of_numbers` for values of any type of a column in SQLite."""


def text_of_numbers(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floating point numbers as text: whole ones up to 2^53 by their digits, null for NaN."""
    there = pc.if_else(pc.is_nan(numbers), None, numbers)
    doubles = pc.cast(there, pa.float64())
    is_whole = pc.and_(pc.equal(pc.floor(doubles), doubles), pc.less_equal(pc.abs(doubles), 2**53))
    digits = pc.cast(pc.cast(pc.if_else(is_whole, doubles, None), pa.int64()), pa.string())
    return pc.if_else(is_whole, digits, pc.cast(there, pa.string()))
