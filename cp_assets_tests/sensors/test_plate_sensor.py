from __future__ import annotations

import shutil

import dagster as dg

from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.observations import last_observed
from cp_assets.resources import DatasetsResource
from cp_assets.sensors.dagster_records import DagsterRecords
from cp_assets.sensors.plate_sensor import plate_sensor
from cp_assets_tests.sensors.conftest import Watched

_NUCLEI = "workspace/analysis/*/*1/analysis/*/Nuclei.csv"


def test_sensor_adds_new_plates_and_requests_their_runs_once(watched: Watched) -> None:
    first = watched.tick()
    (added,) = first.dynamic_partitions_requests or ()
    keys = [plate.partition_key for plate in watched.plates]
    assert list(added.partition_keys) == keys
    assert not first.run_requests
    assert "2 plates; 2 new: s/" in str(first.skip_message)
    assert "2 still uploading" in str(first.skip_message)
    requests = watched.requests()
    assert [one.partition_key for one in requests] == keys
    assert {one.job_name for one in requests} == {None}
    plate = watched.plates[0]
    assert dict(requests[0].tags).items() >= {
        ("cp_assets/dataset", "s"),
        ("cp_assets/batch", plate.batch_id),
        ("cp_assets/plate", plate.plate_id),
        ("cp_assets/requested_by", "sensor"),
        ("dagster/partition", plate.partition_key),
    }
    assert str(requests[0].run_key).startswith(f"{plate.partition_key}:1:")
    # The runs have failed: that is no reason to try again.
    assert watched.requests(4) == []
    watched.touch(_NUCLEI)
    (again,) = watched.requests(3)
    assert str(again.run_key).startswith(f"{plate.partition_key}:2:")
    watched.cursor = None
    assert watched.requests(4) == []


def test_sensor_observes_what_a_plate_consists_of(watched: Watched) -> None:
    watched.requests()
    plate = watched.plates[0]
    for kind in ("measurement_files", "image_files", "annotation_files"):
        wanted = dg.AssetRecordsFilter(dg.AssetKey(kind), asset_partitions=[plate.partition_key])
        (record,) = watched.instance.fetch_observations(wanted, limit=5).records
        observation = record.event_log_entry.asset_observation
        assert observation is not None
        assert observation.metadata["state"] == dg.MetadataValue.text("there")
        assert observation.metadata["files"].value > 0
        assert observation.data_version


def test_sensor_reports_plates_that_are_gone_and_deletes_nothing(watched: Watched) -> None:
    watched.requests()
    plate = watched.plates[0]
    before = last_observed(watched.instance, plate)
    shutil.rmtree(watched.file(f"workspace/analysis/*/{plate.plate_id}"))
    result = watched.tick()
    assert f"1 gone: {plate}" in str(result.skip_message)
    assert len(result.asset_events) == 3
    after = last_observed(watched.instance, plate)
    assert before is not None
    assert after is not None
    assert (after.is_gone, after.versions) == (True, before.versions)
    assert watched.instance.has_dynamic_partition("plates", plate.partition_key)
    assert not watched.tick().asset_events


def test_sensor_does_not_call_plates_gone_whose_root_is_not_there(watched: Watched) -> None:
    watched.requests()
    watched.root.rename(watched.folder / "unmounted")
    result = watched.tick()
    assert not result.asset_events
    assert "no plate is there, 2 are known" in str(result.skip_message)
    (watched.folder / "unmounted").rename(watched.root)
    assert watched.requests(3) == []


def test_sensor_does_not_build_what_is_built(watched: Watched) -> None:
    plate, other = watched.plates
    watched.instance.add_dynamic_partitions("plates", [plate.partition_key])
    watched.instance.report_runless_asset_event(
        dg.AssetMaterialization("manifest", partition=plate.partition_key)
    )
    assert [one.partition_key for one in watched.requests(3)] == [other.partition_key]
    assert last_observed(watched.instance, plate) is not None


def test_sensor_begins_anew_with_a_cursor_that_is_none(watched: Watched) -> None:
    watched.cursor = "2026-01-01 00:00"
    assert len(watched.requests(2)) == 2


def test_sensor_of_a_dataset_that_is_gone_from_the_configuration_says_so(
    watched: Watched,
) -> None:
    sensor = plate_sensor("old", "old", SensorOptions())
    resources = {"datasets": DatasetsResource()}
    with dg.build_sensor_context(watched.instance, resources=resources) as context:
        found = sensor.evaluate_tick(context)
    told = str(found.skip_message)
    assert "no dataset 'old'; it has: s; reload the code location" in told


def test_run_in_progress_holds_back_the_next(watched: Watched) -> None:
    (request, _) = watched.requests()
    plate = watched.plates[0]
    records = DagsterRecords(watched.instance, "s")
    last = records.requested(plate)
    assert last is not None
    assert (last.number, last.is_finished) == (1, True)
    run = watched.instance.create_run(
        job_name="build_plates",
        run_id=None,
        run_config=None,
        status=dg.DagsterRunStatus.STARTED,
        tags=dict(request.tags),
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=None,
        job_snapshot=None,
        parent_job_snapshot=None,
        asset_selection=None,
        asset_check_selection=None,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=None,
        job_code_origin=None,
        asset_graph=None,
    )
    watched.touch(_NUCLEI)
    assert watched.requests(3) == []
    assert f"1 changed again while they are built: {plate}" in str(watched.tick().skip_message)
    watched.instance.report_run_canceled(run)
    assert len(watched.requests(1)) == 1


def test_partitions_that_are_no_plates_are_passed_over(watched: Watched) -> None:
    watched.instance.add_dynamic_partitions("plates", ["by hand", "other/batch/plate"])
    assert DagsterRecords(watched.instance, "s").plates() == set()
    assert len(watched.requests(2)) == 2
