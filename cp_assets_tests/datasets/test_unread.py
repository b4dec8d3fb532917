"""What `convert` and `cp-assets plates` say of measurements that no plate reads."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import cp_assets
from cp_assets.cli import main
from cp_assets.datasets import dataset_from_folder, find_plates, unread
from cp_assets.datasets.unread import unread_measurements
from cp_assets_tests.dialects import cytominer_names, write_database
from cp_assets_tests.files import cells_and_nuclei, image_row, write_folder
from cp_assets_tests.measurements.pickles import write_site

TABLES = {"Image": [image_row()], **cells_and_nuclei()}
FRAMES = {name: pd.DataFrame(rows) for name, rows in TABLES.items()}
DEEP = "looked for in the folder that was named and one level below; convert it by itself"


def lines(folder: Path) -> list[str]:
    dataset = dataset_from_folder(folder)
    return unread_measurements(dataset, find_plates(dataset).values())


def test_another_dialect_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", TABLES)
    write_database(tmp_path / "b" / "b.sqlite", cytominer_names(FRAMES))
    FRAMES["Image"].to_parquet(tmp_path / "a" / "Image.parquet")
    write_site(tmp_path / "c" / "d" / "P1" / "A01_5.npz")
    why = "left out: cellprofiler-csv was found first; convert it by itself"
    tables = ("b.sqlite:Image", "b.sqlite:Cells", "b.sqlite:Cytoplasm", "b.sqlite:Nuclei")
    assert lines(tmp_path) == [
        f"{tmp_path / 'a'}: Image.parquet (parquet) {why}",
        f"{tmp_path / 'b'}: {', '.join(tables)} (cytominer-sqlite) {why}",
        f"{tmp_path / 'c' / 'd' / 'P1'}: A01_5.npz (deepprofiler) {why}",
    ]


def test_folders_further_down_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "c", TABLES)
    write_folder(tmp_path / "a" / "deep", {name: TABLES[name] for name in ("Image", "Cells")})
    (line,) = lines(tmp_path)
    start = f"{tmp_path / 'a' / 'deep'}: Image.csv, Cells.csv (cellprofiler-csv) left out: tables"
    assert line.startswith(start)
    assert line.endswith(DEEP)


def test_lines_and_folders_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "c", TABLES)
    for n in range(8):
        write_folder(tmp_path / "a" / f"{n}", TABLES)
    assert len(lines(tmp_path)) == 6
    assert lines(tmp_path)[-1] == "and 3 more"
    monkeypatch.setattr(unread, "_MOST_FOLDERS", 4)
    assert [Path(line.partition(":")[0]).name for line in lines(tmp_path)] == ["0"]


def test_nothing_is_said_where_all_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "plain" / "P1-A01-1", TABLES)
    write_folder(tmp_path / "plain" / "two", {f"A_{name}": rows for name, rows in TABLES.items()})
    write_folder(tmp_path / "plain" / "two", {f"B_{name}": rows for name, rows in TABLES.items()})
    (tmp_path / "plain" / "Experiment.csv").write_text("Key,Value\n1,2\n")
    (tmp_path / "plain" / "images").mkdir()
    (tmp_path / "plain" / "images" / "Thumbs.db").write_bytes(b"thumbs")
    write_site(tmp_path / "sites" / "P1" / "A01" / "5" / "embedding.npz")
    for name in ("plain", "sites"):
        assert lines(tmp_path / name) == []


def test_convert_and_plates_say_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path / "set" / "c", TABLES)
    write_folder(tmp_path / "set" / "a" / "deep", TABLES)
    with caplog.at_level(logging.WARNING, logger="cp_assets"):
        cp_assets.convert(tmp_path / "set", tmp_path / "wh")
    assert any(record.getMessage().endswith(DEEP) for record in caplog.records)
    told = CliRunner().invoke(main, ["plates", str(tmp_path / "set")])
    assert told.exit_code == 0
    assert told.stderr.strip().endswith(DEEP)
