"""Many plates without the UI: what is finished is passed over, the rest is built or told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from cp_assets.cli import main
from cp_assets.datasets import PlateKey, PlateSources, find_plates
from cp_assets.datasets.config import read_configuration
from cp_assets.errors import ConfigurationError
from cp_assets.running.headless import PlateBuilder, build_many, selected_assets
from cp_assets.running.jobs import RunOptions, dagster_instance
from cp_assets.sample import SampleOptions, write_sample
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.services.web import web_server
from cp_assets_tests.test_cli import last_line, run
from cp_assets_tests.warehouse.configured import configured as catalogs

OPTIONS = SampleOptions(plates=3, wells=1, sites=1, cells=4, seed=4, image_size=(100, 110))
ONE = RunOptions(assets=("raw_measurements",))

Plates = dict[PlateKey, PlateSources]


def configured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Plates:
    write_sample(folder / "data", OPTIONS)
    config = folder / "cp_assets.yaml"
    config.write_text("warehouse: ./wh\ndatasets:\n- {dataset_id: set, root: data}\n")
    monkeypatch.setenv("CP_ASSETS_CONFIG", str(config))
    return find_plates(read_configuration().datasets[0])


@pytest.fixture
def plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plates:
    """Three plates, and a folder of Dagster's that remembers."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return configured(tmp_path, monkeypatch)


def spoil(sources: PlateSources) -> tuple[Path, str]:
    """Take a key column from a plate's cells; gives the file and what it held."""
    cells = sources.folders[0].path / "Cells.csv"
    text = cells.read_text()
    cells.write_text(text.replace("ObjectNumber", "Number", 1))
    return cells, text


def test_second_time_only_what_changed_or_failed_is_run(plates: Plates) -> None:
    first, second, third = plates.values()
    cells, good = spoil(second)
    runs = list(build_many(list(plates), ONE))
    assert [run.verdict for run in runs] == ["built", "FAILED", "built"]
    cells.write_text(good)
    image = third.folders[0].path / "Image.csv"
    os.utime(image, ns=(0, 0))
    again = list(build_many(list(plates), ONE))
    assert [run.verdict for run in again] == ["unchanged", "built", "built"]
    assert [run.run_id is None for run in again] == [True, False, False]
    with dagster_instance() as instance:
        made = [run.tags["dagster/partition"] for run in instance.get_runs()]
    assert sorted(made) == sorted(str(one.key) for one in (first, second, third, second, third))


def test_plate_is_finished_only_if_dagster_knows_its_newest_run_as_good(plates: Plates) -> None:
    plate = next(iter(plates))
    with dagster_instance() as instance:
        builder = PlateBuilder(instance, ONE)
        assert not builder.is_finished(plate)
        run = builder.build(plate)
        assert builder.is_finished(plate)
        assert not PlateBuilder(instance, RunOptions()).is_finished(plate)
        assert not PlateBuilder(instance, RunOptions(ONE.assets, force=True)).is_finished(plate)
        record = instance.get_run_by_id(str(run.run_id))
        assert record is not None
        instance.report_run_failed(record)
        assert not builder.is_finished(plate)
    with dg.DagsterInstance.ephemeral() as forgetful:
        assert PlateBuilder(forgetful, ONE).is_finished(plate)


def test_fail_fast_begins_no_further_plate(plates: Plates) -> None:
    first = next(iter(plates.values()))
    spoil(first)
    (run,) = build_many(list(plates), ONE, fail_fast=True)
    assert (run.plate, run.verdict) == (first.key, "FAILED")


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ((), None),
        (("raw_measurements",), ("raw_measurements",)),
        (("manifest", "joined_profiles"), ("joined_profiles", "manifest")),
        (("key:image_crops+1",), ("image_crops", "profile_with_images", "manifest")),
    ],
)
def test_assets_are_selected_as_dagster_does(
    given: tuple[str, ...], chosen: tuple[str, ...] | None
) -> None:
    assert selected_assets(given) == chosen


@pytest.mark.parametrize("given", ["no_such_asset", "key:(", ""])
def test_selection_of_nothing_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"means no asset of a plate.*raw_measurements"):
        selected_assets([given])


@pytest.mark.slow
def test_command_builds_side_by_side_and_goes_on_where_it_was_stopped(plates: Plates) -> None:
    spoil(list(plates.values())[1])
    one = ("--select", "raw_measurements")
    dry = run("materialize", *one, "--dry-run")
    assert dry.stdout.split("\n")[:-1] == [f"{key}\tto be built" for key in plates]
    assert not Path("wh").exists()
    result = run("materialize", *one, "--workers", 2, code=1)
    counted = {words[0]: words[1] for words in map(str.split, result.stdout.splitlines())}
    assert counted.items() >= {("built", "2"), ("unchanged", "0"), ("FAILED", "1")}
    assert "2 of 3 plates succeeded" in last_line_of_stderr(result.stderr)
    pattern = f"*/{next(iter(plates)).plate_id}"
    again = run("materialize", *one, pattern)
    assert "1 of 1: " in again.stderr
    assert again.stderr.splitlines()[0].endswith(": unchanged")
    assert "no plate matches 'x/*'" in last_line(run("materialize", pattern, "x/*", code=2))


@pytest.mark.parametrize("remembered", [True, False])
def test_dry_run_makes_nothing(
    plates: Plates, monkeypatch: pytest.MonkeyPatch, remembered: bool
) -> None:
    if not remembered:
        monkeypatch.delenv("DAGSTER_HOME")
    before = read_configuration().path
    assert before is not None
    dry = run("materialize", "--dry-run")
    assert dry.stdout.split("\n")[:-1] == [f"{key}\tto be built" for key in plates]
    assert not (before.parent / "wh").exists()


def test_dry_run_opens_the_catalog(plates: Plates, tmp_path: Path) -> None:
    wrong = {"uri": "postgresql+psycopg2://user:secret@127.0.0.1:1/db", "warehouse": "file:///x"}
    with catalogs({"lab": wrong}, tmp_path):
        told = last_line(run("materialize", "--dry-run", "--warehouse", "lab", code=2))
    assert "catalog lab does not answer" in told
    assert "secret" not in told


@pytest.mark.slow
def test_what_failed_is_told_in_one_message(
    plates: Plates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sources in list(plates.values())[:2]:
        spoil(sources)
    config = read_configuration().path
    assert config is not None
    with config.open("a") as stream:
        stream.write("alerts: {webhook_url_env: OUR_WEBHOOK}\n")
    one = ("--select", "raw_measurements")
    with web_server() as web:
        monkeypatch.setenv("OUR_WEBHOOK", f"{web.url}/hook")
        run("materialize", *one, code=1)
        run("materialize", *one, f"*/{list(plates)[2].plate_id}")
    (posted,) = web.posted
    first, *others = str(posted["text"]).splitlines()
    assert first == "cp_assets: cp-assets materialize failed for 2 of 3 plates"
    assert [line.partition(": ")[0] for line in others] == [str(key) for key in list(plates)[:2]]
    assert all("ObjectNumber" in line for line in others)
    # Nobody listens there any more.
    monkeypatch.setattr("cp_assets.alerts._FIRST_WAIT_SECONDS", 0.01)
    result = run("materialize", *one, code=1)
    assert "not everybody was told: webhook of OUR_WEBHOOK" in last_line_of_stderr(result.stderr)


def last_line_of_stderr(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_workers_are_one_or_more() -> None:
    assert main.commands["materialize"]
    run("materialize", "--workers", 0, code=2)


@pytest.mark.slow
def test_interrupt_says_what_is_done_and_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plates = configured(tmp_path, monkeypatch)
    process = subprocess.Popen(
        [sys.executable, "-m", "cp_assets", "materialize", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    end = time.monotonic() + 200
    while not list((tmp_path / "wh").rglob("*.parquet")):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, told = process.communicate(timeout=200)
    assert process.returncode == 130, told
    assert "interrupted: what is built stays" in told
    assert "Traceback" not in told
    assert "not begun" in said or "FAILED" in said
    # Rows of a plate are all there or not at all: a re-run gives what an undisturbed one gives.
    runs = list(build_many(list(plates), RunOptions()))
    assert [(run.error, run.failed_checks) for run in runs] == [(None, ())] * 3
    described = {
        row["table"]: row["plates"]
        for row in open_warehouse(tmp_path / "wh").describe().to_pylist()
    }
    assert described["images.image_crops"] == 3
