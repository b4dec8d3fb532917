"""Maintenance through Dagster."""

from __future__ import annotations

import dagster as dg
import pytest

from cp_assets.assets.maintenance import GROUP, weekly_maintenance
from cp_assets.building.tables import TABLES
from cp_assets.definitions import defs
from cp_assets_tests.assets.conftest import Project

CONFIG = {"older_than": "0", "keep_snapshots": 1, "grace": "0"}


def run(project: Project, **config: object) -> dg.ExecuteInProcessResult:
    ops = {f"{GROUP}__{name.split('.')[1]}": {"config": {**CONFIG, **config}} for name in TABLES}
    return defs.resolve_job_def("maintain_tables").execute_in_process(
        instance=project.instance, run_config={"ops": ops}, raise_on_error=False
    )


def test_every_table_has_an_asset_of_no_plate() -> None:
    specs = [s for s in defs.resolve_all_asset_specs() if s.group_name == GROUP]
    assert {spec.key.to_user_string() for spec in specs} == {
        f"maintenance/{name.split('.')[1]}" for name in TABLES
    }
    for spec in specs:
        assert spec.partitions_def is None
        assert spec.description
        assert spec.metadata["dagster/code_references"]


def test_schedule_is_weekly_and_stopped() -> None:
    assert weekly_maintenance.default_status == dg.DefaultScheduleStatus.STOPPED
    assert weekly_maintenance.cron_schedule == "0 3 * * 0"
    assert weekly_maintenance.job_name == "maintain_tables"


@pytest.mark.slow
def test_tables_are_maintained_and_their_health_is_recorded(project: Project) -> None:
    project.build()
    assert run(project, dry_run=True).success
    dry = project.metadata("maintenance/raw_measurements")
    assert dry["state"].value == "dry run: nothing was done"
    project.build_one("raw_measurements", force=True)
    assert run(project).success
    told = project.metadata("maintenance/raw_measurements")
    assert told["state"].value == "maintained"
    assert (told["snapshots expired"].value, told["snapshots"].value) == (1, 1)
    assert told["files removed"].value > 0
    assert told["orphans"].value == 0
    assert told["live bytes"].value == project.open().describe().to_pylist()[3]["bytes"]
    absent = project.metadata("maintenance/source_images")
    assert absent["state"].value == "the warehouse has no such table yet"


def test_span_that_is_none_fails_with_one_line(project: Project) -> None:
    project.build_one("raw_measurements")
    done = run(project, grace="soon")
    (failure,) = [e for e in done.all_events if e.is_step_failure and "raw" in str(e.step_key)]
    told = failure.step_failure_data.user_failure_data.description
    assert "'soon' is no span of time; expected" in told
