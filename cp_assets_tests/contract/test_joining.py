"""Profiles joined to images: as the peer joins them, and what it does not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from iceberg_bioimage.api import join_profiles_with_store

import cp_assets
from cp_assets.contract import joining
from cp_assets.contract.image_tables import open_images
from cp_assets.contract.joining import JoinOptions, JoinSummary, join_to_images
from cp_assets.contract.names import Aliases
from cp_assets.contract.profile_tables import open_table
from cp_assets.datasets import PlateKey
from cp_assets.errors import ConfigurationError, MeasurementError
from cp_assets.scanning import scan
from cp_assets.scanning.tables import IMAGE_ASSETS, image_assets_batches, own_keys
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.contract.peers_duckdb import mend

NESTED = pa.array(
    [
        {"pixels_meta": {"size_x": at}, "chunks": [{"pixel_bytes": bytes([at] * at)}]}
        for at in range(4)
    ]
)


def write(path: Path, **columns: Any) -> Path:
    """A table as Parquet."""
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def rows_of(summary: JoinSummary) -> pa.Table:
    found = pq.read_table(summary.output)
    assert tuple(found.column_names) == summary.columns
    assert found.num_rows == summary.rows_written
    return found


def write_zarr(path: Path) -> Path:
    """Two arrays in one store, one of them of four chunks."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("first", shape=(8, 6), chunks=(4, 3), dtype="uint16")[:] = 1
    group.create_array("second", shape=(4, 3), chunks=(4, 3), dtype="uint8")[:] = 2
    return path


def comparable(rows: pa.Table, columns: list[str]) -> list[dict[str, Any]]:
    return sorted(rows.select(columns).to_pylist(), key=str)


@pytest.mark.parametrize("include_chunks", [False, True], ids=["images", "chunks"])
def test_zarr_is_joined_as_the_peer_joins_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, include_chunks: bool
) -> None:
    store = str(write_zarr(tmp_path / "plate.zarr"))
    profiles = write(
        tmp_path / "profiles.parquet",
        Metadata_dataset_id=["plate", "plate", "plate", "other"],
        Metadata_ImageID=["plate:second", "plate:first", "plate:third", "plate:first"],
        Metadata_Well=["A01", "A02", "A03", "A04"],
        area=[1.5, 2.5, 3.5, 4.5],
        payload=NESTED,
    )
    mend(monkeypatch)
    theirs = join_profiles_with_store(store, str(profiles), include_chunks=include_chunks)
    summary = cp_assets.join_profiles(
        store, profiles, tmp_path / "joined.parquet", include_chunks=include_chunks
    )
    ours = rows_of(summary)
    assert theirs.num_rows == (5 if include_chunks else 2)
    assert not set(theirs.column_names) - set(ours.column_names)
    # What a scan says of an array beyond the peer's, and compressed lengths, which it takes for
    # those of the pixels.
    compared = [n for n in theirs.column_names if n not in {"metadata_json", "byte_length"}]
    assert comparable(ours, compared) == comparable(theirs, compared)
    assert (summary.profile_rows, summary.profile_rows_without_image) == (4, 2)
    assert (summary.image_assets, summary.image_assets_without_profile) == (2, 0)


def test_pycytominer_profiles_are_joined_as_the_peer_joins_them(
    tmp_path: Path, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = test_data / "profiles" / "profiles_pycytominer.parquet"
    group = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=(2, 2), chunks=(2, 2), dtype="uint8")
    mend(monkeypatch)
    theirs = join_profiles_with_store(str(tmp_path / "plate.zarr"), str(profiles))
    summary = cp_assets.join_profiles(tmp_path / "plate.zarr", profiles, tmp_path / "j.parquet")
    compared = [name for name in theirs.column_names if name != "metadata_json"]
    assert theirs.num_rows == 1
    assert comparable(rows_of(summary), compared) == comparable(theirs, compared)


IDS = st.sampled_from(["a", "b", "c", None])


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(IDS, IDS), max_size=12),
    st.lists(st.tuples(IDS, IDS), max_size=8),
    st.booleans(),
    st.integers(1, 5),
)
def test_rows_are_those_of_pandas_in_the_profiles_order(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[tuple[str | None, str | None]],
    images: list[tuple[str | None, str | None]],
    keep: bool,
    at_once: int,
) -> None:
    folder = tmp_path_factory.mktemp("join")
    keys = pa.schema([("dataset_id", pa.string()), ("image_id", pa.string())])
    tables = {}
    for name, pairs, column in (("cells", cells, "cell"), ("images", images, "uri")):
        columns = [pa.array([pair[at] for pair in pairs], pa.string()) for at in (0, 1)]
        table = pa.Table.from_arrays(columns, schema=keys)
        table = table.append_column(column, pa.array(map(str, range(len(pairs))), pa.string()))
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=3)
        tables[name] = table.to_pandas()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "_MOST_ROWS", at_once)
        summary = join_to_images(
            open_images(folder / "images.parquet"),
            open_table(folder / "cells.parquet"),
            folder / "joined.parquet",
            JoinOptions(keep_unmatched=keep),
        )
    there = tables["images"].dropna(subset=["dataset_id", "image_id"])
    how = "left" if keep else "inner"
    merged = tables["cells"].merge(there, how=how, on=["dataset_id", "image_id"], sort=False)
    expected = merged.assign(order=merged["cell"].astype(int)).sort_values(
        ["order", "uri"], kind="stable"
    )
    found = rows_of(summary).to_pandas()
    assert found["cell"].tolist() == expected["cell"].tolist()
    assert found["uri"].fillna("").tolist() == expected["uri"].fillna("").tolist()
    without = tables["cells"].merge(there, how="left", on=["dataset_id", "image_id"])
    assert summary.profile_rows_without_image == without["uri"].isna().sum()
    named = there.merge(tables["cells"], on=["dataset_id", "image_id"])["uri"].nunique()
    assert summary.image_assets == len(there)
    assert summary.image_assets_without_profile == len(there) - named


def test_columns_of_one_name_are_kept_both(tmp_path: Path) -> None:
    images = write(
        tmp_path / "images.parquet",
        dataset_id=["D"],
        image_id=["i"],
        well_id=["A1"],
        uri=["a.tif"],
        URI=["A.TIF"],
    )
    profiles = write(
        tmp_path / "profiles.parquet",
        dataset_id=["D"],
        image_id=[7],
        ImageKey=["i"],
        Metadata_Well=["A01"],
        uri=["of the profile"],
        image_uri=[3],
    )
    options = JoinOptions(aliases=Aliases(given={"image_id": ["ImageKey"]}))
    found = rows_of(
        join_to_images(
            open_images(images), open_table(profiles), tmp_path / "joined.parquet", options
        )
    )
    assert found.to_pylist() == [
        {
            "dataset_id": "D",
            "image_id": "i",
            "well_id": "A01",
            "image_well_id": "A1",
            "image_image_uri": "a.tif",
            "URI": "A.TIF",
            "profile_image_id": 7,
            "ImageKey": "i",
            "Metadata_Well": "A01",
            "uri": "of the profile",
            "image_uri": 3,
        }
    ]


def test_types_and_payloads_stay_as_they_are(tmp_path: Path) -> None:
    images = write(tmp_path / "images.parquet", dataset_id=["D"], image_id=["1"])
    columns = {
        "dataset_id": ["D", "D", "D", "no"],
        "image_id": [1.0, 1.0, 1.0, 1.0],
        "payload": NESTED,
        "half": pa.array(np.arange(4, dtype=np.float16)),
        "small": pa.array([0, 1, 2, 3], pa.uint8()),
        "names": pa.array(["a", "b", "a", None]).dictionary_encode(),
        "vector": pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float32(), 2)),
        "when": pa.array([0, 1, 2, 3], pa.timestamp("ns", "UTC")),
    }
    profiles = write(tmp_path / "profiles.parquet", **columns)
    found = rows_of(cp_assets.join_profiles(images, profiles, tmp_path / "joined.parquet"))
    before = pq.read_table(profiles)
    kept = [name for name in before.column_names if name != "image_id"]
    assert found.select(kept).equals(before.select(kept).slice(0, 3))
    assert found["image_id"].to_pylist() == ["1"] * 3


def test_csv_is_joined(tmp_path: Path) -> None:
    images = write(tmp_path / "images.parquet", dataset_id=["D", "D"], image_id=["007", "8"])
    (tmp_path / "cells.csv").write_text("image_id,Area,Name\n007,1.5,x\n8,2,y\n9,,z\n")
    summary = cp_assets.join_profiles(
        images, tmp_path / "cells.csv", tmp_path / "j.parquet", profile_dataset_id="D"
    )
    assert rows_of(summary).drop_columns("dataset_id").to_pylist() == [
        {"image_id": "007", "Area": 1.5, "Name": "x"},
        {"image_id": "8", "Area": 2.0, "Name": "y"},
    ]
    assert summary.profile_rows_without_image == 1


def test_unread_image_of_a_folder_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "plate"
    write_zarr(folder / "a.zarr")
    (folder / "b.tif").write_bytes(b"II*\x00 broken")
    profiles = write(tmp_path / "p.parquet", dataset_id=["plate"], image_id=["a:first"])
    summary = cp_assets.join_profiles(folder, profiles, tmp_path / "joined.parquet")
    assert summary.rows_written == 1
    assert len(summary.warnings) == 1
    assert "b.tif" in summary.warnings[0]


@pytest.fixture
def with_images(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """A warehouse with the image assets of one store."""
    found = scan(write_zarr(tmp_path / "plate.zarr"))
    plate = PlateKey("D", "B", "P")
    batches = image_assets_batches(plate, [(one, own_keys(one)) for one in found.image_assets])
    write_partition(warehouse, IMAGE_ASSETS, plate.columns(), batches, "test")
    return warehouse


def test_images_of_a_warehouse_are_found(with_images: Warehouse, tmp_path: Path) -> None:
    profiles = write(tmp_path / "p.parquet", image_id=["plate:first", "no"], area=[1.0, 2.0])
    for images, warehouse in (
        (with_images.name, None),
        ("image_assets", with_images),
        ("images.image_assets", with_images.name),
    ):
        summary = cp_assets.join_profiles(
            images,
            profiles,
            tmp_path / "joined.parquet",
            warehouse=warehouse,
            profile_dataset_id="D",
        )
        (row,) = rows_of(summary).to_pylist()
        assert (row["plate_id"], row["array_path"], row["area"]) == ("P", "first", 1.0)
        result = cp_assets.validate_contract(
            profiles, images=images, warehouse=warehouse, dataset_id="D"
        )
        assert result.errors == (
            f"1 of 2 rows find no image of images.image_assets of warehouse {with_images.name}: "
            "D/no",
        )


def test_chunks_that_are_not_known_are_an_error(with_images: Warehouse, tmp_path: Path) -> None:
    profiles = write(tmp_path / "p.parquet", dataset_id=["D"], image_id=["plate:first"])
    for images in (with_images.name, str(profiles)):
        with pytest.raises(ConfigurationError, match="its chunks are not known"):
            cp_assets.join_profiles(
                images, profiles, tmp_path / "joined.parquet", include_chunks=True
            )


@pytest.mark.parametrize("table", ["joined_profiles", "raw_measurements", "image_crops"])
def test_tables_of_our_own_keep_the_contract(built: Warehouse, table: str) -> None:
    result = cp_assets.validate_contract(table, warehouse=built, images="images.source_images")
    assert result.is_valid, result.errors
    assert result.rows == built.read_table(table, columns=["image_id"]).num_rows
    assert result.row_key is not None
    assert result.row_key.level == ("crop" if table == "image_crops" else "object")
    assert result.coverage is not None
    assert result.coverage.images_with_rows == result.coverage.images > 0


def test_profiles_of_a_warehouse_are_joined(built: Warehouse, tmp_path: Path) -> None:
    summary = cp_assets.join_profiles(
        "source_images", "joined_profiles", tmp_path / "joined.parquet", warehouse=built
    )
    profiles = built.read_table("joined_profiles")
    found = rows_of(summary)
    images = built.read_table("source_images", columns=["image_id"])["image_id"]
    of_image = images.value_counts().to_pylist()[0]["counts"]
    assert found.num_rows == profiles.num_rows * of_image
    ids = found["Metadata_ObjectID"].to_pylist()[::of_image]
    assert ids == profiles["Metadata_ObjectID"].to_pylist()


@pytest.mark.parametrize("folder", ["no", "file.txt"])
def test_output_that_cannot_be_written_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file.txt").touch()
    table = write(tmp_path / "t.parquet", dataset_id=["D"], image_id=["i"])
    with pytest.raises(ConfigurationError, match=r"joined.parquet cannot be written"):
        cp_assets.join_profiles(table, table, tmp_path / folder / "joined.parquet")
    with pytest.raises(ConfigurationError, match="it is a folder"):
        cp_assets.join_profiles(table, table, tmp_path)


@pytest.mark.parametrize("which", ["images", "profiles", "part"])
@pytest.mark.parametrize("way", ["same", "spelling", "link", "hard link"])
def test_output_that_is_an_input_is_refused(tmp_path: Path, which: str, way: str) -> None:
    (tmp_path / "parts").mkdir()
    columns = {"dataset_id": ["D"], "image_id": ["1"]}
    names = {"images": "im.parquet", "profiles": "a.parquet", "part": "parts/a.parquet"}
    files = {name: write(tmp_path / file, **columns) for name, file in names.items()}
    file, output = files[which], tmp_path / "o.parquet"
    if way == "same":
        output = file
    elif way == "spelling":
        output = tmp_path / "parts" / ".." / names[which]
    elif way == "link":
        output.symlink_to(file)
    else:
        output.hardlink_to(file)
    before = file.read_bytes()
    profiles = tmp_path / "parts" if which == "part" else files["profiles"]
    with pytest.raises(ConfigurationError, match=r"is the input .*name another file"):
        cp_assets.join_profiles(files["images"], profiles, output)
    assert file.read_bytes() == before


def test_output_is_as_before_where_a_join_fails(tmp_path: Path) -> None:
    images = write(tmp_path / "images.parquet", dataset_id=["D"], image_id=["i"])
    folder = tmp_path / "profiles"
    folder.mkdir()
    write(folder / "a.parquet", dataset_id=["D"], image_id=["i"])
    last = write(folder / "b.parquet", dataset_id=["D"] * 100, image_id=["i"] * 100)
    content = bytearray(last.read_bytes())
    content[4:40] = bytes(36)
    last.write_bytes(content)
    output = tmp_path / "joined.parquet"
    output.write_bytes(b"before")
    with pytest.raises(MeasurementError, match=r"b\.parquet cannot be read as Parquet"):
        cp_assets.join_profiles(images, folder, output)
    assert output.read_bytes() == b"before"
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        *("images.parquet", "joined.parquet", "profiles")
    ]


def test_profiles_without_keys_are_named(tmp_path: Path) -> None:
    images = write(tmp_path / "images.parquet", dataset_id=["D"], image_id=["i"])
    profiles = write(tmp_path / "profiles.parquet", ImageKey=["i"])
    with pytest.raises(ConfigurationError, match="no column dataset_id and image_id to join by"):
        cp_assets.join_profiles(images, profiles, tmp_path / "joined.parquet")
    found = cp_assets.join_profiles(
        images,
        profiles,
        tmp_path / "joined.parquet",
        profile_dataset_id="D",
        aliases={"image_id": "ImageKey"},
    )
    assert found.rows_written == 1
    assert pd.read_parquet(found.output)["dataset_id"].tolist() == ["D"]
