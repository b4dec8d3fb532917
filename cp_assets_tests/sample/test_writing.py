from __future__ import annotations

import dataclasses
import hashlib
import logging
from typing import TYPE_CHECKING

import pytest

from cp_assets.errors import ConfigurationError
from cp_assets.sample import CHANNELS, SampleOptions, SampleTruth, write_sample
from cp_assets_tests.sample.reading import written_sites

if TYPE_CHECKING:
    from pathlib import Path


def _digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_layout_is_complete_and_holds_nothing_else(sample: SampleTruth) -> None:
    batch, root = sample.options.batch, sample.root
    expected = {root / "workspace/metadata/platemaps" / batch / "barcode_platemap.csv"}
    expected.add(root / "workspace/metadata/platemaps" / batch / "platemap/CPA_SAMPLE_01.txt")
    for plate in sample.options.plate_names:
        expected |= {
            root / "images" / batch / "illum" / plate / f"{plate}_Illum{name}.npy"
            for name in CHANNELS
        }
        load_data = root / "workspace/load_data_csv" / batch / plate
        expected |= {load_data / "load_data.csv", load_data / "load_data_with_illum.csv"}
    for site in written_sites(sample):
        expected |= {site.image_path(channel) for channel in CHANNELS}
        for table in ("Image", "Cells", "Nuclei", "Cytoplasm", "Experiment"):
            expected.add(site.analysis / f"{table}.csv")
        stem = f"{site.well}_s{site.site}--"
        expected |= {
            site.analysis / "outlines" / f"{stem}{what}_outlines.png" for what in ("cell", "nuclei")
        }
        expected |= {
            site.analysis / "masks" / f"{stem}{what}_mask.tiff" for what in ("cell", "nuclei")
        }
    assert {path for path in root.rglob("*") if path.is_file()} == expected


def test_image_names_are_the_same_on_every_plate(sample: SampleTruth) -> None:
    folders = sorted((sample.root / "images" / sample.options.batch / "images").iterdir())
    names = [sorted(path.name for path in (folder / "Images").iterdir()) for folder in folders]
    assert len(folders) == 2
    assert names[0] == names[1]


def test_same_options_write_the_same_bytes_elsewhere(sample: SampleTruth, tmp_path: Path) -> None:
    again = write_sample(tmp_path / "elsewhere", sample.options)
    assert _digests(again.root) == _digests(sample.root)
    assert again.cells == sample.cells


def test_another_seed_writes_other_pixels_and_measurements(
    sample: SampleTruth, tmp_path: Path
) -> None:
    options = dataclasses.replace(sample.options, seed=8, plates=1)
    other = _digests(write_sample(tmp_path / "other", options).root)
    same = {name for name, digest in _digests(sample.root).items() if other.get(name) == digest}
    assert not {name for name in same if name.endswith((".tiff", ".npy", "Cells.csv", "Image.csv"))}


def test_a_plate_does_not_depend_on_how_many_there_are(sample: SampleTruth, tmp_path: Path) -> None:
    alone = _digests(
        write_sample(tmp_path / "one", dataclasses.replace(sample.options, plates=1)).root
    )
    alone = {name: digest for name, digest in alone.items() if "barcode_platemap" not in name}
    assert alone.items() <= _digests(sample.root).items()


def test_paths_of_this_machine_are_in_no_table(sample: SampleTruth) -> None:
    tables = [path for path in sample.root.rglob("*") if path.suffix in {".csv", ".txt"}]
    assert not [path for path in tables if str(sample.root.parent.parent) in path.read_text()]


def test_empty_folder_is_accepted(tmp_path: Path) -> None:
    options = SampleOptions(plates=1, wells=1, sites=1, cells=4, image_size=(96, 96))
    assert write_sample(tmp_path, options).root == tmp_path


def test_folder_that_holds_anything_is_refused_and_left_alone(
    tmp_path: Path, options: SampleOptions
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not an empty folder"):
        write_sample(tmp_path, options)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_file_as_root_is_refused(tmp_path: Path, options: SampleOptions) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigurationError, match="not an empty folder"):
        write_sample(tmp_path / "file", options)


def test_progress_is_logged_by_plate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = SampleOptions(plates=1, wells=1, sites=1, cells=4, image_size=(96, 96))
    with caplog.at_level(logging.INFO, logger="cp_assets.sample"):
        write_sample(tmp_path / "logged", options)
    assert "wrote sample plate BR00900001" in caplog.text
