"""Tables of a user's own: real profiles, coSMicQC's labels; into roots and into the warehouse."""

from __future__ import annotations

from pathlib import Path

import iceberg_bioimage as peer
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from scipy.stats import zscore

from cp_assets.contract.names import Aliases
from cp_assets.cytomining import (
    PlateNames,
    TableOptions,
    check_root,
    export,
    export_table,
    read_manifest,
    take_in_quality_control,
)
from cp_assets.errors import ConfigurationError, CpAssetsError, WarehouseRootError
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.cytomining.conftest import read_folder

FLAG = "cqc.large_nuclei.is_outlier"
SCORE = "cqc.large_nuclei.Z_Score.Nuclei_AreaShape_Area"


def labelled(profiles: pa.Table) -> pa.Table:
    """Profiles as coSMicQC's ``label_outliers(include_threshold_scores=True)`` gives them."""
    frame: pd.DataFrame = profiles.to_pandas()
    keys = [name for name in frame.columns if name.startswith("Metadata_")]
    scores = zscore(frame["Nuclei_AreaShape_Area"])
    return pa.Table.from_pandas(
        frame[keys].assign(**{SCORE: scores, FLAG: scores > 1}), preserve_index=False
    )


@pytest.fixture
def cosmicqc(built: Warehouse, tmp_path: Path) -> Path:
    """Labels of all plates of the small sample, with no keys but the field's."""
    file = tmp_path / "cosmicqc.parquet"
    pq.write_table(labelled(built.read_table("joined_profiles")), file)
    return file


def test_real_profiles_are_taken_with_all_columns(test_data: Path, tmp_path: Path) -> None:
    file = test_data / "profiles" / "profiles_pycytominer.parquet"
    root = tmp_path / "root"
    done = export_table(file, root, TableOptions(table_name="pycytominer_profiles"))
    source, found = pq.read_table(file), read_folder(root, "profiles.pycytominer_profiles")
    assert done.row_counts == {"profiles.pycytominer_profiles": source.num_rows}
    assert set(source.column_names) <= set(found.column_names)
    for name in source.column_names:
        assert found[name].to_pylist() == source[name].to_pylist()
    assert found["image_id"].to_pylist() == source["Metadata_ImageID"].to_pylist()
    assert peer.validate_warehouse_manifest(root).is_valid


def test_keys_are_added_under_the_contracts_names(tmp_path: Path) -> None:
    file = tmp_path / "own.parquet"
    table = pa.table({"Project": ["p"], "ImageKey": [7], "Metadata_ObjectID": ["o"], "x": [1.5]})
    pq.write_table(table, file)
    aliases = Aliases(given={"dataset_id": ["Project"], "image_id": ["ImageKey"]})
    options = TableOptions(table_name="own_cells", aliases=aliases)
    export_table(file, tmp_path / "root", options)
    found = read_folder(tmp_path / "root", "profiles.own_cells")
    assert found.to_pylist() == [{**table.to_pylist()[0], "dataset_id": "p", "image_id": "7"}]
    manifest = read_manifest(tmp_path / "root")
    assert manifest is not None
    entry = manifest.tables[0]
    assert (entry.profile_level, entry.join_keys) == ("object", ("dataset_id", "image_id"))
    assert check_root(tmp_path / "root").is_valid


def test_same_file_again_is_not_there_twice(cosmicqc: Path, tmp_path: Path) -> None:
    options = TableOptions(table_name="cosmicqc", role="quality_control")
    for _ in range(2):
        export_table(cosmicqc, tmp_path / "root", options)
    found = read_folder(tmp_path / "root", "quality_control.cosmicqc")
    assert found.num_rows == pq.read_metadata(cosmicqc).num_rows


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_cosmicqc_becomes_quality_control_with_boolean_flags(
    cosmicqc: Path, tmp_path: Path, form: str
) -> None:
    file = cosmicqc.with_suffix(f".{form}")
    table = pq.read_table(cosmicqc)
    if form == "csv":
        table.to_pandas().to_csv(file, index=False)
    export_table(
        file,
        tmp_path / "root",
        TableOptions(table_name="cosmicqc", role="quality_control", dataset_id="sample"),
    )
    found = read_folder(tmp_path / "root", "quality_control.cosmicqc")
    assert found[FLAG].to_pylist() == table[FLAG].to_pylist()
    report = check_root(tmp_path / "root")
    assert report.is_valid
    assert not report.warnings
    assert peer.validate_warehouse_manifest(tmp_path / "root").is_valid


def test_flags_that_are_none_are_told(tmp_path: Path) -> None:
    file = tmp_path / "qc.csv"
    pacsv.write_csv(pa.table({"Metadata_Plate": ["P"], "outlier_big": ["perhaps"]}), file)
    with pytest.raises(WarehouseRootError, match="column outlier_big is not true or false"):
        export_table(file, tmp_path / "root", TableOptions(table_name="x", role="quality_control"))


def test_table_without_ids_is_written_and_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "wells.parquet"
    pq.write_table(pa.table({"Metadata_Plate": ["P"], "x": [1.5]}), file)
    done = export_table(file, tmp_path / "root", TableOptions(table_name="well_profiles"))
    assert len(done.warnings) == 2
    report = check_root(tmp_path / "root")
    assert report.result("Profile Tables 4").outcome == "broken"


@pytest.mark.parametrize(
    ("name", "role", "told"),
    [
        ("quality_control.x", "profiles", "does not belong there"),
        ("profiles.x", "quality_control", "does not belong there"),
        ("images.x", "profiles", "does not belong there"),
        ("../x", "profiles", "expected namespace.table"),
        ("spots", "annotations", "has no namespace"),
    ],
)
def test_name_and_role_that_do_not_fit_are_told(
    cosmicqc: Path, tmp_path: Path, name: str, role: str, told: str
) -> None:
    with pytest.raises(WarehouseRootError, match=told):
        export_table(cosmicqc, tmp_path / "root", TableOptions(table_name=name, role=role))
    assert not (tmp_path / "root").exists()


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no parquet")
    for file in ("x.parquet", "none.parquet"):
        with pytest.raises(CpAssetsError) as raised:
            export_table(tmp_path / file, tmp_path / "root", TableOptions(table_name="x"))
        assert "\n" not in str(raised.value)


# -- into the warehouse


def test_quality_control_is_taken_in_plate_by_plate_and_exported(
    small_warehouse: Warehouse, cosmicqc: Path, tmp_path: Path
) -> None:
    profiles = small_warehouse.read_table("joined_profiles")
    for _ in range(2):
        done = take_in_quality_control(cosmicqc, small_warehouse, "cosmicqc")
        assert [one.table for one in done] == ["quality_control.cosmicqc"] * 2
    assert small_warehouse.plates("quality_control.cosmicqc") == small_warehouse.plates(
        "profiles.joined_profiles"
    )
    found = small_warehouse.read_table("cosmicqc").sort_by("Metadata_ObjectID")
    expected = labelled(profiles).sort_by("Metadata_ObjectID")
    for name in expected.column_names:
        assert found[name].to_pylist() == expected[name].to_pylist()
    # The keys are found though the table has the field's names alone.
    keys = profiles.sort_by("Metadata_ObjectID")
    assert found["dataset_id"].to_pylist() == keys["dataset_id"].to_pylist()
    assert found["well_id"].to_pylist() == keys["well_id"].to_pylist()
    kept = small_warehouse.duckdb().sql(
        f'SELECT count(*) FROM joined_profiles SEMI JOIN (FROM cosmicqc WHERE NOT "{FLAG}") q '
        'ON joined_profiles."Metadata_ObjectID" = q."Metadata_ObjectID"'
    )
    assert kept.fetchall() == [(expected[FLAG].to_pylist().count(False),)]
    export(small_warehouse, tmp_path / "root")
    assert read_folder(tmp_path / "root", "quality_control.cosmicqc").num_rows == found.num_rows
    report = check_root(tmp_path / "root")
    assert report.is_valid
    assert not report.warnings


def test_quality_control_of_plates_that_nobody_knows(warehouse: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "qc.parquet"
    pq.write_table(pa.table({"Metadata_Plate": [12], "is_blurred": [True]}), file)
    with pytest.raises(WarehouseRootError, match="nothing tells the dataset_id of plate 12"):
        take_in_quality_control(file, warehouse, "blur")
    names = PlateNames(dataset_id="d", batch_id="b")
    take_in_quality_control(file, warehouse, "quality_control.blur", names)
    rows = warehouse.read_table("blur").to_pylist()
    assert [(one["plate_id"], one["is_blurred"]) for one in rows] == [("12", True)]


@pytest.mark.parametrize("name", ["profiles.x", "rejected_rows", "quality_control.rejected_rows"])
def test_quality_control_of_another_name_is_refused(
    warehouse: Warehouse, cosmicqc: Path, name: str
) -> None:
    with pytest.raises(WarehouseRootError, match="expected a name of your own"):
        take_in_quality_control(cosmicqc, warehouse, name)


def test_quality_control_file_that_is_not_there(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        take_in_quality_control("nowhere/qc.parquet", warehouse, "x")
