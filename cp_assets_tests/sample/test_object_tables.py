from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cp_assets.sample import CHANNELS, SampleTruth
from cp_assets_tests.sample.reading import WrittenSite, written_sites

COMPARTMENTS = ("Cells", "Nuclei", "Cytoplasm")


@pytest.fixture(scope="module", params=range(8), ids=lambda index: f"site{index}")
def site(sample: SampleTruth, request: pytest.FixtureRequest) -> WrittenSite:
    index: int = request.param
    return written_sites(sample)[index]


def _labels(site: WrittenSite, compartment: str) -> np.ndarray:
    cells, nuclei = site.mask("cell"), site.mask("nuclei")
    return {"Cells": cells, "Nuclei": nuclei, "Cytoplasm": np.where(nuclei > 0, 0, cells)}[
        compartment
    ]


@pytest.mark.parametrize("compartment", COMPARTMENTS)
def test_measurements_are_those_of_the_files_pixels(site: WrittenSite, compartment: str) -> None:
    table, labels = site.table(compartment).set_index("ObjectNumber"), _labels(site, compartment)
    images = {channel: site.image(channel) / 65_535 for channel in CHANNELS}
    assert sorted(table.index) == sorted(set(labels.ravel()) - {0})
    for number, row in table.iterrows():
        y, x = np.nonzero(labels == number)
        corners = [
            row[f"AreaShape_BoundingBox{side}_{axis}"]
            for side in ("Minimum", "Maximum")
            for axis in "XY"
        ]
        assert corners == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert row["AreaShape_Area"] == len(y)
        assert row["AreaShape_BoundingBoxArea"] == (corners[2] - corners[0]) * (
            corners[3] - corners[1]
        )
        assert row["Location_Center_X"] == pytest.approx(x.mean())
        assert row["AreaShape_Center_Y"] == pytest.approx(y.mean())
        for channel, image in images.items():
            values = image[y, x]
            assert row[f"Intensity_MeanIntensity_{channel}"] == pytest.approx(values.mean())
            assert row[f"Intensity_IntegratedIntensity_{channel}"] == pytest.approx(values.sum())
            assert row[f"Intensity_MinIntensity_{channel}"] == values.min()
            assert row[f"Intensity_MaxIntensity_{channel}"] == values.max()
            assert row[f"Intensity_StdIntensity_{channel}"] == pytest.approx(values.std())
            brightest = (
                int(row[f"Location_MaxIntensity_Y_{channel}"]),
                int(row[f"Location_MaxIntensity_X_{channel}"]),
            )
            assert image[brightest] == values.max()
        expected = np.corrcoef(images["AGP"][y, x], images["DNA"][y, x])[0, 1]
        assert row["Correlation_Correlation_AGP_DNA"] == pytest.approx(expected, abs=1e-9)


def test_tables_joined_by_parent_are_the_truth(site: WrittenSite, sample: SampleTruth) -> None:
    cells, nuclei = site.table("Cells"), site.table("Nuclei").set_index("ObjectNumber")
    expected = [
        cell
        for cell in sample.cells
        if (cell.plate, cell.well, cell.site) == (site.plate, site.well, site.site)
    ]
    assert cells["ObjectNumber"].tolist() == [cell.cell_number for cell in expected]
    for (_, row), cell in zip(cells.iterrows(), expected, strict=True):
        nucleus = nuclei.loc[row["Parent_Nuclei"]]
        assert row["Parent_Nuclei"] == cell.nucleus_number
        assert (row["AreaShape_Area"], nucleus["AreaShape_Area"]) == (
            cell.cell_area_px,
            cell.nucleus_area_px,
        )
        for box, measured in ((cell.cell_box, row), (cell.nucleus_box, nucleus)):
            assert measured["AreaShape_BoundingBoxMinimum_X"] == box.x_min
            assert measured["AreaShape_BoundingBoxMinimum_Y"] == box.y_min
            assert measured["AreaShape_BoundingBoxMaximum_X"] == box.x_max
            assert measured["AreaShape_BoundingBoxMaximum_Y"] == box.y_max
        for channel in CHANNELS:
            assert row[f"Intensity_MeanIntensity_{channel}"] == pytest.approx(
                cell.cell_mean[channel]
            )
            assert nucleus[f"Intensity_MeanIntensity_{channel}"] == pytest.approx(
                cell.nucleus_mean[channel]
            )


def test_traps_are_set(site: WrittenSite) -> None:
    cells, nuclei, cytoplasm = (site.table(name) for name in COMPARTMENTS)
    assert not np.any(cells["ObjectNumber"] == cells["Parent_Nuclei"])
    orphans = set(nuclei["ObjectNumber"]) - set(cells["Parent_Nuclei"])
    assert orphans
    assert set(nuclei.loc[nuclei["Children_Cells_Count"] == 0, "ObjectNumber"]) == orphans
    assert cytoplasm["Parent_Cells"].tolist() == cells["ObjectNumber"].tolist()
    assert cytoplasm["Parent_Nuclei"].tolist() == cells["Parent_Nuclei"].tolist()
    for table in (cells, nuclei, cytoplasm, site.table("Image")):
        assert set(table["ImageNumber"]) == {1}


@pytest.mark.parametrize("compartment", COMPARTMENTS)
def test_features_are_finite_and_keys_come_first(site: WrittenSite, compartment: str) -> None:
    table = site.table(compartment)
    assert list(table.columns[:2]) == ["ImageNumber", "ObjectNumber"]
    assert list(table.columns[2:]) == sorted(table.columns[2:])
    assert np.isfinite(table.to_numpy(dtype=float)).all()
    assert (table["Number_Object_Number"] == table["ObjectNumber"]).all()
    assert (table["AreaShape_Solidity"] <= 1).all()


@pytest.mark.parametrize(
    ("name", "what"), [("cell_outlines", "cell"), ("nuclei_outlines", "nuclei")]
)
def test_outlines_are_white_rims_of_the_masks(site: WrittenSite, name: str, what: str) -> None:
    with Image.open(site.analysis / "outlines" / f"{site.well}_s{site.site}--{name}.png") as image:
        assert image.mode == "L"
        outline = np.asarray(image)
    labels = site.mask(what)
    assert set(np.unique(outline)) == {0, 255}
    assert np.all(labels[outline > 0] > 0)
    padded = np.pad(labels, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    rim = np.any([side != labels for side in neighbours], axis=0) & (labels > 0)
    assert np.array_equal(outline > 0, rim)


def test_column_names_are_cellprofilers(site: WrittenSite) -> None:
    shape = "Area BoundingBoxArea ConvexArea Eccentricity EulerNumber Extent FormFactor Orientation"
    wanted = {f"AreaShape_{name}" for name in shape.split()} | {
        f"Location_Center_{axis}" for axis in "XY"
    }
    wanted |= {
        f"Intensity_{name}IntensityEdge_ER" for name in ("Integrated", "Max", "Mean", "Min", "Std")
    }
    wanted |= {
        "Intensity_MADIntensity_Mito",
        "Texture_Contrast_DNA_3_00_256",
        "Correlation_Correlation_ER_RNA",
    }
    for compartment in COMPARTMENTS:
        assert wanted <= set(site.table(compartment).columns)


def test_files_end_lines_as_cellprofiler_does(site: WrittenSite) -> None:
    for path in sorted(Path(site.analysis).glob("*.csv")):
        content = path.read_bytes()
        assert content.endswith(b"\r\n")
        if path.stem != "Experiment":
            assert content.count(b"\r\n") == content.count(b"\n") == len(pd.read_csv(path)) + 1
