from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest

import cp_assets
from cp_assets.checks.file_checks import FILES_HAVE_ROWS
from cp_assets.checks.outcome import PlateTables
from cp_assets.datasets import (
    Dataset,
    PlateKey,
    dataset_from_folder,
    detect_layout,
    find_plate,
    find_plates,
)
from cp_assets.datasets.fingerprints import measurement_fingerprint
from cp_assets.errors import ConfigurationError, PlateNotFoundError
from cp_assets.measurements.raw import RAW_MEASUREMENTS, RawReader
from cp_assets.rejections import RejectionLog
from cp_assets.sample import SampleTruth
from cp_assets_tests.dialects import (
    Tables,
    cytominer_names,
    write_csv_tables,
    write_database,
    write_parquet_tables,
)
from cp_assets_tests.files import (
    cells_and_nuclei,
    compartments_in,
    gallery_folder,
    image_row,
    one_plate,
    write_csv,
    write_folder,
)
from cp_assets_tests.measurements.pickles import write_site
from cp_assets_tests.warehouses import rejected


def _one_database(folder: Path, tables: Tables) -> Path:
    return write_database(folder / "p.sqlite", cytominer_names(tables))


write = {"csv": write_csv_tables, "parquet": write_parquet_tables, "sqlite": _one_database}


def test_find_plates_of_the_sample(small_sample: SampleTruth) -> None:
    dataset = Dataset(dataset_id="sample", root=small_sample.root)
    plates = find_plates(dataset)
    options = small_sample.options
    assert [key.plate_id for key in plates] == list(options.plate_names)
    for key, sources in plates.items():
        assert key == PlateKey("sample", options.batch, sources.key.plate_id)
        places = [(folder.well, folder.site) for folder in sources.folders]
        assert places == [(w, str(s)) for w in options.well_names for s in options.site_numbers]
        assert {"Image", "Cells", "Nuclei", "Cytoplasm"} == set(sources.folders[0].tables)
        assert sources.image_dir is not None
        assert sources.image_dir.name.startswith(key.plate_id)
        names = [path.name for path in sources.load_data]
        assert names == ["load_data.csv", "load_data_with_illum.csv"]


def test_find_plate_one_of_the_gallery(small_sample: SampleTruth) -> None:
    dataset = dataset_from_folder(small_sample.root, dataset_id="sample")
    key = list(find_plates(dataset))[1]
    assert find_plate(dataset, key).key == key


def test_find_plate_unknown_says_what_is_there(small_sample: SampleTruth) -> None:
    dataset = Dataset(dataset_id="sample", root=small_sample.root)
    with pytest.raises(PlateNotFoundError, match="has no plate sample/b/p; it has 2, such as"):
        find_plate(dataset, PlateKey("sample", "b", "p"))


@pytest.mark.parametrize(
    ("folders", "chosen"),
    [
        (("BR1__2021-Measurement1",), "BR1__2021-Measurement1"),
        (("BR1", "BR10__x"), "BR1"),
        (("BR1__a", "BR1__b"), "images"),
        (("BR10__a",), "images"),
    ],
    ids=["full name", "not a longer name", "two measurements", "another plate"],
)
def test_gallery_image_folder_by_full_plate_name(
    tmp_path: Path, folders: tuple[str, ...], chosen: str
) -> None:
    write_folder(gallery_folder(tmp_path, "BR1", "BR1-A01-1"), {"Image": [image_row()]})
    for name in folders:
        (tmp_path / "images" / "B1" / "images" / name).mkdir(parents=True)
    (sources,) = find_plates(Dataset(dataset_id="d", root=tmp_path)).values()
    assert sources.image_dir is not None
    assert sources.image_dir.name == chosen


def test_cellprofiler_one_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"Image": [image_row()], **cells_and_nuclei()})
    sources = one_plate(tmp_path / "out")
    assert str(sources.key) == "set/unbatched/out"
    assert [folder.relative for folder in sources.folders] == [""]
    assert sources.folders[0].relative_file("Cells") == "Cells.csv"


def test_cellprofiler_given_names_are_used(tmp_path: Path) -> None:
    write_folder(tmp_path, {"Image": [image_row(Metadata_Plate="other")]})
    sources = one_plate(tmp_path, batch_id="b", plate_id="p")
    assert (sources.key, sources.image_plate) == (PlateKey("set", "b", "p"), None)


def test_cellprofiler_folder_a_site_in_order_of_wells_and_sites(tmp_path: Path) -> None:
    names = ["P-1-B02-1", "P-1-A10-2", "P-1-A10-10", "P-1-A02-1"]
    for name in names:
        row = image_row(Metadata_Plate="P-1")
        write_folder(tmp_path / name, {"Image": [row], **cells_and_nuclei()})
    sources = one_plate(tmp_path)
    relative = [folder.relative for folder in sources.folders]
    assert relative == ["P-1-A02-1", "P-1-A10-2", "P-1-A10-10", "P-1-B02-1"]
    assert [folder.site for folder in sources.folders] == ["1", "2", "10", "1"]
    assert sources.key.plate_id == "P-1"


@pytest.mark.parametrize(
    ("folder", "image", "expected"),
    [
        ("results-v2", {}, (None, None)),
        ("P1-v2", {"Metadata_Plate": "P1"}, (None, None)),
        ("rep-r1", {"Metadata_Well": "A01", "Metadata_Site": 3}, ("A01", "3")),
        ("P1-r1", {"Metadata_Plate": "P1", "Metadata_Well": "A01"}, ("A01", None)),
        ("run-r1-2", {"Metadata_Well": "A01", "Metadata_Site": 3}, ("A01", "3")),
        ("run-r1-2", {"Metadata_Well": "A01"}, ("A01", None)),
        ("run-r1-2", {"Metadata_Row": "1", "Metadata_Col": "1"}, ("A01", None)),
        ("other-b2-3", {}, ("B02", "3")),
        ("P1-b2-3", {"Metadata_Plate": "P1"}, ("B02", "3")),
        ("P1-b2-left", {"Metadata_Plate": "P1"}, ("B02", "left")),
        ("P1-b2-3", {"Metadata_Plate": "P1", "Metadata_Well": "A01"}, None),
        ("run-r1-2", {"Metadata_Well": "no well"}, None),
    ],
)
def test_cellprofiler_what_a_folder_name_says(
    tmp_path: Path, folder: str, image: dict[str, object], expected: tuple[str, str] | None
) -> None:
    cells = {"Cells": [{"ImageNumber": 1, "ObjectNumber": 1}]}
    write_folder(tmp_path / folder, {"Image": [image_row(**image)], **cells})
    log = RejectionLog()
    batches = RawReader(one_plate(tmp_path), log).batches()
    found = {(row["well_id"], row["site_id"]) for batch in batches for row in batch.to_pylist()}
    assert found == (set() if expected is None else {expected})
    assert ("identity_conflict" in log.by_reason()) == (expected is None)


@pytest.mark.parametrize("column", ["Metadata_Plate", "Metadata_PlateName"])
def test_cellprofiler_several_plates_in_one_image_table(tmp_path: Path, column: str) -> None:
    rows = [image_row(1, **{column: "P1"}), image_row(2, **{column: " P2 "})]
    write_folder(tmp_path, {"Image": rows})
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler"))
    assert [(key.plate_id, s.image_plate) for key, s in plates.items()] == [
        ("P1", "P1"),
        ("P2", "P2"),
    ]


@pytest.mark.parametrize("layout", ["cellprofiler", "cell-painting-gallery"])
def test_folder_without_image_table_is_in_the_books(tmp_path: Path, layout: str) -> None:
    in_gallery = layout == "cell-painting-gallery"
    base = gallery_folder(tmp_path, "P1", "") if in_gallery else tmp_path
    tables = {"Image": [image_row(Metadata_Plate="P1")], **cells_and_nuclei()}
    write_folder(base / "P1-A01-1", tables)
    write_folder(base / "P1-A01-2", cells_and_nuclei())
    write_folder(base / "P1-A01-3", tables)
    write_csv(base / "notes" / "other.csv", [{"a": 1}])
    warehouse = cp_assets.convert(tmp_path, tmp_path / "wh")
    (sources,) = find_plates(dataset_from_folder(tmp_path)).values()
    entries = rejected(warehouse, "profiles.raw_measurements")
    (entry,) = (row for row in entries if row["reason"] == "no_image_table")
    assert (entry["kind"], entry["outcome"], entry["count"]) == ("file", "rejected", 3)
    file = base / "P1-A01-2" / "Cells.csv"
    assert entry["source_file"] == file.relative_to(tmp_path).as_posix()
    assert "P1-A01-2 has Cells.csv, Cytoplasm.csv, Nuclei.csv and no Image.csv" in entry["detail"]
    assert (entry["well_id"], entry["site_id"]) == ("A01", "2")
    found = FILES_HAVE_ROWS.run(PlateTables(warehouse, sources, duckdb.connect()), RAW_MEASUREMENTS)
    assert not found.passed
    before = measurement_fingerprint(sources)
    write_csv(base / "P1-A01-2" / "Image.csv", tables["Image"])
    (sources,) = find_plates(dataset_from_folder(tmp_path)).values()
    assert sources.left_out == ()
    assert measurement_fingerprint(sources) != before


def test_folder_without_image_table_is_in_the_books_of_its_plate(tmp_path: Path) -> None:
    for plate in ("P1", "P2"):
        row = image_row(Metadata_Plate=plate)
        write_folder(tmp_path / f"{plate}-A01-1", {"Image": [row], **cells_and_nuclei()})
    write_folder(tmp_path / "P2-A01-2", cells_and_nuclei())
    write_folder(tmp_path / "who", cells_and_nuclei())
    plates = find_plates(dataset_from_folder(tmp_path))
    found = {k.plate_id: [one.source_file for one in s.left_out] for k, s in plates.items()}
    assert found == {"P1": ["who/Cells.csv"], "P2": ["P2-A01-2/Cells.csv", "who/Cells.csv"]}


def test_site_of_deepprofiler_as_parquet_is_in_the_books(tmp_path: Path) -> None:
    write_site(tmp_path / "PL" / "A02-1" / "embedding.npz", {})
    (tmp_path / "PL" / "A01-1").mkdir()
    features = pd.DataFrame({"f": [1.0]})
    features.to_parquet(tmp_path / "PL" / "A01-1" / "embedding.parquet")
    warehouse = cp_assets.convert(tmp_path, tmp_path / "wh")
    (entry,) = rejected(warehouse, "profiles.raw_measurements")
    assert (entry["reason"], entry["kind"], entry["well_id"]) == ("unread_file", "file", "A01")
    assert entry["source_file"] == "PL/A01-1/embedding.parquet"


@pytest.mark.parametrize("word", ["nan", "NA", "null", " nan ", ""])
@pytest.mark.parametrize("dialect", ["csv", "parquet", "sqlite"])
def test_cellprofiler_words_for_no_value_are_no_plate(
    tmp_path: Path, word: str, dialect: str
) -> None:
    rows = pd.DataFrame([image_row(n, Metadata_Plate=p) for n, p in ((1, "P1"), (2, word))])
    both = pd.concat([rows, pd.DataFrame([image_row(3, Metadata_Plate="z9")])])
    for name, table in {"all": rows[1:], "some": both}.items():
        cells = table[["ImageNumber"]].assign(ObjectNumber=1)
        write[dialect](tmp_path / name, {"Image": table, "Cells": cells})
    warehouse = cp_assets.convert(tmp_path / "all", tmp_path / "wh")
    assert [key.plate_id for key in warehouse.plates("raw_measurements")] == ["all"]
    warehouse = cp_assets.convert(tmp_path / "some", tmp_path / "wh2")
    assert [key.plate_id for key in warehouse.plates("raw_measurements")] == ["P1", "z9"]
    reasons = {row["reason"] for row in rejected(warehouse, "profiles.raw_measurements")}
    assert "no_plate" in reasons


def test_cellprofiler_plates_beside_a_very_long_text(tmp_path: Path) -> None:
    rows = [
        image_row(n, Metadata_Text="z" * 140_000, Metadata_Plate=plate)
        for n, plate in enumerate(("P1", "P2"), 1)
    ]
    write_folder(tmp_path, {"Image": rows})
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler"))
    assert [key.plate_id for key in plates] == ["P1", "P2"]


def test_cellprofiler_folders_of_one_plate_each_are_not_filtered(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", {"Image": [image_row(Metadata_Plate="P1")]})
    write_folder(tmp_path / "b", {"Image": [image_row()]})
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler"))
    assert {key.plate_id: s.image_plate for key, s in plates.items()} == {
        "P1": None,
        tmp_path.name: None,
    }


@pytest.mark.parametrize(
    ("names", "compartments"),
    [
        (("Image.csv", "Cells.csv", "Experiment.csv", "Object relationships.csv"), {"Cells"}),
        (("MyExpt_Image.csv", "MyExpt_Cells.csv", "MyExpt_Experiment.csv", "other.csv"), {"Cells"}),
        (("IMAGE.CSV", "CELLS.CSV", "NUCLEI.CSV"), {"Cells", "Nuclei"}),
        (("image.csv", "cells.csv", "MyoD.csv"), {"Cells", "MyoD"}),
        (("Image.csv", "Cells.csv", "load_data.csv", "load_data_with_illum.csv"), {"Cells"}),
    ],
    ids=["plain", "prefix", "upper case", "lower case", "LoadData beside"],
)
def test_compartments_of_files_names(
    tmp_path: Path, names: tuple[str, ...], compartments: set[str]
) -> None:
    for name in names:
        (tmp_path / name).write_text("ImageNumber\n1\n")
    assert compartments_in(tmp_path) == {"Image", *compartments}


def test_compartments_of_files_without_image_table(tmp_path: Path) -> None:
    write_csv(tmp_path / "Cells.csv", [{"ImageNumber": 1}])
    assert compartments_in(tmp_path) == set()


@pytest.mark.parametrize("layout", ["cellprofiler", "cell-painting-gallery"])
def test_find_plates_nothing_found_says_what_was_expected(tmp_path: Path, layout: str) -> None:
    dataset = Dataset(dataset_id="d", root=tmp_path, layout=layout)  # type: ignore[arg-type]
    with pytest.raises(
        PlateNotFoundError, match=rf"no measured plate .*{layout} expects .*Image.csv"
    ):
        find_plates(dataset)


@pytest.mark.parametrize("named", ["", "cpg1", "cpg1/source_1/workspace/analysis", "else/where"])
def test_find_plates_beside_a_gallery_prefix_says_which(tmp_path: Path, named: str) -> None:
    prefix = tmp_path / "cpg1" / "source_1"
    write_folder(gallery_folder(prefix, "P1", "P1-A01-1"), {"Image": [image_row()]})
    root = tmp_path / named
    root.mkdir(parents=True, exist_ok=True)
    with pytest.raises(PlateNotFoundError) as caught:
        find_plates(dataset_from_folder(root))
    told = f"name the gallery prefix {prefix}"
    assert (told in str(caught.value)) == (named.startswith("cpg1"))


def test_find_plates_missing_root_says_so(tmp_path: Path) -> None:
    with pytest.raises(PlateNotFoundError, match="absent is neither a folder nor a file"):
        find_plates(Dataset(dataset_id="d", root=tmp_path / "absent"))


def test_detect_layout(tmp_path: Path, small_sample: SampleTruth) -> None:
    assert detect_layout(small_sample.root) == "cell-painting-gallery"
    assert detect_layout(tmp_path) == "cellprofiler"


def test_dataset_from_folder_unknown_option_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="nonsense"):
        dataset_from_folder(tmp_path, nonsense=1)


def test_check_unique_refuses_one_id_twice(tmp_path: Path) -> None:
    from cp_assets.datasets import check_unique

    twice = [Dataset(dataset_id="d", root=tmp_path / name) for name in "ab"]
    with pytest.raises(ConfigurationError, match="dataset id 'd' is given twice"):
        check_unique(twice)
