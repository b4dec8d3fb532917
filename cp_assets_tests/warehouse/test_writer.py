from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.conversions import from_bytes
from pyiceberg.types import StringType

from cp_assets.errors import ImageReadError, SchemaConflictError
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.spec import column
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers, scope, write, write_plate


def parquet_files(warehouse: Warehouse) -> set[str]:
    return {path.name for path in Path(warehouse.name).rglob("*.parquet")}


def named_files(warehouse: Warehouse, table: str = "small") -> set[str]:
    tasks = warehouse.table(table).scan().plan_files()
    return {Path(task.file.file_path).name for task in tasks}


def test_write_partition_says_what_it_did(warehouse: Warehouse) -> None:
    done = write(warehouse, batch(range(5)), batch(range(5, 8)))
    assert (done.table, done.rows, done.files) == ("profiles.small", 8, 1)
    assert done.snapshot_id == warehouse.table("small").current_snapshot().snapshot_id
    (path,) = Path(warehouse.name).rglob("*.parquet")
    assert done.bytes == path.stat().st_size
    assert done.columns["number"] == "int64"
    assert done.columns["plate_id"] == "string"
    assert numbers(warehouse) == list(range(8))


def test_write_partition_replaces_in_one_snapshot(warehouse: Warehouse) -> None:
    write(warehouse, batch([1, 2]))
    write(warehouse, batch([9], "P2"), plate="P2")
    before = len(warehouse.table("small").snapshots())
    write(warehouse, batch([3, 4, 5]))
    table = warehouse.table("small")
    assert len(table.snapshots()) == before + 1
    assert numbers(warehouse, plate="P1") == [3, 4, 5]
    assert numbers(warehouse, plate="P2") == [9]
    summary = table.current_snapshot().summary
    assert summary["cp_assets.partition"] == "d/b/P1"
    assert summary["total-records"] == "4"


def test_write_partition_without_rows_empties_it(warehouse: Warehouse) -> None:
    assert write(warehouse).snapshot_id is None
    write(warehouse, batch([1]))
    write(warehouse, batch([2], "P2"), plate="P2")
    assert write(warehouse, batch([])).rows == 0
    assert numbers(warehouse) == [2]
    assert write(warehouse).snapshot_id is None


def test_write_partition_fingerprint_is_kept(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]), fingerprint="abc")
    state = warehouse.partitions.state(warehouse.table("small"), scope())
    assert (state.fingerprint, state.rows) == ("abc", 1)
    assert warehouse.partitions.state(warehouse.table("small"), scope("P2")).fingerprint is None


def test_write_partition_columns_are_joined_by_name(warehouse: Warehouse) -> None:
    write(warehouse, batch([1], x=[1.5], y=["a"]))
    write(warehouse, batch([2], "P2", z=[7], x=[2.5]), plate="P2")
    reordered = batch([3], "P3", x=[3.5]).select(["x", "number", "image_id"])
    write_partition(warehouse, SPEC, scope("P3"), [reordered], "f")
    rows = warehouse.read_table("small", columns=["number", "x", "y", "z", "well_id"])
    assert sorted(rows.to_pylist(), key=lambda row: row["number"]) == [
        {"number": 1, "x": 1.5, "y": "a", "z": None, "well_id": "A02"},
        {"number": 2, "x": 2.5, "y": None, "z": 7, "well_id": "A03"},
        {"number": 3, "x": 3.5, "y": None, "z": None, "well_id": None},
    ]


def test_write_partition_columns_that_come_later_in_the_stream(warehouse: Warehouse) -> None:
    done = write(warehouse, batch([1], x=[1.0]), batch([2], y=[2.0]), batch([3], x=[3.0]))
    assert (done.rows, done.files) == (3, 3)
    rows = warehouse.read_table("small", columns=["number", "x", "y"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(1, 1.0, None), (2, None, 2.0), (3, 3.0, None)]


def test_write_partition_type_conflict_names_column_and_types(warehouse: Warehouse) -> None:
    write(warehouse, batch([1], dose=[1.5]))
    told = (
        r"d/b/P2: column dose is string in this plate and double in the table, as d/b/P1 wrote it; "
        r".*column_types: \{dose: float\}.*cp_assets\.yaml"
    )
    with pytest.raises(SchemaConflictError, match=told):
        write(warehouse, batch([2], "P2", dose=["high"]), plate="P2")
    assert numbers(warehouse) == [1]
    assert parquet_files(warehouse) == named_files(warehouse)


def test_write_partition_type_conflict_names_the_plate_that_has_the_column(
    warehouse: Warehouse,
) -> None:
    write(warehouse, batch([1], "P0"), plate="P0")
    write(warehouse, batch([1], dose=[1.5]))
    with pytest.raises(SchemaConflictError, match="double in the table, as d/b/P1 wrote it"):
        write(warehouse, batch([2], dose=["high"]))
    write(warehouse, batch([2], "P3", dose=[2.5]), plate="P3")
    with pytest.raises(SchemaConflictError, match="double in the table, as d/b/P3 wrote it"):
        write(warehouse, batch([2], dose=["high"]))


def test_write_partition_type_conflict_within_the_plate(warehouse: Warehouse) -> None:
    told = "x is string in this plate and double in the table, as other rows of this plate have it"
    with pytest.raises(SchemaConflictError, match=told):
        write(warehouse, batch([1], x=[1.0]), batch([2], x=["one"]))


def test_write_partition_required_column_missing(warehouse: Warehouse) -> None:
    rows = batch([1]).drop_columns(["number"])
    with pytest.raises(SchemaConflictError, match="required column number is missing"):
        write(warehouse, rows)


def test_write_partition_required_column_null(warehouse: Warehouse) -> None:
    with pytest.raises(SchemaConflictError, match="required column number is null in 1 of 2 rows"):
        write(warehouse, batch([1, 2], number=pa.array([1, None], pa.int64())))
    assert parquet_files(warehouse) == set()


def test_write_partition_closed_table_takes_no_column(warehouse: Warehouse) -> None:
    with pytest.raises(SchemaConflictError, match="has no column extra: this table takes no"):
        write(warehouse, batch([1], extra=[1]), spec=replace(SPEC, open_columns=False))


def test_write_partition_smaller_types_become_icebergs(warehouse: Warehouse) -> None:
    spec = replace(
        SPEC,
        schema=pa.schema(
            [
                *SPEC.schema,
                column("small", pa.int32(), "16 bits where it comes from"),
                column("pixels", pa.struct([("x", pa.int32()), ("data", pa.binary())]), "nested"),
                column("many", pa.list_(pa.field("element", pa.float32())), "list"),
            ]
        ),
    )
    pixels = pa.array(
        [{"x": 3, "data": b"ab"}], pa.struct([("x", pa.uint16()), ("data", pa.binary())])
    )
    many = pa.array([[0.5]], pa.large_list(pa.float32()))
    write(
        warehouse, batch([1], small=pa.array([7], pa.uint16()), pixels=pixels, many=many), spec=spec
    )
    (row,) = warehouse.read_table("small", columns=["small", "pixels", "many"]).to_pylist()
    assert row == {"small": 7, "pixels": {"x": 3, "data": b"ab"}, "many": [0.5]}


def test_write_partition_files_have_field_ids_and_native_types(warehouse: Warehouse) -> None:
    write(warehouse, batch([1], x=[1.5]))
    (path,) = Path(warehouse.name).rglob("*.parquet")
    schema = warehouse.table("small").schema()
    found = pq.read_schema(path)
    for field in found:
        field_id = int(field.metadata[b"PARQUET:field_id"])
        assert schema.find_field(field_id).name == field.name
        assert field.nullable is not schema.find_field(field_id).required
    types = {column.name: column.physical_type for column in pq.ParquetFile(path).schema}
    assert (types["number"], types["x"], types["plate_id"]) == ("INT64", "DOUBLE", "BYTE_ARRAY")
    order = [field.name for field in schema.fields]
    assert found.names == [name for name in order if name in found.names]


def test_write_partition_file_names_are_opaque(warehouse: Warehouse) -> None:
    odd = "P 1/ü%'\"#"
    done = write(warehouse, batch([1], odd), plate=odd)
    assert done.rows == 1
    (name,) = parquet_files(warehouse)
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]{32}-\d{5}\.parquet", name)
    assert numbers(warehouse, plate=odd) == [1]


def test_write_partition_metrics_bound_the_partition_columns_only(warehouse: Warehouse) -> None:
    long = "P" * 40
    write(warehouse, batch([1, 2], long), plate=long)
    table = warehouse.table("small")
    (file,) = warehouse.partitions.files(table, scope(long))
    ids = {table.schema().find_field(name).field_id: value for name, value in scope(long).items()}
    for bounds in (file.lower_bounds, file.upper_bounds):
        assert {key: from_bytes(StringType(), value) for key, value in bounds.items()} == ids
    assert file.record_count == 2
    assert tuple(file.partition) == ("d", "b", long)


def test_write_partition_spec_is_identity_of_the_plate(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    spec = warehouse.table("small").spec()
    names = [(field.name, str(field.transform)) for field in spec.fields]
    assert names == [(name, "identity") for name in ("dataset_id", "batch_id", "plate_id")]


@pytest.mark.parametrize("row_group_bytes", [1, 10**6], ids=["every batch flushed", "gathered"])
def test_write_partition_further_partition_column(
    warehouse: Warehouse, row_group_bytes: int
) -> None:
    spec = replace(
        SPEC,
        schema=pa.schema([*SPEC.schema, column("kind", pa.string(), "kind", required=True)]),
        partition_by=("kind",),
        row_group_bytes=row_group_bytes,
    )
    parts = [batch([n], kind=[kind]) for n, kind in ((1, "a"), (2, "a"), (3, "b"), (4, "c"))]
    assert write(warehouse, *parts, spec=spec).files == 3
    rows = PartitionRows(warehouse, "profiles.small", scope())
    assert rows.values("kind") == ["a", "b", "c"]
    for kind, expected in (("a", [1, 2]), ("b", [3]), ("c", [4])):
        found = rows.batches(["number"], {"kind": kind})
        assert [n for part in found for n in part["number"].to_pylist()] == expected


def test_write_partition_flushed_file_does_not_take_other_columns(warehouse: Warehouse) -> None:
    spec = replace(SPEC, row_group_bytes=1)
    write(warehouse, batch([1], x=[1.0]), batch([2], y=[2.0]), spec=spec)
    rows = PartitionRows(warehouse, "profiles.small", scope())
    names = [set(part.schema.names) & {"x", "y"} for part in rows.batches()]
    assert names == [{"x"}, {"y"}]
    assert [name for name in rows.columns() if name in "xy"] == ["x", "y"]


def test_write_partition_gathers_whole_batches_into_row_groups(warehouse: Warehouse) -> None:
    parts = [batch(range(10 * n, 10 * n + 10)) for n in range(5)]
    spec = replace(SPEC, row_group_bytes=int(2.5 * parts[0].nbytes), codec="none")
    write(warehouse, *parts, batch(range(50, 90)), batch([90]), spec=spec)
    (path,) = Path(warehouse.name).rglob("*.parquet")
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [20, 20, 10, 40, 1]
    assert groups[0].column(0).compression == "UNCOMPRESSED"
    assert numbers(warehouse) == list(range(91))


def test_write_partition_few_rows_join_the_next_batch(warehouse: Warehouse) -> None:
    parts = [batch(range(n, n + rows)) for n, rows in ((0, 40), (40, 2), (42, 40), (82, 2))]
    write(warehouse, *parts, spec=replace(SPEC, row_group_bytes=parts[0].nbytes))
    (path,) = Path(warehouse.name).rglob("*.parquet")
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(n).num_rows for n in range(3)] == [40, 42, 2]
    assert numbers(warehouse) == list(range(84))


def test_write_partition_gives_memory_back_after_each_row_group(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pa.default_memory_pool()
    released: list[int] = []

    class Watched:
        def release_unused(self) -> None:
            released.append(pool.bytes_allocated())
            pool.release_unused()

    monkeypatch.setattr(pa, "default_memory_pool", Watched)
    write(warehouse, *[batch([n]) for n in range(7)], spec=replace(SPEC, row_group_bytes=1))
    assert len(released) == 7


def test_write_partition_large_partition_is_several_files(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cp_assets.warehouse import files

    monkeypatch.setattr(files, "FILE_BYTES", 1)
    spec = replace(SPEC, row_group_bytes=1)
    done = write(warehouse, *[batch([n]) for n in range(4)], spec=spec)
    assert done.files == 4
    rows = PartitionRows(warehouse, "profiles.small", scope()).batches(["number"])
    assert [n for part in rows for n in part["number"].to_pylist()] == [0, 1, 2, 3]


def test_write_partition_file_of_many_row_groups_is_large_too(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cp_assets.warehouse import files

    spec = replace(SPEC, row_group_bytes=1)
    monkeypatch.setattr(files, "FILE_CHUNKS", 2 * len(SPEC.schema))
    assert write(warehouse, *[batch([n]) for n in range(9)], spec=spec).files == 3
    assert numbers(warehouse) == list(range(9))


def test_write_partition_readers_keep_their_snapshot(warehouse: Warehouse) -> None:
    write(warehouse, batch(range(5000)))
    reader = warehouse.scan("small", columns=["number"])
    seen: list[int] = []

    def stream() -> Iterator[pa.RecordBatch]:
        yield batch([-1])
        seen.extend(numbers(warehouse))

    write_partition(warehouse, SPEC, scope(), stream(), "f")
    assert seen == list(range(5000))
    assert sorted(reader.read_all()["number"].to_pylist()) == list(range(5000))
    assert numbers(warehouse) == [-1]


@pytest.mark.parametrize(
    "error",
    [ValueError("broken"), ImageReadError("image is cut short"), KeyboardInterrupt("stopped")],
)
def test_write_partition_stream_that_raises_changes_nothing(
    warehouse: Warehouse, error: BaseException
) -> None:
    write(warehouse, batch([1, 2]))
    before = parquet_files(warehouse)

    def stream() -> Iterator[pa.RecordBatch]:
        yield batch([3], x=[1.0])
        yield batch([4])
        raise error

    with pytest.raises(type(error), match=str(error)):
        write_partition(warehouse, SPEC, scope(), stream(), "f")
    assert numbers(warehouse) == [1, 2]
    assert parquet_files(warehouse) == before


FULL_DISK = """
import resource, sys
import pyarrow as pa, numpy as np
from cp_assets.errors import WarehouseWriteError
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.warehouse.plates import SPEC, batch, write

warehouse = open_warehouse(sys.argv[1])
values = np.random.default_rng(0).random(200_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    write(warehouse, batch(range(len(values)), x=values))
except WarehouseWriteError as error:
    print(type(error).__name__, str(error).count(chr(10)), error)
"""


def test_write_partition_disk_full_keeps_the_old_rows(warehouse: Warehouse) -> None:
    write(warehouse, batch([1, 2], x=[0.5, 0.5]))
    before = parquet_files(warehouse)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, warehouse.name],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith(
        "WarehouseWriteError 0 profiles.small d/b/P1: the partition could"
    )
    assert "still holds what it held before. Free space" in done.stdout
    assert numbers(warehouse) == [1, 2]
    assert parquet_files(warehouse) == before
    write(warehouse, batch([3]))
    assert numbers(warehouse) == [3]


@pytest.mark.parametrize("extra", [False, True], ids=["same columns", "different new columns"])
def test_write_partition_processes_at_once_lose_nothing(tmp_path: Path, extra: bool) -> None:
    context = multiprocessing.get_context("spawn")
    plates = ["P1", "P2", "P3"]
    ready = context.Barrier(len(plates))
    writers = [
        context.Process(
            target=write_plate,
            args=(str(tmp_path / "new"), plate, ready, f"x_{plate}" if extra else None),
        )
        for plate in plates
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    warehouse = open_warehouse(tmp_path / "new")
    for plate in plates:
        assert numbers(warehouse, plate=plate) == [1, 2]
        if extra:
            found = warehouse.read_table("small", plate=plate, columns=[f"x_{plate}"])
            assert sorted(found[0].to_pylist()) == [1.5, 2.5]
    assert warehouse.table("small").current_snapshot().summary["total-records"] == "6"
