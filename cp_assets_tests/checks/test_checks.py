"""Each check passes on the sample and fails on data that was tampered with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import duckdb
import pyarrow as pa
import pytest

from cp_assets.building import STEPS, build_table
from cp_assets.checks.asset_checks import CHECKS
from cp_assets.checks.outcome import PlateTables
from cp_assets.conversion import build_plate
from cp_assets.datasets import Dataset, find_plates
from cp_assets.scanning.tables import CHUNK_INDEX
from cp_assets.warehouse.spec import TableSpec
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.checks.conftest import (
    Bench,
    Change,
    cast,
    run,
    twice,
    with_values,
    without,
)
from cp_assets_tests.measurements.test_in_carta import MEASURED, write

OF_EVERY_TABLE = [
    pytest.param(spec, check.name, id=f"{spec.identifier[1]}-{check.name}")
    for spec, checks in CHECKS.items()
    if spec is not CHUNK_INDEX  # the sample's images have no tiles; see test_image_assets.py
    for check in checks
]


@pytest.mark.parametrize(("spec", "name"), OF_EVERY_TABLE)
def test_check_passes_on_the_sample(bench: Bench, spec: TableSpec, name: str) -> None:
    outcome = run(spec.identifier[1], name, bench.good())
    assert outcome.passed, outcome.summary
    assert outcome.figures


@pytest.mark.parametrize(
    ("table", "check", "change", "told"),
    [
        ("joined_profiles", "join_contract", with_values("image_id", {0: None}), "image_id"),
        ("image_crops", "join_contract", with_values("image_id", {3: None}), "image_id"),
        ("joined_profiles", "join_contract", without("image_id"), "image_id"),
        ("joined_profiles", "recommended_columns", with_values("well_id", {0: None}), "well_id"),
        (
            "joined_profiles",
            "recommended_columns",
            without("site_id", "Metadata_Site", "Image_Metadata_Site"),
            "site_id",
        ),
        ("joined_profiles", "keys_unique", twice, "1 keys occur more than once"),
        ("image_crops", "keys_unique", twice, "1 keys occur more than once"),
        ("raw_measurements", "keys_unique", twice, "keys occur more than once"),
        (
            "joined_profiles",
            "types_as_declared",
            cast("Cells_AreaShape_Area", pa.string()),
            "Cells_AreaShape_Area is string, declared double",
        ),
        (
            "joined_profiles",
            "types_as_declared",
            cast("Metadata_ObjectNumber", pa.float64()),
            "Metadata_ObjectNumber is double, declared int64",
        ),
        (
            "joined_profiles",
            "types_as_declared",
            with_values("Metadata_ObjectID", {1: None}),
            "Metadata_ObjectID",
        ),
    ],
)
def test_check_fails_on_tampered_rows(
    bench: Bench, table: str, check: str, change: Change, told: str
) -> None:
    outcome = run(table, check, bench.tampered(**{table: change}))
    assert not outcome.passed
    assert told in outcome.summary


@pytest.mark.parametrize(
    ("types", "told"),
    [
        ({}, {}),
        ({"Note": "string"}, "Note is double, declared string"),
        ({MEASURED[0]: "int"}, f"{MEASURED[0]} is double, declared int64"),
    ],
)
def test_types_of_in_carta_are_those_of_its_header(
    tmp_path: Path, types: dict[str, str], told: str
) -> None:
    (tmp_path / "export").mkdir()
    write(tmp_path / "export" / "a.csv")
    dataset = Dataset(dataset_id="s", root=tmp_path / "export", layout="cellprofiler")
    (sources,) = find_plates(dataset).values()
    warehouse = open_warehouse(tmp_path / "warehouse", create=True)
    build_plate(warehouse, sources, names=("raw_measurements", "joined_profiles"))
    declared = replace(sources, dataset=replace(sources.dataset, column_types=types))
    tables = PlateTables(warehouse, declared, duckdb.connect())
    for table in ("raw_measurements", "joined_profiles"):
        outcome = run(table, "types_as_declared", tables)
        assert outcome.passed is not bool(types), outcome.summary
        assert not types or told in outcome.summary


def test_aliases_of_the_contract_resolve(bench: Bench) -> None:
    tables = bench.tampered(joined_profiles=without("well_id", "site_id"))
    outcome = run("joined_profiles", "recommended_columns", tables)
    assert outcome.passed
    assert "Metadata_Well, Metadata_Site" in outcome.summary


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("Metadata_SourceBBoxXMin", -1, "Metadata_SourceBBoxXMin"),
        ("Metadata_SourceBBoxXMax", 9_999, "box ends inside the image's width"),
        ("Metadata_SourceBBoxYMax", 9_999, "box ends inside the image's height"),
        ("Metadata_SourceBBoxXMax", 3, "crop is as wide as its box"),
    ],
)
def test_box_outside_its_image_is_found(bench: Bench, column: str, value: int, told: str) -> None:
    change = with_values(column, {0: value})
    tables = bench.tampered(raw_measurements=None, image_crops=change)
    outcome = run("image_crops", "boxes_inside_images", tables)
    assert not outcome.passed
    assert told in outcome.summary


def test_crop_without_a_profile_is_found(bench: Bench) -> None:
    tables = bench.tampered(joined_profiles=lambda rows: rows.slice(1), image_crops=None)
    outcome = run("image_crops", "crops_have_profiles", tables)
    assert not outcome.passed
    assert outcome.figures["lost"] == 5


def test_crops_without_any_profiles_are_found(bench: Bench) -> None:
    outcome = run("image_crops", "crops_have_profiles", bench.tampered(image_crops=None))
    assert not outcome.passed
    assert "no profiles" in outcome.summary


def test_lost_profile_unbalances_the_objects(bench: Bench) -> None:
    tables = bench.tampered(
        raw_measurements=None, rejected_rows=None, joined_profiles=lambda rows: rows.slice(1)
    )
    outcome = run("joined_profiles", "objects_balance", tables)
    assert not outcome.passed
    assert outcome.summary.count("read, but") == 3


def test_lost_books_unbalance_the_objects(bench: Bench) -> None:
    outcome = run(
        "joined_profiles",
        "objects_balance",
        bench.tampered(raw_measurements=None, joined_profiles=None),
    )
    assert not outcome.passed
    assert "Nuclei" in outcome.summary


def test_lost_crop_unbalances_the_crops(bench: Bench) -> None:
    tables = bench.tampered(
        raw_measurements=None, joined_profiles=None, image_crops=lambda rows: rows.slice(1)
    )
    outcome = run("image_crops", "crops_balance", tables)
    assert not outcome.passed
    assert outcome.figures["expected"] == int(outcome.figures["written"]) + 1


def _with_manifest(bench: Bench) -> tuple[Path, PlateTables]:
    tables = bench.tampered(joined_profiles=None)
    warehouse = tables.warehouse
    build_table(warehouse, STEPS["manifest"](bench.sources, warehouse))
    (row,) = warehouse.read_table("manifest").to_pylist()
    return Path(urlparse(row["profile_url"]).path), tables


def test_changed_bytes_do_not_match_the_manifest(bench: Bench) -> None:
    file, tables = _with_manifest(bench)
    assert run("manifest", "etags_match", tables).passed
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    outcome = run("manifest", "etags_match", tables)
    assert not outcome.passed
    assert file.name in outcome.summary


def test_table_written_after_the_manifest_is_found(bench: Bench) -> None:
    _with_manifest(bench)
    outcome = run("manifest", "etags_match", bench.tampered(joined_profiles=twice))
    assert not outcome.passed
    assert "profiles.joined_profiles was written again since; run manifest" in outcome.summary
