"""A configured plate and a Dagster instance to build it with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cp_assets.datasets import PlateKey, PlateSources, find_plates
from cp_assets.datasets.config import read_configuration
from cp_assets.definitions import defs
from cp_assets.resources import FORCE_TAG
from cp_assets.running.jobs import materialize_plates
from cp_assets.running.plate_run import PlateRun
from cp_assets.sample import SampleOptions, write_sample
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

OPTIONS = SampleOptions(plates=1, wells=1, sites=1, cells=6, seed=4, image_size=(100, 110))


@dataclass
class Project:
    """A folder with ``cp_assets.yaml``, one sample plate, and a Dagster instance."""

    folder: Path
    instance: dg.DagsterInstance

    @property
    def root(self) -> Path:
        return self.folder / "data"

    @property
    def sources(self) -> PlateSources:
        (dataset,) = read_configuration(self.folder / "cp_assets.yaml").datasets
        (sources,) = find_plates(dataset).values()
        return sources

    @property
    def plate(self) -> PlateKey:
        return self.sources.key

    def open(self) -> Warehouse:
        return open_warehouse(self.folder / "warehouse", create=True)

    def table(self, compartment: str) -> Path:
        """A measurement file."""
        return next(self.root.glob(f"workspace/analysis/*/*/analysis/*/{compartment}.csv"))

    def build(self) -> PlateRun:
        """Run the whole job for the plate."""
        (run,) = materialize_plates(self.instance, [self.plate])
        return run

    def build_one(self, asset: str, *, force: bool = False) -> dg.ExecuteInProcessResult:
        """Run one asset with its checks."""
        self.instance.add_dynamic_partitions("plates", [self.plate.partition_key])
        return defs.resolve_job_def("build_plates").execute_in_process(
            instance=self.instance,
            partition_key=self.plate.partition_key,
            asset_selection=[dg.AssetKey(asset)],
            tags={FORCE_TAG: "true"} if force else {},
            raise_on_error=False,
        )

    def metadata(self, asset: str) -> dict[str, Any]:
        """What the newest materialization of an asset recorded."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return dict(event.asset_materialization.metadata)


@pytest.fixture(scope="session")
def _plate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("plate") / "data", OPTIONS).root


@pytest.fixture
def project(
    _plate_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    shutil.copytree(_plate_folder, tmp_path / "data")
    config = tmp_path / "cp_assets.yaml"
    config.write_text("warehouse: ./warehouse\ndatasets:\n- {dataset_id: set, root: data}\n")
    monkeypatch.setenv("CP_ASSETS_CONFIG", str(config))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Project(tmp_path, instance)
