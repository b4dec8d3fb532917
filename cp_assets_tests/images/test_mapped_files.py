from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from cp_assets.datasets.model import PlateSources
from cp_assets.images.mapped_files import mapped_fingerprint
from cp_assets_tests.images.plates import Plate


@pytest.fixture
def mapped(plate: Plate, tmp_path: Path) -> PlateSources:
    """The plate, its images behind a prefix map, and a file that no record names."""
    (tmp_path / "images" / "PlateA" / "other.tif").touch()
    sources = plate.with_options(path_prefix_map={"/acquired": str(tmp_path / "images")})
    return dataclasses.replace(sources, image_dir=None)


def _image(plate: Plate) -> Path:
    return plate.root / "images" / "PlateA" / "A01_s1_ER.tif"


def test_mapped_files_are_watched(plate: Plate, mapped: PlateSources) -> None:
    before = mapped_fingerprint(mapped, plate.sets)
    assert mapped_fingerprint(mapped, iter(plate.sets)) == before
    os.utime(_image(plate), ns=(1, 1))
    touched = mapped_fingerprint(mapped, plate.sets)
    _image(plate).unlink()
    assert len({before, touched, mapped_fingerprint(mapped, plate.sets)}) == 3


def test_mapped_files_of_no_record_are_not_looked_at(plate: Plate, mapped: PlateSources) -> None:
    before = mapped_fingerprint(mapped, plate.sets)
    os.utime(plate.root / "images" / "PlateA" / "other.tif", ns=(1, 1))
    assert mapped_fingerprint(mapped, plate.sets) == before


def test_mapped_folder_of_an_ome_zarr_is_watched(plate: Plate, mapped: PlateSources) -> None:
    file = dataclasses.replace(plate.sets[0].channels[0], file_name="a.zarr")
    image_set = dataclasses.replace(plate.sets[0], channels=(file,))
    chunk = plate.root / "images" / "PlateA" / "a.zarr" / "0" / "0.0"
    chunk.parent.mkdir(parents=True)
    chunk.touch()
    before = mapped_fingerprint(mapped, [image_set])
    chunk.write_text("x")
    assert mapped_fingerprint(mapped, [image_set]) != before


def test_mapped_files_of_load_data_are_watched(
    plate: Plate, mapped: PlateSources, tmp_path: Path
) -> None:
    (tmp_path / "images" / "new.tif").touch()
    path = tmp_path / "load_data.csv"
    path.write_text(
        "FileName_DNA,PathName_DNA,Metadata_Plate,Metadata_Well,Metadata_Site\n"
        "new.tif,/acquired,PlateA,A01,1\n"
    )
    sources = dataclasses.replace(mapped, load_data=(path,))
    before = mapped_fingerprint(sources, plate.sets)
    (tmp_path / "images" / "new.tif").write_text("x")
    assert mapped_fingerprint(sources, plate.sets) != before


def test_mapped_files_without_a_prefix_map_read_no_records(plate: Plate) -> None:
    records = iter(plate.sets)
    mapped_fingerprint(plate.sources, records)
    assert next(records)
