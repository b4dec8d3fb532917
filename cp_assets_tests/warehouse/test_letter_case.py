"""Columns whose names differ in letter case only, which are one name to SQL."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cp_assets
from cp_assets.errors import QueryError
from cp_assets.warehouse.spec import KEY_COLUMNS, TableSpec, column
from cp_assets.warehouse.view_sql import CROPS, LINKS, PROFILES
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.warehouse.plates import batch, scope, write

COLUMNS = {"Area": [1.0, 2.0], "area": [-1.0, -2.0], "Area_1": [9.0, 9.0], "Name": ["a", "Area"]}


@pytest.fixture
def spelled(warehouse: Warehouse) -> Warehouse:
    """Rows 1 and 2 with two spellings of a column, and the name that DuckDB would make of one."""
    write(warehouse, batch([1, 2], **COLUMNS))
    return warehouse


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("where", [None, "number > 0"])
def test_column_of_exactly_that_name_is_read(
    spelled: Warehouse, name: str, where: str | None
) -> None:
    table = spelled.read_table("small", columns=[name], where=where)
    assert table.to_pydict() == {name: COLUMNS[name]}


def test_both_columns_are_read_in_the_order_asked_for(spelled: Warehouse) -> None:
    rows = spelled.read_table("small", columns=["area", "number", "Area"])
    assert rows.to_pylist()[1] == {"area": -2.0, "number": 2, "Area": 2.0}
    everything = spelled.read_table("small").to_pydict()
    assert {name: everything[name] for name in COLUMNS} == COLUMNS


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('"area" = -1', [1]),
        ('"Area" = -1', []),
        ("area = -2 AND Area = 2", [2]),
        ("t.area = -1", [1]),
        ("abs(area) = 2 -- not Area, AREA", [2]),
        ("Area_1 = 9 AND name = 'Area'", [2]),
        ("Name = 'AREA' OR /* AREA */ Name = $$a$$", [1]),
        ('"Area" = 1 OR "area" = -2', [1, 2]),
    ],
)
def test_predicate_is_of_the_column_of_exactly_that_name(
    spelled: Warehouse, where: str, expected: list[int]
) -> None:
    found = spelled.read_table("small", columns=["number"], where=where)
    assert found["number"].to_pylist() == expected


@pytest.mark.parametrize("asked", [{"columns": ["AREA"]}, {"where": "AREA = 1"}])
def test_name_of_neither_spelling_is_refused(spelled: Warehouse, asked: dict[str, object]) -> None:
    with pytest.raises(QueryError, match=r"AREA.*Area and area"):
        spelled.read_table("small", **asked)


def test_one_spelling_may_be_asked_for_in_another(spelled: Warehouse) -> None:
    assert spelled.read_table("small", columns=["NAME"]).to_pydict() == {"NAME": COLUMNS["Name"]}


def test_keys_of_the_selection_are_not_a_measured_column(warehouse: Warehouse) -> None:
    spec = TableSpec(
        name="profiles.small",
        doc="a measured column stands before the key",
        schema=pa.schema([column("Well_ID", pa.string(), "as measured"), *KEY_COLUMNS]),
        open_columns=True,
    )
    write(warehouse, batch([1, 2], Well_ID=["x", "A02"]), spec=spec)
    found = warehouse.read_table("small", columns=["number"], well="A03")
    assert found["number"].to_pylist() == [2]


def test_duckdb_names_the_later_column_otherwise_and_says_so(spelled: Warehouse) -> None:
    told = r"profiles\.small: SQL does not tell .* area is area_1, Area_1 is Area_1_1"
    with pytest.warns(UserWarning, match=told):
        connection = spelled.duckdb()
    rows = connection.sql("SELECT Area, area_1, Area_1_1 FROM small").fetchall()
    assert rows == [(1.0, -1.0, 9.0), (2.0, -2.0, 9.0)]


def test_parquet_file_is_read_by_exact_names(tmp_path: Path) -> None:
    file = tmp_path / "one.parquet"
    pq.write_table(pa.table(COLUMNS), file)
    found = cp_assets.read_table(file, columns=["area"], where='"area" < -1')
    assert found.to_pydict() == {"area": [-2.0]}
    assert cp_assets.read_table(file).to_pydict() == COLUMNS


def test_view_has_the_columns_of_both_names(warehouse: Warehouse) -> None:
    ids = ("Metadata_ObjectID", "Metadata_ImageCropID")
    own = {PROFILES: ("Metadata_ObjectID", "A", "a", "B"), CROPS: (*ids, "b"), LINKS: ids}
    for name, names in own.items():
        fields = [column(one, pa.string(), one) for one in names]
        spec = TableSpec(name=name, doc=name, schema=pa.schema([*KEY_COLUMNS, *fields]))
        row = {**scope(), "well_id": "A01", "site_id": "1", "image_id": "i"}
        rows = [{**row, **{one: f"of {one}" for one in names}}]
        batches = [pa.RecordBatch.from_pylist(rows, spec.schema)]
        write_partition(warehouse, spec, scope(), batches, "f")
    found = warehouse.read_table("profile_with_images", where="a = 'of a' AND b = 'of b'")
    (row,) = found.to_pylist()
    assert [row[name] for name in "AaBb"] == ["of A", "of a", "of B", "of b"]
    assert warehouse.read_table("profile_with_images", columns=["b"]).to_pydict() == {"b": ["of b"]}
    with pytest.warns(UserWarning, match="letter case"):
        connection = warehouse.duckdb()
    assert connection.sql("SELECT B, b_1 FROM profile_with_images").fetchall() == [("of B", "of b")]
