"""Sets of OME-TIFF files: which planes of which file a record means, against tifffile's pages."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from cp_assets.images import ChannelFile, source_images
from cp_assets.payloads import payload_to_numpy
from cp_assets.rejections import RejectionLog
from cp_assets_tests.images.plates import (
    GOOD,
    SHAPE,
    Cropped,
    Plate,
    build_plate,
    crop,
    profile_rows,
)
from cp_assets_tests.images.readers.files import ome_xml, read, write_ome_channels

ROWS, COLUMNS = slice(2, 9), slice(3, 13)
FOLDER = "/acquired/PlateA"
ORDERS = ("XYZCT", "XYCZT")

Stack = npt.NDArray[Any]


def pixels(*sizes: int) -> Stack:
    return np.random.default_rng(5).integers(0, 200, (*sizes, *SHAPE)).astype("uint8")


def own_pages(path: Path) -> Stack:
    """All pages of a file (page, Y, X), whatever its OME-XML says."""
    with tifffile.TiffFile(path) as tiff:
        return np.stack([page.asarray() for page in tiff.pages])


def record(name: str, number: int, **numbers: int) -> ChannelFile:
    return ChannelFile(name, f"a_C{number}.ome.tif", FOLDER, **numbers)


def cut(plate: Plate, *sites: tuple[ChannelFile, ...]) -> Cropped:
    """Crops of image sets, each with these records."""
    sets = [
        dataclasses.replace(one, channels=files)
        for one, files in zip(plate.sets, sites, strict=True)
    ]
    return crop([profile_rows(one, [GOOD]) for one in sets], sets, plate.sources)


def crops(result: Cropped) -> dict[str, Stack]:
    """Pixels (Z, Y, X) of the crops of one image set, by channel."""
    assert not result.log.entries
    names = result.table["Metadata_Channel"].to_pylist()
    values = [payload_to_numpy(value) for value in result.table["ome_arrow_image"]]
    return {name: value[0, 0] for name, value in zip(names, values, strict=True)}


@pytest.fixture
def folder(plate: Plate) -> Path:
    return plate.root / "images" / "PlateA"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("frame", [{}, {"frame": 0}], ids=["no frame", "frame 0"])
def test_each_record_means_the_planes_of_its_own_file(
    plate: Plate, folder: Path, order: str, frame: dict[str, int]
) -> None:
    paths = write_ome_channels(folder, pixels(3, 2), order, ("DNA", "ER", "AGP"))
    files = [record(name, number, **frame) for number, name in enumerate(("Nuc", "Rough", "Golgi"))]
    found = crops(cut(plate, tuple(files)))
    assert set(found) == {"Nuc", "Rough", "Golgi"}
    for file, path in zip(files, paths, strict=True):
        np.testing.assert_array_equal(found[file.channel], own_pages(path)[:, ROWS, COLUMNS])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_record_of_one_file_of_a_set_means_that_file_alone(
    plate: Plate, folder: Path, number: int
) -> None:
    paths = write_ome_channels(folder, pixels(3, 1), channels=("DNA", "ER", "AGP"))
    found = crops(cut(plate, (record("Mine", number),)))
    assert set(found) == {"Mine"}
    np.testing.assert_array_equal(found["Mine"], own_pages(paths[number])[:, ROWS, COLUMNS])


def test_whole_source_images_are_of_the_file_that_is_named(plate: Plate, folder: Path) -> None:
    paths = write_ome_channels(folder, pixels(2, 1))
    image_set = dataclasses.replace(plate.sets[0], channels=(record("DNA", 0), record("ER", 1)))
    (batch,) = source_images([image_set], plate.sources, RejectionLog())
    assert batch["Metadata_Channel"].to_pylist() == ["DNA", "ER"]
    for path, value in zip(paths, batch["ome_arrow_image"], strict=True):
        np.testing.assert_array_equal(payload_to_numpy(value)[0, 0], own_pages(path))


@pytest.mark.parametrize("order", ORDERS)
def test_frames_count_the_planes_of_the_file_that_is_named(tmp_path: Path, order: str) -> None:
    plate = build_plate(tmp_path, [("A01", "1"), ("A01", "2"), ("A01", "3")])
    paths = write_ome_channels(tmp_path / "images" / "PlateA", pixels(2, 3), order)
    sites = [(record("DNA", 0, frame=z), record("ER", 1, frame=z)) for z in range(3)]
    result = cut(plate, *sites)
    assert not result.log.entries
    rows = zip(
        result.table["site_id"].to_pylist(),
        result.table["Metadata_Channel"].to_pylist(),
        result.table["ome_arrow_image"],
        strict=True,
    )
    for site, channel, value in rows:
        truth = own_pages(paths[("DNA", "ER").index(channel)])[int(site) - 1, ROWS, COLUMNS]
        np.testing.assert_array_equal(payload_to_numpy(value)[0, 0, 0], truth)


def test_a_frame_beyond_a_file_whose_set_is_named_is_rejected(plate: Plate, folder: Path) -> None:
    write_ome_channels(folder, pixels(2, 1))
    result = cut(plate, (record("DNA", 0, frame=0), record("ER", 1, frame=1)))
    assert result.table["Metadata_Channel"].to_pylist() == ["DNA"]
    assert "has 1 planes, the Image table's Frame is 1" in result.log.entries[0].detail


@pytest.mark.parametrize("column", ["frame", "colour"])
def test_numbers_beyond_the_only_file_named_count_the_whole_set(
    plate: Plate, folder: Path, column: str
) -> None:
    image = pixels(3, 1)
    write_ome_channels(folder, image)
    files = tuple(record(f"X{number}", 1, **{column: number}) for number in range(3))
    found = crops(cut(plate, files))
    for number in range(3):
        np.testing.assert_array_equal(found[f"X{number}"], image[number][:, ROWS, COLUMNS])


def write_ome_sites(folder: Path, image: Stack) -> list[Path]:
    """Write images (site, Y, X) as one file each; the XML of each lists all, as bfconvert does."""
    names = [f"a_C{number}.ome.tif" for number in range(len(image))]
    height, width = image.shape[1:]
    sizes = f'SizeX="{width}" SizeY="{height}"'
    parts = []
    for number, name in enumerate(names):
        uuid = f'<UUID FileName="{name}">urn:uuid:{number:032d}</UUID>'
        xml = ome_xml(sizes, f'<TiffData IFD="0" PlaneCount="1">{uuid}</TiffData>')
        parts.append(xml[xml.index("<Image") : xml.index("</OME>")])
    start = xml[: xml.index("<Image")]
    for number, name in enumerate(names):
        root = start.replace("<OME", f'<OME UUID="urn:uuid:{number:032d}"')
        text = root + "".join(parts) + "</OME>"
        tifffile.imwrite(folder / name, image[number], description=text, metadata=None)
    return [folder / name for name in names]


@pytest.mark.parametrize("series", [{}, {"series": 0}], ids=["no series", "series 0"])
def test_each_file_of_a_set_of_sites_is_its_own_site(
    tmp_path: Path, series: dict[str, int]
) -> None:
    plate = build_plate(tmp_path, [("A01", "1"), ("A01", "2"), ("A01", "3")])
    paths = write_ome_sites(tmp_path / "images" / "PlateA", pixels(3))
    result = cut(plate, *((record("DNA", number, **series),) for number in range(3)))
    assert not result.log.entries
    sites = result.table["site_id"].to_pylist()
    assert sites == ["1", "2", "3"]
    for path, value in zip(paths, result.table["ome_arrow_image"], strict=True):
        truth = own_pages(path)[:, ROWS, COLUMNS]
        np.testing.assert_array_equal(payload_to_numpy(value)[0, 0], truth)


def test_series_of_the_only_file_named_are_those_of_the_set(tmp_path: Path) -> None:
    plate = build_plate(tmp_path, [("A01", "1"), ("A01", "2"), ("A01", "3")])
    image = pixels(3)
    write_ome_sites(tmp_path / "images" / "PlateA", image)
    result = cut(plate, *((record("DNA", 0, series=number),) for number in range(3)))
    assert not result.log.entries
    for number, value in enumerate(result.table["ome_arrow_image"]):
        found = payload_to_numpy(value)[0, 0, 0]
        np.testing.assert_array_equal(found, image[number, ROWS, COLUMNS])


def test_a_file_that_holds_a_chequer_of_its_set_is_rejected_beside_the_others(
    plate: Plate, folder: Path
) -> None:
    image = pixels(2, 2)
    paths = write_ome_channels(folder, image)
    for path in paths:
        xml = re.sub(
            r'FirstC="(\d)" FirstZ="1"',
            lambda found: f'FirstC="{1 - int(found[1])}" FirstZ="1"',
            tifffile.tiffcomment(path),
        )
        tifffile.tiffcomment(path, xml)
    header, _ = read(paths[0])
    assert header.part is not None
    assert header.part.region is None
    result = cut(plate, (record("DNA", 0), record("ER", 1)))
    assert result.reasons == {"unreadable_image": 2}
    assert "are not a range of the image in T, C and Z" in result.log.entries[0].detail
