"""Listings: pages, requests, and keys that no path names."""

from __future__ import annotations

import datetime
from contextlib import ExitStack

import pytest
from botocore.stub import Stubber

from cp_assets.stores import ObjectPath
from cp_assets.stores.connections import connect
from cp_assets_tests.services.azurite import Azurite
from cp_assets_tests.stores.conftest import Bucket, az_bucket

_COUNT = 1_050


@pytest.mark.parametrize("bucket", ["s3", "gs"], indirect=True)
def test_all_pages_are_listed_in_few_requests(bucket: Bucket) -> None:
    assert bucket.folder is not None
    for relative in ("many", *(f"plates/p{number}" for number in range(5))):
        (bucket.folder / relative).mkdir(parents=True)
    names = {f"f{number}" for number in range(_COUNT)}
    for name in names:
        (bucket.folder / "many" / name).write_bytes(b"x")
    for number in range(5):
        (bucket.folder / f"plates/p{number}/a").write_bytes(b"x")

    assert {path.name for path in (bucket.root / "many").iterdir()} == names
    found = [path.name for path in (bucket.root / "many").files_below()]
    assert (len(found), set(found)) == (_COUNT, names)
    assert bucket.proxy.count("ListObjectsV2") == 2 * 2
    # What lies below a folder is not looked at.
    bucket.proxy.forget()
    assert {path.name for path in bucket.root.iterdir()} == {"many", "plates"}
    assert len(list((bucket.root / "plates").iterdir())) == 5
    assert bucket.proxy.counts() == {"ListObjectsV2": 2}
    # To know that a folder is there takes no more than its first page.
    bucket.proxy.forget()
    assert (bucket.root / "plates").is_dir()
    assert bucket.proxy.counts() == {"ListObjectsV2": 1}


def test_an_object_and_a_folder_of_one_name_and_marks_of_folders(
    azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        bucket = az_bucket(azurite, monkeypatch, stack)
        container = bucket.url.partition("://")[2]
        (bucket.root / "both").write_bytes(b"object")
        (bucket.root / "both/below").write_bytes(b"")
        azurite.make_mark(container, "marked/")
        azurite.make_mark(container, "marked/deep/")

        _check_both(bucket.root)
        found = [(path.name, path.is_dir()) for path in bucket.root.iterdir()]
        assert sorted(found) == [("both", False), ("both", True), ("marked", True)]
        (deep,) = (bucket.root / "marked").iterdir()
        assert (deep.name, list(deep.iterdir())) == ("deep", [])
        files = [str(path.relative_to(bucket.root)) for path in bucket.root.files_below()]
        assert sorted(files) == ["both", "both/below"]
        assert list((bucket.root / "marked").files_below()) == []


def _check_both(root: ObjectPath) -> None:
    both = root / "both"
    assert both.is_file()
    assert both.is_dir()
    assert both.read_bytes() == b"object"
    assert [path.name for path in both.iterdir()] == ["below"]


def test_s3_keys_that_no_path_names_are_left_out(s3: Bucket) -> None:
    """S3 allows what the server of the tests, which keeps files, cannot hold: answers are given."""
    moment = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)

    def item(key: str) -> dict[str, object]:
        return {"Key": key, "Size": 3, "ETag": '"tag"', "LastModified": moment}

    keys = ["a/", "a/file", "a/same", "a//hidden", "a/./b", "a/../c", "a/folder/"]
    flat = {"Contents": [item(key) for key in keys], "IsTruncated": False}
    prefixes = [{"Prefix": prefix} for prefix in ("a//", "a/./", "a/../", "a/folder/", "a/same/")]
    nested = {
        "Contents": [item(key) for key in ("a/", "a/file", "a/same")],
        "CommonPrefixes": prefixes,
        "IsTruncated": False,
    }
    store = connect(s3.url, s3.root.options)
    with Stubber(store._client) as stub:  # type: ignore[attr-defined]
        stub.add_response("list_objects_v2", flat)
        assert [path.key for path in (s3.root / "a").files_below()] == ["a/file", "a/same"]
        stub.add_response("list_objects_v2", nested)
        found = [(path.key, path.is_dir()) for path in (s3.root / "a").iterdir()]
    assert found == [
        ("a/file", False),
        ("a/folder", True),
        ("a/same", False),
        ("a/same", True),
    ]
