"""Comparing what warehouses hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cp_assets.warehouse.warehouse import Warehouse

ROW_TABLES = (
    "profiles.raw_measurements",
    "profiles.joined_profiles",
    "images.image_crops",
    "profiles.profile_with_images",
    "quality_control.rejected_rows",
)
"""Tables whose rows depend on the inputs alone; the manifest also says where they lie."""


def written(warehouse: Warehouse, name: str) -> pa.Table:
    """A table's rows in the order in which they lie in its files, read by DuckDB."""
    return warehouse.duckdb().sql(f"SELECT * FROM {name}").to_arrow_table()


def snapshots(warehouse: Warehouse) -> dict[str, int]:
    """Table -> current snapshot."""
    rows = warehouse.describe().to_pylist()
    return {row["table"]: row["snapshot_id"] for row in rows}


def assert_same_rows(
    one: Warehouse,
    other: Warehouse,
    without: tuple[str, ...] = (),
    tables: tuple[str, ...] = ROW_TABLES,
) -> None:
    """Hold two warehouses to have equal rows, in equal order in each plate: pixels too."""
    for name in tables:
        left, right = one.table(name).scan().to_arrow(), other.table(name).scan().to_arrow()
        kept = [column for column in left.column_names if column not in without]
        assert sorted(left.column_names) == sorted(right.column_names), name
        assert left.num_rows, name
        assert _by_plate(left.select(kept)) == _by_plate(right.select(kept)), name


def _by_plate(rows: pa.Table) -> list[dict[str, Any]]:
    # Which plate comes first depends on which was written last.
    return sorted(rows.to_pylist(), key=lambda row: (row["dataset_id"], row["plate_id"]))


def pixels(payload: dict[str, Any]) -> npt.NDArray[Any]:
    """The plane (Y, X) of a payload of one chunk, without the library's own reader."""
    (chunk,) = payload["chunks"]
    shape = (payload["pixels_meta"]["size_y"], payload["pixels_meta"]["size_x"])
    return np.frombuffer(chunk["pixel_bytes"], chunk["dtype"]).reshape(shape)


def rejected(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Rejected and incomplete things of a table, as rows."""
    if not warehouse.has_table("quality_control.rejected_rows"):
        return []
    return warehouse.read_table("rejected_rows", where=f"table_name = '{table}'").to_pylist()


def replace_text(path: Path, old: str, new: str) -> None:
    """Change a file's text; the text to change must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
