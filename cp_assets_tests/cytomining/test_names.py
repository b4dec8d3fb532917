from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.cytomining.names import TableName, segment_of
from cp_assets.errors import WarehouseRootError

EVIL = (
    "../x",
    "profiles.../x",
    "/etc/passwd",
    "profiles./etc",
    "profiles.a\\b",
    "profiles.a\x00b",
    "profiles.",
    ".profiles",
    "profiles..x",
    "profiles.x\n",
    " profiles.x",
    "profiles.x.y",
    "profiles",
    "",
    "profiles.é",
    "profiles.x y",
)


@pytest.mark.parametrize("text", EVIL)
def test_name_that_is_none_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(WarehouseRootError, match=r"expected namespace\.table") as raised:
        TableName.parse(text)
    assert "\n" not in str(raised.value)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_name_that_is_taken_is_one_folder_below_one_folder(text: str) -> None:
    try:
        name = TableName.parse(text)
    except WarehouseRootError:
        # The rule of the peer, written another way.
        assert re.fullmatch(r"[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+", text) is None or "\n" in text
        return
    assert str(name) == text
    assert name.folder(Path("/root")).parts == ("/", "root", *text.split("."))


@given(st.text(min_size=1, max_size=20))
def test_segment_of_any_text_can_be_part_of_a_name(text: str) -> None:
    assert TableName.parse(f"profiles.{segment_of(text)}").namespace == "profiles"


@pytest.mark.parametrize(
    ("text", "role", "expected"),
    [
        ("pycytominer_profiles", "profiles", "profiles.pycytominer_profiles"),
        ("cosmicqc", "quality_control", "quality_control.cosmicqc"),
        ("umap", "embeddings", "embeddings.umap"),
        ("profiles.umap", "embeddings", "profiles.umap"),
        ("image_assets", "image_assets", "images.image_assets"),
    ],
)
def test_role_tells_the_namespace(text: str, role: str, expected: str) -> None:
    assert str(TableName.of_role(text, role)) == expected


def test_role_of_several_namespaces_needs_one(tmp_path: Path) -> None:
    with pytest.raises(WarehouseRootError, match="has no namespace"):
        TableName.of_role("spots", "annotations")


def test_folder_that_is_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "profiles").symlink_to(outside)
    with pytest.raises(WarehouseRootError, match="leads out of the warehouse root"):
        TableName.parse("profiles.x").folder(root)
