"""Texts as numbers, compared with Python's own float and int."""

from __future__ import annotations

import hashlib
import math
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.datasets.csv_text import NULLS
from cp_assets.measurements.numbers_of_text import (
    LARGEST_WHOLE,
    floats_of_text,
    table_numbers_of_text,
    whole_numbers_of_text,
)

SPACE = st.sampled_from(["", " ", "\t", "  "])
SIGN = st.sampled_from(["", "+", "-"])
DIGITS = st.text("0123456789", max_size=25)
EXPONENT = st.one_of(st.just(""), st.integers(-330, 330).map("e{}".format))
POINT = st.sampled_from(["", ".", ".0", ".000", ".5"])
NUMBERS = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**19), 10**19).map(str),
    st.integers(-3, 3)
    .flatmap(lambda n: st.sampled_from([n + 2**63, n - 2**63]))
    .map("{}.0".format),
    st.builds("{}{}{}{}".format, SIGN, DIGITS, POINT, EXPONENT),
)
LETTERS = st.tuples(st.sampled_from(["nan", "inf", "infinity"]), st.integers(0, 255))
WORDS = st.one_of(
    LETTERS.map(
        lambda word: "".join(c.upper() if word[1] >> n & 1 else c for n, c in enumerate(word[0]))
    ),
    st.sampled_from(["nan(ind)", "NaN()", "nan(0x1)", "nan(", "nan(-)", "infin", "nanx"]),
)
TEXTS = st.one_of(
    st.builds("{}{}{}".format, SPACE, NUMBERS, SPACE),
    st.text("0123456789+-.eE_ infatyxX\u00a0\u0663", max_size=8),
    st.builds("{}{}{}{}".format, SPACE, SIGN, WORDS, SPACE),
    st.sampled_from(NULLS),
    st.none(),
)


def is_nothing(text: str | None) -> bool:
    """Whether a text stands for no value."""
    word = (text or "").strip()
    return word in NULLS or bool(re.fullmatch(r"[+-]?nan(\([0-9A-Za-z_]*\))?", word, re.IGNORECASE))


def is_number(text: str) -> bool:
    """Whether Python takes a text for a number that is one, written as measurements are."""
    if not text.strip().isascii() or "_" in text or "nan" in text.lower():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


@given(st.lists(TEXTS, max_size=30))
def test_floats_of_text_are_pythons(texts: list[str | None]) -> None:
    values, fits = floats_of_text(pa.chunked_array([texts], pa.string()))
    assert values.type == pa.float64()
    assert fits.tolist() == [is_nothing(text) or is_number(text or "") for text in texts]
    expected = [
        None if text is None or is_nothing(text) or not fit else float(text)
        for text, fit in zip(texts, fits, strict=True)
    ]
    assert [repr(value) for value in values.to_pylist()] == [repr(value) for value in expected]


@given(st.lists(TEXTS, max_size=30))
def test_whole_numbers_of_text_are_pythons(texts: list[str | None]) -> None:
    values, fits = whole_numbers_of_text(pa.chunked_array([texts], pa.string()))
    assert values.type == pa.int64()
    for text, value, fit in zip(texts, values.to_pylist(), fits.tolist(), strict=True):
        if text is None or not is_number(text):
            assert (value, fit) == (None, is_nothing(text))
        elif re.fullmatch(r"\s*[+-]?\d+(\.0*)?\s*", text):
            number = int(text.split(".")[0])
            is_int64 = -(2**63) <= number < 2**63
            assert (value, fit) == (number if is_int64 else None, is_int64)
        else:
            number = float(text)
            is_whole = math.isfinite(number) and number.is_integer() and abs(number) < LARGEST_WHOLE
            assert (value, fit) == (int(number) if is_whole else None, is_whole)


@given(st.lists(TEXTS, max_size=30))
def test_table_numbers_are_whole_numbers_or_made_of_names(texts: list[str | None]) -> None:
    array = pa.chunked_array([texts], pa.string())
    values, fits = table_numbers_of_text(array)
    whole, are_whole = (one for one in whole_numbers_of_text(array))
    for at, text in enumerate(texts):
        value, word = values[at].as_py(), (text or "").strip()
        if are_whole[at]:
            assert (value, fits[at]) == (whole[at].as_py(), True)
        elif is_number(word) and not re.fullmatch("[0-9]+", word):
            assert (value, fits[at]) == (None, False)
        else:
            first = hashlib.sha256(word.encode()).hexdigest()[:16]
            assert (value, fits[at]) == (int(first, 16) // 2, True)


@pytest.mark.parametrize("texts", [[], [None], ["x"]], ids=["none", "null", "no number"])
def test_numbers_of_text_without_numbers(texts: list[str | None]) -> None:
    array = pa.chunked_array([texts], pa.string())
    for convert in (floats_of_text, whole_numbers_of_text):
        values, fits = convert(array)
        assert values.null_count == len(texts)
        assert fits.tolist() == [text is None for text in texts]
