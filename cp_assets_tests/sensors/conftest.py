"""Two plates, their sensor, and an instance that takes a tick's results as the daemon does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.sensor_definition import SensorExecutionData

from cp_assets.datasets import PlateKey
from cp_assets.datasets.config import read_configuration
from cp_assets.datasets.plate_files import dataset_files
from cp_assets.definitions import defs
from cp_assets.resources import DatasetsResource
from cp_assets.running.jobs import build_plates
from cp_assets.sample import SampleOptions, write_sample
from cp_assets.sensors.plate_sensor import plate_sensor

OPTIONS = SampleOptions(plates=2, wells=1, sites=1, cells=6, seed=4, image_size=(100, 110))
QUIET = "{quiet_seconds: 0, plates_per_tick: 50, runs_per_tick: 10}"


@dataclass
class Watched:
    """A folder with ``cp_assets.yaml`` and two sample plates, and a Dagster instance."""

    folder: Path
    instance: dg.DagsterInstance
    cursor: str | None = None

    @property
    def root(self) -> Path:
        return self.folder / "data"

    @property
    def plates(self) -> list[PlateKey]:
        (dataset,) = read_configuration(self.folder / "cp_assets.yaml").datasets
        return list(dataset_files(dataset).keys())

    def file(self, pattern: str) -> Path:
        return sorted(self.root.glob(pattern))[0]

    def touch(self, pattern: str) -> None:
        path = self.file(pattern)
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))

    def tick(self) -> SensorExecutionData:
        """One tick, its events and partitions stored; its runs are only created."""
        configuration = read_configuration(self.folder / "cp_assets.yaml")
        sensor = plate_sensor("plates_of_s", "s", configuration.sensor_of("s"))
        with (
            dg.build_sensor_context(
                self.instance,
                cursor=self.cursor,
                repository_def=defs.get_repository_def(),
                resources={"datasets": DatasetsResource()},
            ) as context,
            # As Dagster's code server does around it.
            partition_loading_context(dynamic_partitions_store=self.instance),
        ):
            result = sensor.evaluate_tick(context)
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions("plates", list(request.partition_keys))
        self.cursor = result.cursor
        return result

    def requests(self, ticks: int = 2) -> list[dg.RunRequest]:
        """What some ticks request; the runs are recorded as if they had failed."""
        found = []
        for _ in range(ticks):
            found.extend(self.tick().run_requests or ())
        for request in found:
            run = self.instance.create_run_for_job(
                defs.resolve_job_def(build_plates.name), tags=dict(request.tags)
            )
            self.instance.report_run_failed(run)
        return found

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Do what a request asks for."""
        return defs.resolve_job_def(build_plates.name).execute_in_process(
            instance=self.instance, partition_key=request.partition_key, tags=dict(request.tags)
        )


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    write_sample(tmp_path / "data", OPTIONS)
    text = f"warehouse: {tmp_path}/warehouse\nsensor: {QUIET}\n"
    text += "datasets:\n- {dataset_id: s, root: data}\n"
    (tmp_path / "cp_assets.yaml").write_text(text)
    monkeypatch.setenv("CP_ASSETS_CONFIG", str(tmp_path / "cp_assets.yaml"))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watched(tmp_path, instance)
