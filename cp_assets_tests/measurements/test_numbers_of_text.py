"""Texts as numbers, compared with Python's own float and int."""

from __future__ import annotations

import math
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.measurements.numbers_of_text import (
    LARGEST_WHOLE,
    floats_of_text,
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
    st.builds("{}{}{}{}".format, SIGN, DIGITS, POINT, EXPONENT),
)
TEXTS = st.one_of(
    st.builds("{}{}{}".format, SPACE, NUMBERS, SPACE),
    st.text("0123456789+-.eE_ infatyxX\u00a0\u0663", max_size=8),
    st.none(),
)


def is_number(text: str) -> bool:
    """Whether Python takes a text for a number, written as measurements are."""
    if not text.isascii() or "_" in text or "nan" in text.lower():
        return False
    if re.search("[a-df-z]", text.lower()) and text.strip().lstrip("+-") not in (
        *("inf", "Inf", "INF"),
        *("infinity", "Infinity"),
    ):
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
    assert fits.tolist() == [text is None or is_number(text) for text in texts]
    expected = [
        None if text is None or not fit else float(text)
        for text, fit in zip(texts, fits, strict=True)
    ]
    assert [repr(value) for value in values.to_pylist()] == [repr(value) for value in expected]


@given(st.lists(TEXTS, max_size=30))
def test_whole_numbers_of_text_are_pythons(texts: list[str | None]) -> None:
    values, fits = whole_numbers_of_text(pa.chunked_array([texts], pa.string()))
    assert values.type == pa.int64()
    for text, value, fit in zip(texts, values.to_pylist(), fits.tolist(), strict=True):
        if text is None or not is_number(text):
            assert (value, fit) == (None, text is None)
        elif re.fullmatch(r"\s*[+-]?\d{1,18}(\.0*)?\s*", text):
            assert (value, fit) == (int(text.split(".")[0]), True)
        else:
            number = float(text)
            is_whole = math.isfinite(number) and number.is_integer() and abs(number) < LARGEST_WHOLE
            assert (value, fit) == (int(number) if is_whole else None, is_whole)


@pytest.mark.parametrize("texts", [[], [None], ["x"]], ids=["none", "null", "no number"])
def test_numbers_of_text_without_numbers(texts: list[str | None]) -> None:
    array = pa.chunked_array([texts], pa.string())
    for convert in (floats_of_text, whole_numbers_of_text):
        values, fits = convert(array)
        assert values.null_count == len(texts)
        assert fits.tolist() == [text is None for text in texts]
