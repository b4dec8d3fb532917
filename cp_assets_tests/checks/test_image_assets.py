"""Checks of image assets and chunks, on a plate of tiled images that others tampered with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import cp_assets
from cp_assets.checks.asset_checks import CHECKS
from cp_assets.datasets import Dataset, find_plates
from cp_assets.scanning.tables import CHUNK_INDEX
from cp_assets_tests.checks.conftest import Bench, Change, run, twice, with_values
from cp_assets_tests.test_conversion import write_plate

PIXELS = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)


@pytest.fixture
def tiled(tmp_path: Path) -> Bench:
    """A plate of one image set, whose image has six tiles."""
    folder = write_plate(tmp_path / "plate")
    images = folder / "images"
    tifffile.imwrite(images / "A01_s1_DNA.tif", PIXELS, tile=(16, 32))
    warehouse = cp_assets.convert(folder, tmp_path / "wh", image_dir=images)
    dataset = Dataset(dataset_id="plate", root=folder, layout="cellprofiler", image_dir=images)
    (sources,) = find_plates(dataset).values()
    return Bench(warehouse, sources, tmp_path)


@pytest.mark.parametrize("check", [check.name for check in CHECKS[CHUNK_INDEX]])
def test_check_of_chunks_passes(tiled: Bench, check: str) -> None:
    outcome = run("chunk_index", check, tiled.good())
    assert outcome.passed, outcome.summary


@pytest.mark.parametrize(
    ("table", "check", "change", "told"),
    [
        ("chunk_index", "keys_unique", twice, "1 keys occur more than once"),
        ("chunk_index", "chunks_have_images", with_values("uri", {0: "x"}), "1 chunks have no"),
        ("image_assets", "keys_unique", twice, "1 keys occur more than once"),
        (
            "image_assets",
            "images_balance",
            with_values("source_image_column", {0: None}),
            "1 recorded, but 0 found + 0 rejected",
        ),
    ],
)
def test_check_tells(tiled: Bench, table: str, check: str, change: Change, told: str) -> None:
    changes: dict[str, Change | None] = dict.fromkeys(("image_assets", "raw_measurements"))
    outcome = run(table, check, tiled.tampered(**{**changes, table: change}))
    assert not outcome.passed
    assert told in outcome.summary


def test_profiles_without_an_image_are_counted(tiled: Bench) -> None:
    good = run("profile_with_images", "profiles_have_images", tiled.good())
    assert good.passed
    assert good.figures == {"profiles": 2, "without image": 0, "image sets without profile": 0}
    tables = tiled.tampered(
        joined_profiles=with_values("image_id", {0: "other"}), image_assets=None
    )
    outcome = run("profile_with_images", "profiles_have_images", tables)
    assert not outcome.passed
    assert "1 of 2 profiles have no image" in outcome.summary
    assert "other" in outcome.summary


def test_profiles_without_any_image_assets_are_told(tiled: Bench) -> None:
    tables = tiled.tampered(joined_profiles=None)
    outcome = run("profile_with_images", "profiles_have_images", tables)
    assert not outcome.passed
    assert "run image_assets" in outcome.summary
