"""How crops are cut and stored, from the call to the table and its checks, on the sample."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from cp_assets.checks.asset_checks import CHECKS
from cp_assets.checks.outcome import PlateTables
from cp_assets.conversion import build_plate
from cp_assets.datasets import Dataset, ImageOptions, PlateSources, find_plates
from cp_assets.images import IMAGE_CROPS
from cp_assets.sample import SampleTruth
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.warehouses import pixels

MODES = {"zero": "constant", "edge": "edge", "reflect": "reflect"}


def built_with(sample: SampleTruth, folder: Path, **options: Any) -> tuple[Warehouse, PlateSources]:
    """One plate of the sample, cut so."""
    dataset = Dataset(dataset_id="sample", root=sample.root, images=ImageOptions(**options))
    plate = next(iter(find_plates(dataset).values()))
    warehouse = open_warehouse(folder / "wh", create=True)
    build_plate(warehouse, plate)
    return warehouse, plate


def failed_checks(warehouse: Warehouse, plate: PlateSources) -> list[str]:
    with duckdb.connect() as connection:
        tables = PlateTables(warehouse, plate, connection)
        found = {check.name: check.run(tables, IMAGE_CROPS) for check in CHECKS[IMAGE_CROPS]}
    return [f"{name}: {outcome.summary}" for name, outcome in found.items() if not outcome.passed]


@pytest.mark.parametrize("border", ["zero", "reflect"])
def test_windows_of_one_size_hold_the_image_and_the_border(
    small_sample: SampleTruth, tmp_path: Path, border: str
) -> None:
    warehouse, plate = built_with(small_sample, tmp_path, crop_size=64, border=border)
    assert failed_checks(warehouse, plate) == []
    truths = {(c.plate, c.well, str(c.site), c.cell_number): c.cell_box for c in small_sample.cells}
    names = [f"Metadata_{name}" for name in ("Plate", "Well", "Site", "ObjectNumber", "Channel")]
    edges = ["Metadata_SourceBBoxYMin", "Metadata_SourceBBoxXMin"]
    table = warehouse.read_table("image_crops", columns=[*names, *edges, "ome_arrow_image"])
    rows = table.to_pylist()

    @cache
    def images(plate: str, well: str, site: str, channel: str) -> np.ndarray:
        return small_sample.site(plate, well, int(site)).image(channel)

    assert rows
    for row in rows:
        place = (row["Metadata_Plate"], row["Metadata_Well"], row["Metadata_Site"])
        box = truths[(*place, row["Metadata_ObjectNumber"])]
        image = images(*place, row["Metadata_Channel"].removeprefix("Orig"))
        y, x = (box.y_min + box.y_max - 64) // 2, (box.x_min + box.x_max - 64) // 2
        assert (row["Metadata_SourceBBoxYMin"], row["Metadata_SourceBBoxXMin"]) == (y, x)
        inside = image[max(y, 0) : y + 64, max(x, 0) : x + 64]
        over = [
            (max(-start, 0), max(start + 64 - size, 0))
            for start, size in zip((y, x), image.shape, strict=True)
        ]
        truth = np.pad(inside, over, mode=MODES[border])  # type: ignore[call-overload]
        np.testing.assert_array_equal(pixels(row["ome_arrow_image"]), truth)


def test_padding_ends_at_the_image_by_default(small_sample: SampleTruth, tmp_path: Path) -> None:
    warehouse, plate = built_with(small_sample, tmp_path, padding=30)
    assert failed_checks(warehouse, plate) == []
    edges = warehouse.read_table("image_crops", columns=["Metadata_SourceBBoxXMin"])
    assert min(edges["Metadata_SourceBBoxXMin"].to_pylist()) == 0


def test_another_compartments_box_is_cut(small_sample: SampleTruth, tmp_path: Path) -> None:
    warehouse, plate = built_with(small_sample, tmp_path, box_compartment="Nuclei")
    assert failed_checks(warehouse, plate) == []
    columns = ["Metadata_SourceBBoxXMin", "Nuclei_AreaShape_BoundingBoxMinimum_X"]
    rows = warehouse.read_table("profile_with_images", columns=columns)
    assert rows.num_rows
    assert rows[columns[0]].to_pylist() == rows[columns[1]].to_pylist()


def test_wells_and_sites_balance_the_books(small_sample: SampleTruth, tmp_path: Path) -> None:
    wells = sorted({cell.well for cell in small_sample.cells})
    warehouse, plate = built_with(small_sample, tmp_path, wells=(wells[0],), sites=("1",))
    assert failed_checks(warehouse, plate) == []
    found = warehouse.read_table("image_crops", columns=["well_id", "site_id"]).to_pylist()
    assert {(row["well_id"], row["site_id"]) for row in found} == {(wells[0], "1")}


def test_pixels_may_lie_uncompressed(small_sample: SampleTruth, tmp_path: Path) -> None:
    warehouse, plate = built_with(small_sample, tmp_path, zstd_level=None)
    (file,) = (tmp_path / "wh" / "images" / "image_crops").rglob("*.parquet")
    group = pq.read_metadata(file).row_group(0)
    assert {group.column(i).compression for i in range(group.num_columns)} == {"UNCOMPRESSED"}
    again = replace(plate, dataset=replace(plate.dataset, images=ImageOptions(zstd_level=3)))
    assert build_plate(warehouse, again)["image_crops"].state == "written"


def test_less_memory_and_more_workers_change_nothing(
    small_sample: SampleTruth, tmp_path: Path
) -> None:
    warehouse, plate = built_with(small_sample, tmp_path)
    options = ImageOptions(workers=5, max_memory=2**30)
    again = replace(plate, dataset=replace(plate.dataset, images=options))
    assert build_plate(warehouse, again)["image_crops"].state == "unchanged"
