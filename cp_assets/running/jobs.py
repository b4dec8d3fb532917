"""Building plates through Dagster: the job, and running it here for one plate."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from cp_assets.building import STEPS
from cp_assets.datasets import PlateKey
from cp_assets.partitions import PLATES, plate_tags, register_plates
from cp_assets.resources import FORCE_TAG
from cp_assets.running.lost_runs import process_tags
from cp_assets.running.plate_run import PlateRun, plate_run

build_plates = dg.define_asset_job(
    "build_plates",
    selection=dg.AssetSelection.assets(*STEPS),
    description="All tables of a plate, with their checks, in one process.",
    config=dg.PartitionedConfig(
        PLATES,
        run_config_for_partition_key_fn=lambda _key: {},
        tags_for_partition_key_fn=lambda key: plate_tags(PlateKey.parse(key)),
    ),
)

_INSTANCE_SETTINGS = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
"""
"""No telemetry, no newsletter dialog over a newcomer's first look at the graph, and no more plates
at once than a small machine has room for, however many a backfill asks for."""


@dataclass(frozen=True)
class RunOptions:
    """How plates are run.

    Attributes
    ----------
    assets
        Names of the assets to build; None for all.
    force
        Write even what is unchanged.
    warehouse
        A folder or the name of a configured PyIceberg catalog, instead of what is configured.
    log_level
        Of the lines that Dagster writes to standard error. By default none: what happened is in
        the event log and the summary, and a stack trace would bury both.
    """

    assets: tuple[str, ...] | None = None
    force: bool = False
    warehouse: str | None = None
    log_level: str = "CRITICAL"

    @property
    def asset_keys(self) -> list[dg.AssetKey] | None:
        """The assets as Dagster names them; None for all."""
        return [dg.AssetKey(name) for name in self.assets] if self.assets else None

    def run_config(self) -> dict[str, Any]:
        """The run configuration that Dagster takes."""
        config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": self.log_level}}}}
        if self.warehouse is not None:
            config["resources"] = {"warehouse": {"config": {"location": self.warehouse}}}
        return config


@contextmanager
def dagster_instance(home: Path | None = None) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a folder, of ``DAGSTER_HOME``, or one that is forgotten afterwards.

    Parameters
    ----------
    home
        Made if it does not exist.
    """
    if home is None and not os.environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
        return
    folder = home or Path(os.environ["DAGSTER_HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.write_text(_INSTANCE_SETTINGS, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(folder.resolve())) as instance:
        yield instance


def run_plate(instance: dg.DagsterInstance, plate: PlateKey, options: RunOptions) -> PlateRun:
    """Run the job ``build_plates`` for one plate, here; a run that fails raises nothing."""
    # The code location is imported when it is used: it takes seconds.
    from cp_assets.definitions import defs

    register_plates(instance, [plate])
    start = time.perf_counter()
    result = defs.resolve_job_def(build_plates.name).execute_in_process(
        instance=instance,
        partition_key=plate.partition_key,
        tags=process_tags() | ({FORCE_TAG: "true"} if options.force else {}),
        run_config=options.run_config(),
        asset_selection=options.asset_keys,
        raise_on_error=False,
    )
    return plate_run(plate, result, time.perf_counter() - start)


def materialize_plates(
    instance: dg.DagsterInstance,
    plates: Iterable[PlateKey],
    options: RunOptions = RunOptions(),
    *,
    report: Callable[[str], None] = lambda _line: None,
) -> Iterator[PlateRun]:
    """Run each plate, one after the other; one that fails does not stop the others."""
    wanted = list(plates)
    register_plates(instance, wanted)
    for number, plate in enumerate(wanted, start=1):
        report(f"plate {number} of {len(wanted)}: {plate}")
        run = run_plate(instance, plate, options)
        for line in run.lines():
            report(line)
        yield run
