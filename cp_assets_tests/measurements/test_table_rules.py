"""Rules of columns: remembered for tables of one header, said of each table by its own name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cp_assets.datasets.presets import CELLPROFILER_CSV, CYTOMINER_SQLITE, Preset
from cp_assets.errors import MeasurementError
from cp_assets.measurements.table_rules import TableName, table_rules

HEADER = ["ImageNumber", "ObjectNumber", "Cells_Area", "plate_id"]


def test_rules_of_one_header_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    canonical = Preset.canonical

    def counted(self: Preset, compartment: str, *others: object) -> dict[str, str]:
        asked.append(compartment)
        return canonical(self, compartment, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Preset, "canonical", counted)
    header = [*HEADER, "once"]
    for at in range(5):
        rules = table_rules(TableName(f"{at}/Cells.csv", "Cells"), list(header))
        (left_out,) = rules.columns_left_out()
        assert (rules.table.name, left_out.source_file) == (f"{at}/Cells.csv", f"{at}/Cells.csv")
    assert asked == ["Cells"]


def test_rules_depend_on_all_that_is_said() -> None:
    table = TableName("a", "Cells")
    other = replace(CYTOMINER_SQLITE, name=CELLPROFILER_CSV.name)
    found = [
        table_rules(table, HEADER).columns,
        table_rules(table, HEADER, only=("Cells_Area",)).columns,
        table_rules(replace(table, preset=other), HEADER).columns,
        table_rules(replace(table, preset=other, compartment="Nuclei"), HEADER).columns,
    ]
    assert found == [tuple(HEADER[:3]), ("Cells_Area",), (*HEADER[:2], "Area"), tuple(HEADER[:3])]
    assert table_rules(table, HEADER).kinds["Cells_Area"] == "float"
    assert table_rules(table, HEADER, {"Cells_Area": "int"}).kinds["Cells_Area"] == "int"


def test_rules_of_a_preset_with_lists() -> None:
    preset = replace(CELLPROFILER_CSV, endings=[".csv"], parents={"Cells": ["Parent"]})
    assert table_rules(TableName("a", "Cells", preset), HEADER).columns == tuple(HEADER[:3])


@pytest.mark.parametrize("name", ["1/Cells.csv", "2/Cells.csv"])
def test_faults_of_a_header_name_each_table(name: str) -> None:
    with pytest.raises(MeasurementError, match=f"^{name} has no column ObjectNumber, which"):
        table_rules(TableName(name, "Cells"), ["ImageNumber"])
    with pytest.raises(MeasurementError, match=f"^{name} has the column 'a' more than once"):
        table_rules(TableName(name, "Cells"), [*HEADER, "a", "a"])
