"""Holding tables against the join contract, as the peer does and beyond it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iceberg_bioimage.validation.contracts import validate_microscopy_profile_table

from cp_assets.contract.profile_tables import ParquetRows, open_table
from cp_assets.contract.validation import validate_rows

PEER_FIELDS = (
    *("present_columns", "required_columns", "recommended_columns"),
    *("missing_required_columns", "missing_recommended_columns"),
)


def rows_of(folder: Path, *parts: pa.Table) -> ParquetRows:
    """A table of parts, as it lies on disk."""
    folder.mkdir(exist_ok=True)
    for at, part in enumerate(parts):
        pq.write_table(part, folder / f"part-{at}.parquet", row_group_size=3)
    opened = open_table(folder)
    assert isinstance(opened, ParquetRows)
    return opened


@pytest.mark.parametrize(
    "columns",
    [
        ["dataset_id", "image_id", "plate_id", "well_id", "site_id"],
        ["Metadata_Source", "Metadata_ImageID", "Metadata_Plate", "Metadata_Well", "Image_Area"],
        ["image_id", "Cells_AreaShape_Area"],
        ["Cells_AreaShape_Area"],
    ],
)
def test_columns_are_judged_as_the_peer_judges_them(tmp_path: Path, columns: list[str]) -> None:
    file = tmp_path / "profiles.parquet"
    pq.write_table(pa.table({name: ["x"] for name in columns}), file)
    theirs = validate_microscopy_profile_table(str(file)).to_dict()
    ours = validate_rows(open_table(file)).to_dict()
    assert {name: ours[name] for name in PEER_FIELDS} == {n: theirs[n] for n in PEER_FIELDS}
    assert (ours["target"], ours["is_valid"]) == (theirs["target"], theirs["is_valid"])
