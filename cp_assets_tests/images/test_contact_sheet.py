from __future__ import annotations

import dataclasses
import io

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from PIL import Image

from cp_assets.errors import QueryError
from cp_assets.images import SheetOptions, contact_sheet, contact_sheet_png
from cp_assets.images.contrast import border, channel_colours, contrast_range, own_object
from cp_assets_tests.images.plates import SHAPE, Human, Plate, crop, profile_rows

BOXES = [(0, 0, 20, 10), (5, 5, 25, 35), (1, 1, 3, 3)]


@pytest.fixture
def crops(plate: Plate) -> pa.Table:
    folder = plate.root / "m"
    folder.mkdir()
    mask = np.zeros(SHAPE, np.uint16)
    mask[2:8, 3:15] = 1
    tifffile.imwrite(folder / "A01_s1_DNA.tif", mask)
    sources = dataclasses.replace(plate.sources, mask_dir=folder)
    return crop([profile_rows(plate.sets[0], BOXES)], plate.sets, sources).table


def test_contact_sheet_of_example_human_is_a_png(human: Human) -> None:
    table = crop([human.profiles], human.sets, human.sources).table
    image = Image.open(io.BytesIO(contact_sheet_png(table, SheetOptions(cells=20, columns=5))))
    pixels = np.asarray(image)
    assert image.format == "PNG"
    assert pixels.shape[2] == 3
    assert pixels.shape[0] < pixels.shape[1]
    blue, red = pixels[..., 2].astype(int), pixels[..., 0].astype(int)
    assert (blue - red > 60).sum() > 1000


def test_contact_sheet_grows_with_rows_and_channels(crops: pa.Table) -> None:
    one = contact_sheet(crops, SheetOptions(tile=40, columns=3))
    grey = contact_sheet(crops, SheetOptions(tile=40, columns=3, separate=True))
    two = contact_sheet(crops, SheetOptions(tile=40, columns=2))
    assert grey.shape == (one.shape[0] + 80, one.shape[1], 3)
    assert two.shape[0] > one.shape[0]
    assert two.shape[1] < one.shape[1]


def test_contact_sheet_draws_the_border_of_the_mask(crops: pa.Table) -> None:
    with_line = contact_sheet(crops, SheetOptions(tile=60))
    without = contact_sheet(crops, SheetOptions(tile=60, outlines=False))
    changed = (with_line != without).any(axis=2)
    assert 20 < changed.sum() < 400
    assert with_line[changed][:, 0].mean() > with_line[changed][:, 2].mean()


def test_contact_sheet_is_drawn_again_the_same(crops: pa.Table) -> None:
    assert contact_sheet_png(crops) == contact_sheet_png(crops)


def test_contact_sheet_without_crops_raises(crops: pa.Table) -> None:
    with pytest.raises(QueryError, match="channels of the table: DNA, ER"):
        contact_sheet(crops, SheetOptions(channels=("Mito",)))
    with pytest.raises(QueryError, match="no crop to show"):
        contact_sheet(crops.slice(0, 0))
    with pytest.raises(QueryError, match="no column ome_arrow_image"):
        contact_sheet(crops.drop_columns(["ome_arrow_image"]))


def test_channel_colours_know_cell_painting() -> None:
    colours = channel_colours(("OrigDNA", "OrigER", "X", "Y", "OrigMito"), {"Y": (1, 2, 3)})
    assert colours["OrigDNA"][2] > colours["OrigDNA"][0]
    assert colours["OrigMito"][0] > colours["OrigMito"][2]
    assert colours["Y"] == (1, 2, 3)
    assert len(set(colours.values())) >= 4


def test_contrast_of_a_flat_channel_is_not_empty() -> None:
    assert contrast_range([np.full((3, 3), 5)], (1, 99)) == (5.0, 6.0)
    assert contrast_range([], (1, 99)) == (0.0, 1.0)


def test_own_object_and_border() -> None:
    label = np.zeros((6, 6), int)
    label[1:5, 1:5] = 4
    label[5] = 9
    assert own_object(label, 4).sum() == 16
    assert own_object(label, 77).sum() == 22
    assert border(own_object(label, 4)).sum() == 12
