"""Opening CSV files, plain or gzipped."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from pathlib import Path


def is_gzipped(path: Path) -> bool:
    """Whether a file's name says that it is compressed."""
    return path.suffix.lower() == ".gz"


def open_bytes(path: Path) -> BinaryIO:
    """The file's content as bytes, unpacked."""
    if is_gzipped(path):
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def open_text(path: Path, errors: str = "strict") -> TextIO:
    """The file's content as text in UTF-8, without a byte order mark, as `csv` wants it."""
    return io.TextIOWrapper(open_bytes(path), newline="", encoding="utf-8-sig", errors=errors)
