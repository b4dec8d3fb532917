"""One file in place of a folder: what it holds, and nothing of what lies beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cp_assets
from cp_assets.datasets.config import read_configuration
from cp_assets.datasets.layouts import find_plates
from cp_assets.errors import ConfigurationError, MeasurementError, PlateNotFoundError
from cp_assets_tests.dialects import cellprofiler_names, cytominer_names, write_database
from cp_assets_tests.files import cells_and_nuclei, image_row
from cp_assets_tests.measurements.pickles import write_site
from cp_assets_tests.measurements.test_in_carta import write as write_in_carta

Tables = dict[str, pd.DataFrame]
JOINED = ["plate_id", "Metadata_ObjectID", "Cells_AreaShape_Area", "Nuclei_AreaShape_Area"]


def tables(**image: object) -> Tables:
    rows = {"Image": [image_row(Metadata_Well="A01", Metadata_Site=1, **image)]}
    return {name: pd.DataFrame(found) for name, found in {**rows, **cells_and_nuclei()}.items()}


def combined_csv(path: Path, measured: Tables) -> Path:
    """CellProfiler's one CSV, of objects that are numbered alike."""
    keys = ["ImageNumber", "ObjectNumber"]
    parts = {"Image": measured["Cells"][keys[:1]].merge(measured["Image"])}
    parts |= {name: measured[name] for name in ("Cells", "Cytoplasm", "Nuclei")}
    pd.concat(parts, axis=1).to_csv(path, index=False)
    return path


WRITERS: dict[str, Callable[[Path, Tables], Path]] = {
    "exported.db": lambda path, found: write_database(path, cellprofiler_names(found)),
    "backend.sqlite": lambda path, found: write_database(path, cytominer_names(found)),
    "object.csv": combined_csv,
    "object.csv.gz": combined_csv,
}


@pytest.mark.parametrize("name", WRITERS)
def test_one_file_gives_what_its_folder_does_and_no_more(name: str, tmp_path: Path) -> None:
    alone, among = tmp_path / "alone" / "set", tmp_path / "among" / "set"
    alone.mkdir(parents=True)
    written = WRITERS[name](alone / name, tables(Metadata_Plate="P1"))
    shutil.copytree(alone, among)
    other = tables(Metadata_Plate="P2")
    for beside, write in WRITERS.items():
        write(among / f"other_{beside}", other)
    for compartment, table in other.items():
        table.to_csv(among / f"{compartment}.csv", index=False)
    (among / "folder").mkdir()
    WRITERS[name](among / "folder" / name, other)
    truth = cp_assets.convert(alone, tmp_path / "folder").read_table(
        "joined_profiles", columns=JOINED
    )
    found = cp_assets.convert(among / name, tmp_path / "file")
    assert list(map(str, found.plates("joined_profiles"))) == ["set/unbatched/P1"]
    assert found.read_table("joined_profiles", columns=JOINED).equals(truth)
    assert truth["Cells_AreaShape_Area"].to_pylist() == [101, 102]
    raw = found.read_table("raw_measurements", columns=["source_file"])
    assert {text.partition(":")[0] for text in raw["source_file"].to_pylist()} == {written.name}


def test_a_plate_without_a_name_is_called_after_its_file(tmp_path: Path) -> None:
    names = {"BR1.2.sqlite": "BR1.2", "object.csv.gz": "object"}
    warehouse = tmp_path / "wh"
    (tmp_path / "set").mkdir()
    write_database(tmp_path / "set" / "BR1.2.sqlite", cytominer_names(tables()))
    combined_csv(tmp_path / "set" / "object.csv.gz", tables())
    for name in names:
        cp_assets.convert(tmp_path / "set" / name, warehouse)
    plates = cp_assets.open_warehouse(warehouse).plates("joined_profiles")
    assert {str(key) for key in plates} == {f"set/unbatched/{one}" for one in names.values()}


def test_one_file_of_in_carta_and_of_deepprofiler(tmp_path: Path) -> None:
    exports, features = tmp_path / "exports", tmp_path / "features" / "P1"
    exports.mkdir()
    for name in ("a.csv", "b.csv"):
        write_in_carta(exports / name)
    for site in (1, 2):
        values = np.full((2, 3), site, np.float32)
        write_site(features / f"A01_{site}.npz", {}, features=values, locations=None)
    raw = cp_assets.convert(exports / "a.csv", tmp_path / "a").read_table("raw_measurements")
    assert {name.partition(":")[0] for name in raw["source_file"].to_pylist()} == {"a.csv"}
    sites = cp_assets.convert(features / "A01_2.npz", tmp_path / "b").read_table("joined_profiles")
    assert set(sites["site_id"].to_pylist()) == {"2"}
    assert set(sites["plate_id"].to_pylist()) == {"P1"}
    assert sites.num_rows == 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("Cells.csv", "ImageNumber,ObjectNumber\n1,1\n", "Cells.csv alone is no plate"),
        ("Image.parquet", "", "name the folder in which the Image table lies too"),
        ("load_data.csv", "a,b\n1,2\n", r"object.csv.* of two header rows"),
        ("Thumbs.db", "thumbs", "Thumbs.db is no SQLite database"),
        ("notes.txt", "", "cytominer-database"),
    ],
)
def test_one_file_that_is_no_plate_says_what_is_expected(
    name: str, content: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "set" / name
    path.parent.mkdir()
    for compartment, table in tables().items():
        table.to_csv(path.parent / f"{compartment}.csv", index=False)
    path.write_text(content)
    with pytest.raises(PlateNotFoundError, match=told):
        cp_assets.convert(path, tmp_path / "wh")
    assert not (tmp_path / "wh").exists()


def test_one_file_and_options_that_do_not_fit_it(tmp_path: Path) -> None:
    path = combined_csv(tmp_path / "object.csv", tables())
    with pytest.raises(
        ConfigurationError, match=r"object.csv is a file; a gallery prefix is a fold"
    ):
        cp_assets.convert(path, tmp_path / "wh", layout="cell-painting-gallery")
    with pytest.raises(PlateNotFoundError, match="preset parquet has a file for each table"):
        cp_assets.convert(path, tmp_path / "wh", preset="parquet")


def test_one_broken_database_says_why(tmp_path: Path) -> None:
    (tmp_path / "p.sqlite").write_bytes(b"")
    with pytest.raises(MeasurementError, match=r"p.sqlite has 0 bytes"):
        cp_assets.convert(tmp_path / "p.sqlite", tmp_path / "wh")


def test_root_of_a_configured_dataset_may_be_one_file(tmp_path: Path) -> None:
    write_database(tmp_path / "in" / "p.sqlite", cytominer_names(tables(Metadata_Plate="P1")))
    write_database(tmp_path / "in" / "q.sqlite", cytominer_names(tables(Metadata_Plate="P2")))
    (tmp_path / "cp_assets.yaml").write_text("datasets: [{dataset_id: d, root: in/p.sqlite}]\n")
    (dataset,) = read_configuration(tmp_path / "cp_assets.yaml").datasets
    assert list(map(str, find_plates(dataset))) == ["d/unbatched/P1"]
