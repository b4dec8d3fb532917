from __future__ import annotations

import io
import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.errors import MeasurementError
from cp_assets.measurements.table_rules import ColumnRules, TableName
from cp_assets.measurements.typed_csv import CsvColumns, TypedRows, parse_piece

COLUMNS = CsvColumns(
    ColumnRules(
        TableName("a.csv", "Cells"),
        kinds={"Key": "int", "Whole": "int", "Float": "float", "Text": "string"},
        keys=frozenset({"Key"}),
        optional=frozenset(),
    ),
    width=4,
    places={"Key": 0, "Whole": 1, "Float": 2, "Text": 3},
)


def parse(text: str) -> TypedRows:
    return parse_piece(COLUMNS, text.encode(), 10)


def faults(rows: TypedRows) -> list[tuple[str, int | None]]:
    return [(one.reason, one.source_row) for one in rows.rejections]


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "with a fault"])
def test_parse_piece_equals_pandas(slow: bool) -> None:
    text = (
        "1,2,0.1,a\n"
        '2,-3.0,-1e-300,"b, ""c"""\n'
        "3,,inf,d\n"
        '4,0,-Infinity,"two\nlines"\n'
        "5.0,nan,NaN,\n"
        '6,+7,12,"é 日本"\r\n'
        "7,,1e-400,NA\n"
        "\n"
        "8,1e3,.5,007\n"
    )
    found = parse(text + ("9,1,fault,x\n" if slow else ""))
    truth = pd.read_csv(
        io.StringIO(text),
        names=["Key", "Whole", "Float", "Text"],
        dtype={"Key": "float", "Whole": "float", "Float": "float", "Text": "str"},
    )
    assert faults(found) == ([("not_a_number", 19)] if slow else [])
    assert found.lines == 8 + slow
    assert found.rows["source_row"].to_pylist() == list(range(11, 19))
    table = found.rows.to_pandas()
    assert [str(one) for one in found.rows.schema.types] == [
        "int64",
        "int64",
        "double",
        "string",
        "int64",
    ]
    for column in ("Key", "Whole", "Float"):
        pd.testing.assert_series_equal(table[column].astype(float), truth[column])
    assert (
        table["Text"].where(table["Text"].notna(), None).tolist()
        == truth["Text"].where(truth["Text"].notna(), None).str.replace("\r", "").tolist()
    )


@pytest.mark.parametrize("fault", ["", "9,1,fault,x\n"], ids=["fast", "with a fault"])
def test_parse_piece_space_around_numbers_is_nothing(fault: str) -> None:
    found = parse(" 1, 2 , 3.5 , text \n2, ,  ,\n" + fault)
    assert found.rows.drop_columns("source_row").to_pylist() == [
        {"Key": 1, "Whole": 2, "Float": 3.5, "Text": " text "},
        {"Key": 2, "Whole": None, "Float": None, "Text": None},
    ]


def test_parse_piece_whole_numbers_are_exact() -> None:
    values = [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**60, 2**53 - 1]
    found = parse("".join(f"{value},{value}.0,1,x\n" for value in values))
    assert found.rows["Key"].to_pylist() == values
    assert found.rows["Whole"].to_pylist() == values
    assert found.rejections == ()


def test_parse_piece_rows_that_do_not_fit_are_recorded() -> None:
    found = parse(
        "1,1,1,ok\n"
        "2,1,1\n"
        ",1,1,no key\n"
        "x,1,1,no key\n"
        "5,1.5,1,fraction\n"
        "6,x,1,text\n"
        "7,1,large,text\n"
        "8,12345678901234567890,1,too large\n"
        "9,inf,1,infinite\n"
        "10,1,1,1,1\n"
        "11,1,1,ok\n"
    )
    assert sorted(faults(found), key=lambda one: one[1] or 0) == [
        ("column_count", 12),
        ("no_key", 13),
        ("not_a_number", 14),
        ("not_a_whole_number", 15),
        ("not_a_number", 16),
        ("not_a_number", 17),
        ("not_a_whole_number", 18),
        ("not_a_whole_number", 19),
        ("column_count", 20),
    ]
    details = {one.source_row: one.detail for one in found.rejections}
    assert details[12] == "the row has 3 values, the header 4"
    assert details[13] == "Key is empty: it identifies the row"
    assert details[17].startswith("Float is 'large': expected a number. If the column holds text")
    assert {(one.compartment, one.source_file) for one in found.rejections} == {("Cells", "a.csv")}
    assert found.rows["Key"].to_pylist() == [1, 11]
    assert found.rows["source_row"].to_pylist() == [11, 21]
    assert found.lines == 11


VALUES = st.one_of(
    st.sampled_from(
        ["-NaN", "Nan", " nan", "\tNaN ", "INFINITY", "-inf", "nan(ind)", "+nan", " NA"]
    ),
    st.text("nafity+-() \tNAFITY01.e", max_size=6),
    st.integers(-(2**63) - 2, 2**63 + 1).map(str),
    st.floats().map(repr),
)


@settings(deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5))
def test_parse_piece_a_value_is_the_same_whatever_its_neighbours(
    values: list[tuple[str, str]],
) -> None:
    rows = "".join(f"{key},{whole},{value},x\n" for key, (whole, value) in enumerate(values))
    alone = [
        parse(row).rows.drop_columns("source_row").to_pylist() for row in rows.splitlines(True)
    ]
    for more in ("", "99,x,y,z\n"):
        found = parse(rows + more).rows.drop_columns("source_row")
        assert repr(found.to_pylist()) == repr([row for one in alone for row in one])
        assert not any(math.isnan(value or 0) for value in found["Float"].to_pylist())


def test_parse_piece_key_of_spaces_is_none() -> None:
    assert faults(parse("1,1,1,ok\n ,1,1,no key\n")) == [("no_key", 12)]


def test_parse_piece_row_with_several_faults_is_recorded_once() -> None:
    assert faults(parse("x,y,z,text\n")) == [("not_a_number", 11)]


@pytest.mark.parametrize("piece", [b"1,1,1,\xb5m\n", b"1,1,1,ok\n2,\xff\n"], ids=["row", "bad row"])
def test_parse_piece_no_text_in_utf8_is_an_error(piece: bytes) -> None:
    with pytest.raises(MeasurementError, match=r"a\.csv is not CSV text in UTF-8"):
        parse_piece(COLUMNS, piece, 0)


def test_parse_piece_takes_only_the_columns_named() -> None:
    columns = CsvColumns(COLUMNS.rules, 3, {"Float": 1})
    rows = parse_piece(columns, b"x,1,y\nx,2,y\n", 0).rows
    assert rows.to_pydict() == {"Float": [1.0, 2.0], "source_row": [1, 2]}
