"""Small tables to write into roots, and ways to read them back as others would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from cp_assets.cytomining.merging import Rows
from cp_assets.cytomining.names import TableName
from cp_assets.cytomining.roles import Declaration
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.warehouse.spec import TableSpec
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets.warehouse.writer import write_partition

PROFILES = Declaration(
    TableName("profiles", "cell_profiles"),
    role="profiles",
    join_keys=("dataset_id", "image_id"),
    grain="cell",
    profile_level="object",
    object_keys=("Metadata_ObjectID",),
)


def profile_rows(
    scope: str,
    objects: Sequence[str],
    declaration: Declaration = PROFILES,
    **columns: Sequence[Any],
) -> Rows:
    """Rows of a profile table, one an object, with further columns."""
    keys = {
        "dataset_id": ["d"] * len(objects),
        "image_id": [f"image of {scope}"] * len(objects),
        "Metadata_ObjectID": list(objects),
    }
    table = pa.table(
        {name: pa.array(values, pa.string()) for name, values in keys.items()}
        | {
            name: pa.array(values) if values else pa.array([], pa.float64())
            for name, values in columns.items()
        }
    )
    return Rows(
        declaration,
        table.schema,
        scope=scope,
        batches=table.to_batches(),
        spec=TableSpec(str(declaration.name), "", table.schema),
        source_type="test",
        source_ref=scope,
    )


def read_folder(root: Path, name: str) -> pa.Table:
    """A table as whoever lists its folder reads it."""
    return pads.dataset(root.joinpath(*name.split(".")), format="parquet").to_table()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root that is not there yet."""
    return tmp_path / "root"


@pytest.fixture
def small_warehouse(built: Warehouse, tmp_path: Path) -> Warehouse:
    """A warehouse of the small sample's profiles that a test may write into."""
    made = open_warehouse(tmp_path / "small_warehouse", create=True)
    for key in built.plates(JOINED_PROFILES.name):
        rows = built.scan(JOINED_PROFILES.name, plate=key.plate_id)
        write_partition(made, JOINED_PROFILES, key.columns(), rows, fingerprint="")
    return made
