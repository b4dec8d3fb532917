"""Plate maps and files of the user beside the profiles of a sample."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import cp_assets
from cp_assets.cli import main
from cp_assets.datasets.config import read_configuration
from cp_assets.errors import ConfigurationError
from cp_assets.sample import SampleTruth
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.end_to_end.plate import Prefix
from cp_assets_tests.warehouses import rejected, snapshots

JOINED = "profiles.joined_profiles"


def plate_map(root: Path) -> Path:
    return next(root.glob("workspace/metadata/platemaps/*/platemap/*.txt"))


def test_profiles_of_the_sample_have_the_treatment_of_their_well(
    built: Warehouse, small_sample: SampleTruth
) -> None:
    found = built.read_table(JOINED).to_pandas()
    truth = pd.read_csv(plate_map(small_sample.root), sep="\t").set_index("well_position")
    assert set(truth.index) == set(found["well_id"])
    for name in truth.columns.drop("plate_map_name"):
        expected = truth[name].loc[found["well_id"]].reset_index(drop=True)
        column = found[f"Metadata_{name}"]
        assert (column.eq(expected) | (column.isna() & expected.isna())).all(), name
    assert found["Metadata_mmoles_per_liter"].dtype == float
    assert set(found["Metadata_Plate_Map_Name"]) == set(truth["plate_map_name"])
    assert found["Metadata_Assay_Plate_Barcode"].equals(found["plate_id"])


def test_changed_plate_map_writes_the_joined_profiles_only(prefix: Prefix, tmp_path: Path) -> None:
    made = prefix.convert(tmp_path / "wh")
    before = snapshots(made.warehouse)
    file = plate_map(prefix.root)
    file.write_text(file.read_text().replace("DMSO", "water"))
    prefix.convert(tmp_path / "wh")
    after = snapshots(made.warehouse)
    # The manifest holds the joined profiles' new etag.
    changed = {name for name in after if after[name] != before[name]}
    assert changed - {"quality_control.rejected_rows"} == {JOINED, "provenance.manifest"}
    assert set(made.warehouse.read_table(JOINED)["Metadata_solvent"].to_pylist()) == {"water"}
    assert made.failed_checks() == []


def test_plate_map_that_is_missing_leaves_the_plate_whole(prefix: Prefix, tmp_path: Path) -> None:
    plate_map(prefix.root).unlink()
    made = prefix.convert(tmp_path / "wh")
    (row,) = made.rejected(JOINED, "no_plate_map")
    assert row["source_file"].endswith("barcode_platemap.csv")
    assert made.warehouse.read_table(JOINED).num_rows
    assert made.failed_checks() == []


def test_files_of_the_user_come_first(small_sample: SampleTruth, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("Metadata_Well,solvent,day\nE13,water,1\nM13,DMSO,2\n")
    done = CliRunner().invoke(
        main,
        [
            *("convert", str(small_sample.root), "--warehouse", str(tmp_path / "wh")),
            *("--dataset-id", "s", "--annotation", str(file)),
        ],
    )
    assert done.exit_code == 0, done.output
    warehouse = cp_assets.open_warehouse(tmp_path / "wh")
    rows = warehouse.read_table(JOINED, columns=["well_id", "Metadata_solvent", "Metadata_day"])
    assert {tuple(row.values()) for row in rows.to_pylist()} == {
        ("E13", "water", 1.0),
        ("M13", "DMSO", 2.0),
    }
    conflicts = [r for r in rejected(warehouse, JOINED) if r["reason"] == "annotation_conflict"]
    assert {row["plate_id"] for row in conflicts} == set(small_sample.options.plate_names)
    assert all("Metadata_solvent has another value in" in row["detail"] for row in conflicts)


def test_annotations_that_are_not_there_stop_before_any_work(
    prefix: Prefix, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.csv, which is no file"):
        cp_assets.convert(prefix.root, tmp_path / "wh", annotations=[tmp_path / "nothing.csv"])
    assert not (tmp_path / "wh").exists()


def test_annotations_of_a_configuration_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "cp_assets.yaml"
    file.write_text("datasets:\n- {dataset_id: s, root: s, annotations: [a.csv, b/c.tsv]}\n")
    (dataset,) = read_configuration(file).datasets
    assert dataset.annotations == (tmp_path / "a.csv", tmp_path / "b/c.tsv")


def test_column_that_is_empty_for_one_plate_may_hold_numbers_for_the_next(tmp_path: Path) -> None:
    dose = tmp_path / "dose.csv"
    for plate, value in (("P1", ""), ("P2", "1.5")):
        folder = tmp_path / plate
        folder.mkdir()
        (folder / "Image.csv").write_text(
            f"ImageNumber,Metadata_Plate,Metadata_Well,Metadata_Site\n1,{plate},A01,1\n"
        )
        (folder / "Cells.csv").write_text("ImageNumber,ObjectNumber,AreaShape_Area\n1,1,5\n")
        dose.write_text(f"Metadata_Well,Dose\nA01,{value}\n")
        warehouse = cp_assets.convert(folder, tmp_path / "wh", annotations=[dose])
    rows = warehouse.read_table(JOINED, columns=["plate_id", "Metadata_Dose"]).to_pylist()
    assert {tuple(row.values()) for row in rows} == {("P1", None), ("P2", 1.5)}


def test_odd_names_of_columns_arrive_with_their_values(prefix: Prefix, tmp_path: Path) -> None:
    names = ["mmoles.per.liter", 'Dose ("mM");', "a b", "x" * 200, "'; DROP TABLE x --", "channel"]
    (well,) = pd.read_csv(plate_map(prefix.root), sep="\t")["well_position"]
    frame = pd.DataFrame([[well, *range(len(names))]], columns=["well", *names])
    frame.to_parquet(tmp_path / "odd.parquet")
    warehouse = cp_assets.convert(
        prefix.root, tmp_path / "wh", annotations=[tmp_path / "odd.parquet"]
    )
    columns = [f"Metadata_{name}" for name in names]
    for table in (JOINED, "profiles.profile_with_images"):
        wanted = columns if table == JOINED else columns[:-1]
        found = warehouse.read_table(table, columns=wanted).to_pandas().drop_duplicates()
        assert found.to_numpy().tolist() == [[float(at) for at in range(len(wanted))]]
