from __future__ import annotations

from pathlib import Path

from cp_assets.datasets.load_data import image_set_places
from cp_assets_tests.files import write_csv


def row(name: str, well: str, site: str) -> dict[str, str]:
    return {"FileName_OrigDNA": name, "Metadata_Well": well, "Metadata_Site": site}


def test_image_set_places_normalised(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "load_data.csv", [row("a.tif", "b2", "01")])
    assert image_set_places([path]) == {("FileName_OrigDNA", "a.tif"): ("B02", "1")}


def test_image_set_places_name_at_two_places_tells_nothing(tmp_path: Path) -> None:
    rows = [row("a.tif", "A01", "1"), row("a.tif", "A02", "1"), row("b.tif", "A01", "1")]
    path = write_csv(tmp_path / "load_data.csv", rows)
    assert image_set_places([path, path]) == {("FileName_OrigDNA", "b.tif"): ("A01", "1")}
