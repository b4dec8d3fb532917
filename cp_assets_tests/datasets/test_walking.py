from __future__ import annotations

from pathlib import Path

import pytest

from cp_assets.datasets.walking import Entry, walk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file, a leaf, and links inside, outside, to itself and to nothing."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for path in (root / "deep" / "a", root / "x.zarr" / "0", outside / "secret"):
        path.parent.mkdir(parents=True)
        path.touch()
    (root / "inside").symlink_to("deep/a")
    (root / "loop").symlink_to(root)
    (root / "none").symlink_to("nothing")
    (root / "out").symlink_to(outside)
    (root / "out_file").symlink_to(outside / "secret")
    # A name that begins like the folder's is another folder.
    (tmp_path / "root2").mkdir()
    (root / "out_near").symlink_to(tmp_path / "root2")
    return root


def test_walk_tells_links_that_lead_out(root: Path) -> None:
    outside = str(root.parent / "outside")
    assert list(walk(root, is_leaf=lambda name: name.endswith(".zarr"))) == [
        Entry("deep/a"),
        Entry("inside"),
        Entry("out", outside, is_folder=True),
        Entry("out_file", f"{outside}/secret"),
        Entry("out_near", str(root.parent / "root2"), is_folder=True),
        Entry("x.zarr", is_folder=True),
    ]


def test_walk_follows_links_when_told_to(root: Path) -> None:
    found = {entry.relative for entry in walk(root, follow_links=True)}
    assert found == {"deep/a", "inside", "out/secret", "out_file", "x.zarr/0"}


def test_walk_of_a_link_is_of_its_folder(root: Path) -> None:
    (root.parent / "named").symlink_to(root)
    assert list(walk(root.parent / "named")) == list(walk(root))
