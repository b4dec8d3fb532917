"""Numbers that are written as text, in CSV files and in text columns of the other dialects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]

NUMBER = r"^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|INF|Inf(?:inity)?)\s*$"

LARGEST_WHOLE = 2.0**53
"""Beyond it float64 has gaps: a whole number there may have been another one."""

_DIGITS = r"^[+-]?\d{1,18}$"


def floats_of_text(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """Texts as float64, null where they are no number, and which of them fit.

    Space around a number is nothing. Null fits.
    """
    fits = pc.fill_null(pc.match_substring_regex(texts, NUMBER), True)
    numbers = pc.cast(pc.utf8_trim_whitespace(pc.if_else(fits, texts, None)), pa.float64())
    return numbers, fits.to_numpy()


def whole_numbers_of_text(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """Texts as int64, null where they are no whole number, and which of them fit.

    Digits such as 12 or 12.0 are exact up to 18 of them; anything else is what its float64 is,
    below `LARGEST_WHOLE`. Null fits.
    """
    floats, are_numbers = floats_of_text(texts)
    written = pc.utf8_trim_whitespace(pc.if_else(pa.array(are_numbers), texts, None))
    digits = pc.replace_substring_regex(written, r"\.0*$", "")
    are_digits = pc.fill_null(pc.match_substring_regex(digits, _DIGITS), True)
    # Arrow takes no plus.
    unsigned = pc.replace_substring_regex(pc.if_else(are_digits, digits, None), r"^\+", "")
    numbers = floats.to_numpy()
    other = (np.floor(numbers) == numbers) & (np.abs(numbers) < LARGEST_WHOLE)
    by_float = pa.array(np.where(other, numbers, 0).astype(np.int64), mask=~other)
    fits = are_numbers & (are_digits.to_numpy() | other)
    return pc.coalesce(pc.cast(unsigned, pa.int64()), by_float), fits
