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
from cp_assets.warehouse.spec import TableSpec

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
