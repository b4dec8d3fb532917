"""Reading one image file into one plane, exactly as its pixels are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from cp_assets.errors import ImageReadError, InputChangedError

if TYPE_CHECKING:
    from pathlib import Path

Plane = npt.NDArray[Any]
"""One channel of one site, shape (Y, X), in the file's own dtype and the machine's byte order."""

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PNG_PALETTE = 3
_KINDS = "buif"
_PLANE_AXES = 2
_BYTE_BITS = 8
_RGBA_SAMPLES = 4
_WITH_ALPHA = frozenset({2, _RGBA_SAMPLES})


def read_plane(path: Path) -> Plane:
    """Read the one plane of a TIFF or PNG file.

    The content decides the format, not the name. The dtype is the file's: uint8, uint16, int32,
    float32, bool for 1-bit files. Grey images stored as RGB lose nothing by becoming one plane, so
    they do; real colours are refused.

    Returns
    -------
    array of shape (Y, X)

    Raises
    ------
    ImageReadError
        If the file is missing, truncated, corrupt, of another format, or holds more than one plane.
    InputChangedError
        If the file changed while it was read; reading it again may succeed.
    """
    try:
        before = _state(path)
    except OSError as error:
        msg = (
            f"image {path}: cannot be opened ({error.strerror or error}); check that it is readable"
        )
        raise ImageReadError(msg) from error
    try:
        plane = _decode(path)
    except Exception as error:  # decoders raise errors of many kinds for bad bytes
        _check_unchanged(path, before)
        if isinstance(error, ImageReadError):
            raise
        msg = (
            f"image {path}: cannot be decoded ({type(error).__name__}: {error}); the file is "
            "truncated or corrupt, copy it again from its source"
        )
        raise ImageReadError(msg) from error
    _check_unchanged(path, before)
    return plane


def _state(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116 - the tests replace it to see a file change
    return status.st_size, status.st_mtime_ns, status.st_ino


def _check_unchanged(path: Path, before: tuple[int, int, int]) -> None:
    try:
        after: tuple[int, int, int] | None = _state(path)
    except OSError:
        after = None
    if after != before:
        msg = f"image {path}: changed while it was read; run the plate again when it is complete"
        raise InputChangedError(msg)


def _decode(path: Path) -> Plane:
    if path.is_dir():
        msg = f"image {path}: is a folder; OME-Zarr comes with a later version, convert it to TIFF"
        raise ImageReadError(msg)
    with path.open("rb") as file:
        head = file.read(26)
    if head.startswith(_TIFF):
        plane = _decode_tiff(path)
    elif head.startswith(_PNG):
        plane = _decode_png(path, depth=head[24], colour=head[25])
    else:
        msg = (
            f"image {path}: neither TIFF nor PNG (it starts with {head[:8]!r}); convert it to TIFF"
        )
        raise ImageReadError(msg)
    if plane.dtype.kind not in _KINDS:
        msg = f"image {path}: pixels of type {plane.dtype}; expected whole or real numbers"
        raise ImageReadError(msg)
    return np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("="))


def _decode_tiff(path: Path) -> Plane:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        if len(tiff.pages) > 1:
            axes, shape = tiff.series[0].axes, tiff.series[0].shape
            msg = (
                f"image {path}: holds {len(tiff.pages)} pages (axes {axes}, shape {shape}); one "
                "channel of one plane a file is expected. Files of several planes come with a "
                "later version; until then write one TIFF a plane, as CellProfiler's SaveImages"
            )
            raise ImageReadError(msg)
        if 0 in page.databytecounts:
            # tifffile would fill such strips with zeros, which nobody measured.
            empty = page.databytecounts.count(0)
            msg = (
                f"image {path}: {empty} of its {len(page.databytecounts)} strips or tiles were "
                "never written; copy the file again from its source"
            )
            raise ImageReadError(msg)
        # One thread: image sets are decoded side by side already.
        pixels = np.asarray(page.asarray(maxworkers=1))
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and pixels.ndim > _PLANE_AXES:
            pixels = np.moveaxis(pixels, 0, -1)
    return _one_plane(path, pixels)


def _decode_png(path: Path, depth: int, colour: int) -> Plane:
    if depth >= _BYTE_BITS and colour != _PNG_PALETTE:
        return _one_plane(path, np.asarray(imagecodecs.png_decode(path.read_bytes())))
    with Image.open(path) as image:
        if colour == _PNG_PALETTE:
            return _palette_plane(image)
        return _one_plane(path, np.asarray(image))


def _palette_plane(image: Image.Image) -> Plane:
    """Take the grey values of a grey palette, but the labels that a coloured palette colours."""
    labels = np.asarray(image)
    palette = np.asarray(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    if (palette == palette[:, :1]).all():
        return np.asarray(palette[labels, 0])
    return labels


def _one_plane(path: Path, pixels: Plane) -> Plane:
    """Drop axes that say nothing: equal colour channels, and an alpha channel that is opaque."""
    if pixels.ndim == _PLANE_AXES:
        return pixels
    if pixels.ndim != _PLANE_AXES + 1 or pixels.shape[-1] > _RGBA_SAMPLES:
        msg = f"image {path}: has the shape {pixels.shape}; one plane (Y, X) is expected"
        raise ImageReadError(msg)
    samples = pixels.shape[-1]
    colours = pixels[..., : samples - 1] if samples in _WITH_ALPHA else pixels
    opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    if samples in _WITH_ALPHA and not (pixels[..., -1] == opaque).all():
        msg = f"image {path}: is partly transparent; save it as grey without an alpha channel"
        raise ImageReadError(msg)
    if not (colours == colours[..., :1]).all():
        msg = (
            f"image {path}: is a colour image (RGB, shape {pixels.shape}); one channel a file is "
            "expected. Colour files come with a later version; until then save each channel as its "
            "own grey file"
        )
        raise ImageReadError(msg)
    return colours[..., 0]
