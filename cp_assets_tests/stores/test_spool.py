"""Local copies for readers that need a file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cp_assets.errors import InputChangedError, ScratchError
from cp_assets.stores import spool, spooled
from cp_assets_tests.stores.conftest import Bucket


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for copies; empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("CP_ASSETS_SCRATCH", str(folder))
    return folder


def test_a_database_is_read_and_its_copy_deleted(
    bucket: Bucket, tmp_path: Path, scratch: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "plate.sqlite")) as made, made:
        made.execute("CREATE TABLE cells AS SELECT 7 AS area")
    (bucket.root / "plate.sqlite").write_bytes((tmp_path / "plate.sqlite").read_bytes())
    with spooled(bucket.root / "plate.sqlite") as copy:
        assert copy.name == "plate.sqlite"
        assert copy.is_relative_to(scratch)
        with closing(sqlite3.connect(copy)) as database:
            assert database.execute("SELECT area FROM cells").fetchall() == [(7,)]
    assert list(scratch.iterdir()) == []


def test_a_local_file_is_not_copied(tmp_path: Path) -> None:
    with spooled(tmp_path / "file") as path:
        assert path == tmp_path / "file"


def test_nothing_is_left_of_one_that_changed(s3: Bucket, scratch: Path) -> None:
    (s3.root / "file").write_bytes(b"first")
    (listed,) = s3.root.iterdir()
    (s3.root / "file").write_bytes(b"other")
    with pytest.raises(InputChangedError), spooled(listed):
        pass
    assert list(scratch.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="/none"), spooled(s3.root / "none"):
        pass


def test_one_that_does_not_fit_is_refused_before_it_is_read(
    s3: Bucket, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (s3.root / "file").write_bytes(b"12345")
    usage = shutil.disk_usage(scratch)._replace(free=4)
    monkeypatch.setattr(spool.shutil, "disk_usage", lambda _folder: usage)
    s3.proxy.forget()
    with (
        pytest.raises(ScratchError, match=r"/file: a local copy .* set CP_ASSETS_SCRATCH"),
        spooled(s3.root / "file"),
    ):
        pass
    assert s3.proxy.count("GetObject") == 0


def test_a_missing_scratch_folder_is_named(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (s3.root / "file").write_bytes(b"12345")
    monkeypatch.setenv("CP_ASSETS_SCRATCH", str(tmp_path / "none"))
    with pytest.raises(ScratchError, match="/none cannot hold it"), spooled(s3.root / "file"):
        pass
