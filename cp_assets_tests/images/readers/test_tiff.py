from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import PhysicalSize, Region, open_image
from cp_assets_tests.images.readers.files import DTYPES, pixels, read

LAYOUTS = {
    "strips": {"rowsperstrip": 7},
    "one-strip": {"rowsperstrip": 50},
    "tiles": {"tile": (16, 32)},
}
COMPRESSIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "lzw": {"compression": "lzw"},
    "deflate": {"compression": "zlib"},
    "packbits": {"compression": "packbits"},
    "zstd": {"compression": "zstd"},
    "lzw-predictor": {"compression": "lzw", "predictor": True},
    "deflate-predictor": {"compression": "zlib", "predictor": True},
}
CONTAINERS: dict[str, dict[str, Any]] = {
    "classic": {},
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "big-big-endian": {"bigtiff": True, "byteorder": ">"},
}
WINDOW = Region((0, 1), (0, 1), (0, 1), (5, 41), (17, 49))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_tiff_is_read_as_written(
    tmp_path: Path, layout: str, compression: str, container: str
) -> None:
    for dtype in DTYPES:
        if dtype == "bool" and "predictor" in compression:
            continue
        image = pixels(dtype, (50, 61))
        options = LAYOUTS[layout] | COMPRESSIONS[compression] | CONTAINERS[container]
        tifffile.imwrite(tmp_path / "a.tif", image, **options)
        header, whole = read(tmp_path / "a.tif")
        np.testing.assert_array_equal(whole[0, 0, 0], image)
        assert (header.dtype, header.axes, header.plane_axes) == (image.dtype, "YX", "")
        _, window = read(tmp_path / "a.tif", WINDOW)
        np.testing.assert_array_equal(window[0, 0, 0], image[5:41, 17:49])


@pytest.mark.parametrize("metadata", [None, {}], ids=["plain", "shaped"])
@pytest.mark.parametrize("contiguous", [True, False])
def test_pages_of_a_plain_tiff_are_planes_in_z(
    tmp_path: Path, metadata: Any, contiguous: bool
) -> None:
    stack = pixels("uint16", (4, 20, 30))
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        if metadata is None:
            for plane in stack:
                tiff.write(plane, contiguous=contiguous, metadata=None, compression=None)
        else:
            compression = None if contiguous else "lzw"
            tiff.write(stack, photometric="minisblack", compression=compression)
    header, image = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image[0, 0], stack)
    assert (header.shape, header.plane_axes) == ((1, 1, 4, 20, 30), "Z")
    region = Region((0, 1), (0, 1), (1, 3), (2, 9), (4, 8))
    np.testing.assert_array_equal(read(tmp_path / "a.tif", region)[1], image[region.slices])


@pytest.mark.parametrize("virtual", [True, False])
def test_imagej_hyperstack_has_its_axes_and_sizes(tmp_path: Path, virtual: bool) -> None:
    image = pixels("uint16", (2, 4, 3, 20, 30))
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        imagej=True,
        compression=None if virtual else "zlib",
        resolution=(2, 4),
        metadata={"axes": "TZCYX", "spacing": 1.5, "unit": "um"},
    )
    header, got = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(got, image.transpose(0, 2, 1, 3, 4))
    assert (header.axes, header.plane_axes) == ("TZCYX", "TZC")
    assert header.physical_size == PhysicalSize(z=1.5, y=0.25, x=0.5)


@pytest.mark.parametrize("axes", ["TYX", "CYX", "ZYX", "TCYX", "CZYX", "ZTCYX"])
def test_named_axes_of_a_tiff_are_kept(tmp_path: Path, axes: str) -> None:
    shape = tuple({"T": 2, "C": 3, "Z": 4, "Y": 20, "X": 30}[axis] for axis in axes)
    image = pixels("uint8", shape)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", metadata={"axes": axes})
    header, got = read(tmp_path / "a.tif")
    order = sorted(axes, key="TCZYX".index)
    np.testing.assert_array_equal(
        got.squeeze(), image.transpose([axes.index(axis) for axis in order])
    )
    assert header.axes == axes


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("tile", [None, (16, 16)], ids=["strips", "tiles"])
def test_colour_samples_are_channels(tmp_path: Path, planar: Any, samples: int, tile: Any) -> None:
    image = pixels("uint8", (samples, 40, 30))
    data = image if planar == "separate" else image.transpose(1, 2, 0)
    options = {"extrasamples": ["unassalpha"]} if samples == 4 else {}
    tifffile.imwrite(
        tmp_path / "a.tif",
        data,
        photometric="rgb",
        planarconfig=planar,
        tile=tile,
        compression="lzw",
        **options,
    )
    header, got = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(got[0, :, 0], image)
    assert (header.samples, header.shape) == (samples, (1, samples, 1, 40, 30))
    assert header.axes == ("SYX" if planar == "separate" else "YXS")
    region = Region((0, 1), (1, 3), (0, 1), (7, 33), (11, 20))
    np.testing.assert_array_equal(read(tmp_path / "a.tif", region)[1], got[region.slices])


def test_series_of_a_tiff_are_chosen_by_number(tmp_path: Path) -> None:
    first, second = pixels("uint8", (20, 30)), pixels("uint16", (2, 10, 11))
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(first)
        tiff.write(second, photometric="minisblack")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[1][0, 0, 0], first)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", series=1)[1][0, 0], second)
    for number in (2, -1):
        with pytest.raises(ImageReadError, match=rf"no series {number}; it has 2"):
            open_image(tmp_path / "a.tif", series=number)


@pytest.mark.parametrize("ome", [True, False])
def test_smaller_resolutions_of_a_pyramid_are_ignored(tmp_path: Path, ome: bool) -> None:
    image = pixels("uint16", (3, 64, 64))
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=ome) as tiff:
        metadata = {"axes": "CYX"} if ome else None
        tiff.write(image, photometric="minisblack", subifds=1, tile=(16, 16), metadata=metadata)
        tiff.write(image[:, ::2, ::2], photometric="minisblack", tile=(16, 16), subfiletype=1)
    header, got = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(got.squeeze(), image)
    assert header.chunk_shape == (1, 1, 1, 16, 16)


@pytest.mark.parametrize(
    ("shape", "options", "match"),
    [
        ((2, 3, 9, 8), {"photometric": "minisblack"}, r"\?, \?, Y, X of sizes \(2, 3, 9, 8\)"),
        ((2, 9, 8), {"photometric": "minisblack", "metadata": {"axes": "AYX"}}, "A, Y, X"),
    ],
    ids=["two-unnamed", "angles"],
)
def test_axes_without_a_place_are_refused(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], match: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels("uint8", shape), **options)
    with pytest.raises(ImageReadError, match=match):
        open_image(tmp_path / "a.tif")


def test_complex_pixels_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((9, 8), np.complex64))
    with pytest.raises(ImageReadError, match="pixels of type complex64"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "png", "webp"])
def test_tiles_that_are_images_are_read(tmp_path: Path, compression: str) -> None:
    image = pixels("uint8", (32, 48, 3))
    tifffile.imwrite(
        tmp_path / "a.tif", image, photometric="rgb", tile=(16, 16), compression=compression
    )
    _, got = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(
        got[0, :, 0], tifffile.imread(tmp_path / "a.tif").transpose(2, 0, 1)
    )


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("scale", [1, 257], ids=["8-bit-palette", "16-bit-palette"])
def test_palette_of_greys_gives_its_greys(tmp_path: Path, compression: Any, scale: int) -> None:
    image = pixels("uint8", (20, 30))
    greys = np.arange(255, -1, -1, dtype=np.uint16)
    options: dict[str, Any] = {"photometric": "palette", "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", image, colormap=np.stack([greys * scale] * 3), **options)
    header, got = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(got[0, 0, 0], 255 - image)
    assert (header.dtype, header.samples) == (np.uint8, 1)


def test_palette_of_colours_gives_its_labels(tmp_path: Path) -> None:
    image = pixels("uint8", (20, 30))
    colours = pixels("uint16", (3, 256), seed=2) * 257
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[1][0, 0, 0], image)


def test_pixels_whose_white_is_zero_are_as_stored(tmp_path: Path) -> None:
    image = pixels("uint8", (20, 30))
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="miniswhite")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[1][0, 0, 0], image)


def test_codecs_that_cannot_be_bounded_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels("uint8", (32, 48)), compression="jpegxl")
    with pytest.raises(ImageReadError, match="compressed as JPEGXL"):
        read(tmp_path / "a.tif")


def test_volumetric_tiles_are_read(tmp_path: Path) -> None:
    image = pixels("uint16", (20, 40, 50))
    tifffile.imwrite(
        tmp_path / "a.tif", image, tile=(16, 16, 16), volumetric=True, photometric="minisblack"
    )
    header, got = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(got[0, 0], image)
    assert (header.axes, header.plane_axes) == ("ZYX", "")
    region = Region((0, 1), (0, 1), (5, 18), (7, 33), (11, 20))
    np.testing.assert_array_equal(read(tmp_path / "a.tif", region)[1], got[region.slices])


def test_windows_outside_the_image_and_above_the_limit_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels("uint8", (50, 61)))
    with open_image(tmp_path / "a.tif", limit=50 * 61 - 1) as reader:
        for edges in ((0, 51), (-1, 3), (3, 3), (4, 2)):
            with pytest.raises(ImageReadError, match=r"window .* of axis Y is empty or not inside"):
                reader.read(Region((0, 1), (0, 1), (0, 1), edges, (0, 61)))
        with pytest.raises(ImageReadError, match=r"3,050 bytes, more than the 3,049"):
            reader.read()
        reader.close()
