"""Defects of published data, made in a sample: each is named by its check, with file or plate."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from cp_assets.checks.asset_checks import CHECKS
from cp_assets.checks.outcome import PlateTables
from cp_assets.conversion import build_plate
from cp_assets.datasets import Dataset, ImageOptions, find_plates
from cp_assets.sample import SampleTruth
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.warehouses import replace_text

TABLES = ("raw_measurements", "joined_profiles")
ONE, TWO = "BR00900001", "BR00900002"


@dataclass(frozen=True)
class Batch:
    """A copy of a sample of two plates of wells E13 and M13, to be spoilt."""

    root: Path

    def site(self, plate: str = ONE, well: str = "E13", number: int = 1) -> Path:
        return next(self.root.glob(f"workspace/analysis/*/*/analysis/{plate}-{well}-{number}"))

    def barcodes(self) -> Path:
        return next(self.root.glob("workspace/metadata/platemaps/*/barcode_platemap.csv"))

    def load_data(self) -> Path:
        return next(self.root.glob(f"workspace/load_data_csv/*/{ONE}/load_data.csv"))

    def edit(self, file: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        change(pd.read_csv(file, dtype=str, keep_default_na=False)).to_csv(file, index=False)

    def faults(
        self, plate: str = ONE, annotations: tuple[Path, ...] = (), **options: object
    ) -> dict[str, str]:
        """Checks of measured tables that do not hold for a plate -> what they say."""
        images = ImageOptions(**options)  # type: ignore[arg-type]
        dataset = Dataset(dataset_id="s", root=self.root, images=images, annotations=annotations)
        return faults_of(dataset, self.root.parent / "warehouse", plate)


def faults_of(dataset: Dataset, folder: Path, plate: str | None = None) -> dict[str, str]:
    """Build all plates and check one, or the only one; see `Batch.faults`."""
    warehouse = open_warehouse(folder, create=True)
    plates = find_plates(dataset)
    for sources in plates.values():
        build_plate(warehouse, sources, names=TABLES)
    (mine,) = [sources for key, sources in plates.items() if plate in (None, key.plate_id)]
    tables = PlateTables(warehouse, mine, duckdb.connect())
    return {
        check.name: outcome.summary
        for spec, checks in CHECKS.items()
        if spec.identifier[1] in TABLES
        for check in checks
        if not (outcome := check.run(tables, spec)).passed
    }


def faults_of_folder(
    folder: Path, plate_id: str | None = None, **files: pd.DataFrame
) -> dict[str, str]:
    """Checks that do not hold for a plate of CSV files in one folder."""
    root = folder / "plate"
    root.mkdir()
    for name, rows in files.items():
        rows.to_csv(root / f"{name}.csv", index=False)
    dataset = Dataset(dataset_id="s", root=root, layout="cellprofiler", plate_id=plate_id)
    return faults_of(dataset, folder / "warehouse")


@pytest.fixture
def batch(small_sample: SampleTruth, tmp_path: Path) -> Batch:
    return Batch(Path(shutil.copytree(small_sample.root, tmp_path / small_sample.options.prefix)))


@pytest.mark.parametrize("plate", [ONE, TWO])
def test_sound_plates_have_no_fault(batch: Batch, plate: str) -> None:
    assert batch.faults(plate) == {}


def test_file_of_0_bytes_and_file_of_a_header_are_named(batch: Batch) -> None:
    (batch.site() / "Nuclei.csv").write_bytes(b"")
    cells = batch.site(number=2) / "Cells.csv"
    cells.write_text(cells.read_text().splitlines()[0] + "\n")
    faults = batch.faults()
    assert "E13-1/Nuclei.csv: the file has 0 bytes" in faults["files_have_rows"]
    assert "E13-2/Cells.csv: the file has a header and no row" in faults["files_have_rows"]
    assert "E13-1: 0 Nuclei were read and Count_Nuclei" in faults["counts_agree"]
    assert set(faults) == {"files_have_rows", "counts_agree"}
    assert set(batch.faults(TWO)) == set()


def test_site_without_objects_is_sound_where_the_image_table_says_so(batch: Batch) -> None:
    for name in ("Cells", "Nuclei"):
        batch.edit(batch.site() / f"{name}.csv", lambda rows: rows.iloc[:0])
    batch.edit(batch.site() / "Image.csv", lambda rows: rows.assign(Count_Cells="0"))
    told = batch.faults()["files_have_rows"]
    assert "E13-1/Nuclei.csv: the file has a header and no row" in told
    assert "Cells.csv" not in told
    (batch.site() / "Cells.csv").write_bytes(b"")
    assert "E13-1/Cells.csv: the file has 0 bytes" in batch.faults()["files_have_rows"]


def test_file_of_a_run_before_is_named(batch: Batch) -> None:
    week = 7 * 24 * 3600
    old = batch.site() / "Cells.csv"
    os.utime(old, (old.stat().st_atime, old.stat().st_mtime - week))
    (told,) = batch.faults().values()
    assert "E13-1/Cells.csv" in told
    assert "7 days older" in told


def test_feature_that_one_file_lacks_is_named(batch: Batch) -> None:
    names = ["AreaShape_Area", "AreaShape_Eccentricity"]
    batch.edit(batch.site() / "Nuclei.csv", lambda rows: rows.drop(columns=names))
    extra = batch.site(number=2) / "Cells.csv"
    batch.edit(extra, lambda rows: rows.assign(AreaShape_New="1.5"))
    told = batch.faults()["files_have_same_columns"]
    assert f"2 columns of Nuclei ({', '.join(names)}) are missing in 1 of 4 files: " in told
    assert f"{ONE}-E13-1/Nuclei.csv" in told
    assert "1 columns of Cells (AreaShape_New) are only in 1 of 4 files: " in told
    assert f"{ONE}-E13-2/Cells.csv" in told


@pytest.mark.parametrize("text", ["nan", "NaN", ""])
def test_nan_for_a_well_is_named(batch: Batch, text: str) -> None:
    batch.edit(batch.site() / "Image.csv", lambda rows: rows.assign(Metadata_Well=text))
    faults = batch.faults()
    assert set(faults) == {"names_are_not_nan"}
    assert "Metadata_Well is null or nan in 1 row(s)" in faults["names_are_not_nan"]
    assert "E13-1/Image.csv row 1" in faults["names_are_not_nan"]


def test_nan_for_a_key_is_named(batch: Batch) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[0, "ObjectNumber"] = "nan"
        return rows

    batch.edit(batch.site() / "Cells.csv", spoil)
    faults = batch.faults()
    assert "E13-1/Cells.csv row 1: ObjectNumber is empty" in faults["names_are_not_nan"]
    assert "Count_Cells" in faults["counts_agree"]


def test_file_that_was_cut_disagrees_with_the_image_table(batch: Batch) -> None:
    batch.edit(batch.site() / "Cytoplasm.csv", lambda rows: rows.iloc[:-1])
    count = len(pd.read_csv(batch.site() / "Cells.csv"))
    (told,) = batch.faults().values()
    assert f"E13-1: {count - 1} Cytoplasm were read" in told
    assert f"Count_Cytoplasm of the Image table is {count}" in told


@pytest.mark.parametrize(
    ("text", "named"), [("OTHER", True), (f"{ONE}__2020-Measurement1", False), ("", False)]
)
def test_image_tables_of_another_plate_are_named(batch: Batch, text: str, *, named: bool) -> None:
    for number in (1, 2):
        file = batch.site(number=number) / "Image.csv"
        batch.edit(file, lambda rows: rows.assign(Metadata_Plate=text))
    faults = batch.faults()
    assert ("plates_agree" in faults) is named
    if named:
        told = faults["plates_agree"]
        assert f"Metadata_Plate is OTHER in 2 rows of plate {ONE}, such as " in told
        assert f"{ONE}-E13-1/Image.csv row 1" in told


@pytest.mark.parametrize(
    ("plates", "told"), [(("Q", "Q"), None), (("Q", "R"), "Metadata_Plate is R in 1 rows")]
)
def test_plate_that_the_user_named_may_be_another_in_the_table(
    tmp_path: Path, plates: tuple[str, str], told: str | None
) -> None:
    named = {"Metadata_Plate": plates, "Metadata_Well": ["A01", "A02"], "Metadata_Site": 1}
    image = pd.DataFrame({"ImageNumber": [1, 2], **named})
    cells = pd.DataFrame({"ImageNumber": [1, 2], "ObjectNumber": 1, "AreaShape_Area": 5.0})
    faults = faults_of_folder(tmp_path, plate_id="P", Image=image, Cells=cells)
    assert set(faults) == ({"plates_agree"} if told else set())
    assert (told or "") in faults.get("plates_agree", "")


def test_column_cut_to_its_last_digit_is_named(batch: Batch) -> None:
    for well in ("E13", "M13"):
        file = batch.site(well=well) / "Image.csv"
        batch.edit(file, lambda rows: rows.assign(Metadata_Col=rows["Metadata_Col"].str[-1]))
    faults = batch.faults()
    assert set(faults) == {"wells_agree"}
    assert "Metadata_Col is 3 and the well E13, as if cut" in faults["wells_agree"]
    assert "E13-1/Image.csv row 1), and so on in 2 rows" in faults["wells_agree"]


WELLS = ("A01", "A11", "A21")


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"Metadata_Col": [1, 1, 1]}, True),
        ({"Metadata_Column": ["1", "1", "1"]}, True),
        ({"Metadata_Col": [1, 11, 21]}, False),
        ({"Metadata_Col": [1, 1, 11]}, False),
        ({"Metadata_Col": [1, 1, 1], "Metadata_Site": [1, 2, 3]}, False),
        ({"Metadata_Col": [1, 1, 1], "Metadata_Well": WELLS[:1] * 3}, False),
        ({"Metadata_Col": [1, 1, 1], "Metadata_Time": [0, 1, 2]}, False),
        ({"Metadata_Col": [1, 1, 1], "Metadata_Time": [0, 0, 0]}, True),
    ],
    ids=str,
)
def test_cut_column_is_named_where_nothing_else_says_the_well(
    tmp_path: Path, columns: dict[str, list[object]], *, named: bool
) -> None:
    plate = {"ImageNumber": [1, 2, 3], "Metadata_Plate": "P", "Metadata_Row": "A"}
    image = pd.DataFrame({**plate, "Metadata_Site": 1, **columns})
    cells = pd.DataFrame({"ImageNumber": [1, 2, 3], "ObjectNumber": 1, "AreaShape_Area": 5.0})
    faults = faults_of_folder(tmp_path, Image=image, Cells=cells)
    assert ("wells_agree" in faults) is named
    if named:
        told = faults["wells_agree"]
        assert "of one digit everywhere, and well A01, site 1 is 3 image sets" in told
        assert "Image.csv row 1" in told


@pytest.mark.parametrize(("row", "holds"), [("E", True), ("5", True), ("5.0", True), ("6", False)])
def test_plate_rows_may_be_letters_or_numbers(batch: Batch, row: str, *, holds: bool) -> None:
    batch.edit(batch.site() / "Image.csv", lambda rows: rows.assign(Metadata_Row=row))
    assert ("wells_agree" not in batch.faults()) is holds


def test_two_channels_of_one_file_are_named(batch: Batch) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        same = {f"{kind}_OrigMito": rows[f"{kind}_OrigAGP"] for kind in ("FileName", "URL")}
        return rows.assign(**same)

    batch.edit(batch.site() / "Image.csv", spoil)
    faults = batch.faults()
    assert set(faults) == {"channels_differ"}
    assert "channels OrigAGP and OrigMito have the same file" in faults["channels_differ"]
    assert f"{ONE}-E13-1" in faults["channels_differ"]


def test_one_file_of_all_channels_is_named_unless_its_planes_are(batch: Batch) -> None:
    channels = ["OrigAGP", "OrigMito"]

    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        drop = [c for c in rows if c.partition("_")[2] not in channels and "_Orig" in c]
        same = {
            f"{kind}_OrigMito": rows[f"{kind}_OrigAGP"] for kind in ("FileName", "PathName", "URL")
        }
        return rows.drop(columns=drop).assign(**same)

    for number in (1, 2):
        for well in ("E13", "M13"):
            batch.edit(batch.site(well=well, number=number) / "Image.csv", spoil)
    told = batch.faults()["channels_differ"]
    assert "channels OrigAGP and OrigMito have the same file in 4 image set(s)" in told
    for number in (1, 2):
        for well in ("E13", "M13"):
            frames = {"Frame_OrigAGP": "0", "Frame_OrigMito": "1"}
            file = batch.site(well=well, number=number) / "Image.csv"
            batch.edit(file, lambda rows, frames=frames: rows.assign(**frames))
    assert "channels_differ" not in batch.faults()


@pytest.mark.parametrize("spelling", ["{}/", "file:{}", "{}//"])
def test_two_channels_of_one_file_are_named_however_its_folder_is_spelled(
    batch: Batch, spelling: str
) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        path = rows["PathName_OrigAGP"].map(spelling.format)
        same = {"FileName_OrigMito": rows["FileName_OrigAGP"], "PathName_OrigMito": path}
        return rows.assign(**same)

    batch.edit(batch.site() / "Image.csv", spoil)
    assert "OrigAGP and OrigMito have the same file" in batch.faults()["channels_differ"]


def test_wells_that_are_not_those_of_the_plate_map_are_named(batch: Batch) -> None:
    file = next(batch.root.glob("workspace/metadata/platemaps/*/platemap/*.txt"))
    replace_text(file, "\tM13\t", "\tN13\t")
    file.write_text(
        file.read_text() + file.read_text().splitlines()[1].replace("E13", "P24") + "\n"
    )
    faults = batch.faults()
    assert set(faults) == {"wells_of_plate_map", "annotation_agrees"}
    assert "CPA_SAMPLE_01.txt: it has no row of well M13" in faults["annotation_agrees"]
    told = faults["wells_of_plate_map"]
    assert "2 wells were measured and workspace/metadata/platemaps/" in told
    assert "CPA_SAMPLE_01.txt: M13" in told
    assert "and not measured: N13, P24" in told


def test_plate_map_that_is_not_there_is_named(batch: Batch) -> None:
    next(batch.root.glob("workspace/metadata/platemaps/*/platemap/*.txt")).unlink()
    assert "there is no platemap/CPA_SAMPLE_01.txt" in batch.faults()["wells_of_plate_map"]


def test_annotation_that_contradicts_the_plate_map_is_named(batch: Batch) -> None:
    file = batch.root / "mine.csv"
    file.write_text("well,solvent,pert_iname\nE13,water,DMSO\n")
    faults = batch.faults(annotations=(file,))
    assert set(faults) == {"annotation_agrees"}
    told = faults["annotation_agrees"]
    assert "Metadata_solvent has another value in mine.csv for 1 well(s), such as E13" in told
    assert "mine.csv: it has no row of well M13" in told


def test_plates_and_barcodes_that_lack_each_other_are_named(batch: Batch) -> None:
    replace_text(batch.barcodes(), ONE, "BR00900009")
    shutil.rmtree(batch.site(TWO).parent)
    batch.site().parents[1].with_name(TWO).joinpath("analysis").mkdir()
    told = batch.faults()["plates_of_batch"]
    assert "plate BR00900009 is in barcode_platemap.csv and has no data" in told
    assert f"plate {TWO} is in barcode_platemap.csv and has no data" in told
    assert f"plate {ONE} has data and is not in barcode_platemap.csv" in told


def test_features_that_the_batch_has_are_named(batch: Batch) -> None:
    names = ["AreaShape_Area", "AreaShape_Eccentricity"]
    for well in ("E13", "M13"):
        for number in (1, 2):
            file = batch.site(well=well, number=number) / "Nuclei.csv"
            batch.edit(file, lambda rows: rows.drop(columns=names))
    faults = batch.faults()
    assert set(faults) == {"columns_of_batch"}
    assert "2 columns of Nuclei are missing" in faults["columns_of_batch"]
    assert "Nuclei_AreaShape_Area" in faults["columns_of_batch"]
    assert batch.faults(TWO) == {}


@pytest.mark.parametrize("kind", ["plate", "source", "former"])
def test_load_data_of_another_place_is_named(
    batch: Batch, small_sample: SampleTruth, kind: str
) -> None:
    worker, here = "/home/ubuntu/local_input", small_sample.options.prefix
    old, new = {
        "plate": (f"/{ONE}__", f"/{TWO}__"),
        "source": (here, f"{here}0"),
        "former": (f"{worker}/{here}/images/", "s3://old/projects/2021/"),
    }[kind]
    replace_text(batch.load_data(), old, new)
    faults = batch.faults()
    assert set(faults) == {"load_data_place"}
    assert "load_data.csv names images in" in faults["load_data_place"]
    assert new in faults["load_data_place"]
    prefix = "s3://old/projects" if kind == "former" else worker
    assert batch.faults(path_prefix_map={prefix: str(batch.root)}) == {}


def test_url_of_load_data_counts_more_than_the_path_of_a_machine(
    batch: Batch,
) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        for column in [name for name in rows if name.startswith("PathName_Orig")]:
            channel = column.removeprefix("PathName_")
            folder = rows[column].str.replace("/home/ubuntu/local_input", "s3://bucket")
            rows[f"URL_{channel}"] = folder + "/" + rows[f"FileName_{channel}"]
            rows[column] = "/home/elsewhere"
        return rows

    batch.edit(batch.load_data(), spoil)
    assert batch.faults() == {}
