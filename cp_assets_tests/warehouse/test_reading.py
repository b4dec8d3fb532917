from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from cp_assets.errors import (
    ConfigurationError,
    NoSuchTableError,
    QueryError,
    WarehouseWriteError,
)
from cp_assets.warehouse.catalog import default_warehouse
from cp_assets.warehouse.spec import KEY_COLUMNS, TableSpec, column
from cp_assets.warehouse.tables import open_table
from cp_assets.warehouse.view_sql import CROPS, LINKS, PROFILES
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers, scope, write


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    """P1 with 0 to 5, P2 with 10 and 11; wells A01 to A06, A11, A12; sites 1 and 2."""
    write(warehouse, batch(range(6), x=[float(n) for n in range(6)]))
    write(warehouse, batch([10, 11], "P2"), plate="P2")
    return warehouse


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 10, 11]),
        ({"plate": "P1"}, [0, 1, 2, 3, 4, 5]),
        ({"plate": ["P1", "P2"]}, [0, 1, 2, 3, 4, 5, 10, 11]),
        ({"plate": "none"}, []),
        ({"dataset": "d", "batch": "b", "plate": "P2"}, [10, 11]),
        ({"dataset": "other"}, []),
        ({"well": "a1"}, [0]),
        ({"well": ["A02", "a11"]}, [1, 10]),
        ({"site": "1"}, [0, 2, 4, 10]),
        ({"site": 1, "plate": "P2"}, [10]),
        ({"site": ["01", "2.0"], "well": "A03"}, [2]),
        ({"plate": []}, []),
        ({"well": []}, []),
        ({"where": "number > 4"}, [5, 10, 11]),
        ({"where": "x >= 4 OR plate_id = 'P2'", "site": "2"}, [5, 11]),
        ({"where": "number < 3 -- a comment"}, [0, 1, 2]),
        ({"plate": "P'1"}, []),
    ],
    ids=str,
)
def test_read_table_selection(
    filled: Warehouse, selection: dict[str, object], expected: list[int]
) -> None:
    assert numbers(filled, **selection) == expected


def test_read_table_columns_in_the_order_asked_for(filled: Warehouse) -> None:
    table = filled.read_table("small", columns=["x", "number"], plate="P2")
    assert table.schema.names == ["x", "number"]
    assert table["x"].to_pylist() == [None, None]


def test_read_table_rows_come_in_the_order_written(warehouse: Warehouse) -> None:
    shuffled = [5, 3, 9, 1]
    write(warehouse, batch(shuffled))
    assert warehouse.read_table("small")["number"].to_pylist() == shuffled


@pytest.mark.parametrize(("limit", "rows"), [(0, 0), (3, 3), (100, 8)])
def test_read_table_limit(filled: Warehouse, limit: int, rows: int) -> None:
    assert filled.read_table("small", limit=limit).num_rows == rows


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"columns": ["numbr"]}, r"(?s)columns=\['numbr'\].*number"),
        ({"where": "numbr > 1"}, "where='numbr > 1'"),
        ({"where": "number >"}, "yntax error"),
        ({"where": "nofunction(number)"}, "nofunction"),
        ({"where": "CAST(well_id AS INTEGER) > 1"}, "onver"),
        ({"where": "number > 1; SELECT 1"}, "yntax error"),
        ({"limit": -1}, "limit is -1: expected a number of rows"),
    ],
    ids=["unknown column", "unknown in where", "syntax", "function", "cast", "two", "limit"],
)
def test_read_table_that_does_not_fit_is_a_query_error(
    filled: Warehouse, selection: dict[str, object], message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        filled.read_table("small", **selection)


def test_read_table_unknown_table_lists_those_there(filled: Warehouse) -> None:
    with pytest.raises(NoSuchTableError, match=r"no table smal; it has profiles\.small"):
        filled.read_table("smal")
    with pytest.raises(NoSuchTableError, match=r"no table profiles\.smal; it has"):
        filled.read_table("profiles.smal")


def test_read_table_without_rows_has_the_columns(warehouse: Warehouse) -> None:
    open_table(warehouse, SPEC)
    table = warehouse.read_table("small")
    assert (table.num_rows, table.schema.names) == (0, SPEC.schema.names)
    write(warehouse, batch([1]))
    write(warehouse)
    assert warehouse.read_table("small", columns=["number"]).num_rows == 0


def test_read_table_names_that_differ_in_letter_case_only(warehouse: Warehouse) -> None:
    write(warehouse, batch([1], Site=["big"], site=["small"]))
    row = warehouse.read_table("small").to_pylist()[0]
    assert (row["Site"], row["site"]) == ("big", "small")


def test_scan_is_a_stream_of_small_batches(warehouse: Warehouse) -> None:
    write(warehouse, batch(range(5000)))
    reader = warehouse.scan("small", columns=["number"])
    sizes = [part.num_rows for part in reader]
    assert sum(sizes) == 5000
    assert max(sizes) <= 2048


def test_warehouse_path_with_spaces_and_letters(tmp_path: Path) -> None:
    warehouse = open_warehouse(tmp_path / "my ware house é" / "w", create=True)
    write(warehouse, batch([1, 2]))
    assert numbers(open_warehouse(tmp_path / "my ware house é" / "w")) == [1, 2]
    rows = warehouse.table("small").scan().to_arrow()
    assert sorted(rows["number"].to_pylist()) == [1, 2]


@pytest.mark.parametrize("name", ["a#b", "a?b", "100%"])
def test_open_warehouse_path_that_is_no_uri_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"holds one of # \? %"):
        open_warehouse(tmp_path / name, create=True)


def test_open_warehouse_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NoSuchTableError, match=r"no warehouse at .*absent: expected catalog\.db"):
        open_warehouse(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_open_warehouse_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseWriteError, match="cannot be opened for writing") as caught:
        open_warehouse(tmp_path / "file" / "warehouse", create=True)
    assert "\n" not in str(caught.value)


def test_open_warehouse_catalog_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(WarehouseWriteError, match="not a database") as caught:
        open_warehouse(tmp_path)
    assert "\n" not in str(caught.value)


CONFIGURED = """
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.warehouse.plates import batch, numbers, write

for name in ("lab", "my_lab", None):
    warehouse = open_warehouse(name)
    write(warehouse, batch([1]))
    print(warehouse.name, numbers(open_warehouse(name)))
"""


def test_open_warehouse_configured_by_name(tmp_path: Path) -> None:
    # In a process of its own: PyIceberg reads its environment when it is imported.
    settings = {"TYPE": "sql", "WAREHOUSE": f"file://{tmp_path}/files"}
    configured = {
        f"PYICEBERG_CATALOG__{name}__{key}": value
        for name in ("LAB", "MY_LAB", "CP_ASSETS")
        for key, value in {**settings, "URI": f"sqlite:///{tmp_path}/{name}.db"}.items()
    }
    repository = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURED],
        env={**os.environ, **configured, "PYTHONPATH": repository},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["lab [1]", "my-lab [1]", "cp-assets [1]"]
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"LAB.db", "MY_LAB.db", "CP_ASSETS.db", "files"}


def test_default_warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_warehouse() == "warehouse"
    monkeypatch.setenv("CP_ASSETS_WAREHOUSE", "/some/where")
    assert default_warehouse() == "/some/where"
    monkeypatch.setenv("PYICEBERG_CATALOG__CP_ASSETS__URI", "sqlite:///x.db")
    assert default_warehouse() == "cp-assets"


def test_describe_counts_rows_files_bytes_and_plates(filled: Warehouse) -> None:
    (row,) = filled.describe().to_pylist()
    sizes = [path.stat().st_size for path in Path(filled.name).rglob("*.parquet")]
    assert row == {
        "table": "profiles.small",
        "kind": "table",
        "rows": 8,
        "data_files": 2,
        "bytes": sum(sizes),
        "plates": 2,
        "snapshot_id": filled.table("small").current_snapshot().snapshot_id,
    }


def test_describe_empty_warehouse(warehouse: Warehouse) -> None:
    assert warehouse.describe().num_rows == 0
    assert warehouse.list_tables() == []
    open_table(warehouse, SPEC)
    (row,) = warehouse.describe().to_pylist()
    assert (row["rows"], row["plates"], row["snapshot_id"]) == (0, 0, None)


def table_of(name: str, *names: str) -> TableSpec:
    fields = [column(other, pa.string(), other) for other in names]
    return TableSpec(name=name, doc=name, schema=pa.schema([*KEY_COLUMNS, *fields]))


@pytest.fixture
def linked(warehouse: Warehouse) -> Warehouse:
    """Two cells, two channels of the first: three crops, none of the third cell."""
    ids = ("Metadata_ObjectID", "Metadata_ImageCropID")
    keys = {**scope(), "well_id": "A01", "site_id": "1", "image_id": "i"}
    tables = {
        PROFILES: (
            ("Metadata_ObjectID", "Cells_Area"),
            [{"Metadata_ObjectID": f"o{n}", "Cells_Area": f"area{n}"} for n in (1, 2, 3)],
        ),
        CROPS: (
            (*ids, "pixels"),
            [
                {"Metadata_ObjectID": o, "Metadata_ImageCropID": c, "pixels": f"pixels {c}"}
                for o, c in (("o1", "c1"), ("o1", "c2"), ("o2", "c3"))
            ],
        ),
        LINKS: (
            ids,
            [
                dict(zip(ids, pair, strict=True))
                for pair in (("o1", "c1"), ("o1", "c2"), ("o2", "c3"))
            ],
        ),
    }
    for name, (names, rows) in tables.items():
        spec = table_of(name, *names)
        batch_ = pa.RecordBatch.from_pylist([{**keys, **row} for row in rows], spec.schema)
        write_partition(warehouse, spec, scope(), [batch_], "f")
    return warehouse


def test_profile_with_images_is_read_as_a_view(linked: Warehouse) -> None:
    wanted = ["Metadata_ImageCropID", "Cells_Area", "pixels"]
    rows = linked.read_table("profile_with_images", columns=wanted, plate="P1", well="A1")
    assert rows.schema.names == wanted
    assert sorted(map(tuple, (row.values() for row in rows.to_pylist()))) == [
        ("c1", "area1", "pixels c1"),
        ("c2", "area1", "pixels c2"),
        ("c3", "area2", "pixels c3"),
    ]
    everything = linked.read_table("profile_with_images", where="Cells_Area = 'area2'")
    assert everything.num_rows == 1
    assert len(set(everything.schema.names)) == len(everything.schema.names)
    kinds = {row["table"]: row["kind"] for row in linked.describe().to_pylist()}
    assert kinds == {LINKS: "view", PROFILES: "table", CROPS: "table"}


def test_duckdb_has_every_table_and_the_view(linked: Warehouse) -> None:
    connection = linked.duckdb()
    assert isinstance(connection, duckdb.DuckDBPyConnection)
    counts = {
        name: connection.sql(f"SELECT count(*) FROM {name}").fetchall()
        for name in ("joined_profiles", "profiles.joined_profiles", "images.image_crops")
    }
    assert set(map(str, counts.values())) == {"[(3,)]"}
    view = connection.sql(
        "SELECT Metadata_ImageCropID, Cells_Area, pixels FROM profile_with_images ORDER BY 1"
    )
    rows = view.fetchall()
    assert (len(rows), rows[0]) == (3, ("c1", "area1", "pixels c1"))


def test_duckdb_of_an_empty_warehouse(warehouse: Warehouse) -> None:
    assert warehouse.duckdb().sql("SELECT 1").fetchall() == [(1,)]


def test_profile_with_images_of_one_object(linked: Warehouse) -> None:
    wanted = ["Metadata_ImageCropID", "Cells_Area"]
    for _ in range(2):
        rows = linked.read_table("profile_with_images", columns=wanted, object_id="o1")
        assert sorted(rows["Metadata_ImageCropID"].to_pylist()) == ["c1", "c2"]
        assert set(rows["Cells_Area"].to_pylist()) == {"area1"}
    said = linked.read_table("profile_with_images", where="Metadata_ObjectID = 'o2'")
    assert said["Metadata_ImageCropID"].to_pylist() == ["c3"]
    assert linked.read_table("profile_with_images", object_id="o3").num_rows == 0
    assert linked.read_table("profile_with_images", object_id="none").num_rows == 0
