"""SQL over the warehouse opens the files of the plates, and reads the columns, asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.warehouse.moved_files import hidden, path_of

TABLES = (
    "profiles.raw_measurements",
    "profiles.joined_profiles",
    "images.image_crops",
    "images.source_images",
    "provenance.manifest",
)


@pytest.fixture
def plates(built: Warehouse) -> list[str]:
    return [key.plate_id for key in built.plates("profiles.joined_profiles")]


def _files_of_others(warehouse: Warehouse, plate: str) -> list[Path]:
    return [
        path_of(file["file_path"])
        for name in warehouse.list_tables()
        for file in warehouse.table(name).inspect.files().to_pylist()
        if file["partition"]["plate_id"] != plate
    ]


@pytest.mark.parametrize("predicate", ["plate_id = '{}'", "plate_id IN ('{}', 'none')"])
@pytest.mark.parametrize("name", TABLES)
def test_a_plate_is_read_without_the_files_of_others(
    built: Warehouse, plates: list[str], name: str, predicate: str
) -> None:
    query = f"SELECT count(*), min(dataset_id) FROM {name} WHERE {predicate.format(plates[1])}"
    expected = built.duckdb().sql(query).fetchall()
    assert expected[0][0] > 0
    with hidden(_files_of_others(built, plates[1])):
        assert built.duckdb().sql(query).fetchall() == expected
        with pytest.raises(duckdb.Error, match="No such file"):
            built.duckdb().sql(f"SELECT min(well_id) FROM {TABLES[2]}").fetchall()


def test_the_view_joins_no_rows_of_other_plates(built: Warehouse, plates: list[str]) -> None:
    query = "SELECT count(*), sum(Cells_AreaShape_Area) FROM profile_with_images WHERE plate_id = ?"
    expected = built.duckdb().execute(query, [plates[0]]).fetchall()
    crops = built.read_table("image_crops", plate=plates[0], columns=["image_id"]).num_rows
    assert expected[0][0] == crops > 0
    with hidden(_files_of_others(built, plates[0])):
        assert built.duckdb().execute(query, [plates[0]]).fetchall() == expected


def test_rows_of_a_partition_column_are_those_in_the_files(built: Warehouse) -> None:
    query = "SELECT plate_id, compartment, count(*) FROM raw_measurements GROUP BY ALL ORDER BY ALL"
    files = built.table("raw_measurements").inspect.files().to_pylist()
    rows = [
        (row["plate_id"], row["compartment"])
        for file in files
        for row in pq.read_table(
            path_of(file["file_path"]), columns=["plate_id", "compartment"], partitioning=None
        ).to_pylist()
    ]
    expected = sorted((*key, rows.count(key)) for key in set(rows))
    assert built.duckdb().sql(query).fetchall() == expected


@pytest.fixture
def damaged(built: Warehouse, tmp_path: Path) -> Iterator[Warehouse]:
    """The warehouse with the pixels of every crop overwritten."""
    files = [
        path_of(file["file_path"])
        for file in built.table("image_crops").inspect.files().to_pylist()
    ]
    for number, path in enumerate(files):
        shutil.copyfile(path, tmp_path / str(number))
        _overwrite(path, "ome_arrow_image.chunks.list.element.pixel_bytes")
    yield open_warehouse(Path(built.name))
    for number, path in enumerate(files):
        shutil.copyfile(tmp_path / str(number), path)


def _overwrite(path: Path, column: str) -> None:
    """Spoil the bytes of a column in a Parquet file."""
    footer = pq.read_metadata(path)
    with path.open("r+b") as file:
        for group in range(footer.num_row_groups):
            columns = map(footer.row_group(group).column, range(footer.num_columns))
            (chunk,) = (one for one in columns if one.path_in_schema == column)
            file.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
            file.write(b"\xff" * chunk.total_compressed_size)


@pytest.mark.parametrize("name", ["image_crops", "profile_with_images"])
def test_only_the_columns_asked_for_are_read(damaged: Warehouse, name: str) -> None:
    connection = damaged.duckdb()
    count = f"SELECT count(Metadata_ImageCropID), count(ome_arrow_mask) FROM {name}"
    assert connection.sql(count).fetchall()[0][0] > 0
    with pytest.raises((duckdb.Error, OSError)):
        connection.sql(f"SELECT ome_arrow_image FROM {name}").fetchall()
