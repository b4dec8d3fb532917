"""README's table for users of iceberg-bioimage: each line is run, theirs and ours."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import iceberg_bioimage.cli as peer
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from click.testing import CliRunner

from cp_assets.cli import main
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.contract.peers_duckdb import mend

README = Path(__file__).parents[1] / "README.md"
PATHS = {"R": "root", "P": "data/profiles.parquet", "W": "warehouse", "T": "their_profiles"}
"""What stands for a path in the table."""

HELD = {
    "register data": ("images.image_assets",),
    "register --publish-chunks": ("images.image_assets", "images.chunk_index"),
    "publish-chunks": ("images.chunk_index",),
    "ingest": ("images.image_assets", "images.chunk_index"),
}
"""Command of ours -> tables that it fills."""

REFUSED = ("register", "publish-chunks", "ingest", "export-cytomining-catalog")
"""Commands whose writes PyIceberg 0.12 refuses: their columns may be null, those of tables not."""


@dataclass(frozen=True)
class Line:
    """One line of the table: their command, where they have one, and ours."""

    theirs: str | None
    ours: str


def lines() -> list[Line]:
    text = README.read_text().partition("| iceberg-bioimage 0.1.0 | cp-assets |")[2]
    table = text.partition("\n\n")[0].splitlines()[2:]
    found = []
    for row in table:
        theirs, ours = (re.findall(r"`([^`]+)`", cell)[:1] for cell in row.split("|")[1:3])
        found.append(Line(theirs[0] if theirs else None, ours[0].removeprefix("cp-assets ")))
    return found


def words(command: str) -> list[str]:
    """A command's words; what is in brackets is given too, where it names no file of its own."""
    whole = re.sub(r"\[(--json)\]", r"\1", command)
    return [PATHS.get(word, word) for word in shlex.split(re.sub(r"\[[^\]]*\]", "", whole))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the table names"""
    for name in ("data/experiment", "a", "b"):
        group = zarr.create_group(tmp_path / f"{name}.zarr", zarr_format=2)
        group.create_array("0", data=np.zeros((20, 30), "uint16"), chunks=(10, 10))
    keys = {"dataset_id": ["experiment"] * 3, "image_id": ["experiment:0"] * 3}
    rows = pa.table({**keys, "object_id": ["1", "2", "3"], "Cells_Area": [1.0, 2.0, 3.0]})
    for name in ("data/cells", "data/profiles"):
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    kept = rows.append_column("qc_pass", pa.array([True, False, True]))
    for name in ("batch_id", "plate_id"):
        kept = kept.append_column(name, pa.array(["x"] * 3))
    pq.write_table(kept, tmp_path / "cosmicqc.parquet")
    monkeypatch.chdir(tmp_path)
    mend(monkeypatch)
    return tmp_path


def run(command: str) -> str:
    result = CliRunner().invoke(main, words(command))
    assert result.exit_code == 0, (command, result.output)
    return result.stdout


def prepare(command: str) -> None:
    """What a command finds when it is run: a warehouse, a root."""
    if command.startswith(("export warehouse", "quality-control")):
        run("register --publish-chunks data/experiment.zarr --warehouse W")
    if command.startswith("export --check"):
        run("export images data/experiment.zarr --root R --profiles P")


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.ours[:60])
def test_our_command_does_what_theirs_does(line: Line, folder: Path) -> None:
    prepare(line.ours)
    out = run(line.ours)
    assert out
    for command, tables in HELD.items():
        if line.ours.startswith(command):
            warehouse = open_warehouse(folder / "warehouse")
            assert set(tables) <= set(warehouse.list_tables())
            assert all(warehouse.read_table(table).num_rows for table in tables)


@pytest.mark.parametrize(
    "command", [line.theirs for line in lines() if line.theirs], ids=lambda command: command[:60]
)
def test_their_command_is_one_of_theirs(command: str, folder: Path) -> None:
    assert peer.build_parser().parse_args(words(command))
    if command.split(maxsplit=1)[0] not in REFUSED:
        assert peer.main(words(command)) == 0


def test_every_command_of_theirs_is_in_the_table() -> None:
    parser = peer.build_parser()
    (commands,) = (a.choices for a in parser._actions if a.choices and a.dest == "command")
    assert {line.theirs.split()[0] for line in lines() if line.theirs} == set(commands)
