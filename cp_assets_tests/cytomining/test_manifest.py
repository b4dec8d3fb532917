from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from iceberg_bioimage import load_warehouse_manifest

from cp_assets.cytomining.manifest import (
    MANIFEST_NAME,
    Manifest,
    PartNote,
    TableEntry,
    major_version,
    read_manifest,
)
from cp_assets.errors import WarehouseRootError

ENTRY = TableEntry(
    "profiles.x",
    "profiles",
    join_keys=("dataset_id", "image_id"),
    columns=("dataset_id", "image_id"),
    row_count=3,
    source_type="test",
    source_ref="here",
    profile_level="object",
    object_keys=("image_id",),
    files={"a.parquet": PartNote(3, "d/b/p", "here")},
    migrations=({"reason": "why"},),
    other={"of_others": {"kept": True}},
)


def _write(root: Path, content: object) -> None:
    (root / MANIFEST_NAME).write_text(json.dumps(content))


def _valid(**changes: Any) -> dict[str, Any]:
    return {"warehouse_root": "r", "warehouse_spec_version": "1.0.0", "tables": [], **changes}


def test_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest("r", "1.2.3", (ENTRY,), {"own": "what it means"}, {"more": 1})
    (tmp_path / MANIFEST_NAME).write_text(manifest.to_json())
    assert read_manifest(tmp_path) == manifest


def test_manifest_is_read_by_the_peer(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text(Manifest("r", tables=(ENTRY,)).to_json())
    peers = load_warehouse_manifest(tmp_path)
    assert peers.warehouse_spec_version == "1.0.0"
    assert peers.tables[0].to_dict() == {
        "table_name": "profiles.x",
        "role": "profiles",
        "format": "parquet",
        "join_keys": ["dataset_id", "image_id"],
        "source_type": "test",
        "source_ref": "here",
        "row_count": 3,
        "columns": ["dataset_id", "image_id"],
    }


def test_no_manifest_is_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (_valid(warehouse_spec_version="2.0.0"), "this cp_assets knows 1.x.y"),
        (_valid(warehouse_spec_version="0.9.0"), "this cp_assets knows 1.x.y"),
        (_valid(warehouse_spec_version="1.0"), "expected MAJOR.MINOR.PATCH"),
        (_valid(warehouse_spec_version=None), "expected MAJOR.MINOR.PATCH"),
        ([], "the manifest is list, expected an object"),
        (_valid(tables={}), "tables of the manifest is {}, expected list"),
        (_valid(tables=[1]), "a table is int, expected an object"),
        (_valid(tables=[{"role": "profiles"}]), "each needs a table_name and a role"),
        (_valid(tables=[ENTRY.to_dict(), ENTRY.to_dict()]), "table profiles.x is there twice"),
        (_valid(tables=[{**ENTRY.to_dict(), "columns": [1]}]), "expected a list of names"),
    ],
)
def test_manifest_that_cannot_be_understood_is_told_in_one_line(
    tmp_path: Path, content: object, told: str
) -> None:
    _write(tmp_path, content)
    with pytest.raises(WarehouseRootError) as raised:
        read_manifest(tmp_path)
    assert told in str(raised.value)
    assert MANIFEST_NAME in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": "\\ud800"}', b"9" * 5000],
    ids=["cut", "bytes", "deep", "half a character", "digits"],
)
def test_manifest_that_is_no_json_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(text)
    with pytest.raises(WarehouseRootError, match="is no JSON"):
        read_manifest(tmp_path)


def test_manifest_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).mkdir()
    with pytest.raises(WarehouseRootError, match="is a folder"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ("1.0.0", 1),
        ("10.20.30", 10),
        ("1.0.0-rc.1+build.5", 1),
        ("1.0", None),
        ("v1.0.0", None),
        ("01.0.0", None),
        ("1.0.0\n", None),
        (1, None),
        (None, None),
    ],
)
def test_versions_are_semantic(version: object, major: int | None) -> None:
    assert major_version(version) == major
