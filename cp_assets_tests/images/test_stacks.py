"""Files of several planes and channels: which crops they give, against tifffile and numpy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import tifffile
from PIL import Image

from cp_assets.images import ChannelFile, ImageSet, image_sets, source_images
from cp_assets.payloads import payload_to_numpy
from cp_assets.payloads.building import CHUNK_BYTES
from cp_assets.rejections import RejectionLog
from cp_assets_tests.images.plates import (
    GOOD,
    SHAPE,
    Cropped,
    Plate,
    Reads,
    build_plate,
    crop,
    profile_rows,
)

Stack = npt.NDArray[Any]
ROWS, COLUMNS = slice(2, 9), slice(3, 13)
RNG = np.random.default_rng(11)


def stack(*sizes: int, dtype: str = "uint16") -> Stack:
    return RNG.integers(0, 200, (*sizes, *SHAPE)).astype(dtype)


def one_file(plate: Plate, pixels: Stack, **writing: Any) -> ImageSet:
    """The plate's image set with one channel, Stack, whose file holds all pixels."""
    folder = plate.root / "images" / "PlateA"
    tifffile.imwrite(folder / "stack.tif", pixels, **writing)
    channel = ChannelFile("Stack", "stack.tif", "/acquired/PlateA")
    return dataclasses.replace(plate.sets[0], channels=(channel,))


def cut(plate: Plate, image_set: ImageSet, *boxes: tuple[float, ...]) -> Cropped:
    return crop([profile_rows(image_set, boxes or (GOOD,))], [image_set], plate.sources)


def pixels_of(result: Cropped) -> list[Stack]:
    return [payload_to_numpy(value) for value in result.table["ome_arrow_image"]]


@pytest.mark.parametrize("axes", ["TCZYX", "TZCYX", "CTZYX", "CZTYX", "ZTCYX", "ZCTYX"])
def test_crops_of_a_file_keep_z_and_t_and_are_one_a_channel(plate: Plate, axes: str) -> None:
    sizes = {"T": 2, "C": 3, "Z": 4}
    pixels = stack(*(sizes[axis] for axis in axes[:3]))
    names = ["DNA", "ER", "AGP"]
    metadata = {"axes": axes, "Channel": {"Name": names}}
    image_set = one_file(plate, pixels, ome=True, metadata=metadata)
    result = cut(plate, image_set)
    assert result.table["Metadata_Channel"].to_pylist() == [f"Stack_{name}" for name in names]
    truth = np.transpose(pixels, [axes.index(axis) for axis in "TCZYX"])
    for number, found in enumerate(pixels_of(result)):
        np.testing.assert_array_equal(found, truth[:, number : number + 1, :, ROWS, COLUMNS])
    assert len(set(result.table["Metadata_ImageCropID"].to_pylist())) == 3


def test_a_box_with_a_depth_cuts_z_too(plate: Plate) -> None:
    pixels = stack(5)
    image_set = one_file(plate, pixels, metadata={"axes": "ZYX"}, ome=True)
    result = cut(plate, image_set, (*GOOD, 1, 4), GOOD, (*GOOD, 3, 6))
    with_depth, whole = pixels_of(result)
    np.testing.assert_array_equal(with_depth[0, 0], pixels[1:4, ROWS, COLUMNS])
    np.testing.assert_array_equal(whole[0, 0], pixels[:, ROWS, COLUMNS])
    assert result.table["Metadata_SourceBBoxZMin"].to_pylist() == [1, None]
    assert result.table["Metadata_SourceBBoxZMax"].to_pylist() == [4, None]
    assert result.reasons == {"box_outside_image": 1}


def test_frames_say_which_plane_of_a_shared_file_is_whose(tmp_path: Path) -> None:
    plate = build_plate(tmp_path, [("A01", "1"), ("A01", "2"), ("A01", "3")])
    pixels = stack(3)
    tifffile.imwrite(tmp_path / "images" / "PlateA" / "all.tif", pixels, photometric="minisblack")
    sets = [
        dataclasses.replace(
            one, channels=(ChannelFile("DNA", "all.tif", "/acquired/PlateA", frame=frame),)
        )
        for frame, one in enumerate(plate.sets)
    ]
    result = crop([profile_rows(one, [GOOD]) for one in sets], sets, plate.sources)
    assert result.table["Metadata_Channel"].to_pylist() == ["DNA"] * 3
    for frame, found in enumerate(pixels_of(result)):
        np.testing.assert_array_equal(found[0, 0, 0], pixels[frame, ROWS, COLUMNS])


@pytest.mark.parametrize("column", ["frame", "series"])
def test_a_record_that_does_not_say_which_plane_of_a_shared_file_is_rejected(
    tmp_path: Path, column: str
) -> None:
    plate = build_plate(tmp_path, [("A01", "1"), ("A01", "2")])
    pixels = stack(2)
    with tifffile.TiffWriter(tmp_path / "images" / "PlateA" / "all.tif", ome=True) as tiff:
        for series in (pixels, pixels + 1) if column == "series" else (pixels,):
            tiff.write(series, photometric="minisblack")
    known = ChannelFile("DNA", "all.tif", "/acquired/PlateA", **{column: 1})
    unknown = dataclasses.replace(known, **{column: None})
    sets = [
        dataclasses.replace(one, channels=(file,))
        for one, file in zip(plate.sets, (known, unknown), strict=True)
    ]
    result = crop([profile_rows(one, [GOOD]) for one in sets], sets, plate.sources)
    truth = pixels[1:] if column == "frame" else pixels + 1
    found = np.stack([one.squeeze() for one in pixels_of(result)])
    np.testing.assert_array_equal(found.squeeze(), truth.squeeze()[..., ROWS, COLUMNS])
    assert set(result.table["site_id"].to_pylist()) == {"1"}
    (entry,) = result.log.entries
    assert (entry.reason, entry.site_id) == ("unreadable_image", "2")
    assert f"{column.title()}_DNA" in entry.detail


def test_a_frame_that_the_file_lacks_is_an_unreadable_image(tmp_path: Path) -> None:
    plate = build_plate(tmp_path, [("A01", "1")])
    tifffile.imwrite(tmp_path / "images" / "PlateA" / "all.tif", stack(3), photometric="minisblack")
    channel = ChannelFile("DNA", "all.tif", "/acquired/PlateA", frame=3)
    image_set = dataclasses.replace(plate.sets[0], channels=(channel,))
    result = cut(plate, image_set)
    assert result.reasons == {"unreadable_image": 1}
    assert "has 3 planes, the Image table's Frame is 3" in result.log.entries[0].detail


def test_colours_are_channels_and_grey_stored_as_colours_is_one(plate: Plate) -> None:
    colours = np.moveaxis(stack(3, dtype="uint8"), 0, -1)
    result = cut(plate, one_file(plate, colours, photometric="rgb"))
    assert result.table["Metadata_Channel"].to_pylist() == [
        f"Stack_{name}" for name in ("Red", "Green", "Blue")
    ]
    for sample, found in enumerate(pixels_of(result)):
        np.testing.assert_array_equal(found[0, 0, 0], colours[ROWS, COLUMNS, sample])
    grey = np.repeat(colours[..., :1], 3, axis=-1)
    result = cut(plate, one_file(plate, grey, photometric="rgb"))
    assert result.table["Metadata_Channel"].to_pylist() == ["Stack"]
    np.testing.assert_array_equal(pixels_of(result)[0][0, 0, 0], grey[ROWS, COLUMNS, 0])


def test_a_colour_outline_keeps_its_colours(plate: Plate) -> None:
    outlines = plate.root / "outlines" / "PlateA"
    outlines.mkdir(parents=True)
    drawn = np.moveaxis(stack(3, dtype="uint8"), 0, -1)
    tifffile.imwrite(outlines / "A01_s1_DNA.tif", drawn, photometric="rgb")
    sources = dataclasses.replace(plate.sources, outline_dir=plate.root / "outlines")
    result = crop([profile_rows(plate.sets[0], [GOOD])], plate.sets, sources)
    found = payload_to_numpy(result.table["ome_arrow_outline"][0])
    np.testing.assert_array_equal(found[0, :, 0], np.moveaxis(drawn[ROWS, COLUMNS], -1, 0))


def test_few_cells_of_a_tiled_file_are_read_by_windows(plate: Plate, reads: Reads) -> None:
    pixels = RNG.integers(0, 999, (256, 320), dtype=np.uint16)
    image_set = one_file(plate, pixels, tile=(32, 32), compression="zlib")
    boxes = [(200, 100, 230, 120), (10, 20, 60, 40)]
    result = cut(plate, image_set, *boxes)
    for found, (x0, y0, x1, y1) in zip(pixels_of(result), boxes, strict=True):
        np.testing.assert_array_equal(found[0, 0, 0], pixels[y0:y1, x0:x1])
    assert [(region.y, region.x) for _, region in reads] == [
        ((y0, y1), (x0, x1)) for x0, y0, x1, y1 in boxes
    ]
    reads.clear()
    cut(plate, image_set, *boxes, (0, 0, 320, 256))
    assert [region.shape for _, region in reads] == [(1, 1, 1, 256, 320)]


def test_a_broken_tile_rejects_the_cells_that_touch_it_and_no_other(plate: Plate) -> None:
    pixels = RNG.integers(0, 999, (256, 320), dtype=np.uint16)
    image_set = one_file(plate, pixels, tile=(32, 32), compression="zlib")
    path = plate.root / "images" / "PlateA" / "stack.tif"
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(content)
    result = cut(plate, image_set, (200, 100, 230, 120), (10, 20, 60, 40))
    np.testing.assert_array_equal(pixels_of(result)[0][0, 0, 0], pixels[100:120, 200:230])
    (entry,) = result.log.entries
    assert (entry.reason, entry.object_number, entry.channel) == ("unreadable_image", 2, "Stack")


def test_images_beyond_the_memory_are_read_by_windows_or_refused(plate: Plate) -> None:
    size = 6000
    pixels = np.zeros((size, size), np.uint16)
    pixels[5000:5004, 10:20] = 7
    corners = [(10, 5000, 20, 5004), (0, 0, size, 4), (0, size - 4, size, size)]
    tiled = one_file(plate, pixels, tile=(256, 256), compression="zlib")
    sources = plate.with_options(max_memory=64 * 2**20)
    result = crop([profile_rows(tiled, corners)], [tiled], sources)
    assert (pixels_of(result)[0] == 7).all()
    assert len(result.log) == 0
    whole = one_file(plate, pixels, rowsperstrip=size)
    result = crop([profile_rows(whole, corners)], [whole], sources)
    assert result.reasons == {"image_too_large": 3}
    assert "MiB, max_memory is 64 MiB; raise it" in result.log.entries[0].detail


def test_more_crops_than_memory_are_cut_while_they_are_written(plate: Plate) -> None:
    pixels = stack(1)[0].repeat(40, axis=0).repeat(30, axis=1)
    image_set = one_file(plate, pixels)
    height, width = pixels.shape
    boxes = [(0, 0, width, height)] * 20
    sources = plate.with_options(max_memory=64 * 2**20)
    result = crop([profile_rows(image_set, boxes)], [image_set], sources)
    assert result.books.written == 20
    assert len(result.batches) == 20
    np.testing.assert_array_equal(pixels_of(result)[19][0, 0, 0], pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "bool"])
def test_a_large_source_image_is_a_payload_of_several_chunks(plate: Plate, dtype: str) -> None:
    edge = 3100
    pixels = RNG.integers(0, 2, (edge, edge)).astype(dtype)
    image_set = one_file(plate, pixels, tile=(512, 512), compression="zlib")
    log = RejectionLog()
    (batch,) = source_images([image_set], plate.sources, log)
    (value,) = batch["ome_arrow_image"]
    np.testing.assert_array_equal(payload_to_numpy(value)[0, 0, 0], pixels)
    chunks = value["chunks"].as_py()
    assert all(len(chunk["pixel_bytes"]) <= CHUNK_BYTES for chunk in chunks)
    assert (len(chunks) > 1) == (pixels.nbytes > CHUNK_BYTES)


def test_wells_and_sites_that_were_not_asked_for_are_left_out(tmp_path: Path) -> None:
    plate = build_plate(tmp_path, [("A01", "1"), ("A01", "2"), ("B02", "1")])
    profiles = [profile_rows(one, [GOOD]) for one in plate.sets]
    some = crop(profiles, plate.sets, plate.with_options(wells=("a1",), sites=("2",)))
    assert set(some.table["site_id"].to_pylist()) == {"2"}
    assert some.books.expected == 2
    none = crop(profiles, plate.sets, plate.with_options(wells=("P24",)))
    assert (none.table.num_rows, none.books.expected) == (0, 0)
    assert none.reasons == {"no_such_well": 1}
    images = list(source_images(plate.sets, plate.with_options(wells=("B2",)), RejectionLog()))
    assert {w for batch in images for w in batch["well_id"].to_pylist()} == {"B02"}


def recorded_sets(
    plate: Plate, rows: dict[str, object], channels: tuple[str, ...] | None = None
) -> list[ImageSet]:
    """The plate's image set as an Image table records it."""
    keys = {"image_id": plate.sets[0].image_id, "well_id": "A01", "site_id": "1"}
    row = {**keys, "source_folder": "", "ImageNumber": 1, **rows}
    return list(image_sets([pa.RecordBatch.from_pylist([row])], channels))


@pytest.mark.parametrize("channels", [None, ("A",)])
@pytest.mark.parametrize("folder", ["/acquired/PlateA", "/acquired/PlateA/"])
def test_a_plane_of_a_shared_file_is_the_same_whoever_else_is_asked_for(
    plate: Plate, channels: tuple[str, ...] | None, folder: str
) -> None:
    pixels = stack(2)
    path = plate.root / "images" / "PlateA" / "all.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack")
    names = {f"FileName_{name}": "all.tif" for name in "AB"}
    paths = {"PathName_A": "/acquired/PlateA", "PathName_B": folder}
    frames = {"Frame_A": 0, "Frame_B": 1}
    sets = recorded_sets(plate, {**names, **paths, **frames}, channels)
    result = crop([profile_rows(sets[0], [GOOD])], sets, plate.sources)
    found = dict(zip(result.table["Metadata_Channel"].to_pylist(), pixels_of(result), strict=True))
    assert set(found) == set(channels or "AB")
    np.testing.assert_array_equal(found["A"], pixels[None, None, :1, ROWS, COLUMNS])


def test_a_colour_of_a_file_is_the_channel_that_the_table_says(plate: Plate) -> None:
    colours = np.moveaxis(stack(3, dtype="uint8"), 0, -1)
    path = plate.root / "images" / "PlateA" / "rgb.tif"
    tifffile.imwrite(path, colours, photometric="rgb")
    rows: dict[str, object] = {}
    for number, name in enumerate(("Mito", "ER", "DNA")):
        rows |= {f"FileName_{name}": "rgb.tif", f"Channel_{name}": number, f"Frame_{name}": 0}
    sets = recorded_sets(plate, rows)
    result = crop([profile_rows(sets[0], [GOOD])], sets, plate.sources)
    found = dict(zip(result.table["Metadata_Channel"].to_pylist(), pixels_of(result), strict=True))
    for number, name in enumerate(("Mito", "ER", "DNA")):
        np.testing.assert_array_equal(found[name][0, 0, 0], colours[ROWS, COLUMNS, number])
    sets = recorded_sets(plate, rows | {"Channel_DNA": 3})
    result = crop([profile_rows(sets[0], [GOOD])], sets, plate.sources)
    assert "has 3 channels, the Image table's Channel is 3" in result.log.entries[0].detail


def test_grey_with_an_opaque_alpha_is_grey(plate: Plate) -> None:
    grey = stack(dtype="uint8")
    image = Image.merge("LA", [Image.fromarray(grey), Image.new("L", SHAPE[::-1], 255)])
    image.save(plate.root / "images" / "PlateA" / "grey.png")
    channel = ChannelFile("Grey", "grey.png", "/acquired/PlateA")
    result = cut(plate, dataclasses.replace(plate.sets[0], channels=(channel,)))
    assert result.table["Metadata_Channel"].to_pylist() == ["Grey"]
    np.testing.assert_array_equal(pixels_of(result)[0][0, 0, 0], grey[ROWS, COLUMNS])


def test_a_window_beyond_the_memory_is_rejected_and_no_other(plate: Plate) -> None:
    sources = plate.with_options(crop_size=8000, border="zero", max_memory=64 * 2**20)
    result = crop([profile_rows(plate.sets[0], [GOOD])], plate.sets, sources)
    assert result.reasons == {"image_too_large": 2}
    assert "8000 x 8000 x 1 pixels" in result.log.entries[0].detail
    wide = (0, 0, SHAPE[1], SHAPE[0])
    image_set = one_file(plate, np.zeros((6000, 6000), np.uint16), tile=(512, 512))
    sources = plate.with_options(max_memory=64 * 2**20)
    result = crop([profile_rows(image_set, [(0, 0, 6000, 6000), wide])], [image_set], sources)
    assert result.table["Metadata_ObjectNumber"].to_pylist() == [2]
    assert result.reasons == {"image_too_large": 1}


def test_a_source_image_beyond_the_memory_is_rejected(plate: Plate) -> None:
    image_set = one_file(plate, np.zeros((6000, 6000), np.uint16), tile=(512, 512))
    log = RejectionLog()
    assert not list(source_images([image_set], plate.with_options(max_memory=64 * 2**20), log))
    assert log.by_reason() == {"image_too_large": 1}


def test_the_label_is_the_mask_where_the_outline_is_broken(plate: Plate) -> None:
    pixels = RNG.integers(0, 999, (256, 320), dtype=np.uint16)
    image_set = one_file(plate, pixels, tile=(32, 32))
    overlays = {"mask": plate.root / "m", "outline": plate.root / "o"}
    for folder in overlays.values():
        folder.mkdir()
        tifffile.imwrite(folder / "stack.tif", pixels + 1, tile=(32, 32), compression="zlib")
    path = overlays["outline"] / "stack.tif"
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(content)
    sources = dataclasses.replace(
        plate.sources, mask_dir=overlays["mask"], outline_dir=overlays["outline"]
    )
    boxes = [(200, 100, 230, 120), (10, 20, 60, 40)]
    result = crop([profile_rows(image_set, boxes)], [image_set], sources)
    assert result.table["label_source_kind"].to_pylist() == ["outline", "mask"]
    labels = [payload_to_numpy(value)[0, 0, 0] for value in result.table["ome_arrow_label"]]
    for label, (x0, y0, x1, y1) in zip(labels, boxes, strict=True):
        np.testing.assert_array_equal(label, pixels[y0:y1, x0:x1] + 1)
    assert result.reasons == {"unreadable_overlay": 1}
