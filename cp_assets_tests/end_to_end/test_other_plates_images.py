"""What another plate, or an earlier state, left lying about does not get into a plate."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import cp_assets
from cp_assets.building import PlateBuild
from cp_assets.datasets import Dataset, PlateKey, find_plates
from cp_assets.sample import SampleOptions, write_sample
from cp_assets_tests.files import compartments_in

OPTIONS = SampleOptions(plates=2, wells=1, sites=1, cells=6, image_size=(120, 150))


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "gallery", OPTIONS).root


def _images(gallery: Path, plate: str) -> Path:
    (folder,) = (gallery / "images" / OPTIONS.batch / "images").glob(f"{plate}__*")
    return folder


def _convert(gallery: Path, warehouse: Path, **options: bool) -> dict[tuple[str, str], PlateBuild]:
    built: dict[tuple[str, str], PlateBuild] = {}

    def report(plate: PlateKey, build: PlateBuild) -> None:
        built[plate.plate_id, build.table] = build

    cp_assets.convert(gallery, warehouse, report=report, **options)
    return built


def test_missing_images_are_not_taken_from_the_plate_beside(gallery: Path, tmp_path: Path) -> None:
    first, second = OPTIONS.plate_names
    shutil.rmtree(_images(gallery, second))
    built = _convert(gallery, tmp_path / "wh")
    assert built[first, "images.image_crops"].rows > 0
    crops = built[second, "images.image_crops"]
    assert crops.rows == 0
    assert set(crops.rejected) == {"missing_image"}


def test_plate_whose_name_begins_another_has_its_own_images(tmp_path: Path) -> None:
    batch = tmp_path / "workspace" / "analysis" / "B"
    for plate in ("BR-1", "BR-1-2"):
        folder = batch / plate / "analysis" / f"{plate}-A01-1"
        folder.mkdir(parents=True)
        (folder / "Image.csv").write_text("ImageNumber\n1\n")
    images = tmp_path / "images" / "B" / "images"
    (images / "BR-1-2__2026-Measurement1").mkdir(parents=True)
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path))
    found = {key.plate_id: sources.image_dir for key, sources in plates.items()}
    assert found == {"BR-1": images, "BR-1-2": images / "BR-1-2__2026-Measurement1"}


def test_rows_that_no_longer_apply_are_taken_out(gallery: Path, tmp_path: Path) -> None:
    plate = OPTIONS.plate_names[1]
    _convert(gallery, tmp_path / "wh")
    shutil.rmtree(gallery / "images")
    built = _convert(gallery, tmp_path / "wh")
    assert built[plate, "images.image_crops"].state == "removed"
    assert built[plate, "profiles.profile_with_images"].state == "removed"
    warehouse = cp_assets.open_warehouse(tmp_path / "wh")
    assert warehouse.read_table("image_crops").num_rows == 0
    assert set(warehouse.read_table("manifest")["table_name"].to_pylist()) == {
        "profiles.raw_measurements",
        "profiles.joined_profiles",
    }
    assert _convert(gallery, tmp_path / "wh")[plate, "images.image_crops"].state == "skipped"


def test_images_behind_a_link_are_watched(gallery: Path, tmp_path: Path) -> None:
    plate = OPTIONS.plate_names[0]
    images = _images(gallery, plate)
    shutil.move(images / "Images", tmp_path / "store")
    (images / "Images").symlink_to(tmp_path / "store")
    _convert(gallery, tmp_path / "wh", follow_links=True)
    assert (
        _convert(gallery, tmp_path / "wh", follow_links=True)[plate, "images.image_crops"].state
        == "unchanged"
    )
    for file in (tmp_path / "store").iterdir():
        os.utime(file, ns=(1, 1))
    assert (
        _convert(gallery, tmp_path / "wh", follow_links=True)[plate, "images.image_crops"].state
        == "written"
    )


def test_compartments_keep_their_names_and_dot_files_are_none(tmp_path: Path) -> None:
    for name in ("Image", "CELLS", "PH3", "._Cells"):
        (tmp_path / f"{name}.csv").write_text("")
    assert compartments_in(tmp_path) == {"Image", "Cells", "PH3"}
