"""A small sample, written once for all tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cp_assets.sample import SampleOptions, SampleTruth, write_sample

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def options() -> SampleOptions:
    return SampleOptions(plates=2, wells=2, sites=2, cells=12, seed=7, image_size=(150, 190))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, options: SampleOptions) -> SampleTruth:
    root: Path = tmp_path_factory.mktemp("sample") / options.prefix
    return write_sample(root, options)
