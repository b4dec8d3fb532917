"""Every table, nested pixels included, through engines that read Iceberg by themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import daft
import polars as pl
import pyarrow as pa
import pytest

import cp_assets
from cp_assets.payloads import payload_to_numpy, to_ome_arrow
from cp_assets.warehouse.warehouse import Warehouse

TABLES = {
    "profiles.raw_measurements": ("compartment", "source_file", "source_row"),
    "profiles.joined_profiles": ("Metadata_ObjectID",),
    "images.image_assets": ("uri", "array_path", "image_id"),
    "images.image_crops": ("Metadata_ImageCropID",),
    "images.source_images": ("Metadata_ImageID",),
    "profiles.profile_with_images": ("Metadata_ImageCropID",),
    "quality_control.rejected_rows": ("table_name", "source_file", "source_row"),
    "provenance.manifest": ("plate_id", "table_name"),
}
"""Table -> columns that name a row."""


def _duckdb(warehouse: Warehouse, name: str) -> pa.Table:
    columns = ", ".join(f'"{c.name}"' for c in warehouse.table(name).schema().fields)
    return warehouse.duckdb().sql(f"SELECT {columns} FROM {name}").to_arrow_table()


def _polars(warehouse: Warehouse, name: str) -> pa.Table:
    return pl.scan_iceberg(warehouse.table(name)).collect().to_arrow()


def _daft(warehouse: Warehouse, name: str) -> pa.Table:
    return daft.read_iceberg(warehouse.table(name)).to_arrow()


ENGINES = {"duckdb": _duckdb, "polars": _polars, "daft": _daft}


def _rows(table: pa.Table, columns: list[str], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = table.select(columns).to_pylist()
    return sorted(rows, key=lambda row: [str(row[key]) for key in keys])


def _is_same(one: Any, other: Any) -> bool:
    """Equal values and kinds of values; NaN is NaN and no null."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@pytest.fixture(autouse=True)
def _plan_with_pyiceberg(monkeypatch: pytest.MonkeyPatch) -> None:
    # Polars can also plan scans with a plugin of its own, and warns where it is not installed.
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("name", TABLES)
def test_engine_reads_what_pyiceberg_reads(
    built: Warehouse, name: str, engine: Callable[[Warehouse, str], pa.Table]
) -> None:
    expected = built.table(name).scan().to_arrow()
    found = engine(built, name)
    assert found.column_names == expected.column_names
    assert found.num_rows == expected.num_rows > 0
    columns = expected.column_names
    mine, theirs = (_rows(table, columns, TABLES[name]) for table in (expected, found))
    for left, right in zip(mine, theirs, strict=True):
        wrong = [column for column in columns if not _is_same(left[column], right[column])]
        assert not wrong, {column: (left[column], right[column]) for column in wrong[:2]}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_engine_reads_payloads_that_a_plate_has_none_of_as_null(
    tmp_path: Path, test_data: Path, engine: Callable[[Warehouse, str], pa.Table]
) -> None:
    human = test_data / "example_human"
    warehouse = cp_assets.convert(human, tmp_path / "wh", image_dir=human)
    found = engine(warehouse, "images.image_crops")
    assert found.num_rows == 867
    assert found["ome_arrow_image"].null_count == 0
    for kind in ("mask", "outline", "label"):
        assert found[f"ome_arrow_{kind}"].null_count == 867


def test_the_tables_of_this_test_are_all_tables(built: Warehouse) -> None:
    assert built.list_tables() == sorted(TABLES)


def test_duckdb_reads_the_view_as_read_table_does(built: Warehouse) -> None:
    columns = ["Metadata_ImageCropID", "Cells_AreaShape_Area", "ome_arrow_image"]
    query = "SELECT {} FROM profile_with_images".format(", ".join(f'"{c}"' for c in columns))
    found = built.duckdb().sql(query).to_arrow_table()
    expected = built.read_table("profile_with_images", columns=columns)
    key = (columns[0],)
    assert found.num_rows > 0
    assert _rows(found, columns, key) == _rows(expected, columns, key)


@pytest.mark.parametrize("kind", ["image", "mask", "outline", "label"])
def test_ome_arrow_opens_payloads(built: Warehouse, kind: str) -> None:
    column = f"ome_arrow_{kind}"
    for payload in built.read_table("image_crops", columns=[column], limit=3)[column]:
        pixels = payload_to_numpy(payload)
        opened = to_ome_arrow(payload).export(how="numpy", dtype=pixels.dtype)
        assert opened.dtype == pixels.dtype
        assert (opened == pixels).all()
