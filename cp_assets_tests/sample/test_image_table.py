from __future__ import annotations

import csv
import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import tifffile

from cp_assets.sample import CHANNELS, PIXEL_SIZE_UM, SampleTruth
from cp_assets_tests.sample.reading import WrittenSite, places, written_sites

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def site(sample: SampleTruth) -> WrittenSite:
    return written_sites(sample)[-1]


@pytest.fixture(scope="module")
def row(site: WrittenSite) -> dict[str, str]:
    with (site.analysis / "Image.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_counts_are_floats_and_true(site: WrittenSite, row: dict[str, str]) -> None:
    assert row["Count_Cells"] == row["Count_Cytoplasm"] == f"{site.mask('cell').max()}.0"
    assert row["Count_Nuclei"] == f"{site.mask('nuclei').max()}.0"


@pytest.mark.parametrize("channel", CHANNELS)
def test_images_are_named_as_on_the_worker(
    site: WrittenSite, row: dict[str, str], channel: str
) -> None:
    path = site.image_path(channel)
    folder = f"/home/ubuntu/local_input/cpg9999-sample/source_1/images/{site.batch}"
    assert row[f"FileName_Orig{channel}"] == path.name
    assert row[f"PathName_Orig{channel}"] == f"{folder}/images/{path.parent.parent.name}/Images"
    assert row[f"URL_Orig{channel}"] == f"file:{row[f'PathName_Orig{channel}']}/{path.name}"
    assert row[f"MD5Digest_Orig{channel}"] == _md5(path)
    assert row[f"Scaling_Orig{channel}"] == "65535"
    assert (row[f"Height_Orig{channel}"], row[f"Width_Orig{channel}"]) == ("150", "190")
    illum = (
        site.root / "images" / site.batch / "illum" / site.plate / row[f"FileName_Illum{channel}"]
    )
    assert row[f"PathName_Illum{channel}"] == f"{folder}/illum/{site.plate}"
    assert row[f"MD5Digest_Illum{channel}"] == _md5(illum)
    assert np.load(illum).shape == (150, 190)


@pytest.mark.parametrize("name", ["CellOutlines", "NucleiOutlines"])
def test_saved_outlines_have_a_path_but_no_digest(
    site: WrittenSite, row: dict[str, str], name: str
) -> None:
    folder = f"/home/ubuntu/local_output/{site.plate}-{site.well}-{site.site}/outlines"
    assert row[f"PathName_{name}"] == folder
    assert row[f"URL_{name}"] == f"file:{folder}/{row[f'FileName_{name}']}"
    assert (site.analysis / "outlines" / row[f"FileName_{name}"]).is_file()
    assert not {f"MD5Digest_{name}", f"Height_{name}", f"Width_{name}", f"Scaling_{name}"} & set(
        row
    )


def test_keys_and_modules(site: WrittenSite, row: dict[str, str]) -> None:
    assert (row["Metadata_Plate"], row["Metadata_Well"], row["Metadata_Site"]) == (
        site.plate,
        site.well,
        "2",
    )
    assert (row["Metadata_Row"], row["Metadata_Col"]) == (
        str(ord(site.well[0]) - 64),
        str(int(site.well[1:])),
    )
    assert {value for name, value in row.items() if name.startswith("ModuleError_")} == {"0"}
    assert sum(name.startswith("ExecutionTime_") for name in row) == 12
    image = site.image("DNA") / 65_535
    assert float(row["ImageQuality_MeanIntensity_OrigDNA"]) == pytest.approx(image.mean())
    assert float(row["ImageQuality_MedianIntensity_OrigDNA"]) == pytest.approx(np.median(image))


def test_columns_are_sorted_by_name(row: dict[str, str]) -> None:
    assert list(row) == sorted(row)


def test_experiment_holds_a_pipeline_of_several_lines(site: WrittenSite) -> None:
    with (site.analysis / "Experiment.csv").open(newline="") as file:
        table = dict(csv.reader(file))
    assert table["Key"] == "Value"
    assert table["Pipeline_Pipeline"].startswith(
        "CellProfiler Pipeline: http://www.cellprofiler.org\nVersion:5\n"
    )


@pytest.mark.parametrize("name", ["load_data.csv", "load_data_with_illum.csv"])
def test_load_data_has_one_row_an_image_set(sample: SampleTruth, name: str) -> None:
    options = sample.options
    for plate in options.plate_names:
        table = pd.read_csv(sample.root / "workspace/load_data_csv" / options.batch / plate / name)
        keys = zip(
            table["Metadata_Plate"], table["Metadata_Well"], table["Metadata_Site"], strict=True
        )
        assert list(keys) == [place for place in places(options) if place[0] == plate]
        assert ("FileName_IllumDNA" in table) == ("illum" in name)
        folder = (
            sample.root
            / "images"
            / options.batch
            / "images"
            / f"{plate}__2026-11-21T10_00_00-Measurement1"
        )
        for channel in CHANNELS:
            assert all(
                (folder / "Images" / file).is_file() for file in table[f"FileName_Orig{channel}"]
            )
        assert (
            table["PathName_OrigDNA"]
            .str.startswith("/home/ubuntu/local_input/cpg9999-sample/source_1/")
            .all()
        )


def test_plate_map_covers_every_plate_and_well(sample: SampleTruth) -> None:
    folder = sample.root / "workspace/metadata/platemaps" / sample.options.batch
    barcodes = pd.read_csv(folder / "barcode_platemap.csv")
    assert barcodes["Assay_Plate_Barcode"].tolist() == list(sample.options.plate_names)
    for name in set(barcodes["Plate_Map_Name"]):
        table = pd.read_csv(folder / "platemap" / f"{name}.txt", sep="\t", keep_default_na=False)
        assert table["well_position"].tolist() == list(sample.options.well_names)
        assert table["control_type"].tolist() == ["negcon", "poscon"]
        assert set(table["plate_map_name"]) == {name}


def test_tiff_has_a_pixel_size_and_no_date(site: WrittenSite) -> None:
    with tifffile.TiffFile(site.image_path("DNA")) as tiff:
        assert len(tiff.pages) == 1
        page = tiff.pages.first
        pixels, unit = page.tags["XResolution"].value
        assert unit / pixels * 10_000 == pytest.approx(PIXEL_SIZE_UM, rel=1e-4)
        assert "DateTime" not in page.tags
        assert page.dtype == np.uint16
