"""Payloads as objects of the library ome_arrow, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cp_assets.errors import ImageReadError
from cp_assets.payloads.building import OME_PIXEL_TYPES, payload_array
from cp_assets.payloads.types import OME_ARROW_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ome_arrow import OMEArrow

_Record = Mapping[str, Any]
_NUMPY_NAMES = {word: name for name, word in OME_PIXEL_TYPES.items()}
_COLOURS = 2**32
"""ome_arrow writes a colour as an unsigned number of 32 bits; Iceberg has signed ones."""


def to_ome_arrow(payload: pa.StructScalar | _Record, column: str = "ome_arrow_image") -> OMEArrow:
    """Open a payload as an ``ome_arrow.OMEArrow``, to view, slice or export with that library.

    ``OMEArrow(value)`` takes a value of a payload column as it is too. What this function adds:
    types that ome_arrow 0.1 expects (``OME_ARROW_BYTE_STRUCT``) and numpy's words for real and
    boolean pixels, so that ``tensor_view`` has the right dtype. ``OMEArrow(value.as_py())`` loses
    the pixels: ome_arrow 0.1 reads a dict as its list form, which has no bytes. ``export("numpy")``
    converts to uint16 unless its ``dtype`` says otherwise.

    Parameters
    ----------
    payload
        A value of a payload column, its ``as_py()``, or a whole row of a table as a dict.
    column
        Of a row: which of its payloads.

    Raises
    ------
    ImageReadError
        If it is no payload and no row, the payload is null, or the row has no such column.
    """
    # Imported here: ome_arrow imports matplotlib and BioIO, which takes seconds.
    from ome_arrow import OMEArrow  # noqa: PLC0415
    from ome_arrow.meta import OME_ARROW_BYTE_STRUCT  # noqa: PLC0415

    record = _record(payload, column)
    meta = _converted(record["pixels_meta"], _NUMPY_NAMES, lambda colour: colour % _COLOURS)
    return OMEArrow(pa.scalar({**record, "pixels_meta": meta}, type=OME_ARROW_BYTE_STRUCT))


def from_ome_arrow(image: OMEArrow) -> pa.StructScalar:
    """The image as a value of a payload column, of type `OME_ARROW_TYPE`; no pixel changes.

    Byte chunks stay as they are, compressed ones too. Pixels that ome_arrow has as lists, which it
    makes uint16, become byte chunks.

    Raises
    ------
    ImageReadError
        If it is no such image, or has no pixels.
    """
    if not hasattr(image, "export"):
        msg = f"a {type(image).__name__} is no OMEArrow; open_as_ome_arrow makes one of a file"
        raise ImageReadError(msg)
    record = image.data.as_py()
    chunks = record["chunks"] or []
    if chunks and all(chunk.get("pixel_bytes") is not None for chunk in chunks):
        record["planes"] = []
    else:
        record |= _as_bytes(image, record)
    meta = _converted(
        record["pixels_meta"],
        OME_PIXEL_TYPES,
        lambda colour: colour - _COLOURS if colour >= _COLOURS // 2 else colour,
    )
    record["pixels_meta"] = meta
    return pa.scalar({field.name: record[field.name] for field in OME_ARROW_TYPE}, OME_ARROW_TYPE)


def _record(payload: pa.StructScalar | _Record, column: str) -> _Record:
    given = payload.as_py() if isinstance(payload, pa.StructScalar) else payload
    if given is not None and not isinstance(given, Mapping):
        msg = (
            f"a {type(payload).__name__} is no payload; expected one value of a payload column, or "
            "one row, such as table.to_pylist()[0]"
        )
        raise ImageReadError(msg)
    if given is not None and "pixels_meta" not in given:
        if column not in given:
            there = [name for name in given if name.startswith("ome_arrow_")]
            msg = f"the row has no column {column}; its payloads are {', '.join(there) or 'none'}"
            raise ImageReadError(msg)
        given = given[column]
    if given is None:
        msg = "the payload is null: there is no image; filter on `is not null` first"
        raise ImageReadError(msg)
    return dict(given)


def _as_bytes(image: OMEArrow, record: _Record) -> dict[str, Any]:
    """Chunks of bytes, and their grid, in place of lists of pixels."""
    if not (record["chunks"] or record["planes"]):
        msg = f"image {record.get('id')}: has no pixels, neither chunks nor planes"
        raise ImageReadError(msg)
    pixels = image.export("numpy", dtype=np.dtype(np.uint16))
    told = _NUMPY_NAMES.get(record["pixels_meta"]["type"], record["pixels_meta"]["type"])
    if np.array_equal(pixels.astype(told), pixels):
        pixels = pixels.astype(told)
    else:
        record["pixels_meta"]["type"] = pixels.dtype.name
    name = [record["name"]]
    made = payload_array([pixels], ids=name, names=name, channels=name)[0].as_py()
    return {part: made[part] for part in ("chunks", "chunk_grid", "planes")}


def _converted(
    meta: _Record, words: Mapping[str, str], colour: Callable[[int], int]
) -> dict[str, Any]:
    """``pixels_meta`` with other words for the types of pixels, and other numbers for colours."""
    channels = [
        {
            **channel,
            "color_rgba": None if channel["color_rgba"] is None else colour(channel["color_rgba"]),
        }
        for channel in meta["channels"] or []
    ]
    return {**meta, "type": words.get(meta["type"], meta["type"]), "channels": channels}
