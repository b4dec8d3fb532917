"""A small table and batches for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from multiprocessing.synchronize import Barrier

import pyarrow as pa

from cp_assets.datasets import PlateKey
from cp_assets.warehouse.spec import KEY_COLUMNS, TableSpec, column
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets.warehouse.writer import PartitionWrite, write_partition

SPEC = TableSpec(
    name="profiles.small",
    doc="a table to try the writer on",
    schema=pa.schema([*KEY_COLUMNS, column("number", pa.int64(), "a number", required=True)]),
    open_columns=True,
)


def scope(plate: str = "P1") -> dict[str, str]:
    return PlateKey("d", "b", plate).columns()


def text(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())


def batch(numbers: Iterable[int], plate: str = "P1", **columns: object) -> pa.RecordBatch:
    numbers = list(numbers)
    keys: Mapping[str, object] = {
        **{name: text([value] * len(numbers)) for name, value in scope(plate).items()},
        "well_id": text([f"A{number % 24 + 1:02d}" for number in numbers]),
        "site_id": text([str(number % 2 + 1) for number in numbers]),
        "image_id": text([f"image-{number}" for number in numbers]),
        "number": pa.array(numbers, pa.int64()),
    }
    return pa.RecordBatch.from_pydict({**keys, **columns})


def write(
    warehouse: Warehouse,
    *batches: pa.RecordBatch,
    plate: str = "P1",
    spec: TableSpec = SPEC,
    fingerprint: str = "f",
) -> PartitionWrite:
    return write_partition(warehouse, spec, scope(plate), iter(batches), fingerprint)


def numbers(warehouse: Warehouse, **selection: object) -> list[int]:
    table = warehouse.read_table("small", columns=["number"], **selection)
    return sorted(table["number"].to_pylist())


def write_plate(path: str, plate: str, ready: Barrier, extra: str | None) -> None:
    """In a process of its own: open the warehouse and write, all at the same moment."""
    ready.wait()
    warehouse = open_warehouse(path, create=True)
    columns = {extra: [1.5, 2.5]} if extra else {}
    write(warehouse, batch([1, 2], plate, **columns), plate=plate)
