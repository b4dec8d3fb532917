from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cp_assets.datasets import Dataset, PlateSources, find_plates
from cp_assets.datasets.fingerprints import image_fingerprint, measurement_fingerprint, unchanged
from cp_assets.errors import InputChangedError
from cp_assets.sample import SampleTruth


@pytest.fixture
def sources(small_sample: SampleTruth, tmp_path: Path) -> PlateSources:
    root = shutil.copytree(small_sample.root, tmp_path / "prefix")
    return next(iter(find_plates(Dataset(dataset_id="s", root=root)).values()))


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def a_table(sources: PlateSources) -> Path:
    return sources.folders[-1].tables["Nuclei"].path


def an_image(sources: PlateSources) -> Path:
    assert sources.image_dir is not None
    return next(path for path in sorted(sources.image_dir.rglob("*")) if path.is_file())


def an_outline(sources: PlateSources) -> Path:
    return sorted((sources.folders[0].path / "outlines").iterdir())[0]


def test_fingerprints_same_files_same_fingerprint(sources: PlateSources) -> None:
    assert measurement_fingerprint(sources) == measurement_fingerprint(sources)
    assert image_fingerprint(sources) == image_fingerprint(sources)


@pytest.mark.parametrize(
    ("changed", "measurements", "images"),
    [
        (a_table, True, False),
        (an_image, False, True),
        (an_outline, False, True),
        (lambda sources: sources.load_data[0], True, True),
    ],
    ids=["table", "image", "outline", "LoadData"],
)
def test_fingerprints_changed_file(
    sources: PlateSources,
    changed: Callable[[PlateSources], Path],
    measurements: bool,
    images: bool,
) -> None:
    before = measurement_fingerprint(sources), image_fingerprint(sources)
    touch(changed(sources))
    after = measurement_fingerprint(sources), image_fingerprint(sources)
    assert [old != new for old, new in zip(before, after, strict=True)] == [measurements, images]


def test_fingerprints_options_that_shape_rows(sources: PlateSources) -> None:
    typed = replace(sources, dataset=replace(sources.dataset, column_types={"Metadata_X": "int"}))
    assert measurement_fingerprint(typed) != measurement_fingerprint(sources)
    images = replace(sources.dataset.images, channels=("DNA",))
    fewer = replace(sources, dataset=replace(sources.dataset, images=images))
    assert image_fingerprint(fewer) != image_fingerprint(sources)
    assert measurement_fingerprint(fewer) == measurement_fingerprint(sources)


def test_fingerprints_look_behind_links_that_lead_out_only_when_told_to(
    sources: PlateSources, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.tif").touch()
    assert sources.image_dir is not None
    (sources.image_dir / "link").symlink_to(outside)
    images = replace(sources.dataset.images, follow_links=True)
    following = replace(sources, dataset=replace(sources.dataset, images=images))
    before = image_fingerprint(sources), image_fingerprint(following)
    touch(outside / "a.tif")
    assert image_fingerprint(sources) == before[0]
    assert image_fingerprint(following) != before[1]
    (sources.image_dir / "link").unlink()
    assert image_fingerprint(sources) != before[0]


def test_unchanged_file_that_grows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "growing.csv"
    path.write_text("a")
    message = r"growing.csv changed .*\(1 -> 2 bytes\)"
    with pytest.raises(InputChangedError, match=message), unchanged(path):
        path.write_text("ab")
