"""PyIceberg's file access, with S3 clients that all tables of a process share."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyarrow.fs import S3FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT

from cp_assets.warehouse.s3_deletes import can_delete, delete_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.fs as pafs
    from pyiceberg.io import InputFile, OutputFile
    from pyiceberg.typedef import Properties

_S3_SCHEMES = ("s3", "s3a", "s3n")
_CHECKSUMS = "AWS_REQUEST_CHECKSUM_CALCULATION"


class SharedFileIO(PyArrowFileIO):
    """PyIceberg's file access through pyarrow, which makes its clients once.

    PyIceberg makes an S3 client, with connections of its own, each time that a table is loaded.
    """

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        own = self.fs_by_scheme

        def shared(scheme: str, netloc: str | None = None) -> pafs.FileSystem:
            if scheme in _S3_SCHEMES:
                return _s3(os.getpid(), scheme, netloc, _s3_properties(self.properties))
            return own(scheme, netloc)

        self.fs_by_scheme = shared

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Delete a file, without pyarrow's mark of a folder where it was."""
        place = location if isinstance(location, str) else location.location
        parts = urlsplit(place)
        if parts.scheme not in _S3_SCHEMES or not can_delete(self.properties):
            super().delete(location)
            return
        delete_object(_s3_properties(self.properties), parts.netloc, parts.path.lstrip("/"))


def open_filesystem(properties: Properties, location: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a location, and the location's path there."""
    scheme, netloc, path = PyArrowFileIO.parse_location(location, properties)
    return SharedFileIO(properties).fs_by_scheme(scheme, netloc), path


def _s3_properties(properties: Properties) -> tuple[tuple[str, str], ...]:
    kept = ((n, str(v)) for n, v in properties.items() if n.startswith(("s3.", "client.")))
    return tuple(sorted(kept))


# By process: one that was forked must not talk over the connections of its parent, nor close them.
@lru_cache(maxsize=64)
def _s3(
    process: int,
    scheme: str,
    netloc: str | None,
    properties: tuple[tuple[str, str], ...],
) -> pafs.FileSystem:
    known = dict(properties)
    with _servers_that_take_no_checksums("s3.endpoint" in known):
        _, options = PyArrowFileIO(known).fs_by_scheme(scheme, netloc).__reduce__()
        # One request for a small file instead of three.
        return S3FileSystem(**{**options[0], "allow_delayed_open": True})


@contextmanager
def _servers_that_take_no_checksums(is_other_server: bool) -> Iterator[None]:
    """Make S3 clients that send checksums only where S3 demands them.

    Those that AWS's clients add of late come in a form that other servers refuse. Nothing but the
    environment can tell pyarrow; what a user set there counts.
    """
    if not is_other_server or _CHECKSUMS in os.environ:
        yield
        return
    os.environ[_CHECKSUMS] = "when_required"
    try:
        yield
    finally:
        os.environ.pop(_CHECKSUMS, None)
