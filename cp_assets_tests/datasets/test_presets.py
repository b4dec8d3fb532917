from __future__ import annotations

import dataclasses
import gzip
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cp_assets
from cp_assets.datasets import Dataset, databases, find_plates
from cp_assets.datasets.config import read_configuration
from cp_assets.datasets.presets import (
    CELLPROFILER_CSV,
    CELLPROFILER_SQLITE,
    CYTOMINER_SQLITE,
    PARQUET,
    SHIPPED,
    Preset,
    choose_preset,
)
from cp_assets.errors import ConfigurationError, MeasurementError, PlateNotFoundError
from cp_assets_tests.dialects import cellprofiler_names, write_database
from cp_assets_tests.files import (
    cells_and_nuclei,
    gallery_folder,
    image_row,
    one_plate,
    write_csv,
    write_folder,
)
from cp_assets_tests.measurements.reading import join_plate, raw_table


@pytest.mark.parametrize(
    ("preset", "names", "tables"),
    [
        (CELLPROFILER_CSV, ["Image", "Cells", "Experiment"], {"Cells": "Cells"}),
        (CELLPROFILER_CSV, ["A_Image", "A_cells", "B_cells"], {"Cells": "A_cells"}),
        (
            CELLPROFILER_SQLITE,
            ["Per_Image", "Per_Cells_Cellpose3", "Per_Experiment", "Experiment", "Per_Object"],
            {"Cells_Cellpose3": "Per_Cells_Cellpose3"},
        ),
        (CELLPROFILER_SQLITE, ["X_Per_Image", "X_Per_Object"], {"Object": "X_Per_Object"}),
        (CYTOMINER_SQLITE, ["Image", "Nuclei"], {"Nuclei": "Nuclei"}),
    ],
)
def test_tables_of_a_preset(preset: Preset, names: list[str], tables: dict[str, str]) -> None:
    image = next(name for name in names if name.lower().endswith("image"))
    assert preset.tables(names) == {"Image": image, **tables}


@pytest.mark.parametrize(
    ("preset", "names", "told"),
    [
        (CELLPROFILER_CSV, ["A_Image", "A_Cells", "BB_Image", "BB_Cells"], "A_Image and BB_Image"),
        (CELLPROFILER_CSV, ["Image", "Cells", "A_Image", "A_Cells"], "A_Image and Image"),
        (CELLPROFILER_CSV, ["A_Image", "A_Cells", "A_B_Image", "A_B_Cells"], "A_B_Image and A_Im"),
        (CELLPROFILER_CSV, ["Image", "Cells", "cells"], "Cells and cells are both"),
        (CELLPROFILER_CSV, ["Image", "image", "Cells"], "Image and image are both"),
        (
            CELLPROFILER_SQLITE,
            ["Per_Image", "Per_Cells", "A_Per_Image", "A_Per_Cells"],
            "A_Per_Image and Per_Image",
        ),
        (CELLPROFILER_CSV, ["Image", "Cells", "Bad_Image"], None),
        (CELLPROFILER_CSV, ["Image", "Cells", "A_Image", "A_Experiment"], None),
        (CELLPROFILER_CSV, ["A_Image", "A_Cells", "B_Cells"], None),
        (CELLPROFILER_CSV, ["Image", "PH3", "ph3"], None),
        (CELLPROFILER_CSV, ["Cells", "cells"], None),
        (CELLPROFILER_SQLITE, ["A_Per_Image", "A_Per_Object", "B_Per_Image"], None),
        (CYTOMINER_SQLITE, ["Image", "Cells", "A_Image", "A_Cells"], None),
    ],
)
def test_tables_that_may_be_several_are_named(
    preset: Preset, names: list[str], told: str | None
) -> None:
    found = preset.ambiguity(names)
    assert (found is None) if told is None else told in (found or "")


def test_no_image_table_is_no_measurement() -> None:
    assert CYTOMINER_SQLITE.tables(["Per_Image", "Cells"]) == {}
    assert CELLPROFILER_SQLITE.tables(["Image", "Cells"]) == {}


@pytest.mark.parametrize(
    ("preset", "compartment", "columns", "expected"),
    [
        (
            CELLPROFILER_SQLITE,
            "Cells",
            ["ImageNumber", "Cells_Number_Object_Number", "Cells_Parent_Nuclei", "Mean_Nuclei_X"],
            {
                "ImageNumber": "ImageNumber",
                "ObjectNumber": "Cells_Number_Object_Number",
                "Number_Object_Number": "Cells_Number_Object_Number",
                "Parent_Nuclei": "Cells_Parent_Nuclei",
                "Mean_Nuclei_X": "Mean_Nuclei_X",
            },
        ),
        (
            CYTOMINER_SQLITE,
            "Image",
            ["TableNumber", "ImageNumber", "Image_FileName_DNA", "Count", "Image_Count"],
            {
                "TableNumber": "TableNumber",
                "ImageNumber": "ImageNumber",
                "FileName_DNA": "Image_FileName_DNA",
                "Count": "Count",
                "Image_Count": "Image_Count",
            },
        ),
        (
            dataclasses.replace(CYTOMINER_SQLITE, object_number="Object_ID"),
            "Cells",
            ["ImageNumber", "ObjectNumber", "Object_ID", "Cells_Number_Object_Number"],
            {
                "ImageNumber": "ImageNumber",
                "ObjectNumber": "Object_ID",
                "Number_Object_Number": "Cells_Number_Object_Number",
            },
        ),
        (
            CELLPROFILER_CSV,
            "Cells",
            ["ImageNumber", "ObjectNumber", "Cells_Area"],
            {n: n for n in ("ImageNumber", "ObjectNumber", "Cells_Area")},
        ),
    ],
)
def test_names_of_columns(
    preset: Preset, compartment: str, columns: list[str], expected: dict[str, str]
) -> None:
    found = preset.canonical(compartment, columns)
    assert list(found.items()) == list(expected.items())


def test_presets_are_values() -> None:
    for preset in SHIPPED:
        assert "\n" not in preset.doc
        assert choose_preset(preset.name) == preset
        assert dataclasses.replace(preset) == preset
        with pytest.raises(dataclasses.FrozenInstanceError):
            preset.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("cytominer-sqlit", "preset 'cytominer-sqlit' is not known; did you mean cytominer-sqlite"),
        ("harmony", "there are: cellprofiler-csv, cellprofiler-sqlite, cytominer-sqlite, parquet"),
        ({"extends": "harmony"}, "preset 'harmony' is not known"),
        ({"anchor": "Cells"}, "name another one as `extends`"),
        ({"extends": "parquet", "ankor": "Cells"}, "no such field 'ankor'"),
        ({"extends": "parquet", "image_table": "("}, "image_table is no regular expression"),
        ({"extends": "parquet", "object_tables": ".*"}, r"needs the group \(\?P<compartment>"),
        ({"extends": "parquet", "endings": ("csv",)}, "expected names' ends such as .csv"),
        ({"extends": "parquet", "container": "heap"}, "expected file or database"),
    ],
)
def test_preset_that_cannot_be_is_refused(wanted: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        choose_preset(wanted)


CONFIG = """
presets:
  ours:
    extends: cellprofiler-csv
    image_table: Bilder
    object_tables: obj_(?P<compartment>.+)
    image_number: Bild
    object_number: Nummer
    object_prefix: "{compartment}."
    parents: {Nuclei: [Parent_Kerne]}
    anchor: Cells
  ours-too: {extends: ours, compartments: [Cells]}
datasets:
  - {dataset_id: a, root: data}
  - {dataset_id: b, root: data, preset: ours-too}
  - {dataset_id: c, root: data, preset: {extends: ours, anchor: Nuclei}}
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)


@pytest.fixture
def configured(tmp_path: Path) -> tuple[Dataset, ...]:
    _write(tmp_path / "data" / "Bilder.csv", "Bild,Metadata_Well\n1,a1\n")
    _write(
        tmp_path / "data" / "obj_Cells.csv", "Bild,Nummer,Cells.Area,Cells.Parent_Kerne\n1,1,5,2\n"
    )
    _write(tmp_path / "data" / "obj_Nuclei.csv", "Bild,Nummer,Nuclei.Area\n1,2,7\n")
    _write(tmp_path / "cp_assets.yaml", CONFIG)
    return read_configuration(tmp_path / "cp_assets.yaml").datasets


def test_presets_of_a_configuration_are_tried_first(configured: tuple[Dataset, ...]) -> None:
    (sources,) = find_plates(configured[0]).values()
    assert sources.choice.startswith("ours, found by itself: Bilder.csv, obj_Cells.csv")
    (row,) = join_plate(sources)[0].to_pylist()
    names = ("Cells_Area", "Nuclei_Area", "Metadata_Cells_Parent_Kerne", "Metadata_ObjectNumber")
    assert [row.get(name) for name in names[:2]] == [5.0, 7.0]
    assert row["Metadata_Well"] == "A01"


def test_preset_of_a_dataset_is_chosen_and_overridden(configured: tuple[Dataset, ...]) -> None:
    (second,) = find_plates(configured[1]).values()
    assert second.choice.startswith("ours-too, as the dataset says")
    assert "Nuclei_Area" not in join_plate(second)[0].column_names
    (third,) = find_plates(configured[2]).values()
    assert third.dataset.anchor == "Nuclei"
    assert join_plate(third)[0]["Metadata_ObjectNumber"].to_pylist() == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("presets: {a: {extend: parquet}}", "presets.a.extend: no such key; did you mean extends"),
        ("datasets: [{dataset_id: a, root: r, preset: parket}]", "did you mean parquet"),
        (
            "datasets: [{dataset_id: a, root: r, preset: {extends: parquet, ancor: Cells}}]",
            "ancor: no such key; did you mean anchor",
        ),
        ("datasets: [{dataset_id: a, root: r, measurements: all}]", "measurements"),
    ],
)
def test_fault_of_a_configured_preset_is_named(tmp_path: Path, text: str, message: str) -> None:
    _write(tmp_path / "cp_assets.yaml", text)
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(tmp_path / "cp_assets.yaml")


def test_nothing_that_fits_says_what_was_looked_for(tmp_path: Path) -> None:
    _write(tmp_path / "Cells.csv", "ImageNumber,ObjectNumber\n1,1\n")
    with pytest.raises(PlateNotFoundError, match=r"looked for: cellprofiler-csv \(Export.*parquet"):
        one_plate(tmp_path)
    with pytest.raises(PlateNotFoundError, match=r"there is: p.sqlite has Bilder$"):
        one_plate(_database(tmp_path / "db" / "p.sqlite", "Bilder").parent)
    with pytest.raises(PlateNotFoundError, match=r"looked for: parquet \(Image.parquet and one"):
        one_plate(tmp_path, preset=PARQUET)


def _database(path: Path, image: str = "Image") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {image} (ImageNumber, Image_Count_Cells)")
        connection.execute(f"INSERT INTO {image} VALUES (1, 7)")
    connection.close()
    return path


@pytest.mark.parametrize(
    ("measurements", "names"),
    [
        ("automatic", ["cellprofiler-csv", "cytominer-sqlite"]),
        ("analysis", ["cellprofiler-csv"]),
        ("backend", ["cytominer-sqlite", "cytominer-sqlite"]),
    ],
)
def test_analysis_and_backend(tmp_path: Path, measurements: str, names: list[str]) -> None:
    write_folder(gallery_folder(tmp_path, "P1", "P1-A01-1"), {"Image": [image_row()]})
    for plate in ("P1", "P2"):
        _database(tmp_path / "workspace/backend/B1" / plate / f"{plate}.sqlite")
        (tmp_path / "workspace/backend/B1" / plate / f"{plate}.csv").write_text("a\n1\n")
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path, measurements=measurements))  # type: ignore[arg-type]
    assert [one.folders[0].preset.name for one in plates.values()] == names
    told = {"automatic": "(analysis, where there is one)", "backend": "(backend, as the dataset"}
    assert told.get(measurements, "(analysis, as") in next(iter(plates.values())).choice


def test_a_broken_database_holds_up_no_other_plate(tmp_path: Path) -> None:
    backend = tmp_path / "workspace/backend/B1"
    _database(backend / "P1/P1.sqlite")
    (backend / "P2").mkdir()
    (backend / "P2/P2.sqlite").write_bytes(b"")
    plates = list(find_plates(Dataset(dataset_id="d", root=tmp_path)).values())
    assert [one.key.plate_id for one in plates] == ["P1", "P2"]
    assert raw_table(plates[0], "Image")["Count_Cells"].to_pylist() == [7]
    with pytest.raises(ValueError, match=r"P2/P2.sqlite:Image has 0 bytes"):
        raw_table(plates[1], "Image")


def test_a_broken_database_does_not_choose_the_dialect(tmp_path: Path) -> None:
    _database(tmp_path / "P2.sqlite")
    (tmp_path / "P1.sqlite").write_bytes(b"")
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler"))
    (sources,) = plates.values()
    assert sources.choice.startswith("cytominer-sqlite, found by itself: P2.sqlite:Image")
    assert [folder.relative for folder in sources.folders] == ["P1.sqlite", "P2.sqlite"]


def test_files_of_other_programs_are_no_databases(tmp_path: Path) -> None:
    (tmp_path / "Thumbs.db").write_bytes(b"thumbs")
    _database(tmp_path / "p.sqlite", "Per_Image")
    assert one_plate(tmp_path).folders[0].preset == CELLPROFILER_SQLITE


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda _: b"", "P1.db has 0 bytes"),
        (lambda content: content[:5000], "P1.db is cut short"),
        (lambda content: content[:10], "P1.db is no SQLite database"),
    ],
    ids=["empty", "cut short", "a few bytes"],
)
def test_a_broken_db_is_no_file_of_another_program(
    tmp_path: Path, damage: Callable[[bytes], bytes], told: str
) -> None:
    _database(tmp_path / "P1.db")
    (tmp_path / "P1.db").write_bytes(damage((tmp_path / "P1.db").read_bytes()))
    _database(tmp_path / "P2.db")
    (tmp_path / "Thumbs.db").write_bytes(b"")
    sources = one_plate(tmp_path)
    assert [folder.relative for folder in sources.folders] == ["P1.db", "P2.db"]
    with pytest.raises(MeasurementError, match=told):
        sources.refuse_faults()


def test_a_locked_db_is_no_file_of_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.05)
    _database(tmp_path / "P1.db")
    _database(tmp_path / "P2.db")
    # Another process: SQLite's locks do not hold between two libraries in one.
    lock = "import sqlite3, sys; c = sqlite3.connect('P1.db'); c.execute('BEGIN EXCLUSIVE')"
    command = [sys.executable, "-c", f"{lock}; print(flush=True); sys.stdin.read()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdin=pipe, stdout=pipe) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        sources = one_plate(tmp_path)
        writer.communicate()
    with pytest.raises(MeasurementError, match=r"P1.db is locked by another program"):
        sources.refuse_faults()


def test_gzip_and_letter_case(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    packed.mkdir()
    write_folder(plain, {"Image": [image_row()], **cells_and_nuclei()})
    for path in plain.iterdir():
        name = f"X_{path.stem.upper()}.CSV.GZ"
        (packed / name).write_bytes(gzip.compress(path.read_bytes()))
    sources = one_plate(packed, plate_id="P")
    assert sources.folders[0].tables["Cells"].name == "X_CELLS.CSV.GZ"
    assert join_plate(sources)[0].equals(join_plate(one_plate(plain, plate_id="P"))[0])


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (("A_Image", "A_Cells", "BB_Image", "BB_Cells"), "A_Image and BB_Image are Image tables"),
        (("Image", "Cells", "cells"), "Cells and cells are both the table Cells"),
        (("Image", "image", "Cells"), "Image and image are both the table Image"),
        (("Image", "Cells", "Cells.CSV"), "Cells.CSV and Cells.csv are the same table"),
    ],
)
def test_files_of_which_one_would_be_lost_are_an_error(
    tmp_path: Path, tables: tuple[str, ...], told: str
) -> None:
    for name in tables:
        path = tmp_path / "a" / (name if name.endswith(".CSV") else f"{name}.csv")
        row = {"ImageNumber": 1} if "mage" in name else {"ImageNumber": 1, "ObjectNumber": 1}
        write_csv(path, [row])
    with pytest.raises(MeasurementError, match=f"{tmp_path / 'a'}: {told}"):
        cp_assets.convert(tmp_path, tmp_path / "wh")


def test_two_experiments_in_one_database_are_an_error(tmp_path: Path) -> None:
    cells = pd.DataFrame({"ImageNumber": [1], "ObjectNumber": [1]})
    tables = {"Image": pd.DataFrame({"ImageNumber": [1]}), "Cells": cells}
    both = cellprofiler_names(tables, "A_") | cellprofiler_names(tables, "BB_")
    write_database(tmp_path / "p.sqlite", both)
    with pytest.raises(MeasurementError, match=r"p.sqlite: A_Per_Image and BB_Per_Image are Image"):
        cp_assets.convert(tmp_path, tmp_path / "wh")


def test_two_spellings_of_a_compartment_in_one_combined_file_are_an_error(tmp_path: Path) -> None:
    above, below = "Cells,Cells,cells,cells", "ImageNumber,ObjectNumber,ImageNumber,ObjectNumber"
    (tmp_path / "object.csv").write_text(f"{above}\n{below}\n1,1,1,1\n")
    with pytest.raises(MeasurementError, match=r"object.csv: Cells and cells are both the table"):
        cp_assets.convert(tmp_path, tmp_path / "wh")
