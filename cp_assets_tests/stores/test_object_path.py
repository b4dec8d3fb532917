"""What paths in a store do that paths on disk do not."""

from __future__ import annotations

import pickle

import pytest

from cp_assets.errors import InputChangedError
from cp_assets.stores import ObjectPath, StoreOptions, state_of
from cp_assets_tests.stores.conftest import Bucket


def test_dots_are_resolved_when_the_store_is_asked(bucket: Bucket) -> None:
    (bucket.root / "plate/images/a.tif").write_bytes(b"pixels")
    path = bucket.root / "plate/analysis/../images/./a.tif"
    assert str(path) == f"{bucket.url}/plate/analysis/../images/a.tif"
    assert path.resolve() == bucket.root / "plate/images/a.tif"
    assert path.read_bytes() == b"pixels"
    assert [one.name for one in (bucket.root / "x/../plate").iterdir()] == ["images"]
    assert (bucket.root / "../..").resolve() == bucket.root


def test_an_absolute_path_begins_at_the_bucket() -> None:
    assert str(ObjectPath.parse("s3://bucket/a") / "/b/c") == "s3://bucket/b/c"


def test_the_bucket_itself(bucket: Bucket) -> None:
    root = bucket.root
    assert root.is_dir()
    assert not root.is_file()
    assert list(root.iterdir()) == []
    assert root.parent == root
    assert root.name == bucket.url.partition("://")[2]
    with pytest.raises(ValueError, match="empty name"):
        root.with_name("other")


def test_what_a_listing_gave_costs_no_request(bucket: Bucket) -> None:
    (bucket.root / "folder/file").write_bytes(b"12345")
    folder = next(bucket.root.iterdir())
    file = next(folder.iterdir())
    bucket.proxy.forget()
    assert folder.is_dir()
    assert not folder.is_file()
    assert file.is_file()
    assert not file.is_dir()
    assert file.stat().st_size == 5
    assert bucket.proxy.requests == []
    assert (
        file.stat().st_mtime_ns // 10**9
        == (bucket.root / "folder/file").stat().st_mtime_ns // 10**9
    )


def test_the_state_is_the_same_listed_and_asked_for_and_new_with_new_bytes(bucket: Bucket) -> None:
    path = bucket.root / "file"
    path.write_bytes(b"first")
    before = state_of(path)
    assert before == state_of(next(bucket.root.iterdir()))
    path.write_bytes(b"other")
    assert state_of(path) != before


def test_a_path_reads_the_version_that_it_knows(bucket: Bucket) -> None:
    path = bucket.root / "file"
    path.write_bytes(b"first")
    (listed,) = bucket.root.iterdir()
    held = bucket.root.files_below()
    with path.open() as opened:
        path.write_bytes(b"other bytes")
        assert opened.read() == b"first"
    with pytest.raises(InputChangedError, match=r"/file: changed since .* run again"):
        listed.read_bytes()
    with pytest.raises(InputChangedError), listed.open() as opened:
        opened.read()
    assert listed.known_as(None).read_bytes() == b"other bytes"
    assert next(held).read_bytes() == b"other bytes"


def test_a_path_can_be_sent_to_another_process() -> None:
    path = ObjectPath.parse("s3://bucket/a", StoreOptions(region="eu-west-1", anonymous=True))
    copy = pickle.loads(pickle.dumps(path))  # noqa: S301 - of our own
    assert (copy, copy.options, hash(copy)) == (path, path.options, hash(path))
    assert repr(path) == "ObjectPath('s3://bucket/a')"


def test_only_reading_bytes_is_offered() -> None:
    with pytest.raises(ValueError, match="can be opened as rb, not as w"):
        ObjectPath.parse("s3://bucket/a").open("w")
