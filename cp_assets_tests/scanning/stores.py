"""Image stores that the tests of this folder scan, written by the libraries that the field uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr

PIXELS = np.arange(2 * 3 * 40 * 50, dtype=np.uint16).reshape(2, 3, 40, 50)


def multiscales(*levels: str, axes: str = "czyx") -> list[dict[str, Any]]:
    """Metadata of a pyramid as OME-Zarr writes it."""
    kinds = {"t": "time", "c": "channel"}
    listed = [
        {"name": axis, "type": kinds.get(axis, "space"), "unit": "micrometer"}
        if axis in "zyx"
        else {"name": axis, "type": kinds[axis]}
        for axis in axes
    ]
    datasets = [
        {
            "path": path,
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0, 2.0, 0.5 * 2**level, 0.5 * 2**level][-len(axes) :]}
            ],
        }
        for level, path in enumerate(levels)
    ]
    return [{"version": "0.4", "axes": listed, "datasets": datasets}]


def write_array(folder: Path, pixels: Any = PIXELS, zarr_format: int = 2, **options: Any) -> None:
    """One array of a Zarr."""
    chunks = options.pop("chunks", (1, 2, 16, 16)[-pixels.ndim :] if pixels.ndim else ())
    array = zarr.create_array(
        folder,
        shape=pixels.shape,
        dtype=pixels.dtype,
        chunks=chunks,
        zarr_format=zarr_format,
        **options,
    )
    array[...] = pixels


def write_group(folder: Path, attributes: dict[str, Any], zarr_format: int = 2) -> None:
    """A group of a Zarr; what OME says stands where its version has it."""
    said = {"ome": attributes} if zarr_format == 3 else attributes
    zarr.create_group(folder, zarr_format=zarr_format, attributes=said)


def write_pyramid(folder: Path, zarr_format: int = 2, pixels: Any = PIXELS) -> None:
    """An OME-Zarr image of two resolutions and two named channels."""
    omero = {"channels": [{"label": "DNA"}, {"label": "ER"}]}
    axes = "tczyx"[-pixels.ndim :]
    attributes = {"multiscales": multiscales("0", "1", axes=axes), "omero": omero}
    write_group(folder, attributes, zarr_format)
    write_array(folder / "0", pixels, zarr_format)
    write_array(folder / "1", pixels[..., ::2, ::2], zarr_format)


def write_plate(folder: Path, zarr_format: int = 2) -> None:
    """An OME-Zarr plate of two wells with two fields each."""
    wells = [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}, {"path": "B/2"}]
    write_group(folder, {"plate": {"wells": wells, "field_count": 2}}, zarr_format)
    for well in ("A/1", "B/2"):
        write_group(folder / well.split("/")[0], {}, zarr_format)
        images = {"images": [{"path": "0"}, {"path": "1"}]}
        write_group(folder / well, {"well": images}, zarr_format)
        for field in "01":
            write_pyramid(folder / well / field, zarr_format)


def change_json(file: Path, **changes: Any) -> None:
    """Change some keys of a metadata file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
