from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import Region, open_image
from cp_assets_tests.images.readers.files import pixels, read

WINDOW = Region((0, 1), (0, 1), (0, 1), (3, 17), (5, 29))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_grey_png_is_read_as_written(tmp_path: Path, dtype: str) -> None:
    image = pixels(dtype, (20, 30))
    Image.fromarray(image).save(tmp_path / "a.png")
    header, got = read(tmp_path / "a.png")
    np.testing.assert_array_equal(got[0, 0, 0], image)
    assert (header.format, header.dtype, header.axes) == ("png", image.dtype, "YX")
    np.testing.assert_array_equal(read(tmp_path / "a.png", WINDOW)[1], got[WINDOW.slices])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("samples", [2, 3, 4])
def test_colour_png_has_channels(tmp_path: Path, dtype: str, samples: int) -> None:
    image = pixels(dtype, (20, 30, samples))
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    header, got = read(tmp_path / "a.png")
    np.testing.assert_array_equal(got[0, :, 0], image.transpose(2, 0, 1))
    assert (header.samples, header.axes) == (samples, "YXS")


@pytest.mark.parametrize("colours", [2, 4, 16, 200], ids=lambda colours: f"{colours}-colours")
def test_palette_of_colours_gives_its_labels(tmp_path: Path, colours: int) -> None:
    labels = pixels("uint8", (20, 30)) % colours
    image = Image.fromarray(labels, "P")
    image.putpalette(pixels("uint8", (3 * colours,), seed=2).tolist())
    image.save(tmp_path / "a.png")
    header, got = read(tmp_path / "a.png")
    np.testing.assert_array_equal(got[0, 0, 0], labels)
    assert (header.dtype, header.samples) == (np.uint8, 1)


def test_palette_of_greys_gives_its_greys(tmp_path: Path) -> None:
    grey = pixels("uint8", (20, 30))
    Image.fromarray(grey).convert("P").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[1][0, 0, 0], grey)


def test_png_holds_one_image(tmp_path: Path) -> None:
    Image.fromarray(pixels("uint8", (20, 30))).save(tmp_path / "a.png")
    with pytest.raises(ImageReadError, match="no series 1"):
        open_image(tmp_path / "a.png", series=1)
