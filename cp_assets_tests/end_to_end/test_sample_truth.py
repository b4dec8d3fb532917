"""The warehouse of the sample against what is true of the sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from cp_assets.sample import CHANNELS, SampleTruth
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouses import pixels

Key = tuple[str, str, str, int]


@pytest.fixture(scope="module")
def rows(built: Warehouse) -> list[dict[str, Any]]:
    """The joined view: one row a crop, with its cell's measurements."""
    return built.read_table("profile_with_images").to_pylist()


def _key(row: dict[str, Any]) -> Key:
    place = (row["Metadata_Plate"], row["Metadata_Well"], row["Metadata_Site"])
    return (*place, row["Metadata_ObjectNumber"])


def test_every_true_cell_has_a_crop_of_every_channel(
    rows: list[dict[str, Any]], small_sample: SampleTruth
) -> None:
    found = [(*_key(row), row["Metadata_Channel"]) for row in rows]
    cells = [(c.plate, c.well, str(c.site), c.cell_number) for c in small_sample.cells]
    assert sorted(found) == sorted((*cell, f"Orig{name}") for cell in cells for name in CHANNELS)


def test_pixels_mask_outline_box_and_intensity_agree_with_the_truth(
    rows: list[dict[str, Any]], small_sample: SampleTruth
) -> None:
    truths = {(c.plate, c.well, str(c.site), c.cell_number): c for c in small_sample.cells}
    sites: dict[tuple[str, str, int], Any] = {}
    for row in rows:
        cell = truths[_key(row)]
        place = (cell.plate, cell.well, cell.site)
        if place not in sites:
            sites[place] = small_sample.site(*place)
        site, box, channel = (
            sites[place],
            cell.cell_box,
            row["Metadata_Channel"].removeprefix("Orig"),
        )
        crop, mask = pixels(row["ome_arrow_image"]), pixels(row["ome_arrow_mask"])
        ends = [row[f"Metadata_SourceBBox{end}"] for end in ("XMin", "YMin", "XMax", "YMax")]
        assert ends == [box.x_min, box.y_min, box.x_max, box.y_max]
        assert np.array_equal(crop, site.image(channel)[box.slices])
        assert np.array_equal(mask, site.labels.cells[box.slices])
        inside = mask == cell.cell_number
        assert np.count_nonzero(inside) == cell.cell_area_px == row["Cells_AreaShape_Area"]
        mean = crop[inside].mean(dtype=np.float64) / 65_535
        assert mean == pytest.approx(cell.cell_mean[channel], rel=1e-12)
        measured = row[f"Cells_Intensity_MeanIntensity_{channel}"]
        assert measured == pytest.approx(mean, rel=1e-6)
        assert row["Metadata_Nuclei_ObjectNumber"] == cell.nucleus_number
        assert row["Nuclei_AreaShape_Area"] == cell.nucleus_area_px


def test_outline_is_cut_from_the_outline_file_and_serves_as_label(
    rows: list[dict[str, Any]], small_sample: SampleTruth
) -> None:
    files: dict[str, Any] = {}
    for row in rows:
        name = row["source_outline_path"]
        if name not in files:
            with Image.open(small_sample.root / name) as opened:
                files[name] = np.asarray(opened)
        x_min, y_min, x_max, y_max = (
            int(row[f"Metadata_SourceBBox{end}"]) for end in ("XMin", "YMin", "XMax", "YMax")
        )
        outline = pixels(row["ome_arrow_outline"])
        assert np.array_equal(outline, files[name][y_min:y_max, x_min:x_max])
        own = pixels(row["ome_arrow_mask"]) == row["Metadata_ObjectNumber"]
        assert outline[own].any()
        assert row["label_source_kind"] == "outline"
        assert row["ome_arrow_label"] == row["ome_arrow_outline"]


def test_whole_images_are_those_of_the_truth(built: Warehouse, small_sample: SampleTruth) -> None:
    images = built.read_table("source_images", plate=small_sample.options.plate_names[0])
    assert images.num_rows == 2 * 2 * len(CHANNELS)
    for row in images.to_pylist():
        truth = small_sample.site(row["plate_id"], row["well_id"], int(row["site_id"]))
        channel = row["Metadata_Channel"].removeprefix("Orig")
        assert np.array_equal(pixels(row["ome_arrow_image"]), truth.image(channel))


def test_orphan_nuclei_are_in_the_books(built: Warehouse, small_sample: SampleTruth) -> None:
    lost = built.read_table("rejected_rows", where="reason = 'no_child'")
    assert lost.num_rows == small_sample.orphan_nuclei
    assert set(lost["compartment"].to_pylist()) == {"Nuclei"}
