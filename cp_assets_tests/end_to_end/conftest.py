"""A small prefix for tests that spoil it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cp_assets.sample import SampleOptions, write_sample
from cp_assets_tests.end_to_end.plate import Prefix


@pytest.fixture(scope="session")
def _one_plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = SampleOptions(plates=1, wells=1, sites=2, cells=8, seed=9, image_size=(100, 110))
    return write_sample(tmp_path_factory.mktemp("one") / options.prefix, options).root


@pytest.fixture
def prefix(_one_plate: Path, tmp_path: Path) -> Prefix:
    """A copy of the prefix, to be changed."""
    return Prefix(Path(shutil.copytree(_one_plate, tmp_path / "prefix")))
