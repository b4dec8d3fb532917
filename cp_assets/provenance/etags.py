"""Etags of a table's partition, by the convention of S3.

One file: the MD5 of its bytes. Several: the MD5 of the files' binary MD5s in order, a dash and
their number, as S3 makes the ETag of a multipart upload.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.io import FileIO

_PIECE = 8 * 2**20


def file_md5(io: FileIO, path: str) -> bytes:
    """Binary MD5 of a file's bytes."""
    found = hashlib.md5(usedforsecurity=False)
    with io.new_input(path).open() as stream:
        while piece := stream.read(_PIECE):
            found.update(piece)
    return found.digest()


def partition_etag(digests: Sequence[bytes]) -> str:
    """Etag of a partition whose files have these MD5s, in the order of its rows."""
    if len(digests) == 1:
        return digests[0].hex()
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
