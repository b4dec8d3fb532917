"""The command line: examples in the help, results on standard output, one line for a mistake."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from pathlib import Path

import click
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import cp_assets
from cp_assets.cli import main
from cp_assets.datasets import ImageOptions
from cp_assets.sample import SampleTruth
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.test_conversion import write_plate, write_three_plates

PNG = b"\x89PNG\r\n"
COMMANDS = [
    *(
        "convert",
        "demo",
        "describe",
        "export",
        "ingest",
        "join-profiles",
        "maintain",
        "materialize",
        "plates",
        "publish-chunks",
        "quality-control",
        "read",
        "register",
        "sample",
        "scan",
        "show",
        "sql",
        "summarize",
        "tables",
        "ui",
        "validate-contract",
    ),
]


def run(*words: object, code: int = 0) -> Result:
    """Run a command; a traceback fails the test."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def last_line(result: Result) -> str:
    """The line that says what is wrong; nothing else is on standard output."""
    assert result.stdout == ""
    return result.stderr.strip().splitlines()[-1]


def last_line_of_notes(result: Result) -> str:
    """What was said last, beside the rows on standard output."""
    return result.stderr.strip().splitlines()[-1]


def test_commands_are_these() -> None:
    assert sorted(main.commands) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    text = run(command, "--help").stdout
    assert f"Example: cp-assets {command}" in text
    if command not in {"sample", "ui"}:
        assert "--config" in text
    if command not in {"export", "sample", "scan", "summarize", "ui"}:
        assert "--warehouse" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_example_names_only_options_that_exist(command: str) -> None:
    example = str(main.commands[command].epilog).removeprefix("Example: ")
    known = {option for parameter in main.commands[command].params for option in parameter.opts}
    assert {word for word in example.split() if word.startswith("--")} <= known


def options_of_convert() -> dict[str, click.Option]:
    shown = main.commands["convert"].params
    return {str(one.name): one for one in shown if isinstance(one, click.Option)}


def test_convert_has_every_option_of_the_library_and_says_what_it_does() -> None:
    known = set(inspect.signature(cp_assets.convert).parameters)
    options = options_of_convert()
    of_stores = {"anonymous", "profile", "region", "endpoint_url"}
    beside = {"config", "no_join", "help", *of_stores}
    assert known - {"source", "report", "join", "stores"} == options.keys() - beside
    assert all(option.help for option in options.values())


def test_help_of_convert_shows_the_defaults_of_the_image_options() -> None:
    text = " ".join(run("convert", "--help").stdout.split())
    for name in ("padding", "border", "zstd_level", "workers"):
        option = options_of_convert()[name]
        shown = " ".join(str(option.help).split())
        assert f"{shown} [default: {getattr(ImageOptions, name)}]" in text
    assert f"[default: {ImageOptions.max_memory // 2**20}MiB]" in text


def test_convert_hands_over_only_what_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = write_plate(tmp_path / "plate")
    seen: list[dict[str, object]] = []

    def convert(source: Path, warehouse: str, **options: object) -> Warehouse:
        seen.append(options)
        return real(source, warehouse)

    real = cp_assets.convert
    monkeypatch.setattr(cp_assets, "convert", convert)
    words = ("convert", plate, "--warehouse", tmp_path / "wh")
    run(*words)
    boxes = ("--bbox-column", "x_min=a", "--bbox-column", "x_max=b")
    run(*words, *boxes, "--zstd-level", 0, "--max-memory", "2GB", "--well", "a1", "--workers", 2)
    for options in seen:
        assert options.pop("report")
        assert options.pop("join") is True
    assert seen == [
        {},
        {
            "bbox_column_map": {"x_min": "a", "x_max": "b"},
            "zstd_level": None,
            "max_memory": 2 * 10**9,
            "wells": ("a1",),
            "workers": 2,
        },
    ]


def test_program_answers_by_its_module_path_and_starts_without_dagster() -> None:
    program = (
        "import sys; from cp_assets.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print([m for m in sys.modules if m.startswith('dagster')], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "convert" in done.stdout
    assert done.stderr.strip() == "[]"


def test_sample_then_plates(tmp_path: Path) -> None:
    result = run(
        *("sample", tmp_path / "out", "--plates", 1, "--wells", 1, "--sites", 1, "--seed", 1)
    )
    root = Path(result.stdout.strip())
    assert root.is_dir()
    listed = run("plates", root).stdout
    key, folders, choice = listed.rstrip("\n").split("\t")
    assert (key, folders) == ("source_1/2026_11_21_Batch1/BR00900001", "1 measurement folder(s)")
    assert choice.startswith("cellprofiler-csv, found by itself: Image.csv, Cells.csv")
    assert choice.endswith("(analysis, where there is one)")
    again = run("sample", tmp_path / "out", "--plates", 1, code=2)
    assert "it is not an empty folder; name a new one" in last_line(again)


def test_convert_prints_tables_on_stdout_and_progress_on_stderr(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate")
    words = ("convert", plate, "--warehouse", tmp_path / "wh", "--image-dir", plate / "images")
    result = run(*words)
    assert "images.image_crops" in result.stdout
    assert "written" not in result.stdout
    assert "plate/unbatched/P1" in result.stderr
    assert "written" in result.stderr
    again = run(*words)
    assert "unchanged" in again.stderr
    assert "written" not in again.stderr


def test_convert_builds_the_other_plates_where_one_fails(tmp_path: Path) -> None:
    words = ("convert", write_three_plates(tmp_path / "set"), "--warehouse", tmp_path / "wh")
    result = run(*words, code=1)
    assert "profiles.joined_profiles" in result.stdout
    *_, count, failed = result.stderr.strip().splitlines()
    assert count == "1 of 3 plates failed, the others are built:"
    assert failed.startswith("set/unbatched/P2: P2/Cells.csv has no column ObjectNumber")
    again = run(*words, "--fail-fast", code=2)
    assert last_line(again).startswith("cp-assets: P2/Cells.csv has no column ObjectNumber")


def test_convert_writes_where_the_configuration_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CP_ASSETS_WAREHOUSE", raising=False)
    write_plate(tmp_path / "plate")
    (tmp_path / "cp_assets.yaml").write_text("warehouse: ./here\n")
    (tmp_path / "other.yaml").write_text("warehouse: ./there\n")
    run("convert", "plate")
    assert "profiles.joined_profiles" in run("tables").stdout
    monkeypatch.setenv("CP_ASSETS_CONFIG", "other.yaml")
    run("convert", "plate", "--no-join")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        *("here", "plate", "there")
    ]


def test_convert_takes_a_preset_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plate = write_plate(tmp_path / "plate")
    for name in ("Cells", "Nuclei"):
        table = (plate / f"{name}.csv").read_text()
        (plate / f"{name}.csv").write_text(table.replace("ObjectNumber", "Object_ID"))
    text = "presets: {our-lab: {extends: cellprofiler-csv, object_number: Object_ID}}\n"
    (tmp_path / "cp_assets.yaml").write_text(text)
    run("convert", "plate", "--warehouse", "wh", "--preset", "our-lab")
    words = ("read", "joined_profiles", "--warehouse", "wh", "--columns", "Metadata_ObjectNumber")
    assert run(*words).stdout.split()[1:] == ["1", "2"]
    told = last_line(run("convert", "plate", "--preset", "ourlab", code=2))
    assert told == "cp-assets: preset 'ourlab' is not known; did you mean our-lab?"


def test_tables_and_describe(built: Warehouse) -> None:
    assert run("tables", "--warehouse", built.name).stdout.split() == built.list_tables()
    described = run("describe", "--warehouse", built.name).stdout
    assert all(name in described for name in built.list_tables())


def test_read_prints_csv(built: Warehouse) -> None:
    words = ("--plate", "BR00900001", "--well", "e13", "--limit", 2)
    columns = ("--columns", "Metadata_Well, Cells_AreaShape_Area")
    text = run("read", "joined_profiles", "--warehouse", built.name, *words, *columns).stdout
    frame = pd.read_csv(io.StringIO(text))
    assert list(frame.columns) == ["Metadata_Well", "Cells_AreaShape_Area"]
    assert set(frame["Metadata_Well"]) == {"E13"}
    assert len(frame) == 2


def test_read_writes_parquet_with_pixels_and_csv_without(built: Warehouse, tmp_path: Path) -> None:
    words = ("read", "image_crops", "--warehouse", built.name, "--limit", 4, "--out")
    run(*words, tmp_path / "crops.parquet")
    assert pq.read_table(tmp_path / "crops.parquet").equals(
        built.read_table("image_crops", limit=4)
    )
    result = run(*words, tmp_path / "crops.csv")
    assert "pixels and of lists are left out of CSV" in result.stderr
    frame = pd.read_csv(tmp_path / "crops.csv")
    assert len(frame) == 4
    assert "ome_arrow_image" not in frame.columns


def test_read_says_that_nothing_was_rejected(tmp_path: Path) -> None:
    warehouse = ("--warehouse", tmp_path / "wh")
    run("convert", write_plate(tmp_path / "good"), *warehouse)
    for words, told in ((), "has no rows: "), (("--plate", "P1"), "has no rows of plate P1: "):
        result = run("read", "rejected_rows", *words, *warehouse)
        assert result.stdout.startswith('"dataset_id","batch_id","plate_id"')
        assert len(result.stdout.splitlines()) == 1
        assert f"{told}nothing was rejected, and nothing is incomplete" in last_line_of_notes(
            result
        )
    assert "has no plate P0; it has: P1" in last_line(
        run("read", "rejected_rows", "--plate", "P0", *warehouse, code=2)
    )
    odd = write_plate(tmp_path / "odd", plate="P2")
    cells = odd / "Cells.csv"
    cells.write_text(cells.read_text() + "7,1,1,1,1,1,1,1\n")
    run("convert", odd, *warehouse)
    assert "no_image_set" in run("read", "rejected_rows", *warehouse).stdout
    result = run("read", "rejected_rows", "--plate", "P1", *warehouse)
    assert "nothing was rejected" in last_line_of_notes(result)
    result = run("read", "rejected_rows", "--where", "count > 9", *warehouse)
    assert last_line_of_notes(result) == "quality_control.rejected_rows has no such rows"


def test_show_writes_a_picture_and_its_name(built: Warehouse, tmp_path: Path) -> None:
    out = tmp_path / "cells.png"
    result = run("show", "--warehouse", built.name, "--well", "e13", "--cells", 4, "--out", out)
    assert result.stdout == f"{out}\n"
    assert out.read_bytes().startswith(PNG)


def test_materialize_builds_the_other_plates_where_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_plate(tmp_path / "set" / "bad", plate="P1")
    write_plate(tmp_path / "set" / "good", plate="P2")
    cells = tmp_path / "set" / "bad" / "Cells.csv"
    cells.write_text(cells.read_text().replace("ObjectNumber", "Number", 1))
    text = "warehouse: ./wh\ndatasets:\n- {dataset_id: set, root: set, layout: cellprofiler}\n"
    (tmp_path / "cp_assets.yaml").write_text(text)
    result = run("materialize", "set/*", "--config", "cp_assets.yaml", code=1)
    counted = {words[0]: words[1] for words in map(str.split, result.stdout.splitlines())}
    assert counted.items() >= {("built", "1"), ("unchanged", "0"), ("FAILED", "1")}
    assert result.stdout.splitlines()[-1].startswith(
        "set/unbatched/P1: bad/Cells.csv has no column"
    )
    assert "FAILED" in result.stderr
    assert "bad/Cells.csv has no column ObjectNumber" in result.stderr
    assert "ok: " in result.stderr
    assert "3 written" in result.stderr
    listed = run("read", "joined_profiles", "--warehouse", "wh", "--columns", "plate_id").stdout
    assert set(listed.split()[1:]) == {'"P2"'}
    nobody = run("materialize", "other/*", "--config", "cp_assets.yaml", code=2)
    assert "no plate matches 'other/*'; `cp-assets plates` lists the keys" in last_line(nobody)


@pytest.mark.slow
def test_demo_makes_tables_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "CP_ASSETS_CONFIG"):
        monkeypatch.setenv(name, "")
    home = tmp_path / "demo"
    result = run("demo", home, "--plates", 1, "--wells", 1, "--sites", 1)
    assert "profiles.profile_with_images" in result.stdout
    assert f"cells with their outlines: {home / 'cells.png'}" in result.stdout
    assert "checks passed" in result.stderr
    assert (home / "cells.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("convert", "nowhere", "--warehouse", "wh"), "nowhere"),
        (("convert", ".", "--warehouse", "wh", "--mask-dir", "."), "mask_dir was given without"),
        (("convert", ".", "--bbox-column", "x_min"), "--bbox-column 'x_min': expected LEFT=RIGHT"),
        (("convert", ".", "--workers", "many"), "'many' is not a valid integer"),
        (("convert", ".", "--max-memory", "a lot"), "--max-memory 'a lot' is no size"),
        (("convert", ".", "--crop-size", "0"), "expected that crop_size is 1 to 65536"),
        (("convert",), "Missing argument 'SOURCE'"),
        (("plates",), "no dataset is configured; write cp_assets.yaml"),
        (("plates", "nowhere"), "nowhere"),
        (("tables", "--warehouse", "nowhere"), "no warehouse at"),
        (("tables", "--nonsense"), "--nonsense"),
        (("describe", "--config", "nowhere.yaml"), "configuration nowhere.yaml does not exist"),
        (("show", "--warehouse", "nowhere"), "no warehouse at"),
        (("ui", "--home", "nowhere"), "run `cp-assets demo nowhere` first"),
        (("sample", "out", "--plates", "0"), "plates must be 1 to"),
        (("nonsense",), "No such command 'nonsense'"),
        (("demo", "--warehouse", "x"), "leave --warehouse and --config out"),
    ],
)
def test_mistake_ends_with_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in last_line(run(*words, code=2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("read", "nothing"), "has no table nothing; it has"),
        (("read", "joined_profiles", "--columns", "nope"), "nope"),
        (("read", "joined_profiles", "--where", "1 ="), "cannot be read with where='1 ='"),
        (("read", "joined_profiles", "--where", "CAST(well_id AS INT) = 1"), "cannot be read with"),
        (("read", "joined_profiles", "--plate", "P0"), "has no plate P0; it has: BR00900001"),
        (("read", "joined_profiles", "--limit", "-1"), "limit is -1"),
        (("read", "joined_profiles", "--out", "rows.xlsx"), "ends in .parquet or .csv"),
        (
            ("read", "joined_profiles", "--out", "no/such/rows.csv"),
            "no/such/rows.csv: No such file",
        ),
        (("show", "--plate", "P0"), "no plate P0 with crops"),
        (("show", "--well", "P24"), "has no crops in well P24"),
        (("show", "--out", "no/such/cells.png"), "no/such/cells.png: No such file"),
    ],
)
def test_wrong_question_ends_with_one_line_and_code_2(
    built: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words, "--warehouse", built.name, code=2)
    assert told in last_line(result)
    assert len(result.stderr.strip().splitlines()) == 1


def test_catalog_that_is_not_configured_becomes_no_folder(
    tmp_path: Path, small_sample: SampleTruth, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "cp_assets.yaml"
    config.write_text(f"warehouse: lab\ndatasets: [{{dataset_id: s, root: {small_sample.root}}}]\n")
    monkeypatch.chdir(tmp_path)
    result = run("materialize", "*", "--config", config, code=2)
    assert "PYICEBERG_CATALOG__LAB__URI" in last_line(result)
    assert not (tmp_path / "lab").exists()


def test_plates_are_registered_where_an_instance_is_named(small_sample: SampleTruth) -> None:
    result = run("plates", small_sample.root, "--register", code=2)
    assert "set DAGSTER_HOME" in last_line(result)
