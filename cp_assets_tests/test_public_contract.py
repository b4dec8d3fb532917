"""What users may rely on: names, options and answers of the library."""

from __future__ import annotations

import inspect
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cp_assets
from cp_assets import errors
from cp_assets.warehouse.warehouse import Warehouse


def test_front_door_has_these_names() -> None:
    assert set(cp_assets.__all__) == {
        "CpAssetsError",
        "Warehouse",
        "convert",
        "cytomining",
        "describe_warehouse",
        "from_ome_arrow",
        "join_profiles",
        "list_tables",
        "open_as_ome_arrow",
        "open_warehouse",
        "read_table",
        "to_ome_arrow",
        "validate_contract",
    }


def test_convert_takes_these_options() -> None:
    names = list(inspect.signature(cp_assets.convert).parameters)
    assert names[:2] == ["source", "warehouse"]
    assert {
        *("image_dir", "mask_dir", "outline_dir", "include_source_images", "bbox_column_map"),
        *("segmentation_file_regex", "preset", "dataset_id", "batch_id", "plate_id"),
    } <= set(names)


def test_every_error_is_ours_and_a_builtin_one() -> None:
    ours = [e for e in vars(errors).values() if inspect.isclass(e) and issubclass(e, Exception)]
    assert all(issubclass(error, cp_assets.CpAssetsError) for error in ours)
    bases = {cp_assets.CpAssetsError, errors.PassingFaultError, errors.WarehouseError}
    builtins = (ValueError, LookupError, OSError, TypeError, RuntimeError)
    assert all(issubclass(error, builtins) for error in ours if error not in bases)


def test_describe_has_one_row_a_table(built: Warehouse) -> None:
    described = cp_assets.describe_warehouse(built.name)
    assert described.column_names == [
        *("table", "kind", "rows", "data_files", "bytes", "plates", "snapshot_id")
    ]
    assert described["table"].to_pylist() == cp_assets.list_tables(built.name)
    rows = {row["table"]: row for row in described.to_pylist()}
    assert rows["profiles.profile_with_images"]["kind"] == "view"
    for name, row in rows.items():
        assert row["plates"] == 2
        assert row["rows"] == built.table(name).scan().to_arrow().num_rows > 0
        assert row["bytes"] > 0


@pytest.mark.parametrize("well", ["E13", "e13", " E-13"])
def test_rows_are_selected_by_plate_well_site(built: Warehouse, well: str) -> None:
    plate = built.plates("images.image_crops")[0].plate_id
    wells = built.read_table("joined_profiles", columns=["well_id"])["well_id"].to_pylist()
    assert well.strip().replace("-", "").upper() in set(wells)
    found = built.read_table("image_crops", plate=plate, well=well, site="01")
    assert set(found["plate_id"].to_pylist()) == {plate}
    assert set(found["well_id"].to_pylist()) == {"E13"}
    assert set(found["site_id"].to_pylist()) == {"1"}


def test_columns_predicate_and_limit(built: Warehouse) -> None:
    columns = ["Metadata_ObjectNumber", "Cells_AreaShape_Area"]
    found = built.read_table(
        "joined_profiles", columns=columns, where="Cells_AreaShape_Area > 1", limit=3
    )
    assert found.column_names == columns
    assert found.num_rows == 3


def test_scan_streams_what_read_table_reads(built: Warehouse) -> None:
    reader = built.scan("image_crops", site="2")
    assert isinstance(reader, pa.RecordBatchReader)
    assert reader.read_all().equals(built.read_table("image_crops", site="2"))


def test_view_is_joined_only_as_far_as_asked(built: Warehouse) -> None:
    found = built.read_table("profile_with_images", columns=["Metadata_ImageCropID"])
    assert found.column_names == ["Metadata_ImageCropID"]
    everything = built.read_table("profile_with_images", limit=1)
    assert {"Nuclei_AreaShape_Area", "ome_arrow_image", "image_id"} <= set(everything.column_names)
    assert len(set(everything.column_names)) == everything.num_columns


def test_single_parquet_file_answers_the_same_questions(tmp_path: Path) -> None:
    file = tmp_path / "cells.parquet"
    pq.write_table(pa.table({"well_id": ["A01", "B02"], "x": [1, 2]}), file)
    assert cp_assets.list_tables(file) == ["cells"]
    assert cp_assets.describe_warehouse(file).to_pylist()[0]["rows"] == 2
    assert cp_assets.read_table(file, well="b2")["x"].to_pylist() == [2]


@pytest.mark.parametrize(
    ("selection", "error", "message"),
    [
        ({"name": "nothing"}, errors.NoSuchTableError, "has no table nothing; it has"),
        ({"columns": ["nope"]}, errors.QueryError, "nope"),
        ({"where": "1 ="}, errors.QueryError, "where='1 ='"),
        ({"where": "nope > 1"}, errors.QueryError, "nope"),
        ({"limit": -1}, errors.QueryError, "limit is -1"),
        ({"object_id": 7}, errors.QueryError, "object_id is 7: expected a Metadata_ObjectID"),
        ({"object_id": b"abc"}, errors.QueryError, "object_id is b'abc'"),
        ({"object_id": ["abc", None]}, errors.QueryError, r"object_id is \['abc', None\]"),
    ],
)
def test_wrong_question_is_a_clear_error(
    built: Warehouse, selection: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        built.read_table(**{"name": "joined_profiles", **selection})  # type: ignore[arg-type]


@pytest.mark.parametrize("table", ["joined_profiles", "image_crops", "profile_with_images"])
@pytest.mark.parametrize("object_id", ["abc", "", "' OR 1=1 --", [], ["abc"], ("a", "b")])
def test_an_object_that_no_row_has_gives_no_rows(
    built: Warehouse, table: str, object_id: object
) -> None:
    found = built.read_table(table, object_id=object_id)
    assert found.num_rows == 0
    assert "Metadata_ObjectID" in found.column_names


def test_objects_may_be_any_sequence_of_ids(built: Warehouse) -> None:
    every = built.read_table("joined_profiles", columns=["Metadata_ObjectID"], limit=3)
    ids = every["Metadata_ObjectID"]
    for wanted in (
        ids,
        ids.combine_chunks(),
        ids.to_numpy(),
        ids.to_pandas(),
        iter(ids.to_pylist()),
    ):
        found = built.read_table("joined_profiles", object_id=wanted, columns=["Metadata_ObjectID"])
        assert set(found["Metadata_ObjectID"].to_pylist()) == set(ids.to_pylist())


def test_no_warehouse_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(errors.NoSuchTableError, match=r"no warehouse at .*nowhere"):
        cp_assets.open_warehouse(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
