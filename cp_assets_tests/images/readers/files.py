"""Image files that the tests write, and how they read them back."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from cp_assets.images.readers import ImageHeader, Region, open_image

Array = np.ndarray[Any, Any]

DTYPES = ("uint8", "uint16", "int16", "uint32", "float32", "bool")


def limit_memory(more: int) -> tuple[int, int]:
    """Let this process take only so many more bytes; give the limits that it had."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    own = Path("/proc/self/statm")
    if own.exists():
        used = int(own.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + more, limits[1]))
    return limits


def pixels(dtype: str, shape: tuple[int, ...], seed: int = 1) -> Array:
    """Numbers that differ from pixel to pixel, in a dtype."""
    values = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 120, shape)
    return values.astype(dtype)


def read(path: Path, region: Region | None = None, **options: Any) -> tuple[ImageHeader, Array]:
    """Header and pixels of an image, checked against each other."""
    with open_image(path, **options) as reader:
        header, image = reader.header, reader.read(region)
    assert image.shape == (header.whole if region is None else region).shape
    assert image.dtype == header.dtype
    assert image.dtype.isnative
    assert image.flags.c_contiguous
    assert len(header.channel_names) == header.shape[1]
    return header, image


def write_zarr(folder: Path, image: Array, **options: Any) -> Path:
    """Write an array as plain Zarr."""
    shutil.rmtree(folder, ignore_errors=True)
    array = zarr.create_array(store=folder, shape=image.shape, dtype=image.dtype, **options)
    array[...] = image
    return folder


def write_ome_zarr(
    folder: Path, image: Array, axes: list[Any], version: str = "0.4", **omero: Any
) -> Path:
    """Write an array and half of it as OME-Zarr, 2 in Y and 3 in X nanometres a pixel."""
    zarr_format = 3 if version == "0.5" else 2
    group = zarr.open_group(folder, mode="w", zarr_format=zarr_format)
    separator = {"name": "v2", "separator": "/"} if zarr_format == 2 else None
    for path, level in (("0", image), ("1", image[..., ::2, ::2])):
        group.create_array(
            path,
            shape=level.shape,
            dtype=level.dtype,
            chunks=(2,) * (image.ndim - 2) + (16, 16),
            chunk_key_encoding=separator,
        )[...] = level
    scale = [1.0] * (image.ndim - 2) + [2.0, 3.0]
    datasets = [
        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]},
        {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": scale}]},
    ]
    attributes = {"multiscales": [{"axes": axes, "datasets": datasets}], **omero}
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", **attributes}
    else:
        group.attrs.update(attributes)
    return folder


def write_ome_set(folder: Path, image: Array, uuids: bool = True) -> list[Path]:
    """Write an image (T, Y, X) as one OME-TIFF a time point; each holds the XML of all."""
    names = [f"t{number}.ome.tif" for number in range(len(image))]
    blocks = "".join(
        f'<TiffData FirstT="{number}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{number:032d}</UUID></TiffData>'
        for number, name in enumerate(names)
    )
    _, height, width = image.shape
    for number, name in enumerate(names):
        root = f' UUID="urn:uuid:{number:032d}"' if uuids else ""
        xml = ome_xml(f'SizeX="{width}" SizeY="{height}" SizeT="{len(image)}"', blocks, root=root)
        tifffile.imwrite(folder / name, image[number], description=xml, metadata=None)
    return [folder / name for name in names]


def write_ome_channels(
    folder: Path, image: Array, order: str = "XYZCT", channels: tuple[str, ...] = ()
) -> list[Path]:
    """Write an image (C, Z, Y, X) as one OME-TIFF a channel; each holds the XML of all."""
    depth, height, width = image.shape[1:]
    names = [f"a_C{number}.ome.tif" for number in range(len(image))]
    blocks = "".join(
        f'<TiffData FirstC="{c}" FirstZ="{z}" IFD="{z}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{c:032d}</UUID></TiffData>'
        for c, name in enumerate(names)
        for z in range(depth)
    )
    named = "".join(f'<Channel ID="Channel:0:{n}" Name="{n}"/>' for n in channels)
    sizes = f'SizeX="{width}" SizeY="{height}" SizeZ="{depth}" SizeC="{len(image)}"'
    for number, name in enumerate(names):
        root = f' UUID="urn:uuid:{number:032d}"'
        xml = ome_xml(sizes, named + blocks, root=root).replace("XYZCT", order)
        tifffile.imwrite(
            folder / name, image[number], description=xml, metadata=None, photometric="minisblack"
        )
    return [folder / name for name in names]


def ome_xml(sizes: str, inside: str, root: str = "", before: str = "") -> str:
    """OME-XML of one image, with sizes of one where `sizes` names none."""
    given = {part.split("=")[0] for part in sizes.split()}
    rest = " ".join(f'Size{axis}="1"' for axis in "XYZCT" if f"Size{axis}" not in given)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{root}><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" {sizes} {rest}>{inside}'
        "</Pixels></Image></OME>"
    )
