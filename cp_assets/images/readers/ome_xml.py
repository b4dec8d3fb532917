"""What the OME-XML of a TIFF says: where its planes lie, channel names, size of a pixel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.guarding import MAX_PLANES
from cp_assets.images.readers.units import micrometres
from cp_assets.payloads.types import PhysicalSize

if TYPE_CHECKING:
    from cp_assets.stores import Place

_MAX_CHARACTERS = 64 * 2**20
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")
_ORDERS = frozenset({"XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"})


@dataclass(frozen=True, slots=True)
class PlaneBlock:
    """Successive planes of an image that are successive pages of a file (``TiffData``).

    Attributes
    ----------
    first
        Plane number of the first, in the image's order.
    count
        How many; 0 stands for all that the file has.
    page
        Page of the file that holds the first.
    file_name
        Name of the file; None is the file that holds the XML.
    """

    first: int
    count: int
    page: int
    file_name: str | None


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One ``Image`` of the XML.

    Attributes
    ----------
    axes
        T, C and Z, slowest first, as planes are numbered.
    sizes
        Number of planes along each of `axes`; colour samples are not counted.
    height, width
        Of a plane, in pixels.
    samples
        Colour samples of a pixel.
    """

    axes: str
    sizes: tuple[int, int, int]
    height: int
    width: int
    samples: int
    channel_names: tuple[str | None, ...]
    physical_size: PhysicalSize
    blocks: tuple[PlaneBlock, ...]


@dataclass(frozen=True, slots=True)
class OmeDocument:
    """The XML of a file.

    Attributes
    ----------
    uuid
        Of the file itself, by which it finds its own planes under whatever name.
    metadata_file
        Where the real XML lies, if this is one of the files that only point there.
    """

    images: tuple[OmeImage, ...]
    uuid: str | None = None
    metadata_file: str | None = None


def parse_ome_xml(path: Place, text: str) -> OmeDocument:
    """Parse the OME-XML of the file at `path`.

    Raises
    ------
    ImageReadError
        If it is no OME-XML, declares a document type or entities, is larger than 64 MiB, or says
        something impossible.
    """
    if len(text) > _MAX_CHARACTERS:
        msg = f"image {path}: its OME-XML has {len(text):,} characters; at most 64 MiB are read"
        raise ImageReadError(msg)
    if _DECLARATION.search(text):
        msg = (
            f"image {path}: its OME-XML declares a document type or entities, which OME-TIFF never "
            "needs and which can be used to exhaust memory; write the file again without"
        )
        raise ImageReadError(msg)
    try:
        root = ET.fromstring(text)  # noqa: S314 - entities were refused above
        pointer = _child(root, "BinaryOnly")
        if pointer is not None:
            return OmeDocument((), metadata_file=pointer.get("MetadataFile", "another file"))
        images = [_image(element, root.get("UUID"), path.name) for element in _all(root, "Image")]
    except (ET.ParseError, KeyError, ValueError) as error:
        msg = (
            f"image {path}: its OME-XML cannot be used ({type(error).__name__}: {error}); export "
            "the file again"
        )
        raise ImageReadError(msg) from error
    return OmeDocument(tuple(image for image in images if image.blocks), root.get("UUID"))


def _all(element: ET.Element, name: str) -> list[ET.Element]:
    # The namespace differs between the versions of the schema.
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def _child(element: ET.Element, name: str) -> ET.Element | None:
    return next(iter(_all(element, name)), None)


def _image(element: ET.Element, uuid: str | None, file_name: str) -> OmeImage:
    pixels = _child(element, "Pixels")
    if pixels is None:
        raise ValueError("an Image without Pixels")
    order = pixels.attrib["DimensionOrder"]
    if order not in _ORDERS:
        raise ValueError(f"DimensionOrder {order!r}")
    size = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "TCZYX"}
    if min(size.values()) < 1:
        raise ValueError(f"sizes {size}")
    channels = _all(pixels, "Channel")
    samples = {int(channel.get("SamplesPerPixel", 1)) for channel in channels} or {1}
    if len(samples) > 1 or min(samples) < 1 or size["C"] % min(samples):
        raise ValueError(f"{sorted(samples)} samples for each pixel in {size['C']} channels")
    spp = samples.pop()
    axes = order[:1:-1]
    t, c, z = (size[axis] // spp if axis == "C" else size[axis] for axis in axes)
    if t * c * z > MAX_PLANES:
        raise ValueError(f"{t * c * z:,} planes; at most {MAX_PLANES:,} are read")
    names = [channel.get("Name") for channel in channels]
    names = names if len(names) == size["C"] // spp else [None] * (size["C"] // spp)
    blocks = [_block(data, axes, (t, c, z), uuid, file_name) for data in _all(pixels, "TiffData")]
    return OmeImage(
        axes=axes,
        sizes=(t, c, z),
        height=size["Y"],
        width=size["X"],
        samples=spp,
        channel_names=tuple(name for name in names for _ in range(spp)),
        physical_size=_physical_size(pixels),
        blocks=tuple(blocks),
    )


def _block(
    data: ET.Element, axes: str, sizes: tuple[int, int, int], uuid: str | None, own_name: str
) -> PlaneBlock:
    first = 0
    for axis, size in zip(axes, sizes, strict=True):
        index = int(data.get(f"First{axis}", 0))
        if not 0 <= index < size:
            raise ValueError(f"TiffData with First{axis} {index} of {size}")
        first = first * size + index
    page = int(data.get("IFD", 0))
    count = int(data.get("PlaneCount", data.get("NumPlanes", 1 if "IFD" in data.attrib else 0)))
    planes = sizes[0] * sizes[1] * sizes[2]
    if page < 0 or not 0 <= count <= planes - first:
        raise ValueError(f"TiffData of {count} planes from {first} of {planes}, page {page}")
    pointer = _child(data, "UUID")
    name = pointer.get("FileName") if pointer is not None else None
    if pointer is None or name is None or pointer.text == uuid or name.lower() == own_name.lower():
        return PlaneBlock(first, count, page, None)
    return PlaneBlock(first, count, page, name)


def _physical_size(pixels: ET.Element) -> PhysicalSize:
    sizes = {
        axis.lower(): micrometres(
            pixels.get(f"PhysicalSize{axis}"),
            pixels.get(f"PhysicalSize{axis}Unit", "\N{MICRO SIGN}m"),
        )
        for axis in "ZYX"
    }
    return PhysicalSize(**sizes)
