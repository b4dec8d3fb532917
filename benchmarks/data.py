"""Data of the size and texture of real plates: images, CellProfiler's CSV files, crops."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tifffile

from cp_assets.datasets import PlateKey
from cp_assets.datasets.ids import crop_ids, image_set_id, object_id, source_image_id
from cp_assets.images import CROPS_SCHEMA, IMAGE_CROPS
from cp_assets.images.columns import BATCH_BYTES
from cp_assets.images.schemas import without_absent_overlays
from cp_assets.payloads import payload_array
from cp_assets.warehouse.spec import TableSpec
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets.warehouse.writer import write_partition

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
SEED = 20261121

Plane = npt.NDArray[np.uint16]
Boxes = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class PlateShape:
    """A plate of ``sites`` image sets.

    Attributes
    ----------
    edge
        Height and width of an image, in pixels.
    cells
        Cells of a site.
    box
        Smallest and largest edge of a cell's box, in pixels.
    distinct
        Sites that have images of their own; the others' are hard links to them, which spare the
        disk but are opened and decoded as any other file. None for all.
    compression
        Of the TIFF files, as tifffile names it.
    """

    sites: int
    edge: int = 1080
    cells: int = 300
    box: tuple[int, int] = (40, 90)
    channels: tuple[str, ...] = CHANNELS
    distinct: int | None = None
    compression: str | None = None


class Microscope:
    """Images with a texture that compresses like a microscope's: bright cells, shot noise, offset.

    Parameters
    ----------
    edge
        Height and width of the images, in pixels.
    """

    def __init__(self, edge: int, seed: int = SEED) -> None:
        self._edge = edge
        self._random = np.random.default_rng(seed)
        self._noise = self._random.standard_normal((2 * edge, 2 * edge), np.float32)

    def planes(self, channels: int) -> list[Plane]:
        """One image set, (Y, X) uint16 each, with its own cells and its own noise."""
        light = self._light()
        return [self._exposed(light * self._random.uniform(0.3, 1.5)) for _ in range(channels)]

    def boxes(self, cells: int, box: tuple[int, int]) -> Boxes:
        """Half-open boxes inside the image, shape (cells, 4): x_min, y_min, x_max, y_max."""
        sizes = self._random.integers(box[0], box[1] + 1, (cells, 2))
        starts = (self._random.random((cells, 2)) * (self._edge - sizes)).astype(np.int32)
        return np.concatenate([starts, starts + sizes], axis=1).astype(np.int32)

    def _light(self) -> npt.NDArray[np.float32]:
        """Photons a pixel, (Y, X): bright cells about 50 pixels wide, smoothly joined."""
        cells = self._random.gamma(0.7, 400.0, (self._edge // 48 + 2,) * 2).astype(np.float32)
        place = np.linspace(0, len(cells) - 1.001, self._edge, dtype=np.float32)
        low, part = place.astype(int), place % 1
        across = cells[:, low] * (1 - part) + cells[:, low + 1] * part
        light: npt.NDArray[np.float32] = (
            across[low] * (1 - part)[:, None] + across[low + 1] * part[:, None]
        )
        return light

    def _exposed(self, light: npt.NDArray[np.float32]) -> Plane:
        y, x = self._random.integers(0, self._edge, 2)
        noise = self._noise[y : y + self._edge, x : x + self._edge]
        return (150 + light + 0.4 * noise * np.sqrt(light + 25)).clip(0, 65535).astype(np.uint16)


def write_plate(root: Path, shape: PlateShape) -> None:
    """Write a plate below ``root``: ``images/`` and ``csv/`` with the tables of CellProfiler."""
    microscope = Microscope(shape.edge)
    images, tables = root / "images", root / "csv"
    images.mkdir(parents=True)
    tables.mkdir()
    distinct = shape.distinct or shape.sites
    rows: list[dict[str, object]] = []
    boxes: list[Boxes] = []
    for site in range(shape.sites):
        names = [f"site{site:05d}_{channel}.tiff" for channel in shape.channels]
        if site < distinct:
            planes = microscope.planes(len(names))
            for name, plane in zip(names, planes, strict=True):
                tifffile.imwrite(images / name, plane, compression=shape.compression)
        else:
            for name, channel in zip(names, shape.channels, strict=True):
                (images / name).hardlink_to(images / f"site{site % distinct:05d}_{channel}.tiff")
        rows.append(_image_row(site, dict(zip(shape.channels, names, strict=True)), shape.edge))
        boxes.append(microscope.boxes(shape.cells, shape.box))
    _write_csv(tables / "Image.csv", rows)
    for compartment in ("Cells", "Nuclei", "Cytoplasm"):
        _write_csv(tables / f"{compartment}.csv", list(_object_rows(boxes, compartment)))


def read_boxes(tables: Path) -> list[Boxes]:
    """The boxes of `write_plate`, one array a site, shape (cells, 4)."""
    with (tables / "Cells.csv").open(newline="") as file:
        rows = [
            [int(row["ImageNumber"]), *(int(row[e]) for e in _EDGES)]
            for row in csv.DictReader(file)
        ]
    numbers = np.array(rows, np.int32)
    return [numbers[numbers[:, 0] == site][:, 1:] for site in np.unique(numbers[:, 0])]


_EDGES = tuple(
    f"AreaShape_BoundingBox{end}" for end in ("Minimum_X", "Minimum_Y", "Maximum_X", "Maximum_Y")
)


def _image_row(site: int, names: dict[str, str], edge: int) -> dict[str, object]:
    row: dict[str, object] = {
        "ImageNumber": site + 1,
        "Metadata_Plate": "plate",
        "Metadata_Well": well(site),
        "Metadata_Site": site // 384 + 1,
    }
    for channel, name in names.items():
        row |= {f"FileName_Orig{channel}": name, f"PathName_Orig{channel}": "images"}
        row |= {f"Height_Orig{channel}": edge, f"Width_Orig{channel}": edge}
    return row


def well(site: int) -> str:
    """A well of its own for each of 384 sites."""
    return f"{chr(65 + site % 384 // 24)}{site % 24 + 1:02d}"


def _object_rows(boxes: list[Boxes], compartment: str) -> Iterator[dict[str, object]]:
    parents = {"Cells": ("Nuclei",), "Nuclei": (), "Cytoplasm": ("Cells", "Nuclei")}[compartment]
    for site, of_site in enumerate(boxes):
        for number, box in enumerate(of_site.tolist(), start=1):
            yield {
                "ImageNumber": site + 1,
                "ObjectNumber": number,
                "Number_Object_Number": number,
                **{f"Parent_{parent}": number for parent in parents},
                **dict(zip(_EDGES, box, strict=True)),
            }


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_crops(
    warehouse: Warehouse, plate: PlateKey, shape: PlateShape, spec: TableSpec = IMAGE_CROPS
) -> list[str]:
    """Fill a plate of ``images.image_crops`` with crops, without image files.

    Returns
    -------
    list of str
        ``Metadata_ObjectID`` of every cell, in the order of the rows; each has a row a channel.
    """
    ids: list[str] = []
    batches = _crop_batches(plate, shape, ids)
    write_partition(warehouse, spec, plate.columns(), batches, f"{plate}-{shape}")
    return ids


def _crop_batches(plate: PlateKey, shape: PlateShape, ids: list[str]) -> Iterator[pa.RecordBatch]:
    microscope = Microscope(shape.edge, SEED + sum(map(ord, str(plate))))
    for site in range(shape.sites):
        planes = microscope.planes(len(shape.channels))
        boxes = microscope.boxes(shape.cells, shape.box)
        images = dict(zip(shape.channels, planes, strict=True))
        rows = _site_batch(plate, site, images, boxes, ids)
        pixels = int((np.diff(boxes[:, [0, 2]]) * np.diff(boxes[:, [1, 3]])).sum())
        whole = len(planes) * max(1, BATCH_BYTES * len(boxes) // (pixels * 2 * len(planes)))
        for start in range(0, rows.num_rows, whole):
            yield rows.slice(start, whole)


def _site_batch(
    plate: PlateKey, site: int, planes: dict[str, Plane], boxes: Boxes, ids: list[str]
) -> pa.RecordBatch:
    """All crops of one site, ordered as `cp_assets.images.image_crops` orders them."""
    place, field = well(site), str(site // 384 + 1)
    image = image_set_id(plate, place, field, None)
    objects = [object_id(image, "Cells", n, box) for n, box in enumerate(boxes.tolist(), start=1)]
    ids += objects
    files = {channel: f"site{site:05d}_{channel}.tiff" for channel in planes}
    sources = {channel: source_image_id(image, channel, file) for channel, file in files.items()}
    owner = np.repeat(np.arange(len(boxes)), len(planes))
    channels = list(planes) * len(boxes)
    crops = crop_ids(objects, sources.values())
    cut = [
        planes[channel][y0:y1, x0:x1]
        for (x0, y0, x1, y1), channel in zip(boxes[owner].tolist(), channels, strict=True)
    ]
    names = [files[channel] for channel in channels]
    columns: dict[str, Any] = {
        **dict.fromkeys(("plate_id", "Metadata_Plate"), plate.plate_id),
        **dict.fromkeys(("well_id", "Metadata_Well"), place),
        **dict.fromkeys(("site_id", "Metadata_Site"), field),
        "dataset_id": plate.dataset_id,
        "batch_id": plate.batch_id,
        "image_id": image,
        "Metadata_ImageNumber": site + 1,
        "Metadata_ObjectNumber": owner + 1,
        "Metadata_ObjectID": [objects[o] for o in owner],
        "Metadata_ImageID": [sources[channel] for channel in channels],
        "Metadata_ImageCropID": crops,
        "Metadata_Channel": channels,
        "source_image_column": [f"Image_FileName_{channel}" for channel in channels],
        **dict.fromkeys(("source_image_file", "source_image_path"), names),
        **{f"Metadata_SourceBBox{e}": boxes[owner, i] for i, e in enumerate(_BOX_ORDER)},
        "ome_arrow_image": payload_array(cut, ids=crops, names=names, channels=channels),
    }
    # As a plate without masks and outlines is written.
    schema = without_absent_overlays(CROPS_SCHEMA, ())
    arrays = [_array(columns.get(f.name), f.type, len(owner)) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


_BOX_ORDER = ("XMin", "YMin", "XMax", "YMax")


def _array(values: Any, kind: pa.DataType, length: int) -> pa.Array:
    """A column of given values, of one value again and again, or of nulls."""
    if isinstance(values, pa.Array):
        return values
    if values is None or isinstance(values, str | int):
        return pa.repeat(pa.scalar(values, kind), length)
    return pa.array(values, kind)
