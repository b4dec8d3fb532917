"""What Dagster's UI is told of a plate, and what stops a run."""

from __future__ import annotations

import dagster as dg
import pytest

from cp_assets.assets.raw_measurements import raw_measurements
from cp_assets.building import STEPS, build_table
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.partitions import PLATES
from cp_assets.resources import DatasetsResource, IcebergIOManager, WarehouseResource
from cp_assets.running.jobs import materialize_plates
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.assets.conftest import Project

ASSETS = {
    "raw_measurements": "profiles.raw_measurements",
    "joined_profiles": "profiles.joined_profiles",
    "image_assets": "images.image_assets",
    "image_crops": "images.image_crops",
    "profile_with_images": "profiles.profile_with_images",
    "manifest": "provenance.manifest",
}

PREVIEWS = {
    "raw_measurements": "rows by compartment",
    "joined_profiles": "cells per well (picture)",
    "image_assets": "image arrays",
    "image_crops": "cells with outlines (picture)",
    "profile_with_images": "linked crops by channel",
    "manifest": "what was committed",
}

SKIPPED = dict.fromkeys(("chunk_index", "source_images"), "skipped")


def test_plate_is_built_told_and_left_alone_the_second_time(project: Project) -> None:
    cells = project.table("Cells")
    lines = cells.read_text().splitlines(keepends=True)
    cells.write_text("".join([*lines, lines[1]]))

    first = project.build()
    assert first.error is None
    assert first.failed_checks == ()
    # A warning holds nothing back.
    assert [warning.split(": ")[:2] for warning in first.warnings] == [
        ["raw_measurements", "keys_unique"]
    ]
    assert first.states == {**dict.fromkeys(ASSETS, "written"), **SKIPPED}
    described = {row["table"]: row for row in project.open().describe().to_pylist()}
    for asset, table in ASSETS.items():
        told = project.metadata(asset)
        assert told["dagster/partition_row_count"].value == described[table]["rows"] > 0
        assert told["bytes"].value == described[table]["bytes"] > 0
        assert told["data files"].value == described[table]["data_files"] > 0
        assert told["snapshot id"].value == str(described[table]["snapshot_id"])
        assert told["seconds"].value > 0
        assert told[PREVIEWS[asset]].value
        assert told["dagster/column_schema"].schema.columns
    _check_details(project)
    assert "source_images to true" in project.metadata("source_images")["reason"].value

    second = project.build()
    assert second.states == {**dict.fromkeys(ASSETS, "unchanged"), **SKIPPED}
    assert second.succeeded
    for asset, table in ASSETS.items():
        told = project.metadata(asset)
        assert told["snapshot id"].value == str(described[table]["snapshot_id"])
        assert told["reason"].value == "inputs and code are those of the rows that are there"
        # The UI shows the newest materialization's columns.
        assert told["dagster/column_schema"].schema.columns
    _check_details(project)


def _check_details(project: Project) -> None:
    joined, crops = project.metadata("joined_profiles"), project.metadata("image_crops")
    schema = {c.name: c for c in joined["dagster/column_schema"].schema.columns}
    assert schema["Cells_AreaShape_Area"].type == "double"
    assert schema["image_id"].constraints.nullable is False
    assert "UUIDv5" in schema["image_id"].description
    lineage = joined["dagster/column_lineage"].lineage.deps_by_column
    (source,) = lineage["Cells_AreaShape_Area"]
    assert (source.asset_key.to_user_string(), source.column_name) == (
        "raw_measurements",
        "AreaShape_Area",
    )
    assert set(lineage) <= set(schema)
    assert len(lineage) > 0.9 * len(schema)
    for told, asset in ((joined, "joined_profiles"), (crops, "image_crops")):
        assert told[PREVIEWS[asset]].value.startswith("![")
        assert "data:image/png;base64," in told[PREVIEWS[asset]].value
    assert "| Nuclei |" in project.metadata("raw_measurements")["rows by compartment"].value


def test_plate_that_cannot_be_read_fails_with_our_message(project: Project) -> None:
    cells = project.table("Cells")
    cells.write_text(cells.read_text().replace("ObjectNumber", "Number", 1))
    run = project.build()
    assert not run.succeeded
    assert run.states == {}
    assert run.error is not None
    assert "Cells.csv has no column ObjectNumber, which identifies its rows" in run.error
    assert "\n" not in run.error


def test_unknown_partition_fails_with_our_message(project: Project) -> None:
    root = project.root / "workspace" / "analysis"
    plate = project.plate
    root.rename(project.root / "workspace" / "moved")
    project.instance.add_dynamic_partitions("plates", [plate.partition_key])
    (run,) = materialize_plates(project.instance, [plate])
    assert run.error is not None
    assert run.error.startswith("dataset set: no measured plate below")
    assert "\n" not in run.error


def test_force_tag_writes_what_is_unchanged(project: Project) -> None:
    states = []
    for force in (False, False, True):
        result = project.build_one("raw_measurements", force=force)
        assert result.success
        told = project.metadata("raw_measurements")
        states.append((told["state"].value, told["snapshot id"].value))
    assert [state for state, _ in states] == ["written", "unchanged", "written"]
    assert states[0][1] == states[1][1] != states[2][1]


@pytest.fixture
def with_doubled_profiles(project: Project) -> Project:
    """Profiles whose keys are not unique, under the fingerprint of good ones."""
    warehouse, sources = project.open(), project.sources
    for name in ("raw_measurements", "joined_profiles"):
        build_table(warehouse, STEPS[name](sources, warehouse))
    scope = sources.key.columns()
    batches = list(PartitionRows(warehouse, JOINED_PROFILES.name, scope).batches())
    fingerprint = warehouse.partitions.state(
        warehouse.table(JOINED_PROFILES.name), scope
    ).fingerprint
    assert fingerprint is not None
    write_partition(warehouse, JOINED_PROFILES, scope, batches * 2, fingerprint)
    return project


def test_blocking_check_holds_back_what_is_downstream(with_doubled_profiles: Project) -> None:
    run = with_doubled_profiles.build()
    assert not run.succeeded
    failed = {line.split(": ")[1] for line in run.failed_checks}
    assert failed == {"keys_unique"}
    assert run.states.pop("joined_profiles") == "unchanged"
    # Neither crops nor links nor manifest; the images by themselves do not hang on the profiles.
    of_images = {"image_assets", "chunk_index", "source_images"}
    assert set(run.states) == {"raw_measurements", *of_images}
    tables = with_doubled_profiles.open().list_tables()
    assert not {"images.image_crops", "provenance.manifest"} & set(tables)


@dg.asset(partitions_def=PLATES, ins={"raw_measurements": dg.AssetIn()})
def compartments(raw_measurements: PartitionRows) -> dg.Output[None]:
    """An asset of a user's own, on top of ours."""
    return dg.Output(None, metadata={"found": raw_measurements.values("compartment")})


# Dagster calls a property that it has deprecated where resources are nested outside a job.
@pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated")
def test_upstream_asset_loads_as_a_stream_of_its_rows(project: Project) -> None:
    datasets = DatasetsResource()
    warehouse = WarehouseResource(datasets=datasets)
    project.instance.add_dynamic_partitions("plates", [project.plate.partition_key])
    result = dg.materialize(
        [raw_measurements, compartments],
        partition_key=project.plate.partition_key,
        instance=project.instance,
        resources={
            "datasets": datasets,
            "warehouse": warehouse,
            "iceberg": IcebergIOManager(warehouse=warehouse),
            "io_manager": dg.mem_io_manager,
        },
    )
    assert result.success
    found = project.metadata("compartments")["found"].value
    assert found == ["Cells", "Cytoplasm", "Image", "Nuclei"]
