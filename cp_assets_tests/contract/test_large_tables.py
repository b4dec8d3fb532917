"""Tables of 10^7 rows, in a process of their own whose memory is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

ROWS = 10_000_000
OF_IMAGE = 100
PART = 1_000_000
MOST_BYTES = 2**30

MEASURED = """
import json, sys
import cp_assets
from cp_assets_tests.services.memory import peak_bytes
result = getattr(cp_assets, sys.argv[1])(*json.loads(sys.argv[2]), **json.loads(sys.argv[3]))
print(json.dumps({"peak": peak_bytes(), "result": result.to_dict()}))
"""


def named(what: str, numbers: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    return pc.binary_join_element_wise(what, pc.cast(pa.array(numbers), pa.string()), "-")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Profiles of 10^7 rows, and their 10^5 images."""
    folder = tmp_path_factory.mktemp("large")
    images = named("image", np.arange(ROWS // OF_IMAGE))
    assets = {"dataset_id": pa.repeat("D", len(images)), "image_id": images, "uri": images}
    pq.write_table(pa.table(assets), folder / "images.parquet")
    file = None
    for start in range(0, ROWS, PART):
        rows = np.arange(start, start + PART)
        part = pa.table(
            {
                "Metadata_Source": pa.repeat("D", PART),
                "Metadata_ImageID": images.take(pa.array(rows // OF_IMAGE)),
                "Metadata_ObjectID": named("object", rows),
                "half": named("object", rows // 2),
                "Cells_AreaShape_Area": rows * 0.5,
            }
        )
        file = file or pq.ParquetWriter(folder / "profiles.parquet", part.schema)
        file.write_table(part)
    assert file is not None
    file.close()
    return folder


def measured(function: str, *positional: object, **named_arguments: object) -> dict[str, Any]:
    words = (json.dumps([str(one) for one in positional]), json.dumps(named_arguments))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, function, *words],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["peak"] < MOST_BYTES, f"{found['peak'] / 2**20:.0f} MiB"
    result: dict[str, Any] = found["result"]
    return result


@pytest.mark.slow
def test_ten_million_rows_are_validated_in_bounded_memory(tables: Path) -> None:
    images = str(tables / "images.parquet")
    found = measured("validate_contract", tables / "profiles.parquet", images=images)
    assert found["is_valid"], found["errors"]
    assert (found["rows"], found["row_key"]["rows"]) == (ROWS, ROWS)
    assert found["coverage"]["images_with_rows"] == ROWS // OF_IMAGE


@pytest.mark.slow
def test_ten_million_repeated_rows_are_counted_in_bounded_memory(tables: Path) -> None:
    aliases = {"object_id": "half"}
    found = measured("validate_contract", tables / "profiles.parquet", aliases=aliases)
    assert found["row_key"]["repeated"] == ROWS // 2


@pytest.mark.slow
def test_ten_million_rows_are_joined_in_bounded_memory(tables: Path, tmp_path: Path) -> None:
    output = tmp_path / "joined.parquet"
    found = measured(
        "join_profiles", tables / "images.parquet", tables / "profiles.parquet", output
    )
    assert found["rows_written"] == ROWS
    assert pq.read_metadata(output).num_rows == ROWS
