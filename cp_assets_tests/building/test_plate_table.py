from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from cp_assets.building import STEPS, NotApplicable, PlateTable, build_table, plate_table
from cp_assets.datasets import Dataset, PlateKey, PlateSources, find_plates
from cp_assets.errors import WarehouseError, WarehouseWriteError
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.sample import SampleTruth
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.files import cells_and_nuclei, image_row, one_plate, write_folder
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers

KEY = PlateKey("d", "b", "P1")
FAULT = Rejection(kind="object", reason="odd", detail="it is odd", object_number=7, count=2)


def plate_of(*rows: int, inputs: str = "i", faults: int = 0) -> PlateTable:
    def stream(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        yield batch(rows)
        for _ in range(faults):
            log.add(FAULT)

    return PlateTable(SPEC, KEY, inputs, stream)


def rejected(warehouse: Warehouse) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = warehouse.read_table("rejected_rows").to_pylist()
    return rows


def test_build_table_written_then_unchanged_then_forced(warehouse: Warehouse) -> None:
    first = build_table(warehouse, plate_of(1, 2))
    assert (first.state, first.rows, first.files) == ("written", 2, 1)
    second = build_table(warehouse, plate_of(3))
    assert (second.state, second.rows, second.snapshot_id) == ("unchanged", 2, first.snapshot_id)
    assert "inputs and code are those" in (second.reason or "")
    assert numbers(warehouse) == [1, 2]
    forced = build_table(warehouse, plate_of(3), force=True)
    assert (forced.state, forced.rows) == ("written", 1)
    assert forced.snapshot_id != first.snapshot_id
    assert numbers(warehouse) == [3]


def test_build_table_other_inputs_or_code_are_written(warehouse: Warehouse) -> None:
    build_table(warehouse, plate_of(1))
    assert build_table(warehouse, plate_of(2, inputs="j")).state == "written"
    newer = replace(plate_of(3, inputs="j"), spec=replace(SPEC, code_version="2"))
    assert build_table(warehouse, newer).state == "written"
    assert numbers(warehouse) == [3]


def test_build_table_not_applicable_is_skipped(warehouse: Warehouse) -> None:
    done = build_table(warehouse, NotApplicable(SPEC, KEY, "no images; set image_dir"))
    assert (done.state, done.reason) == ("skipped", "no images; set image_dir")
    assert warehouse.list_tables() == []


def test_build_table_books_are_rows(warehouse: Warehouse) -> None:
    done = build_table(warehouse, plate_of(1, faults=2))
    assert done.rejected == {"odd": 4}
    first, second = rejected(warehouse)
    assert first == second
    expected = {
        **KEY.columns(),
        "table_name": "profiles.small",
        "kind": "object",
        "outcome": "rejected",
        "reason": "odd",
        "detail": "it is odd",
        "count": 2,
        "object_number": 7,
        "source_row": None,
    }
    assert {name: first[name] for name in expected} == expected
    build_table(warehouse, plate_of(1), force=True)
    assert rejected(warehouse) == []


def test_build_table_books_that_fail_are_written_by_the_next_run(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        msg = "no space"
        raise WarehouseWriteError(msg)

    with monkeypatch.context() as broken:
        broken.setattr(plate_table, "_write_rejected", fail)
        with pytest.raises(WarehouseWriteError, match="no space"):
            build_table(warehouse, plate_of(1, faults=1))
    done = build_table(warehouse, plate_of(1, faults=1))
    assert done.state == "written"
    assert len(rejected(warehouse)) == 1


def test_build_table_that_loses_to_another_run_leaves_its_books_alone(
    warehouse: Warehouse,
) -> None:
    def overtaken(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        yield batch([1])
        build_table(warehouse, plate_of(2, 3, inputs="fast", faults=2))

    build_table(warehouse, plate_of(1))
    slow = PlateTable(SPEC, KEY, "slow", overtaken)
    with pytest.raises(WarehouseWriteError, match="another run wrote the same partition"):
        build_table(warehouse, slow)
    assert numbers(warehouse) == [2, 3]
    assert len(rejected(warehouse)) == 2
    assert build_table(warehouse, plate_of(2, 3, inputs="fast", faults=2)).state == "unchanged"


def run(warehouse: Warehouse, sources: PlateSources, *names: str) -> dict[str, str]:
    return {name: build_table(warehouse, STEPS[name](sources, warehouse)).state for name in names}


MEASURED = ("raw_measurements", "joined_profiles")


def test_steps_second_run_changes_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    write_folder(tmp_path / "P", {"Image": [image_row()], **cells_and_nuclei()})
    sources = one_plate(tmp_path / "P")
    names = (*MEASURED, "image_crops", "source_images", "profile_with_images", "manifest")
    assert run(warehouse, sources, *names) == {
        "raw_measurements": "written",
        "joined_profiles": "written",
        "image_crops": "skipped",
        "source_images": "skipped",
        "profile_with_images": "skipped",
        "manifest": "written",
    }
    snapshots = warehouse.describe()["snapshot_id"].to_pylist()
    assert set(run(warehouse, sources, *names).values()) == {"unchanged", "skipped"}
    assert warehouse.describe()["snapshot_id"].to_pylist() == snapshots


def test_steps_changed_file_is_read_again(warehouse: Warehouse, tmp_path: Path) -> None:
    write_folder(tmp_path / "P", {"Image": [image_row()], **cells_and_nuclei()})
    run(warehouse, one_plate(tmp_path / "P"), *MEASURED)
    more = cells_and_nuclei(1, ((1, 2), (2, 1), (3, 3)))
    write_folder(tmp_path / "P", more)
    states = run(warehouse, one_plate(tmp_path / "P"), *MEASURED)
    assert set(states.values()) == {"written"}
    assert warehouse.read_table("joined_profiles").num_rows == 3


def test_steps_joined_before_raw_is_an_error(warehouse: Warehouse, tmp_path: Path) -> None:
    write_folder(tmp_path / "P", {"Image": [image_row()], **cells_and_nuclei()})
    with pytest.raises(WarehouseError, match=r"raw_measurements has no rows of plate .* first"):
        run(warehouse, one_plate(tmp_path / "P"), "joined_profiles")


def test_steps_unreadable_file_keeps_the_old_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    from cp_assets.errors import MeasurementError

    write_folder(tmp_path / "P", {"Image": [image_row()], **cells_and_nuclei()})
    run(warehouse, one_plate(tmp_path / "P"), *MEASURED)
    (tmp_path / "P" / "Nuclei.csv").write_text("Area\n1\n")
    with pytest.raises(MeasurementError, match=r"Nuclei.csv has no column ImageNumber"):
        run(warehouse, one_plate(tmp_path / "P"), *MEASURED)
    assert warehouse.read_table("joined_profiles").num_rows == 2
    assert warehouse.read_table("raw_measurements").num_rows == 7


def test_steps_same_inputs_elsewhere_give_the_same_rows(
    small_sample: SampleTruth, tmp_path: Path
) -> None:
    tables = []
    for place, workers, backwards in (("one", 1, False), ("two", 2, True)):
        root = shutil.copytree(small_sample.root, tmp_path / place / "prefix")
        dataset = Dataset(dataset_id="s", root=root)
        images = replace(dataset.images, workers=workers)
        plates = list(find_plates(replace(dataset, images=images)).values())
        warehouse = open_warehouse(tmp_path / place / "warehouse", create=True)
        for sources in plates[::-1] if backwards else plates:
            run(warehouse, sources, *MEASURED)
        tables.append([warehouse.read_table(n, plate=plates[0].key.plate_id) for n in MEASURED])
    for first, second in zip(*tables, strict=True):
        names = first.schema.names
        assert set(names) == set(second.schema.names)
        assert first.equals(second.select(names))


def test_manifest_etags_are_those_of_the_bytes(warehouse: Warehouse, tmp_path: Path) -> None:
    import hashlib
    from urllib.parse import unquote, urlparse

    write_folder(tmp_path / "P", {"Image": [image_row()], **cells_and_nuclei()})
    run(warehouse, one_plate(tmp_path / "P"), *MEASURED, "manifest")
    rows = warehouse.read_table("manifest").to_pylist()
    assert [row["table_name"] for row in rows] == [f"profiles.{name}" for name in MEASURED]
    for row in rows:
        files = [Path(unquote(urlparse(file["url"]).path)) for file in row["data_files"]]
        digests = [hashlib.md5(path.read_bytes(), usedforsecurity=False).digest() for path in files]
        assert [file["etag"] for file in row["data_files"]] == [one.hex() for one in digests]
        assert row["bytes"] == sum(path.stat().st_size for path in files)
        assert row["rows"] == warehouse.read_table(row["table_name"]).num_rows
        if len(files) > 1:
            together = hashlib.md5(b"".join(digests), usedforsecurity=False)
            assert row["etag"] == f"{together.hexdigest()}-{len(files)}"
            assert row["profile_url"].endswith("/data/")
        else:
            assert row["etag"] == digests[0].hex()
            assert row["profile_url"] == row["data_files"][0]["url"]
