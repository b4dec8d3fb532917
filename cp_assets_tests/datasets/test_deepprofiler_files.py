from __future__ import annotations

from pathlib import Path

import pytest

from cp_assets.datasets.deepprofiler_files import find_deepprofiler_files, place_of
from cp_assets.errors import ConfigurationError


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("P1/A01_5.npz", ("P1", "A01", "5")),
        ("x/y/P1/a1_s05.NPZ", ("P1", "A01", "5")),
        ("A01_5.npz", (None, "A01", "5")),
        ("/A01_5.npz", (None, "A01", "5")),
        ("P1/AF48_north.npz", ("P1", "AF48", "north")),
        ("P1/A01/5/embedding.npz", ("P1", "A01", "5")),
        ("P1/A01-5/embedding.npz", ("P1", "A01", "5")),
        ("P1/A01-5/embedding.parquet", ("P1", "A01", "5")),
        ("P1/A01/5/embedding.parquet", ("P1", "A01", "5")),
        ("A01-5/embedding.parquet", (None, "A01", "5")),
        ("A01/5/embedding.npz", (None, "A01", "5")),
        ("5/embedding.npz", None),
        ("embedding.npz", None),
        ("P1/Z99_5.npz", None),
        ("P1/A01_5.parquet", None),
        ("P1/A01.npz", None),
        ("P1/profiles_2020.npz", None),
        ("P1/other/5/embedding.npz", None),
    ],
)
def test_place_of(path: str, place: tuple[str | None, str, str] | None) -> None:
    assert place_of(path) == place


def test_find_deepprofiler_files_in_order(tmp_path: Path) -> None:
    root = tmp_path / "features"
    names = [
        *("P2/A01_1.npz", "P1/B01_1.npz", "P1/A10_1.npz", "P1/A02_10.npz", "P1/A02_9.npz"),
        *("P3/A01/1/embedding.npz", "deep/er/P4/A01-1/embedding.parquet", "A03_1.npz"),
        *("P1/index.csv", "P1/A02_9.npz.part"),
    ]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    found = find_deepprofiler_files(root)
    assert [(one.relative, one.plate, one.well, one.site, one.is_npz) for one in found] == [
        ("P1/A02_9.npz", "P1", "A02", "9", True),
        ("P1/A02_10.npz", "P1", "A02", "10", True),
        ("P1/A10_1.npz", "P1", "A10", "1", True),
        ("P1/B01_1.npz", "P1", "B01", "1", True),
        ("P2/A01_1.npz", "P2", "A01", "1", True),
        ("P3/A01/1/embedding.npz", "P3", "A01", "1", True),
        ("deep/er/P4/A01-1/embedding.parquet", "P4", "A01", "1", False),
        ("A03_1.npz", "features", "A03", "1", True),
    ]
    assert found[0].path == root / "P1/A02_9.npz"


def test_find_deepprofiler_files_links_stay_inside(tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "P1"
    outside.mkdir(parents=True)
    (outside / "A01_1.npz").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "P1").symlink_to(outside)
    assert find_deepprofiler_files(root) == ()
    (found,) = find_deepprofiler_files(root, follow_links=True)
    assert (found.plate, found.well, found.site) == ("P1", "A01", "1")


def test_find_deepprofiler_files_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be listed"):
        find_deepprofiler_files(tmp_path / "gone")


def test_find_deepprofiler_files_real(test_data: Path) -> None:
    (found,) = find_deepprofiler_files(test_data / "deepprofiler")
    assert (found.plate, found.well, found.site) == ("deepprofiler", "A01", "5")
