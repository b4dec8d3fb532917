from __future__ import annotations

from pathlib import Path

import pytest

from cp_assets.measurements.annotation_columns import (
    PLATE_NAMES,
    WELL_NAMES,
    annotation_columns,
    key_column,
)


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("mmoles_per_liter", ["0.005", "", "1e-3", "5"], "float"),
        ("Metadata_dose", ["1", "-2.5", "NA"], "float"),
        ("dose", ["1", "5 uM"], "string"),
        ("nothing", ["", ""], None),
        ("solvent_id", ["", ""], "string"),
        ("batch", ["1", "2"], "string"),
        ("pubchem_cid", ["2244", "3672"], "string"),
        ("PlateID", ["1053597806", "1053597807"], "string"),
        ("broad_sample", ["1", "2"], "string"),
        ("replicate", ["1", "2"], "float"),
        ("serial", ["007", "008"], "string"),
        ("long", ["12345678901234567890", "1"], "string"),
        ("limit", ["inf", "1"], "string"),
        ("huge", ["1e400", "1"], "string"),
    ],
)
def test_kind_is_told_by_all_values_and_by_the_name(
    tmp_path: Path, column: str, values: list[str], kind: str | None
) -> None:
    rows = [f"A{number:02d},{value}" for number, value in enumerate(values, start=1)]
    (tmp_path / "map.csv").write_text("\n".join([f"well,{column}", *rows, ""]))
    found = annotation_columns([tmp_path / "map.csv"], {})
    name = f"Metadata_{column.removeprefix('Metadata_')}"
    assert found[name.lower()] == (name, kind)
    assert annotation_columns([tmp_path / "map.csv"], {name: "int"})[name.lower()] == (name, "int")


def test_files_decide_together(tmp_path: Path) -> None:
    contents = ["well,Dose,day\nA01,5,\n", "well,dose,day\nA01,low,2\n", "well,day\nA01,\n"]
    paths = [tmp_path / f"{number}.csv" for number in range(3)]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    found = annotation_columns([*paths, tmp_path / "nowhere.csv"], {})
    assert found["metadata_dose"] == ("Metadata_Dose", "string")
    assert found["metadata_day"] == ("Metadata_day", "float")


@pytest.mark.parametrize(
    ("columns", "plate", "well"),
    [
        (["Metadata_Plate", "Metadata_Well", "well_position"], "Metadata_Plate", "Metadata_Well"),
        (["Assay_Plate_Barcode", "Plate_Map_Name"], "Assay_Plate_Barcode", None),
        (["plate_map_name", "well_position"], None, "well_position"),
        (["PLATE", "Well ID"], "PLATE", "Well ID"),
        (["barcode", "WellName"], "barcode", "WellName"),
        (["compound"], None, None),
    ],
)
def test_key_columns_are_found_in_any_spelling(
    columns: list[str], plate: str | None, well: str | None
) -> None:
    assert key_column(columns, PLATE_NAMES) == plate
    assert key_column(columns, WELL_NAMES) == well
