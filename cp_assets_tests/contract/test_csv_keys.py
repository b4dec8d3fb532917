"""Keys of CSV files: text as the file has it, on every way that it goes."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import mkdtemp

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cp_assets
from cp_assets.contract.names import BUILT_IN
from cp_assets.contract.profile_tables import open_table, with_keys
from cp_assets.cytomining import TableOptions, export_table
from cp_assets.cytomining.quality_control import PlateNames, take_in_quality_control
from cp_assets.datasets.csv_text import NULLS
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.cytomining.conftest import read_folder

SPELLINGS = ["1.1", "1.10", "1E2", "100", "0x10", "16", "007", "7", "7.0", "-0", "1e400", "+5"]
WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)
KEYS = st.one_of(
    st.sampled_from([*SPELLINGS, "9007199254740993", "18446744073709551615"]),
    st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{0,3})?([eE][0-9])?", fullmatch=True),
    WORDS.filter(lambda text: text not in NULLS),
)
UNIQUE = st.lists(KEYS, min_size=1, max_size=6, unique=True)


def written(file: Path, **columns: list[str]) -> Path:
    """A CSV file."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(columns)
        lines.writerows(zip(*columns.values(), strict=True))
    return file


def folder_of(path: Path) -> Path:
    """A new folder, since an example of hypothesis has none of its own."""
    return Path(mkdtemp(dir=path))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@settings(max_examples=15, deadline=None)
@given(keys=UNIQUE, column=st.sampled_from(["image_id", "Metadata_ImageID", "ImageKey"]))
def test_join_finds_the_images_of_the_same_text(
    scratch: Path, keys: list[str], column: str
) -> None:
    folder = folder_of(scratch)
    images = folder / "im.parquet"
    pq.write_table(pa.table({"dataset_id": ["D"], "image_id": keys[:1]}), images)
    own = {column: keys, "Plate": keys, "x": ["1"] * len(keys)}
    profiles = written(folder / "a.csv", dataset_id=["D"] * len(keys), **own)
    aliases = {"image_id": column}
    told = cp_assets.validate_contract(profiles, images=images, aliases=aliases).coverage
    done = cp_assets.join_profiles(
        images, profiles, folder / "o.parquet", aliases=aliases, keep_unmatched=True
    )
    found = pq.read_table(done.output)
    assert found["image_id"].to_pylist() == found[column].to_pylist() == keys
    assert found["plate_id"].to_pylist() == keys
    assert done.profile_rows_without_image == len(keys) - 1
    assert told is not None
    assert told.rows_with_image == 1


@settings(max_examples=8, deadline=None)
@given(keys=UNIQUE)
def test_exported_profiles_have_the_files_text(scratch: Path, keys: list[str]) -> None:
    folder = folder_of(scratch)
    names = {"dataset_id", "image_id", "Metadata_Plate", "Metadata_ObjectID", "Batch"}
    file = written(folder / "x.csv", **dict.fromkeys(sorted(names), keys))
    export_table(file, folder / "root", TableOptions(table_name="own", join_keys=["Batch"]))
    found = read_folder(folder / "root", "profiles.own")
    for name in (*names, "plate_id"):
        assert sorted(found[name].to_pylist()) == sorted(keys), name


@pytest.mark.parametrize("plate", ["plate_id", "Metadata_Plate"])
@pytest.mark.parametrize("batch", ["batch_id", "Metadata_Batch"])
def test_quality_control_has_the_files_text(
    warehouse: Warehouse, tmp_path: Path, plate: str, batch: str
) -> None:
    # As everywhere in a warehouse, a plate 7.0 is plate 7.
    plates = [name for name in SPELLINGS if not name.endswith(".0")]
    keys = {plate: plates, batch: plates, "Metadata_ImageID": plates}
    file = written(tmp_path / "x.csv", **keys)
    take_in_quality_control(file, warehouse, "qc", PlateNames(dataset_id="D"))
    found = warehouse.read_table("quality_control.qc")
    for name in ("plate_id", "batch_id", "image_id", *keys):
        assert sorted(found[name].to_pylist()) == sorted(plates), name


@settings(max_examples=8, deadline=None)
@given(keys=UNIQUE)
def test_quality_control_of_any_ids_has_the_files_text(scratch: Path, keys: list[str]) -> None:
    folder = folder_of(scratch)
    columns = dict.fromkeys(["image_id", "Metadata_Well", "Metadata_ObjectID"], keys)
    file = written(folder / "x.csv", **columns, site_id=keys)
    opened = open_warehouse(folder / "warehouse", create=True)
    names = PlateNames(dataset_id="D", batch_id="B", plate_id="1E2")
    take_in_quality_control(file, opened, "qc", names)
    found = opened.read_table("quality_control.qc")
    assert set(found["plate_id"].to_pylist()) == {"1E2"}
    for name in (*columns, "well_id", "site_id"):
        assert sorted(found[name].to_pylist()) == sorted(keys), name


@pytest.mark.parametrize("column", [*BUILT_IN, "Metadata_Well", "ObjectNumber", "ImageKey"])
def test_key_of_whole_numbers_is_text(tmp_path: Path, column: str) -> None:
    table = open_table(written(tmp_path / "a.csv", **{column: ["1", "2"]}))
    assert with_keys(table, ["ImageKey"]).schema.field(column).type == pa.string()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", ""], [1, -2, None]),
        (["1", "2.50"], [1.0, 2.5]),
        (["0x10", "1"], ["0x10", "1"]),
        (["9007199254740993"], [9007199254740993]),
        (["9007199254740993", "1.5"], ["9007199254740993", "1.5"]),
        (["1.5", "-9223372036854775808"], ["1.5", "-9223372036854775808"]),
        (["9007199254740992", "1.5"], [2.0**53, 1.5]),
        (["18446744073709551615", "1"], ["18446744073709551615", "1"]),
        (["1e400", "1"], ["1e400", "1"]),
        (["inf", "1"], [float("inf"), 1.0]),
        (["01", "1"], ["01", "1"]),
    ],
)
def test_column_is_a_number_where_nothing_is_lost(
    tmp_path: Path, values: list[str], expected: list[object]
) -> None:
    file = written(tmp_path / "a.csv", x=values, name=["a"] * len(values))
    assert pa.Table.from_batches(open_table(file).whole_batches())["x"].to_pylist() == expected
