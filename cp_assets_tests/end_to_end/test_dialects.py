"""From a database to crops, as from CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

import cp_assets
from cp_assets.errors import PlateNotFoundError
from cp_assets_tests.dialects import cellprofiler_names, read_csv_tables, write_database


def test_example_human_as_a_database_has_the_same_cells_and_crops(
    test_data: Path, tmp_path: Path
) -> None:
    human = test_data / "example_human"
    write_database(tmp_path / "in" / "p.sqlite", cellprofiler_names(read_csv_tables(human)))
    names = {"dataset_id": "human", "plate_id": "P"}
    states: list[str] = []
    for _ in range(2):
        found = cp_assets.convert(
            tmp_path / "in",
            tmp_path / "database",
            image_dir=human,
            preset="cellprofiler-sqlite",
            report=lambda _, build: states.append(build.state),
            **names,
        )
    truth = cp_assets.convert(human, tmp_path / "csv", image_dir=human, **names)
    columns = ["Metadata_ObjectID", "Cells_AreaShape_Area", "Image_Count_Cells"]
    profiles = found.read_table("joined_profiles", columns=columns)
    assert profiles.num_rows == 289
    assert profiles.equals(truth.read_table("joined_profiles", columns=columns))
    crops = found.read_table("image_crops", columns=["Metadata_ImageCropID"])
    assert crops.num_rows == 867
    assert crops.equals(truth.read_table("image_crops", columns=["Metadata_ImageCropID"]))
    assert set(states[len(states) // 2 :]) == {"unchanged", "skipped"}
    (source,) = set(
        found.read_table("raw_measurements", columns=["source_file"], where="compartment='Cells'")[
            "source_file"
        ].to_pylist()
    )
    assert source == "p.sqlite:Per_Cells"
    with pytest.raises(PlateNotFoundError, match=r"looked for: cytominer-sqlite \(cytominer-data"):
        cp_assets.convert(tmp_path / "in", tmp_path / "other", preset="cytominer-sqlite")
