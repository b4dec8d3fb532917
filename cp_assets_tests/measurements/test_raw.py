from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cp_assets.datasets import Dataset, PlateKey, find_plates
from cp_assets.datasets.ids import image_set_id
from cp_assets.errors import MeasurementError
from cp_assets.measurements import site_rows
from cp_assets.measurements.raw import RawReader, first_columns
from cp_assets.rejections import RejectionLog
from cp_assets.sample import SampleTruth
from cp_assets_tests.files import (
    cells_and_nuclei,
    gallery_folder,
    image_row,
    one_plate,
    write_csv,
    write_folder,
)
from cp_assets_tests.measurements.reading import raw_table, read_raw


def reasons(log: RejectionLog) -> dict[str, int]:
    return log.by_reason()


def test_raw_keys_of_the_sample(small_sample: SampleTruth) -> None:
    plates = find_plates(Dataset(dataset_id="s", root=small_sample.root))
    for key, sources in plates.items():
        cells = raw_table(sources, "Cells").to_pandas()
        truth = [cell for cell in small_sample.cells if cell.plate == key.plate_id]
        expected = [(cell.well, str(cell.site), cell.cell_number) for cell in truth]
        found = zip(cells.well_id, cells.site_id, cells.ObjectNumber, strict=True)
        assert sorted(found) == sorted(expected)
        areas = {(c.well, str(c.site), c.cell_number): c.cell_area_px for c in truth}
        keys = zip(cells.well_id, cells.site_id, cells.ObjectNumber, strict=True)
        assert [areas[place] for place in keys] == cells.AreaShape_Area.tolist()
        places = zip(cells.well_id, cells.site_id, strict=True)
        assert cells.image_id.tolist() == [image_set_id(key, *place, None) for place in places]
        assert set(cells.plate_id) == {key.plate_id}
        assert set(cells.batch_id) == {small_sample.options.batch}


def test_raw_every_value_of_a_file_is_kept_verbatim(small_sample: SampleTruth) -> None:
    sources = next(iter(find_plates(Dataset(dataset_id="s", root=small_sample.root)).values()))
    for compartment in ("Cells", "Nuclei", "Cytoplasm", "Image"):
        found = raw_table(sources, compartment).to_pandas()
        for folder in sources.folders:
            mine = found[found.source_folder == folder.relative].reset_index(drop=True)
            text = {name: str for name in mine.columns if mine[name].dtype == object}
            truth = pd.read_csv(
                folder.tables[compartment].path, float_precision="round_trip", dtype=text
            )
            assert mine.source_file.unique().tolist() == [folder.relative_file(compartment)]
            for name in truth.columns:
                expected = truth[name]
                kind = mine[name].dtype
                assert mine[name].equals(expected if name in text else expected.astype(kind)), name


def test_raw_keys_are_ours_whatever_the_files_say(tmp_path: Path) -> None:
    theirs = {"plate_id": "X", "well_id": "H12", "image_id": "i", "source_row": 77, "__order": 5}
    images = [image_row(1, Metadata_Well="A01", Metadata_Site="1")]
    plain = {"Image": images, **cells_and_nuclei()}
    named = {name: [row | theirs for row in rows] for name, rows in plain.items()}
    write_folder(tmp_path / "a" / "P", plain)
    write_folder(tmp_path / "b" / "P", named)
    for compartment in plain:
        first, second = (raw_table(one_plate(tmp_path / side / "P"), compartment) for side in "ab")
        assert second.equals(first)
    there = first_columns(one_plate(tmp_path / "b" / "P"))
    assert there.equals(first_columns(one_plate(tmp_path / "a" / "P")))
    _, log = read_raw(one_plate(tmp_path / "b" / "P"))
    assert reasons(log) == {"column_name_taken": len(theirs) * len(plain)}


def test_raw_order_of_rows_on_disk_does_not_matter(tmp_path: Path) -> None:
    images = [image_row(n, Metadata_Well=w, Metadata_Site="1") for n, w in ((1, "B02"), (2, "A01"))]
    tables = [cells_and_nuclei(number, ((1, 3), (2, 1), (3, 2))) for number in (1, 2)]
    together = {name: [*tables[0][name], *tables[1][name]] for name in tables[0]}
    write_folder(tmp_path / "a" / "P", {"Image": images, **together})
    shuffled = {name: rows[::-1] for name, rows in {"Image": images, **together}.items()}
    write_folder(tmp_path / "b" / "P", shuffled)
    for compartment in ("Image", "Cells", "Nuclei", "Cytoplasm"):
        first, second = (
            raw_table(one_plate(tmp_path / side / "P"), compartment).drop_columns(["source_row"])
            for side in "ab"
        )
        assert first.equals(second), compartment
        assert first["well_id"].to_pylist()[0] == "A01"


def test_raw_another_folder_gives_the_same_rows(small_sample: SampleTruth, tmp_path: Path) -> None:
    moved = shutil.copytree(small_sample.root, tmp_path / "else" / "where")
    for workers, root in ((1, moved), (2, small_sample.root)):
        images = Dataset(dataset_id="x", root=root).images
        dataset = Dataset(dataset_id="s", root=root, images=type(images)(workers=workers))
        sources = list(find_plates(dataset).values())[1]
        table = raw_table(sources, "Nuclei")
        if root == moved:
            first = table
    assert table.equals(first)


def test_raw_unknown_image_number_rejects_the_row(tmp_path: Path) -> None:
    tables = cells_and_nuclei(1)
    tables["Cells"] = [*tables["Cells"], {**tables["Cells"][0], "ImageNumber": 9}]
    write_folder(tmp_path, {"Image": [image_row(1)], **tables})
    raw, log = read_raw(one_plate(tmp_path))
    (rejection,) = log
    assert (rejection.reason, rejection.object_number, rejection.source_row) == (
        "no_image_set",
        1,
        3,
    )
    assert sum(batch.num_rows for batch in raw["Cells"]) == 2


@pytest.mark.parametrize("folder", ["P-A01-1", "P-a1-s01", "P-A01-site_1"])
@pytest.mark.parametrize("site", ["1", "01", "s1", "S01", "Site1", "1.0"])
def test_raw_spellings_of_one_site_are_one_image_set(
    tmp_path: Path, folder: str, site: str
) -> None:
    place = gallery_folder(tmp_path, "P", folder)
    write_folder(place, {"Image": [image_row(1, Metadata_Site=site)], **cells_and_nuclei()})
    (sources,) = find_plates(Dataset(dataset_id="d", root=tmp_path)).values()
    raw, log = read_raw(sources)
    assert len(log) == 0
    ids = {batch["image_id"][0].as_py() for batches in raw.values() for batch in batches}
    assert ids == {image_set_id(sources.key, "A01", "1", None)}


@pytest.mark.parametrize(
    ("columns", "detail"),
    [
        ({"Metadata_Site": "-1"}, "the Image table says site -1, the folder's name 1"),
        ({"Metadata_Well": "B02"}, "the Image table says well B02, the folder's name A01"),
        ({"Metadata_Site": "2"}, "the Image table says site 2, the folder's name 1"),
    ],
)
def test_raw_contradictory_identity_is_rejected(
    tmp_path: Path, columns: dict[str, str], detail: str
) -> None:
    folder = gallery_folder(tmp_path, "P", "P-A01-1")
    write_folder(folder, {"Image": [image_row(1, **columns)], **cells_and_nuclei()})
    (sources,) = find_plates(Dataset(dataset_id="d", root=tmp_path)).values()
    raw, log = read_raw(sources)
    assert raw == {}
    assert reasons(log) == {"identity_conflict": 1, "no_image_set": 7}
    assert detail in next(iter(log)).detail


def test_raw_impossible_well_is_rejected(tmp_path: Path) -> None:
    write_folder(tmp_path, {"Image": [image_row(1, Metadata_Well="A99")], **cells_and_nuclei()})
    _, log = read_raw(one_plate(tmp_path))
    assert "'A99' is no well of a plate" in next(iter(log)).detail


def test_raw_image_number_twice_in_an_image_table_is_rejected(tmp_path: Path) -> None:
    images = [image_row(n, Metadata_Well=w) for n, w in ((1, "A01"), (1, "A02"), (2, "A03"))]
    objects = [*cells_and_nuclei(1)["Cells"], *cells_and_nuclei(2)["Cells"]]
    for rows in (images, images[::-1]):
        write_folder(tmp_path, {"Image": rows, "Cells": objects})
        raw, log = read_raw(one_plate(tmp_path))
        assert reasons(log) == {"duplicate_key": 1, "no_image_set": 4}
        assert "in the Image table 2 times" in next(iter(log)).detail
        wells = [batch["well_id"].to_pylist() for batch in raw["Cells"]]
        assert wells == [["A03", "A03"]]


@pytest.mark.parametrize("header_only", [False, True], ids=["rows", "Image tables without rows"])
def test_raw_same_site_in_two_folders_is_rejected(tmp_path: Path, header_only: bool) -> None:
    for name in ("P-A01-1", "P-a01-01"):
        folder = gallery_folder(tmp_path, "P", name)
        write_folder(folder, cells_and_nuclei())
        write_csv(folder / "Image.csv", [] if header_only else [image_row()], ["ImageNumber"])
    (sources,) = find_plates(Dataset(dataset_id="d", root=tmp_path)).values()
    raw, log = read_raw(sources)
    assert sum(batch.num_rows for batch in raw["Cells"]) == 2
    assert reasons(log)["duplicate_image_set"] == 1
    assert reasons(log)["no_image_set"] == 6 + (not header_only)


def test_raw_folder_without_image_rows_is_known_by_its_name(tmp_path: Path) -> None:
    folder = gallery_folder(tmp_path, "P", "P-C03-2")
    write_folder(folder, cells_and_nuclei())
    write_csv(folder / "Image.csv", [], ["ImageNumber"])
    (sources,) = find_plates(Dataset(dataset_id="d", root=tmp_path)).values()
    raw, log = read_raw(sources)
    cells = pa.Table.from_batches(raw["Cells"])
    assert set(cells["well_id"].to_pylist()) == {"C03"}
    assert set(cells["image_id"].to_pylist()) == {image_set_id(sources.key, "C03", "2", None)}
    assert reasons(log) == {"header_only": 1}


def test_raw_wells_from_load_data(tmp_path: Path) -> None:
    folder = gallery_folder(tmp_path, "P", "run-one")
    names = ["FileName_OrigDNA"]
    write_folder(folder, {"Image": [image_row(4, FileName_OrigDNA="r01.tiff")]})
    write_csv(
        tmp_path / "workspace/load_data_csv/B1/P/load_data.csv",
        [{names[0]: "r01.tiff", "Metadata_Well": "d5", "Metadata_Site": "3"}],
    )
    (sources,) = find_plates(Dataset(dataset_id="d", root=tmp_path)).values()
    image = raw_table(sources, "Image")
    assert (image["well_id"].to_pylist(), image["site_id"].to_pylist()) == (["D05"], ["3"])


@pytest.mark.parametrize(
    ("row", "column", "well"),
    [("2", "3", "B03"), ("B", "3", "B03"), ("27", "1", "AA01"), ("1.0", "11.0", "A11")],
)
def test_raw_well_of_row_and_column(tmp_path: Path, row: str, column: str, well: str) -> None:
    images = [image_row(1, Metadata_Row=row, Metadata_Col=column)]
    write_folder(tmp_path, {"Image": images})
    assert raw_table(one_plate(tmp_path), "Image")["well_id"].to_pylist() == [well]


def test_raw_image_sets_that_wells_do_not_tell_apart(tmp_path: Path) -> None:
    rows = [image_row(n, Metadata_Well="A01", Metadata_Site="1") for n in (1, 2)]
    write_folder(tmp_path, {"Image": rows})
    ids = raw_table(one_plate(tmp_path, plate_id="P"), "Image")["image_id"].to_pylist()
    key = PlateKey("set", "unbatched", "P")
    assert ids == [image_set_id(key, "A01", "1", f"/{number}") for number in (1, 2)]


@pytest.mark.parametrize("column", ["Metadata_Plate", "Metadata_PlateName"])
def test_raw_plates_that_share_a_folder(tmp_path: Path, column: str) -> None:
    plates = {1: "P1", 2: "P2", 3: "P1 "}
    images = [image_row(n, **{column: plate}) for n, plate in plates.items()]
    objects = [row for number in plates for row in cells_and_nuclei(number)["Cells"]]
    write_folder(tmp_path, {"Image": images, "Cells": objects})
    dataset = Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler")
    for sources, numbers in zip(find_plates(dataset).values(), ({1, 3}, {2}), strict=True):
        raw, log = read_raw(sources)
        found = {n for batch in raw["Cells"] for n in batch["ImageNumber"].to_pylist()}
        assert found == numbers
        assert len(log) == 0


def test_raw_image_set_without_plate_among_several_plates_is_in_the_books(tmp_path: Path) -> None:
    images = [image_row(n, Metadata_Plate=plate) for n, plate in ((1, "P1"), (2, "P2"), (3, ""))]
    write_folder(tmp_path, {"Image": images, "Cells": cells_and_nuclei(3)["Cells"]})
    dataset = Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler")
    for sources in find_plates(dataset).values():
        _, log = read_raw(sources)
        assert reasons(log) == {"no_image_set": 3, "no_plate": 1}


def test_raw_large_file_is_sorted_on_disk(
    small_sample: SampleTruth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = [image_row(n, Metadata_Well=f"A{12 - n:02d}") for n in range(1, 11)]
    random = np.random.default_rng(1)
    objects = [
        {
            "ImageNumber": n,
            "ObjectNumber": k,
            "Area": random.random(),
            "area": -1.0,
            "Parent_Nuclei": k,
        }
        for n in range(1, 11)
        for k in range(1, 40)
    ]
    random.shuffle(objects)
    write_folder(tmp_path / "P", {"Image": images, "Cells": objects})
    sources = one_plate(tmp_path / "P")
    in_memory = raw_table(sources, "Cells")
    monkeypatch.setattr(site_rows, "CHUNK_BYTES", 500)
    on_disk = raw_table(sources, "Cells")
    assert on_disk.cast(in_memory.schema).equals(in_memory)
    assert on_disk.schema.names == in_memory.schema.names
    assert {path.name for path in tmp_path.iterdir()} == {"P"}


def test_raw_missing_key_column_names_the_file(tmp_path: Path) -> None:
    folder = gallery_folder(tmp_path, "P", "P-A01-1")
    write_folder(folder, {"Image": [image_row()], "Cells": [{"ImageNumber": 1, "Area": 2}]})
    (sources,) = find_plates(Dataset(dataset_id="d", root=tmp_path)).values()
    with pytest.raises(MeasurementError, match=r"P-A01-1/Cells.csv has no column ObjectNumber"):
        read_raw(sources)


def test_raw_empty_compartment_file_is_in_the_books(tmp_path: Path) -> None:
    write_folder(tmp_path, {"Image": [image_row()], **cells_and_nuclei()})
    (tmp_path / "Nuclei.csv").write_text("")
    raw, log = read_raw(one_plate(tmp_path))
    assert set(raw) == {"Image", "Cells", "Cytoplasm"}
    assert reasons(log) == {"empty_file": 1}


def test_first_columns_are_those_of_the_rows(small_sample: SampleTruth) -> None:
    sources = next(iter(find_plates(Dataset(dataset_id="s", root=small_sample.root)).values()))
    expected: set[tuple[str, str]] = set()
    for batch in RawReader(sources, RejectionLog()).batches():
        expected |= {(f.name, str(f.type)) for f in batch.schema}
    assert {(f.name, str(f.type)) for f in first_columns(sources)} == expected
