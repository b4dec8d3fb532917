"""``cp-assets maintain``."""

from __future__ import annotations

from pathlib import Path

import pytest

from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.test_cli import last_line, run
from cp_assets_tests.warehouse.plates import batch, numbers, write


@pytest.fixture
def rewritten(warehouse: Warehouse) -> Warehouse:
    """A table of which one plate was written four times."""
    for number in range(4):
        write(warehouse, batch([number]))
    return warehouse


def columns(line: str) -> list[str]:
    return line.replace(" MB", "").split()


def test_says_what_was_done_and_how_the_table_stands(rewritten: Warehouse) -> None:
    options = ("--older-than", "0", "--keep", 1, "--grace", "0")
    told = run("maintain", *options, "--warehouse", rewritten.name)
    header, line = told.stdout.splitlines()
    found = dict(zip(columns(header), columns(line), strict=True))
    assert found["table"] == "profiles.small"
    assert (found["expired"], found["snapshots"], found["orphans"]) == ("3", "1", "0")
    assert int(found["removed"]) > 0
    assert "expiring snapshots superseded more than 0 ago" in told.stderr
    assert numbers(rewritten) == [3]


def test_dry_run_does_nothing(rewritten: Warehouse) -> None:
    before = rewritten.table("small").metadata_location
    options = ("--older-than", "0", "--keep", 1, "--grace", "0", "--dry-run")
    told = run("maintain", "small", *options, "--warehouse", rewritten.name)
    assert "would expire" in told.stderr
    assert columns(told.stdout.splitlines()[1])[2] == "3"
    assert rewritten.table("small").metadata_location == before


def test_without_options_nothing_young_is_touched(rewritten: Warehouse) -> None:
    run("maintain", "--warehouse", rewritten.name)
    assert len(rewritten.table("small").snapshots()) == 4


def test_configuration_says_what_is_kept(rewritten: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "cp_assets.yaml"
    file.write_text("maintenance: {older_than: 0s, keep_snapshots: 2}\n")
    run("maintain", "--warehouse", rewritten.name, "--config", file)
    assert len(rewritten.table("small").snapshots()) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--older-than", "7"], "'7' is no span of time; expected a number and its unit"),
        (["--keep", "0"], "keep_snapshots is 0"),
        (["smal"], "has no table smal; it has profiles.small"),
    ],
)
def test_mistakes_are_one_line(rewritten: Warehouse, words: list[str], told: str) -> None:
    assert told in last_line(run("maintain", *words, "--warehouse", rewritten.name, code=2))
