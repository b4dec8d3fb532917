"""Numbers in columns of names are the same text whatever they were stored in."""

from __future__ import annotations

import sqlite3

import pyarrow as pa
import pytest

from cp_assets.measurements.text_of_numbers import SQL, text_of_numbers

TEXTS = {
    1053597806.0: "1053597806",
    -3.0: "-3",
    -0.0: "0",
    0.25: "0.25",
    1e-4: "0.0001",
    2.0**53: "9007199254740992",
    None: None,
}


def test_floats() -> None:
    found = text_of_numbers(pa.chunked_array([[*TEXTS, float("nan")]], pa.float64()))
    assert found.to_pylist() == [*TEXTS.values(), None]


def test_floats_of_less_precision() -> None:
    found = text_of_numbers(pa.chunked_array([[12.0, 0.1, None]], pa.float32()))
    assert found.to_pylist() == ["12", "0.1", None]


@pytest.mark.parametrize(
    ("value", "text"), [*TEXTS.items(), (5, "5"), ("5.0", "5.0"), (2**62 + 1, str(2**62 + 1))]
)  # fmt: skip
def test_values_in_sqlite(value: object, text: str | None) -> None:
    with sqlite3.connect(":memory:") as connection:
        found = connection.execute(f"SELECT {SQL.format('v')} FROM (SELECT ? AS v)", [value])
        assert found.fetchone() == (text,)
    connection.close()
