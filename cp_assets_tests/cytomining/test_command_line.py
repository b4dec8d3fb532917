"""``cp-assets export`` and ``quality-control``: what the peer's commands did, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from click.testing import CliRunner, Result

from cp_assets.cli import main
from cp_assets.warehouse.warehouse import Warehouse


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def profiles(built: Warehouse, tmp_path: Path) -> Path:
    file = tmp_path / "normalized.parquet"
    pq.write_table(built.read_table("joined_profiles"), file)
    return file


def test_each_command_of_the_peer_has_its_counterpart(
    built: Warehouse, profiles: Path, root: Path, tmp_path: Path
) -> None:
    store = tmp_path / "image.zarr"
    zarr.create_array(store, shape=(8, 8), chunks=(4, 4), dtype="uint8")
    # export-cytomining, export-cytomining-catalog, export-cytomining-profiles
    commands = [
        ("images", store, "--root", root),
        (
            "warehouse",
            "--warehouse",
            built.name,
            "--root",
            root,
            "-t",
            "joined_profiles,image_crops",
        ),
        ("profiles", profiles, "--root", root, "--table-name", "normalized_cells"),
        (
            *("profiles", profiles, "--root", root),
            *("--table-name", "cosmicqc", "--role", "quality_control"),
        ),
    ]
    written = []
    for command in commands:
        done = run("export", *command)
        assert done.exit_code == 0, done.output
        written += json.loads(done.stdout)["tables_written"]
    assert sorted(written) == [
        *("images.chunk_index", "images.image_assets", "images.image_crops"),
        *("profiles.joined_profiles", "profiles.normalized_cells", "quality_control.cosmicqc"),
    ]
    checked = run("export", "--check", root)
    assert checked.exit_code == 0, checked.output
    assert "conforms: 0 errors, 1 warnings" in checked.stdout
    assert "quality_control.cosmicqc: has no boolean column" in checked.stdout
    report = json.loads(run("export", "--check", root, "--json").stdout)
    assert report["is_valid"]
    assert {one["outcome"] for one in report["clauses"]} == {"met", "broken", "not applicable"}


def test_broken_must_is_exit_code_1(tmp_path: Path) -> None:
    checked = run("export", "--check", tmp_path)
    assert checked.exit_code == 1
    assert "warehouse_manifest.json is missing" in checked.stdout
    assert "does not conform: 1 errors" in checked.stdout


def test_quality_control_is_taken_in(small_warehouse: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "qc.parquet"
    plate = small_warehouse.plates("profiles.joined_profiles")[0].plate_id
    pq.write_table(pa.table({"Metadata_Plate": [plate], "is_blurred": [True]}), file)
    done = run(
        *("quality-control", file, "--table-name", "blur", "--warehouse", small_warehouse.name)
    )
    assert done.exit_code == 0, done.output
    assert "quality_control.blur: 1 rows" in done.stdout
    assert small_warehouse.read_table("blur")["plate_id"].to_pylist() == [plate]


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "--check", "nowhere"),
        ("export", "images", "nowhere.zarr", "--root", "root"),
        ("export", "warehouse", "--warehouse", "nowhere/wh", "--root", "root"),
        ("export", "profiles", "nowhere/x.parquet", "--root", "root"),
        ("export", "profiles", "{file}", "--root", "root", "--table-name", "../../x"),
        ("export", "profiles", "{file}", "--root", "root", "--table-name", "x.y.z"),
        ("export", "profiles", "{file}", "--root", "{file}"),
        ("quality-control", "nowhere/x.parquet", "--table-name", "x", "--warehouse", "nowhere/wh"),
    ],
    ids=" ".join,
)
def test_mistake_is_one_line(
    arguments: tuple[str, ...],
    profiles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*(one.replace("{file}", str(profiles)) for one in arguments))
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"warehouse_root": "r", "warehouse_spec_version": "9.0.0", "tables": []}',
        '{"warehouse_root": "r", "warehouse_spec_version": "1.0.0", "tables": [1]}',
    ],
    ids=["no_json", "major_version", "no_entry"],
)
def test_manifest_that_cannot_be_understood_is_one_line(
    content: str, profiles: Path, root: Path
) -> None:
    root.mkdir()
    (root / "warehouse_manifest.json").write_text(content)
    done = run("export", "profiles", profiles, "--root", root)
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert [one.name for one in root.iterdir()] == ["warehouse_manifest.json"]
