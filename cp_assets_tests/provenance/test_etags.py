from __future__ import annotations

import hashlib
from pathlib import Path

from pyiceberg.io.pyarrow import PyArrowFileIO

from cp_assets.provenance.etags import file_md5, partition_etag


def test_file_md5_of_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000
    (tmp_path / "file").write_bytes(content)
    found = file_md5(PyArrowFileIO(), f"file://{tmp_path}/file")
    assert found == hashlib.md5(content, usedforsecurity=False).digest()


def test_partition_etag_of_one_file_is_its_md5() -> None:
    digest = hashlib.md5(b"one", usedforsecurity=False)
    assert partition_etag([digest.digest()]) == digest.hexdigest()


def test_partition_etag_of_several_files_as_s3_makes_it() -> None:
    digests = [
        hashlib.md5(part, usedforsecurity=False).digest() for part in (b"one", b"two", b"three")
    ]
    expected = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    assert partition_etag(digests) == f"{expected}-3"
    assert partition_etag(digests[::-1]) != partition_etag(digests)
