"""Numbers that are written as text, in CSV files and in text columns of the other dialects."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.csv_text import NULLS

Mask = npt.NDArray[np.bool_]

_NUMBER = r"^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?i:inf(?:inity)?))$"
_NAN = r"^[+-]?(?i:nan)(?:\(\w*\))?$"
"""C libraries also write ``-nan(ind)``."""

LARGEST_WHOLE = 2.0**53
"""Beyond it float64 has gaps: a whole number there may have been another one."""


def written_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without the space around them, null for those that stand for no value.

    These are the `NULLS`, and nan in any case and with any sign.
    """
    trimmed = pc.utf8_trim_whitespace(texts)
    is_null = pc.is_in(trimmed, value_set=pa.array(NULLS))
    is_nan = pc.match_substring_regex(trimmed, _NAN)
    return pc.if_else(pc.or_(is_null, is_nan), pa.scalar(None, pa.string()), trimmed)


def floats_of_text(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """Texts as float64, null where they are no number or none is written, and which of them fit.

    Null and what stands for it fit, see `written_numbers`; infinity is a number.
    """
    written = written_numbers(texts)
    fits = pc.fill_null(pc.match_substring_regex(written, _NUMBER), True)
    return pc.cast(pc.if_else(fits, written, None), pa.float64()), fits.to_numpy()


def whole_numbers_of_text(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """Texts as int64, null where they are no whole number, and which of them fit.

    Digits such as 12 or 12.0 are exact, as far as int64 goes; anything else is what its float64 is,
    below `LARGEST_WHOLE`. Null fits.
    """
    floats, are_numbers = floats_of_text(texts)
    written = pc.if_else(pa.array(are_numbers), written_numbers(texts), None)
    exact = pc.cast(_digits(written), pa.int64())
    numbers = floats.to_numpy()
    other = (np.floor(numbers) == numbers) & (np.abs(numbers) < LARGEST_WHOLE)
    by_float = pa.array(np.where(other, numbers, 0).astype(np.int64), mask=~other)
    whole = pc.coalesce(exact, by_float)
    return whole, whole.is_valid().to_numpy() | written.is_null().to_numpy() & are_numbers


def table_numbers_of_text(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """Numbers of the tables that were merged, as int64, and which of the texts fit.

    A whole number is itself. Older cytominer-database wrote MD5 sums, which have 128 bits:
    digits beyond int64 and texts that are no number become the first 63 bits of the SHA-256 of the
    text in UTF-8, without the space around it.
    """
    whole, fits = whole_numbers_of_text(texts)
    written = written_numbers(texts)
    is_other_number = pc.and_not(
        pc.match_substring_regex(written, _NUMBER), pc.match_substring_regex(written, r"^\d+$")
    )
    are_names = pc.and_not(pc.invert(pa.array(fits)), pc.fill_null(is_other_number, False))
    names = pc.if_else(are_names, written, None)
    different = pc.unique(names).drop_null()
    numbers = pa.array([_number_of_name(name) for name in different.to_pylist()], pa.int64())
    of_names = numbers.take(pc.index_in(names, value_set=different).combine_chunks())
    return pc.coalesce(whole, of_names), fits | are_names.to_numpy()


def _number_of_name(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 1


def _digits(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers that are written by digits alone, as int64 is written; null for others."""
    digits = pc.replace_substring_regex(numbers, r"\.0*$", "")
    magnitude = pc.replace_substring_regex(digits, r"^[+-]?0*(\d+)$", r"\1")
    sign = pc.if_else(pc.starts_with(digits, "-"), "-", "")
    # Of equal length, the greater number is the later text.
    largest = pc.if_else(pc.equal(sign, "-"), str(2**63), str(2**63 - 1))
    length, longest = pc.binary_length(magnitude), len(str(2**63))
    fits = pc.or_(
        pc.less(length, longest),
        pc.and_(pc.equal(length, longest), pc.less_equal(magnitude, largest)),
    )
    fits = pc.and_(fits, pc.match_substring_regex(magnitude, r"^\d+$"))
    return pc.if_else(fits, pc.binary_join_element_wise(sign, magnitude, ""), None)
