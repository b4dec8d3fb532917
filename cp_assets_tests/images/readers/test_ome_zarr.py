from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import PhysicalSize, Region, open_image
from cp_assets_tests.images.readers.files import DTYPES, pixels, read, write_ome_zarr

VERSIONS = ("0.4", "0.5")
TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
OMERO = {"omero": {"channels": [{"label": "DNA"}, {"label": "ER"}, {"color": "FFFFFF"}]}}


def _axes(letters: str) -> list[dict[str, str]]:
    spaces = {"unit": "nanometer"}
    return [
        {"name": axis, "type": TYPES[axis], **(spaces if TYPES[axis] == "space" else {})}
        for axis in letters
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("letters", ["yx", "cyx", "zyx", "tyx", "czyx", "tcyx", "tcyzx", "tczyx"])
def test_ome_zarr_is_read_at_full_resolution(tmp_path: Path, version: str, letters: str) -> None:
    shape = tuple({"t": 2, "c": 3, "z": 4, "y": 20, "x": 18}[axis] for axis in letters)
    for dtype in DTYPES if letters == "czyx" else ("uint16",):
        image = pixels(dtype, shape)
        path = write_ome_zarr(tmp_path / "a.zarr", image, _axes(letters), version, **OMERO)
        order = [letters.index(axis) for axis in "tczyx" if axis in letters]
        for asked in (path, path / "0"):
            header, got = read(asked)
            np.testing.assert_array_equal(
                got.reshape([image.shape[axis] for axis in order]), image.transpose(order)
            )
            assert (header.format, header.dtype) == ("ome-zarr", image.dtype)
            assert (header.path, header.array_path) == (path, "0")
            assert header.axes == letters.upper()
            names = ("DNA", "ER", None) if "c" in letters else (None,)
            assert header.channel_names == names
            assert header.physical_size.x == pytest.approx(0.003)
    assert read(path / "1")[1].shape[-1] == 9


def test_ome_zarr_sizes_are_scales_times_units(tmp_path: Path) -> None:
    axes = _axes("zyx")
    axes[0] = {"name": "z", "type": "space"}
    path = write_ome_zarr(tmp_path / "a.zarr", pixels("uint8", (2, 16, 16)), axes)
    group = zarr.open_group(path, mode="r+")
    (multiscale,) = group.attrs["multiscales"]
    multiscale["coordinateTransformations"] = [{"type": "scale", "scale": [1, 10, 100]}]
    group.attrs["multiscales"] = [multiscale]
    size = read(path)[0].physical_size
    assert size == PhysicalSize(z=None, y=pytest.approx(0.02), x=pytest.approx(0.3))


@pytest.mark.parametrize("axes", [[], ["t", "c", "z", "y", "x"]], ids=["0.2", "0.3"])
def test_ome_zarr_of_older_versions_is_read(tmp_path: Path, axes: list[str]) -> None:
    image = pixels("uint8", (2, 3, 1, 20, 30))
    header, got = read(write_ome_zarr(tmp_path / "a.zarr", image, axes))
    np.testing.assert_array_equal(got, image)
    assert (header.axes, header.physical_size) == ("TCZYX", PhysicalSize())


def test_ome_zarr_whose_axes_do_not_fit_is_refused(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", pixels("uint8", (3, 20, 30)), _axes("yx"))
    with pytest.raises(ImageReadError, match=r"axes Y, X, but its array has the shape \(3, 20,"):
        open_image(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_plate_is_read_by_field(tmp_path: Path, version: str) -> None:
    image = pixels("uint8", (3, 20, 30))
    plate = tmp_path / "plate.zarr"
    zarr_format: Any = 3 if version == "0.5" else 2
    root = zarr.open_group(plate, mode="w", zarr_format=zarr_format)
    wells = {"wells": [{"path": "A/01"}, {"path": "B/02"}], "field_count": 2}
    well = root.create_group("A").create_group("01")
    for group, name, value in (
        (root, "plate", wells),
        (well, "well", {"images": [{"path": "0"}, {"path": "1"}]}),
    ):
        if version == "0.5":
            group.attrs["ome"] = {name: value}
        else:
            group.attrs[name] = value
    write_ome_zarr(plate / "A" / "01" / "0", image, _axes("cyx"), version)
    for asked in (plate / "A" / "01" / "0", plate / "A" / "01" / "0" / "0"):
        header, got = read(asked)
        np.testing.assert_array_equal(got[0, :, 0], image)
        assert (header.path, header.array_path) == (plate, "A/01/0/0")
    with pytest.raises(ImageReadError, match=r"plate of 2 fields .* wells A/01, B/02 \(2\)"):
        open_image(plate)
    with pytest.raises(ImageReadError, match=r"a well with the fields 0, 1 \(2\); name one image"):
        open_image(plate / "A" / "01")


@pytest.mark.parametrize("listed", [None, ["first", "second"]], ids=["numbered", "listed"])
def test_bioformats2raw_layout_is_chosen_by_number(
    tmp_path: Path, listed: list[str] | None
) -> None:
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    images = [pixels("uint8", (3, 20, 30)), pixels("uint16", (2, 11, 12))]
    for name, image in zip(listed or ["0", "1"], images, strict=True):
        write_ome_zarr(tmp_path / "a.zarr" / name, image, _axes("cyx"))
    if listed:
        root.create_group("OME").attrs["series"] = listed
    for number, image in enumerate(images):
        _, got = read(tmp_path / "a.zarr", series=number)
        np.testing.assert_array_equal(got[0, :, 0], image)
    with pytest.raises(ImageReadError, match="no series 2; it has 2"):
        open_image(tmp_path / "a.zarr", series=2)


def test_window_of_ome_zarr_opens_only_its_chunks(tmp_path: Path) -> None:
    image = pixels("uint8", (3, 20, 30))
    path = write_ome_zarr(tmp_path / "a.zarr", image, _axes("cyx"))
    for chunk in (path / "0").glob("*/*/*"):
        if chunk.relative_to(path / "0").as_posix() != "0/0/1":
            chunk.write_bytes(b"not read")
    region = Region((0, 1), (1, 2), (0, 1), (9, 15), (17, 24))
    np.testing.assert_array_equal(read(path, region)[1][0, :, 0], image[1:2, 9:15, 17:24])
    with pytest.raises(ImageReadError, match="cannot be decoded"):
        read(path)
