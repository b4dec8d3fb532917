from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import PhysicalSize, Region, open_image
from cp_assets_tests.images.readers.files import (
    DTYPES,
    ome_xml,
    pixels,
    read,
    write_ome_set,
)

SIZES = {"T": 2, "C": 3, "Z": 4}


@pytest.mark.parametrize("order", ["".join(order) for order in permutations("TCZ")])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_ome_tiff_is_read_in_any_dimension_order(
    tmp_path: Path, order: str, compression: str | None
) -> None:
    for dtype in DTYPES:
        image = pixels(dtype, (*(SIZES[axis] for axis in order), 20, 30))
        path = tmp_path / "a.ome.tif"
        tifffile.imwrite(
            path,
            image,
            compression=compression,
            photometric="minisblack",
            metadata={
                "axes": f"{order}YX",
                "Channel": {"Name": ["DNA", "ER", "RNA"]},
                "PhysicalSizeX": 0.5,
                "PhysicalSizeY": 250.0,
                "PhysicalSizeYUnit": "nm",
                "PhysicalSizeZ": 1.0,
                "PhysicalSizeZUnit": "reference frame",
            },
        )
        header, got = read(path)
        np.testing.assert_array_equal(
            got, image.transpose([order.index(axis) for axis in "TCZ"] + [3, 4])
        )
        assert (header.format, header.axes, header.plane_axes) == ("ome-tiff", f"{order}YX", order)
        assert header.channel_names == ("DNA", "ER", "RNA")
        assert header.physical_size == PhysicalSize(z=None, y=0.25, x=0.5)
        region = Region((1, 2), (1, 3), (1, 4), (3, 17), (5, 29))
        np.testing.assert_array_equal(read(path, region)[1], got[region.slices])


def test_ome_tiff_counts_colour_samples_as_channels(tmp_path: Path) -> None:
    image = pixels("uint8", (2, 20, 30, 3))
    tifffile.imwrite(tmp_path / "a.ome.tif", image, photometric="rgb", metadata={"axes": "ZYXS"})
    header, got = read(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(got[0], image.transpose(3, 0, 1, 2))
    assert (header.shape, header.samples, header.plane_axes) == ((1, 3, 2, 20, 30), 3, "Z")


def test_ome_tiff_of_several_files_is_one_image(tmp_path: Path) -> None:
    image = pixels("uint8", (3, 20, 30))
    for path in write_ome_set(tmp_path, image):
        header, got = read(path)
        np.testing.assert_array_equal(got[:, 0, 0], image)
        assert header.plane_axes == "T"


def test_ome_tiff_under_another_name_is_read(tmp_path: Path) -> None:
    image = pixels("uint8", (1, 20, 30))
    for uuids in (True, False):
        (path,) = write_ome_set(tmp_path, image, uuids)
        path.rename(tmp_path / "renamed.tif")
        np.testing.assert_array_equal(read(tmp_path / "renamed.tif")[1][:, 0, 0], image)


def test_ome_tiff_of_several_images_is_chosen_by_number(tmp_path: Path) -> None:
    images = [pixels("uint8", (2, 20, 30)), pixels("uint16", (3, 11, 12))]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tiff:
        for image in images:
            tiff.write(image, photometric="minisblack", metadata={"axes": "CYX"})
    for number, image in enumerate(images):
        got = read(tmp_path / "a.ome.tif", series=number)[1]
        np.testing.assert_array_equal(got[0, :, 0], image)
    with pytest.raises(ImageReadError, match="no series 2; it has 2"):
        open_image(tmp_path / "a.ome.tif", series=2)


def test_ome_tiff_places_blocks_of_planes(tmp_path: Path) -> None:
    stack = pixels("uint8", (5, 20, 30))
    blocks = (
        '<TiffData FirstZ="2" IFD="0" PlaneCount="3"/><TiffData FirstZ="0" IFD="3" PlaneCount="2"/>'
    )
    xml = ome_xml('SizeX="30" SizeY="20" SizeZ="5"', blocks)
    tifffile.imwrite(
        tmp_path / "a.tif", stack, description=xml, metadata=None, photometric="minisblack"
    )
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[1][0, 0], stack[[3, 4, 0, 1, 2]])


def test_ome_tiff_that_points_to_a_companion(tmp_path: Path) -> None:
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<BinaryOnly MetadataFile="plate.companion.ome" UUID="urn:uuid:1"/></OME>'
    )
    image = pixels("uint8", (2, 20, 30))
    tifffile.imwrite(tmp_path / "one.tif", image[0], description=xml, metadata=None)
    header, got = read(tmp_path / "one.tif")
    np.testing.assert_array_equal(got[0, 0, 0], image[0])
    assert header.format == "tiff"
    tifffile.imwrite(
        tmp_path / "two.tif", image, description=xml, metadata=None, photometric="minisblack"
    )
    with pytest.raises(ImageReadError, match=r"its 2 pages are but in plate\.companion\.ome"):
        open_image(tmp_path / "two.tif")


def test_real_ome_tiffs_are_read(test_data: Path) -> None:
    folder = test_data / "ome_tiff"
    header, got = read(folder / "single-channel.ome.tiff")
    assert (header.format, header.shape) == ("ome-tiff", (1, 1, 1, 167, 439))
    np.testing.assert_array_equal(got[0, 0, 0], tifffile.imread(folder / "single-channel.ome.tiff"))
    path = folder / "multi-channel-z-series.ome.tiff"
    header, got = read(path)
    with tifffile.TiffFile(path) as tiff:
        order = [tiff.series[0].axes.index(axis) for axis in "CZYX"]
        np.testing.assert_array_equal(got[0], tiff.asarray().transpose(order))
    assert header.shape == (1, 3, 5, 167, 439)
    region = Region((0, 1), (1, 2), (2, 4), (10, 90), (400, 439))
    np.testing.assert_array_equal(read(path, region)[1], got[region.slices])
