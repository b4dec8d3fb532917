from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cp_assets.datasets import Dataset, PlateKey, PlateSources
from cp_assets.datasets.metadata_files import PlateAnnotation, find_annotation

HEADER = "Assay_Plate_Barcode,Plate_Map_Name\n"


def annotation_of(root: Path, plate: str = "P1", batch: str = "B1") -> PlateAnnotation:
    dataset = Dataset(dataset_id="set", root=root)
    return find_annotation(PlateSources(dataset, PlateKey("set", batch, plate), ()))


def write(
    root: Path, barcodes: str, *maps: str, batch: str = "B1", below: str = "platemaps"
) -> None:
    folder = root / "workspace" / "metadata" / below / batch
    (folder / "platemap").mkdir(parents=True)
    (folder / "barcode_platemap.csv").write_text(barcodes)
    for name in maps:
        (folder / "platemap" / name).write_text("well_position\tx\n")


@pytest.mark.parametrize("name", ["maps/a.csv", "../{0}/maps/a.csv", "{1}/maps/a.csv"])
def test_named_file_is_named_alike_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "a.csv").write_text("Well,x\nA01,1\n")
    monkeypatch.chdir(tmp_path)
    dataset = Dataset(dataset_id="d", root=tmp_path / "in", layout="cellprofiler")
    given = Path(name.format(tmp_path.name, tmp_path))
    for folder, spelled in ((tmp_path, given), (tmp_path / "maps", Path("a.csv"))):
        monkeypatch.chdir(folder)
        sources = PlateSources(
            replace(dataset, annotations=(spelled,)), PlateKey("d", "b", "p"), ()
        )
        assert [file.name for file in find_annotation(sources).files] == ["maps/a.csv"]


@pytest.mark.parametrize("below", ["platemaps", ""])
@pytest.mark.parametrize("name", ["M.txt", "M.tsv", "M.csv"])
def test_plate_map_is_found_through_the_barcodes(tmp_path: Path, below: str, name: str) -> None:
    write(tmp_path, f"{HEADER}P1,M\nP2,N\n", name, "N.txt", below=below)
    write(tmp_path, f"{HEADER}P1,N\n", "N.txt", batch="B2", below=below)
    found = annotation_of(tmp_path)
    folder = Path("workspace/metadata") / below / "B1"
    names = [(folder / "barcode_platemap.csv").as_posix(), (folder / "platemap" / name).as_posix()]
    assert [file.name for file in found.files] == names
    assert [file.is_plate_map for file in found.files] == [False, True]
    assert len(found.of_dataset) == 5
    assert found.faults == ()


@pytest.mark.parametrize(
    ("barcodes", "told"),
    [
        (f"{HEADER}P1,M\n", "no platemap/M.txt beside it"),
        (f"{HEADER}P1,../barcode_platemap\n", "no platemap/../barcode_platemap.txt"),
        (f"{HEADER}P2,N\n", "names no plate map of plate P1"),
        (f"{HEADER}P1,\n", "names no plate map of plate P1"),
        (f"{HEADER}P1,N\nP1,O\n", "with 2 plate maps, N and O"),
        ("barcode,map\nP1,N\n", "expected a row with Assay_Plate_Barcode"),
        ("", "names no plate map of plate P1"),
    ],
)
def test_plate_without_a_plate_map_is_told(tmp_path: Path, barcodes: str, told: str) -> None:
    write(tmp_path, barcodes, "N.txt", "O.txt")
    found = annotation_of(tmp_path)
    assert len(found.files) == 1
    (fault,) = found.faults
    assert (fault.reason, fault.outcome) == ("no_plate_map", "incomplete")
    assert told in fault.detail
    assert fault.source_file == found.files[0].name


def test_plate_named_twice_with_one_plate_map_has_it(tmp_path: Path) -> None:
    write(tmp_path, f"{HEADER}P1,N\nP1,N\n", "N.txt")
    assert annotation_of(tmp_path).faults == ()


def test_dataset_without_metadata_has_no_annotation(tmp_path: Path) -> None:
    assert annotation_of(tmp_path) == PlateAnnotation((), ())
