"""Measurements in an object store: the rows that a disk gives, for few requests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from cp_assets.datasets import Dataset, PlateSources, databases, find_plates, spooling
from cp_assets.errors import InputChangedError, MeasurementError, StoreUnavailableError
from cp_assets.measurements import csv_together, site_rows
from cp_assets.measurements.raw import first_columns
from cp_assets.sample import SampleTruth
from cp_assets.stores import ObjectPath, retries
from cp_assets.stores.spool import spooled
from cp_assets_tests.dialects import (
    cytominer_names,
    read_csv_tables,
    write_csv_tables,
    write_database,
)
from cp_assets_tests.files import cells_and_nuclei, gallery_folder, image_row, one_plate
from cp_assets_tests.files import write_folder as write_site
from cp_assets_tests.measurements import test_in_carta as in_carta
from cp_assets_tests.measurements.reading import join_plate, read_raw
from cp_assets_tests.measurements.test_dialects import DIALECTS
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.services.faulty import FaultyS3

SITES = 40


def rows_of(sources: PlateSources) -> tuple[dict[str, pa.Table], list[str]]:
    """All raw rows of a plate, and its books."""
    raw, log = read_raw(sources)
    tables = {name: [pa.table(batch) for batch in batches] for name, batches in raw.items()}
    return {name: pa.concat_tables(some) for name, some in tables.items()}, [
        str(entry) for entry in log.entries
    ]


def same_rows(found: PlateSources, truth: PlateSources) -> None:
    """Raw rows and books are equal, though one lies in a store."""
    assert isinstance(found.dataset.root, ObjectPath)
    assert found.key == truth.key
    assert found.choice == truth.choice
    (rows, books), (wanted, wanted_books) = rows_of(found), rows_of(truth)
    assert rows.keys() == wanted.keys()
    for name, table in wanted.items():
        assert table.num_rows > 0
        assert rows[name].equals(table), name
    assert books == wanted_books
    assert first_columns(found).equals(first_columns(truth))


def put_plate(bucket: Bucket, folder: Path, **options: int) -> ObjectPath:
    """A folder in a bucket, under its own name: plates may be called after it."""
    above = folder.parent / "above"
    shutil.copytree(folder, above / folder.name)
    return bucket.put(above, **options) / folder.name


@pytest.mark.parametrize("dialect", ["csv", *DIALECTS])
def test_real_plate_is_the_same_as_from_disk(
    test_data: Path, tmp_path: Path, bucket: Bucket, dialect: str
) -> None:
    write = write_csv_tables if dialect == "csv" else DIALECTS[dialect][1]
    folder = tmp_path / "plate"
    write(folder, read_csv_tables(test_data / "example_human", 200))
    found, truth = one_plate(put_plate(bucket, folder)), one_plate(folder)
    same_rows(found, truth)
    assert join_plate(found)[0].equals(join_plate(truth)[0])


@pytest.mark.parametrize("data", ["deepprofiler", "cpg0043_BR00116991", "in carta"])
def test_other_real_files_are_the_same_as_from_disk(
    test_data: Path, tmp_path: Path, bucket: Bucket, data: str
) -> None:
    folder = tmp_path / "PlateA"
    if data == "in carta":
        folder.mkdir()
        in_carta.write(folder / "export.csv")
    else:
        shutil.copytree(test_data / data, folder)
    same_rows(one_plate(put_plate(bucket, folder)), one_plate(folder))


def test_gallery_prefix_is_the_same_as_from_disk(small_sample: SampleTruth, bucket: Bucket) -> None:
    root = bucket.put(small_sample.root)
    found = find_plates(Dataset(dataset_id="s", root=root))
    truth = find_plates(Dataset(dataset_id="s", root=small_sample.root))
    assert list(found) == list(truth)
    for key, sources in truth.items():
        same_rows(found[key], sources)
        assert found[key].siblings == sources.siblings
        assert [path.name for path in found[key].load_data] == [
            path.name for path in sources.load_data
        ]


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """A gallery prefix of one plate of many sites, one row of which is at fault."""
    for site in range(SITES):
        well = f"{'ABCD'[site % 4]}{site // 4 + 1:02d}"
        folder = gallery_folder(tmp_path, "P1", f"P1-{well}-1")
        write_site(folder, {"Image": [image_row(site + 1)], **cells_and_nuclei(site + 1)})
    with (folder / "Cells.csv").open("a") as stream:
        stream.write("1,no number,3,4\n")
    return tmp_path


def of_plate(root: Path | ObjectPath) -> PlateSources:
    """Its only plate."""
    (sources,) = find_plates(Dataset(dataset_id="d", root=root)).values()
    return sources


def test_each_file_is_read_once(plate: Path, bucket: Bucket, faulty: FaultyS3) -> None:
    root = bucket.put(plate)
    truth = rows_of(of_plate(plate))
    assert len(truth[1]) == 1
    found = of_plate(root)
    faulty.forget()
    assert rows_of(found) == truth
    # Those with a row at fault are read together first, then each by itself: from memory.
    assert faulty.counts() == {"GetObject": 4 * SITES}


def test_small_memory_for_files_fetched_ahead_changes_nothing(
    plate: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = rows_of(of_plate(plate))
    found = of_plate(bucket.put(plate))
    monkeypatch.setattr(site_rows, "_FETCHED_BYTES", 1)
    assert rows_of(found) == truth
    # Files that are not fetched, but read piece by piece.
    monkeypatch.setattr(site_rows, "TEXT_BYTES", 10)
    assert rows_of(found) == truth


def test_large_files_are_read_in_pieces(
    test_data: Path, tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plate"
    write_csv_tables(folder, read_csv_tables(test_data / "example_human", 200))
    write_csv_tables(folder / "second", read_csv_tables(folder), ".csv.gz")
    (folder / "second" / "Image.csv.gz").unlink()
    found, truth = one_plate(put_plate(bucket, folder)), one_plate(folder)
    for module in (site_rows, csv_together):
        monkeypatch.setattr(module, "TEXT_BYTES", 1000)
    monkeypatch.setattr(site_rows, "CHUNK_BYTES", 50_000)
    same_rows(found, truth)


FAULTS = {
    "throttled": Fault("slow_down", probability=0.1),
    "broken": Fault("reset", probability=0.1),
    "short": Fault("short", operation="GetObject", probability=0.1),
    "short listings": Fault("short", operation="ListObjectsV2", times=2),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_passing_faults_change_no_row(
    plate: Path, bucket: Bucket, faulty: FaultyS3, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.001)
    root = bucket.put(plate)
    faulty.play(FAULTS[fault], seed=5)
    found = rows_of(of_plate(root))
    faulty.calm()
    assert found == rows_of(of_plate(plate))


def finding(root: ObjectPath) -> object:
    return of_plate(root)


def reading(root: ObjectPath) -> object:
    return rows_of(of_plate(root))


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        (finding, Fault("slow_down")),
        (finding, Fault("slow_down", operation="ListObjectsV2", after=4)),
        (reading, Fault("slow_down", operation="GetObject")),
        (reading, Fault("reset", operation="GetObject", after=70)),
    ],
)
def test_store_that_fails_ends_the_run(
    plate: Path, bucket: Bucket, faulty: FaultyS3, act: Callable[[ObjectPath], object], fault: Fault
) -> None:
    root = bucket.put(plate, attempts=1)
    faulty.play(fault)
    with pytest.raises(StoreUnavailableError):
        act(root)


@pytest.mark.parametrize("dialect", ["parquet", "per object", "gzip"])
def test_store_that_fails_is_no_damaged_file(
    test_data: Path, tmp_path: Path, bucket: Bucket, faulty: FaultyS3, dialect: str
) -> None:
    folder = tmp_path / "plate"
    DIALECTS[dialect][1](folder, read_csv_tables(test_data / "example_human", 200))
    root = put_plate(bucket, folder, attempts=1)
    found = one_plate(root)
    faulty.play(Fault("reset", operation="GetObject"))
    with pytest.raises(StoreUnavailableError):
        rows_of(found)
    with pytest.raises(StoreUnavailableError):
        first_columns(found)
    with pytest.raises(StoreUnavailableError):
        one_plate(root)


def test_store_that_fails_is_no_damaged_npz(
    test_data: Path, tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    shutil.copytree(test_data / "deepprofiler", tmp_path / "P")
    found = one_plate(put_plate(bucket, tmp_path / "P", attempts=1))
    faulty.play(Fault("reset", operation="GetObject"))
    for act in (rows_of, first_columns):
        with pytest.raises(StoreUnavailableError):
            act(found)


@pytest.mark.parametrize("dialect", ["csv", "parquet", "per object"])
def test_file_that_changed_since_it_was_found_is_not_read(
    test_data: Path, tmp_path: Path, bucket: Bucket, dialect: str
) -> None:
    write = write_csv_tables if dialect == "csv" else DIALECTS[dialect][1]
    folder = tmp_path / "plate"
    write(folder, read_csv_tables(test_data / "example_human", 200))
    found = one_plate(put_plate(bucket, folder))
    table = found.folders[0].tables["Cells"].path
    assert isinstance(table, ObjectPath)
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(InputChangedError, match=table.name):
        rows_of(found)


def test_schema_of_a_large_database_is_read_without_its_middle(
    test_data: Path,
    tmp_path: Path,
    bucket: Bucket,
    faulty: FaultyS3,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "plate"
    DIALECTS["per object"][1](folder, read_csv_tables(test_data / "example_human", 200))
    (database,) = folder.iterdir()
    root = put_plate(bucket, folder)
    truth = one_plate(folder, plate_id="P")
    # Tables are made one after the other here: the last one begins far behind.
    monkeypatch.setattr(spooling, "_FIRST_BYTES", database.stat().st_size - 30 * 4096)
    monkeypatch.setattr(spooling, "_LAST_BYTES", 4096)
    fetched = []
    monkeypatch.setattr(databases, "spooled", lambda path: fetched.append(path) or spooled(path))
    found = one_plate(root, plate_id="P")
    assert first_columns(found).equals(first_columns(truth))
    assert fetched == []
    # Rows need all of it, once.
    faulty.forget()
    assert rows_of(found) == rows_of(truth)
    assert faulty.counts() == {"GetObject": 1}
    # Where the schema lies elsewhere, all of it is fetched.
    monkeypatch.setattr(spooling, "_FIRST_BYTES", 4096)
    assert one_plate(root, plate_id="P").folders[0].tables == found.folders[0].tables
    assert fetched


def test_database_with_rows_in_a_log_beside_it_is_refused(tmp_path: Path, bucket: Bucket) -> None:
    site = {"Image": [image_row()], **cells_and_nuclei()}
    tables = {name: pd.DataFrame(rows) for name, rows in site.items()}
    write_database(tmp_path / "p.sqlite", cytominer_names(tables))
    (tmp_path / "p.sqlite-wal").write_bytes(b"rows")
    found = one_plate(bucket.put(tmp_path), plate_id="P")
    with pytest.raises(MeasurementError, match=r"write-ahead log \(p.sqlite-wal\).*copy it again"):
        found.refuse_faults()
