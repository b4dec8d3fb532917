"""What Dagster calls stale after a plate's files have changed, and what it builds by itself."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from cp_assets.definitions import defs
from cp_assets_tests.sensors.conftest import Watched

TABLES = (
    "raw_measurements",
    "joined_profiles",
    "image_crops",
    "source_images",
    "profile_with_images",
    "manifest",
)


def stale(watched: Watched, partition: str) -> set[str]:
    """Tables of a plate that are stale; what the UI asks for."""
    graph = defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(
        watched.instance, graph, LoadingContextForTest(watched.instance)
    )
    states = {name: resolver.get_status(dg.AssetKey(name), partition) for name in TABLES}
    assert StaleStatus.MISSING not in states.values()
    return {name for name, state in states.items() if state == StaleStatus.STALE}


@pytest.mark.slow
def test_only_what_a_changed_file_leads_to_is_stale_until_it_is_built(watched: Watched) -> None:
    plate = watched.plates[0]
    request, other = watched.requests()
    assert watched.run(request).success
    assert stale(watched, plate.partition_key) == set()
    watched.touch("workspace/analysis/*/*1/analysis/*/outlines/*")
    (again,) = watched.requests(2)
    assert stale(watched, plate.partition_key) == {"image_crops", "source_images"}
    assert watched.run(again).success
    assert stale(watched, plate.partition_key) == set()
    # What changes a table makes what is built from it stale, when it alone is built.
    table = watched.file("workspace/analysis/*/*1/analysis/*/Nuclei.csv")
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *rows[:-1]]) + "\n")
    watched.requests(2)
    assert stale(watched, plate.partition_key) == {"raw_measurements"}
    defs.resolve_job_def("build_plates").execute_in_process(
        instance=watched.instance,
        partition_key=plate.partition_key,
        asset_selection=[dg.AssetKey("raw_measurements")],
    )
    assert {"joined_profiles", "image_crops"} <= stale(watched, plate.partition_key)
    assert other.partition_key != plate.partition_key


def requested(
    watched: Watched, cursor: object = None
) -> tuple[dict[str, set[str]], dg.AutomationConditionSensorDefinition]:
    """Partition -> the tables that automation conditions would have built now."""
    found = dg.evaluate_automation_conditions(defs, instance=watched.instance, cursor=cursor)
    plates = {name: found.get_requested_partitions(dg.AssetKey(name)) for name in (*TABLES,)}
    by_plate: dict[str, set[str]] = {}
    for name, partitions in plates.items():
        for partition in partitions or ():
            by_plate.setdefault(str(partition), set()).add(name)
    return by_plate, found.cursor


def build(watched: Watched, partition: str, tables: set[str]) -> None:
    """Record tables as built."""
    for name in TABLES:
        if name in tables:
            event = dg.AssetMaterialization(name, partition=partition)
            watched.instance.report_runless_asset_event(event)


@pytest.mark.slow
def test_automation_builds_new_and_changed_plates_when_they_are_uploaded(
    watched: Watched,
) -> None:
    first, second = (plate.partition_key for plate in watched.plates)
    found, cursor = requested(watched)
    assert found == {}
    watched.tick()
    # The partitions are there; whether the plates are is not known yet.
    found, cursor = requested(watched, cursor)
    assert found == {}
    watched.tick()
    found, cursor = requested(watched, cursor)
    assert found == {first: set(TABLES), second: set(TABLES)}
    build(watched, first, set(TABLES))
    build(watched, second, set(TABLES))
    found, cursor = requested(watched, cursor)
    assert found == {}
    watched.touch("workspace/analysis/*/*1/analysis/*/outlines/*")
    watched.requests(3)
    found, cursor = requested(watched, cursor)
    assert found == {first: {"image_crops", "source_images", "profile_with_images", "manifest"}}
    found, cursor = requested(watched, cursor)
    assert found == {}


def test_plate_can_be_observed_by_hand(watched: Watched) -> None:
    first, second = (plate.partition_key for plate in watched.plates)
    watched.instance.add_dynamic_partitions("plates", [first, second, "s/no/plate"])
    observe = dg.define_asset_job(
        "observe", selection=dg.AssetSelection.assets("image_files"), partitions_def=None
    )
    job = dg.Definitions.merge(defs, dg.Definitions(jobs=[observe])).resolve_job_def("observe")
    result = job.execute_in_process(instance=watched.instance, partition_key=first)
    assert [event.partition for event in result.get_asset_observation_events()] == [first]
    seen = watched.instance.fetch_observations(dg.AssetKey("image_files"), limit=9).records
    assert [record.partition_key for record in seen] == [first]
    # It is the state that the sensor finds, too.
    before = seen[0].event_log_entry.asset_observation
    watched.requests()
    wanted = dg.AssetRecordsFilter(dg.AssetKey("image_files"), asset_partitions=[first])
    (after, *_) = watched.instance.fetch_observations(wanted, limit=1).records
    assert before is not None
    assert after.event_log_entry.asset_observation is not None
    assert after.event_log_entry.asset_observation.data_version == before.data_version
