"""The code location as it is: a change here is a change that users see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

import cp_assets
from cp_assets.datasets.plate_files import FILE_KINDS
from cp_assets.definitions import defs
from cp_assets.warehouse.spec import TableSpec

HOUSE = Path(cp_assets.__file__).parent
DAGSTER_ROOMS = ("definitions", "demo", "observations", "partitions", "resources")
PACKAGES = ("assets", "checks", "cli", "running", "sensors")
UPPER = (*DAGSTER_ROOMS, *PACKAGES)

SNAPSHOT = {
    "raw_measurements": (("measurement_files",), "profiles", {"cellprofiler", "iceberg"}),
    "joined_profiles": (
        ("annotation_files", "raw_measurements"),
        "profiles",
        {"iceberg", "parquet"},
    ),
    "image_assets": (("image_files", "raw_measurements"), "images", {"iceberg"}),
    "chunk_index": (("image_assets", "image_files", "raw_measurements"), "images", {"iceberg"}),
    "image_crops": (
        ("image_files", "joined_profiles", "raw_measurements"),
        "images",
        {"iceberg", "omearrow"},
    ),
    "source_images": (("image_files", "raw_measurements"), "images", {"iceberg", "omearrow"}),
    "profile_with_images": (
        ("image_assets", "image_crops", "joined_profiles"),
        "images",
        {"iceberg", "parquet"},
    ),
    "manifest": (
        (
            "chunk_index",
            "image_assets",
            "image_crops",
            "joined_profiles",
            "profile_with_images",
            "raw_measurements",
            "source_images",
        ),
        "provenance",
        {"iceberg", "parquet"},
    ),
}
"""Asset -> upstream assets, group, kinds."""

INPUTS = {kind: ((), "inputs", {"file"}) for kind in FILE_KINDS}
"""The source assets, in the same way."""

CONTRACT = {"join_contract": True, "recommended_columns": False, "types_as_declared": True}
CHECKS = {
    "raw_measurements": {
        **CONTRACT,
        "keys_unique": False,
        "files_have_rows": False,
        "files_have_same_columns": False,
        "files_of_one_age": False,
        "names_are_not_nan": False,
        "counts_agree": False,
        "plates_agree": False,
        "wells_agree": False,
        "channels_differ": True,
        "wells_of_plate_map": False,
        "plates_of_batch": False,
        "load_data_place": False,
    },
    "joined_profiles": {
        **CONTRACT,
        "keys_unique": True,
        "objects_balance": True,
        "columns_of_batch": False,
        "annotation_agrees": False,
    },
    "image_assets": {**CONTRACT, "keys_unique": True, "images_balance": True},
    "chunk_index": {**CONTRACT, "keys_unique": True, "chunks_have_images": True},
    "image_crops": {
        **CONTRACT,
        "keys_unique": True,
        "boxes_inside_images": True,
        "crops_have_profiles": True,
        "crops_balance": True,
    },
    "source_images": {**CONTRACT, "keys_unique": True},
    "profile_with_images": {
        **CONTRACT,
        "keys_unique": True,
        "crops_have_profiles": True,
        "profiles_have_images": False,
    },
    "manifest": {"types_as_declared": True, "keys_unique": True, "etags_match": True},
}
"""Asset -> check -> whether it blocks."""


def _specs() -> dict[str, dg.AssetSpec]:
    """Assets of plates; those that maintain tables have tests of their own."""
    specs = defs.resolve_all_asset_specs()
    return {s.key.to_user_string(): s for s in specs if s.group_name != "maintenance"}


def test_assets_their_deps_groups_and_kinds() -> None:
    found = {
        name: (
            tuple(sorted(dep.asset_key.to_user_string() for dep in spec.deps)),
            spec.group_name,
            set(spec.kinds),
        )
        for name, spec in _specs().items()
    }
    assert found == {**SNAPSHOT, **INPUTS}


@pytest.mark.parametrize("name", INPUTS)
def test_every_source_asset_is_described_owned_and_partitioned(name: str) -> None:
    spec = _specs()[name]
    assert spec.description
    assert list(spec.owners) == ["team:data-stewards"]
    assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)
    assert spec.partitions_def.name == "plates"


@pytest.mark.parametrize("name", SNAPSHOT)
def test_every_asset_is_described_owned_partitioned_and_linked_to_its_code(name: str) -> None:
    spec = _specs()[name]
    assert spec.description
    assert list(spec.owners) == ["team:data-stewards"]
    assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition)
    assert spec.partitions_def.name == "plates"
    assert spec.code_version
    assert spec.metadata["partitioned by"].startswith("dataset_id, batch_id, plate_id")
    (link,) = spec.metadata["dagster/code_references"].code_references
    assert Path(link.file_path) == HOUSE / "assets" / f"{name}.py"


def test_checks_of_each_asset_and_which_of_them_block() -> None:
    graph = defs.resolve_asset_graph()
    found: dict[str, dict[str, bool]] = {}
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        found.setdefault(key.asset_key.to_user_string(), {})[key.name] = spec.blocking
        assert spec.partitions_def is not None
        assert spec.description
    assert found == CHECKS


def test_job_builds_all_assets_with_their_checks() -> None:
    job = defs.resolve_job_def("build_plates")
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == set(SNAPSHOT)
    checks = job.asset_layer.asset_graph.asset_check_keys
    assert len(checks) == sum(map(len, CHECKS.values()))
    assert job.partitions_def is not None


def test_no_dagster_module_has_future_annotations() -> None:
    files = [HOUSE / f"{name}.py" for name in DAGSTER_ROOMS]
    files += [file for room in PACKAGES for file in (HOUSE / room).glob("*.py")]
    assert len(files) > 15
    assert not [file for file in files if "from __future__ import annotations" in file.read_text()]


def test_lower_floor_does_not_load_dagster() -> None:
    lower = sorted(
        ".".join(file.relative_to(HOUSE.parent).with_suffix("").parts)
        for room in HOUSE.iterdir()
        if room.stem not in UPPER
        for file in ([room] if room.suffix == ".py" else room.rglob("*.py"))
    )
    assert "cp_assets.conversion" in lower
    program = (
        "import importlib, sys\n"
        f"for name in {lower!r}: importlib.import_module(name.removesuffix('.__init__'))\n"
        "print([m for m in sys.modules if m.split('.')[0].startswith('dagster')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_every_table_is_an_asset() -> None:
    from cp_assets.checks.asset_checks import CHECKS as OF_TABLES

    tables: list[TableSpec] = list(OF_TABLES)
    found = {spec.metadata["table"] for name, spec in _specs().items() if name not in INPUTS}
    assert found == {table.name for table in tables}
