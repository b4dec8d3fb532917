"""An image file as an object of the library ome_arrow, read by our readers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.images.readers import open_image
from cp_assets.payloads import payload_array, to_ome_arrow
from cp_assets.stores import ObjectPath, place

if TYPE_CHECKING:
    from ome_arrow import OMEArrow

    from cp_assets.stores import Place


def open_as_ome_arrow(path: str | Place, *, series: int = 0) -> OMEArrow:
    """Open a TIFF, OME-TIFF, PNG, Zarr or OME-Zarr as an ``ome_arrow.OMEArrow``.

    Pixels keep their dtype, where ome_arrow's own readers make them uint16; the axes are T, C, Z,
    Y, X. Names of channels and sizes of pixels are the file's, and null where it does not say.

    Parameters
    ----------
    path
        Of a file or a Zarr on a disk, or a URL.
    series
        Which image of a file that holds several.

    Raises
    ------
    ImageReadError
        If it is not there or cannot be read.
    StoreError
        If its object store cannot be read.
    ConfigurationError
        If its pixels are more than one payload holds, 2 GiB.
    """
    where = path if isinstance(path, Path | ObjectPath) else place(path)
    with open_image(where, series=series) as image:
        header, pixels = image.header, image.read()
    payloads = payload_array(
        [pixels],
        ids=[where.stem],
        names=[where.name],
        channels=[header.channel_names],
        physical_sizes=[header.physical_size],
    )
    return to_ome_arrow(payloads[0])
