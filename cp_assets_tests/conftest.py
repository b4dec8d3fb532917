"""Fixtures for all tests: isolation, real data, an empty warehouse, a small sample."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cp_assets.conversion import convert
from cp_assets.sample import SampleOptions, SampleTruth, write_sample
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.services.fixtures import (
    azurite,
    bucket,
    faulty,
    postgres,
    public_s3_server,
    s3_server,
)
from cp_assets_tests.services.missing import missing

__all__ = ["azurite", "bucket", "faulty", "missing", "postgres", "public_s3_server", "s3_server"]

_ISOLATED = ("PYICEBERG_", "CP_ASSETS_", "AWS_", "AZURE_", "GOOGLE_")
_GIVEN_DATA = os.environ.get("CP_ASSETS_TEST_DATA")
_KEPT = ("CP_ASSETS_TEST_DATA", "CP_ASSETS_REQUIRE_SERVICES")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees this machine's configuration or credentials."""
    for name in os.environ:
        if name.startswith(_ISOLATED) and name not in _KEPT:
            monkeypatch.delenv(name)
    home = str(tmp_path_factory.getbasetemp() / "home")
    Path(home).mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", home)
    # PyIceberg looks for .pyiceberg.yaml here, in the home folder and in the current folder.
    monkeypatch.setenv("PYICEBERG_HOME", home)
    # No client asks the cloud machine that this may be for credentials.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real data."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(_GIVEN_DATA) if _GIVEN_DATA else default
    if not folder.is_dir():
        missing(f"no real data at {folder}: set CP_ASSETS_TEST_DATA")
    return folder


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty warehouse with a real SQLite catalog."""
    return open_warehouse(tmp_path / "warehouse", create=True)


@pytest.fixture(scope="session")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> SampleTruth:
    """Two plates, two wells, two sites: written once, never changed."""
    options = SampleOptions(plates=2, wells=2, sites=2, cells=12, seed=3, image_size=(150, 190))
    return write_sample(tmp_path_factory.mktemp("small") / options.prefix, options)


@pytest.fixture(scope="session")
def built(small_sample: SampleTruth, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The small sample as a warehouse with every table, whole images too: only to be read."""
    folder = tmp_path_factory.mktemp("built") / "warehouse"
    return convert(small_sample.root, folder, dataset_id="sample", include_source_images=True)
