"""Opening CSV files, plain or gzipped."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from cp_assets.stores import Place


def is_gzipped(path: Place) -> bool:
    """Whether a file's name says that it is compressed."""
    return path.suffix.lower() == ".gz"


def open_bytes(path: Place) -> BinaryIO:
    """The file's content as bytes, unpacked."""
    if not is_gzipped(path):
        return path.open("rb")
    packed = path.open("rb") if isinstance(path, ObjectPath) else path
    return cast("BinaryIO", gzip.open(packed, "rb"))


def open_text(path: Place, errors: str = "strict") -> TextIO:
    """The file's content as text in UTF-8, without a byte order mark, as `csv` wants it."""
    return io.TextIOWrapper(open_bytes(path), newline="", encoding="utf-8-sig", errors=errors)
