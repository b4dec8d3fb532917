"""``validate-contract`` and ``join-profiles`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iceberg_bioimage.cli import main as peers_main

from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.test_cli import last_line, run

TOML = '[microscopy.aliases]\nimage_id = ["ImageKey"]\n'


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """Three rows of two images, under names of their own."""
    columns = {
        "Metadata_dataset_id": ["single-channel"] * 3,
        "ImageKey": ["single-channel", "single-channel", "no"],
        "Other": ["no", "no", "no"],
        "Metadata_ObjectNumber": [1, 2, 1],
    }
    pq.write_table(pa.table(columns), tmp_path / "cells.parquet")
    (tmp_path / "aliases.toml").write_text(TOML)
    return tmp_path / "cells.parquet"


def test_result_is_that_of_the_peer_and_more(
    test_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = test_data / "profiles" / "profiles_pycytominer.parquet"
    theirs_code = peers_main(["validate-contract", str(file), "--json"])
    theirs = json.loads(capsys.readouterr().out)
    ours = json.loads(run("validate-contract", file, "--json", code=theirs_code).stdout)
    del theirs["warnings"]
    assert {name: ours[name] for name in theirs} == theirs
    assert (ours["rows"], ours["errors"]) == (1, [])


def test_aliases_of_a_file_and_of_the_command_line(profiles: Path) -> None:
    toml = profiles.with_name("aliases.toml")
    missing = run("validate-contract", profiles, code=1).stdout
    assert "is_valid: False" in missing
    assert "missing_required_columns: image_id" in missing
    assert "image_id<-ImageKey" in run("validate-contract", profiles, "--aliases", toml).stdout
    words = ("--aliases", toml, "--alias", "image_id=Other")
    # Of one image there are two objects of a number now.
    assert "1 keys of" in run("validate-contract", profiles, *words, code=1).stdout


def test_images_that_rows_do_not_find_are_an_error(profiles: Path, test_data: Path) -> None:
    image = test_data / "ome_tiff" / "single-channel.ome.tiff"
    words = ("validate-contract", profiles, "--alias", "image_id=ImageKey", "--images", image)
    shown = run(*words, code=1).stdout
    assert "rows with image: 2 of 3" in shown
    assert "images with rows: 1 of 1" in shown
    assert f"- 1 of 3 rows find no image of {image}: single-channel/no" in shown
    told = json.loads(run(*words, "--images-dataset-id", "x", "--json", code=1).stdout)
    assert told["coverage"]["rows_with_image"] == 0
    assert told["coverage"]["images_without_rows_examples"] == ["x/single-channel"]


def test_table_of_a_warehouse_is_validated(built: Warehouse) -> None:
    words = ("validate-contract", "joined_profiles", "--warehouse", built.name)
    shown = run(*words, "--images", "images.source_images").stdout
    assert f"target: profiles.joined_profiles of warehouse {built.name}" in shown
    assert "row_key: Metadata_ObjectID (object), 0 repeated" in shown


def test_join_writes_what_it_says(profiles: Path, test_data: Path, tmp_path: Path) -> None:
    image, output = test_data / "ome_tiff" / "single-channel.ome.tiff", tmp_path / "joined.parquet"
    words = ("join-profiles", image, profiles, "--output", output, "--alias", "image_id=ImageKey")
    told = json.loads(run(*words).stdout)
    assert (told["rows_written"], told["profile_rows_without_image"]) == (2, 1)
    assert pq.read_table(output).column_names == told["columns"]
    assert told["source_uri"] == str(image)
    assert json.loads(run(*words, "--keep-unmatched").stdout)["rows_written"] == 3
    nothing = run(*words, "--images-dataset-id", "x")
    assert json.loads(nothing.stdout)["rows_written"] == 0
    assert "compare their dataset_id and image_id" in nothing.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("no.parquet",), "no.parquet: no such file or folder; expected Parquet"),
        (("no_table", "--warehouse", "{built}"), "has no table no_table; it has "),
        (("images.none", "--warehouse", "{built}"), "has no table images.none; it has "),
        (("{folder}/empty.csv",), "empty.csv is empty; expected Parquet"),
        (("{folder}/image.tif",), "image.tif: expected Parquet"),
        (("{folder}/text.parquet",), "text.parquet cannot be read as Parquet"),
        (("{folder}",), "cannot be read as Parquet"),
        (("{cells}", "--alias", "image_id"), "expected a name and a column"),
        (("{cells}", "--alias", "imageid=a"), "has no such name; expected one of dataset_id"),
        (("{cells}", "--aliases", "{folder}/broken.toml"), "broken.toml: no TOML in UTF-8"),
        (("{cells}", "--aliases", "{folder}/no.toml"), "no.toml cannot be read"),
        (("{cells}", "--alias", "image_id=ImageKey", "--images", "no.tif"), "no such file"),
        (
            ("{cells}", "--alias", "image_id=ImageKey", "--images", "{folder}/image.tif"),
            "image.tif: ",
        ),
        (
            ("{cells}", "--alias", "image_id=ImageKey", "--images", "{cells}"),
            "cells.parquet: no column image_id; expected an image_assets table",
        ),
    ],
)
def test_mistake_is_one_line(
    profiles: Path, built: Warehouse, words: tuple[str, ...], told: str
) -> None:
    folder = profiles.parent
    (folder / "empty.csv").touch()
    (folder / "image.tif").write_bytes(b"II*\x00 no image")
    (folder / "text.parquet").write_text("no Parquet")
    (folder / "broken.toml").write_text("[microscopy.aliases\n")
    names = {"folder": folder, "cells": profiles, "built": built.name}
    given = [word.format(**names) for word in words]
    assert told in last_line(run("validate-contract", *given, code=2))


def test_mistake_of_a_join_is_one_line(profiles: Path, tmp_path: Path) -> None:
    output = tmp_path / "joined.parquet"
    result = run("join-profiles", profiles, profiles, "--output", output, code=2)
    assert "no column image_id to join by" in last_line(result)
    assert not output.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("scan", ""),
        ("summarize", ""),
        ("register", "", "--warehouse", "{folder}/wh"),
        ("validate-contract", ""),
        ("validate-contract", "{profiles}", "--images", ""),
        ("join-profiles", "", "{profiles}", "--output", "{folder}/o.parquet"),
        ("join-profiles", "{profiles}", "", "--output", "{folder}/o.parquet"),
    ],
    ids=" ".join,
)
def test_empty_path_is_one_line(profiles: Path, words: tuple[str, ...]) -> None:
    filled = [word.format(folder=profiles.parent, profiles=profiles) for word in words]
    result = run(*filled, code=2)
    assert "the path is empty; expected a file, a folder or a URL" in last_line(result)
    assert len(result.stderr.splitlines()) == 1
