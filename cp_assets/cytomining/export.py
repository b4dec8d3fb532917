"""A Cytomining warehouse root from our Iceberg warehouse, plate by plate, as streams."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from cp_assets.building.tables import TABLES
from cp_assets.cytomining.merging import Mode, Rows
from cp_assets.cytomining.names import TableName
from cp_assets.cytomining.parts import parquet_batches
from cp_assets.cytomining.roles import (
    DERIVED,
    KNOWN,
    Declaration,
    of_compartment,
    of_quality_control,
)
from cp_assets.cytomining.root import Exported, writing
from cp_assets.errors import PlateNotFoundError, WarehouseRootError
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.warehouse.schemas import arrow_schema
from cp_assets.warehouse.spec import TableSpec
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyiceberg.manifest import DataFile

    from cp_assets.datasets.identity import PlateKey

_QUALITY_CONTROL = "quality_control"
_COMPARTMENT = "compartment"


@dataclass(frozen=True, kw_only=True)
class Plates:
    """Which plates to export; None for all."""

    dataset: str | None = None
    batch: str | None = None
    plate: str | None = None

    def of(self, keys: Sequence[PlateKey]) -> list[PlateKey]:
        """Those of the plates that are meant."""
        wanted = {"dataset_id": self.dataset, "batch_id": self.batch, "plate_id": self.plate}
        return [
            key
            for key in keys
            if all(value in (None, getattr(key, name)) for name, value in wanted.items())
        ]

    def __str__(self) -> str:
        given = {"dataset": self.dataset, "batch": self.batch, "plate": self.plate}
        said = (f"{name} {value}" for name, value in given.items() if value is not None)
        return ", ".join(said) or "any plate"


def export(
    warehouse: Warehouse | str | Path | None,
    root: str | Path,
    *,
    tables: Sequence[str] = (),
    plates: Plates | None = None,
    mode: Mode = "append",
    migration: str | None = None,
) -> Exported:
    """Write tables of an Iceberg warehouse into a Cytomining warehouse root, all or nothing.

    Rows are streamed: memory is that of some row groups, whatever the plates' size.
    ``profiles.raw_measurements`` becomes a table for each compartment, such as
    ``profiles.nuclei_measurements``, since a profile table of a root has rows of one kind of
    object.

    Parameters
    ----------
    warehouse
        As `open_warehouse` takes it, or one that is open.
    root
        Folder; is made if there is none.
    tables
        Names, ``namespace.table`` or the table alone; none for all.
    plates
        Which; all by default.
    mode
        ``append``: a plate that the root has already is replaced, other plates stay. ``replace``: a
        table that is exported has these plates and no others afterwards. Other tables stay.
    migration
        Why a replaced table may come to mean something else than the root's.

    Raises
    ------
    NoSuchTableError, PlateNotFoundError
        If the warehouse has no such table, or none of such plates.
    WarehouseRootError
        If root or manifest cannot be written into, or a table means something else there.
    """
    source = warehouse if isinstance(warehouse, Warehouse) else open_warehouse(warehouse)
    chosen, left_out = _chosen(source, tables)
    wanted = plates or Plates()
    keys = sorted({key for name in chosen for key in wanted.of(source.plates(name))})
    if not keys:
        msg = f"{source.name}: {', '.join(chosen) or 'it'} has no rows of {wanted}"
        raise PlateNotFoundError(msg)
    with writing(Path(root), mode, migration) as write:
        for name in chosen:
            for rows in _ExportedTable(source, name, keys).rows():
                write.add(rows)
        return write.commit(left_out)


def _chosen(warehouse: Warehouse, tables: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tables to export, and those of the warehouse that are left out though all were asked for.

    Raises
    ------
    NoSuchTableError
        If one does not exist.
    WarehouseRootError
        If nobody said what one is for.
    """
    if not tables:
        there = warehouse.list_tables()
        known = [one for one in there if _is_known(one)]
        return known, [one for one in there if one not in known]
    names = list(dict.fromkeys(warehouse.qualify(name) for name in tables))
    for name in names:
        warehouse.table(name)
        if not _is_known(name):
            msg = (
                f"{name}: is no table of cp_assets, so what it is for is not known; write it to a "
                "Parquet file and export that with its role: cp-assets export profiles FILE"
            )
            raise WarehouseRootError(msg)
    return names, []


def _is_known(name: str) -> bool:
    return name in KNOWN or name == RAW_MEASUREMENTS.name or name.startswith(f"{_QUALITY_CONTROL}.")


class _ExportedTable:
    """A table of the warehouse at one snapshot, as rows of tables of a root."""

    def __init__(self, warehouse: Warehouse, name: str, keys: Sequence[PlateKey]) -> None:
        self._warehouse = warehouse
        self._name = name
        self._table = warehouse.table(name)
        self._schema = arrow_schema(self._table.schema())
        self._files = {key: warehouse.partitions.files(self._table, key.columns()) for key in keys}
        self._spec = TABLES.get(name, TableSpec(name, "", self._schema))

    def rows(self) -> Iterator[Rows]:
        """The rows of each plate, and of each compartment where the table has several."""
        if self._name != RAW_MEASUREMENTS.name:
            one = KNOWN.get(self._name) or of_quality_control(
                TableName.parse(self._name), self._schema.names
            )
            for key, found in self._files.items():
                yield self._of(one, self._schema, key, found)
            return
        for compartment, declaration in self._compartments().items():
            files = {key: self._of_compartment(key, compartment) for key in self._files}
            schema = self._columns_of([file for some in files.values() for file in some])
            for key, own in files.items():
                yield self._of(declaration, schema, key, own)

    def _of(
        self, declaration: Declaration, schema: pa.Schema, key: PlateKey, files: Sequence[DataFile]
    ) -> Rows:
        added, derive = DERIVED.get(self._name, (None, None))
        batches = self._batches(files)
        snapshot = self._table.current_snapshot()
        return Rows(
            declaration,
            schema if added is None else schema.append(added),
            scope=str(key),
            batches=batches if derive is None else map(derive, batches),
            spec=self._spec,
            source_type="catalog",
            source_ref=(
                f"{self._warehouse.name}:{self._name}@{snapshot.snapshot_id if snapshot else 0}"
            ),
        )

    def _batches(self, files: Sequence[DataFile]) -> Iterator[pa.RecordBatch]:
        for file in files:
            footer = self._warehouse.partitions.footer(self._table, file)
            with self._table.io.new_input(file.file_path).open() as stream:
                yield from parquet_batches(pq.ParquetFile(stream, metadata=footer))

    def _compartments(self) -> dict[str, Declaration]:
        """Compartment -> its table in a root.

        Raises
        ------
        WarehouseRootError
            If two compartments would have one table.
        """
        values = {self._compartment(file) for files in self._files.values() for file in files}
        found = {value: of_compartment(value) for value in sorted(values)}
        names: dict[TableName, str] = {}
        for value, declaration in found.items():
            other = names.setdefault(declaration.name, value)
            if other != value:
                msg = (
                    f"{self._name}: compartments {other} and {value} would both be "
                    f"{declaration.name}; rename one"
                )
                raise WarehouseRootError(msg)
        return found

    def _of_compartment(self, key: PlateKey, compartment: str) -> list[DataFile]:
        return [file for file in self._files[key] if self._compartment(file) == compartment]

    def _compartment(self, file: DataFile) -> str:
        position = [one.name for one in self._table.spec().fields].index(_COMPARTMENT)
        return str(file.partition[position])

    def _columns_of(self, files: Sequence[DataFile]) -> pa.Schema:
        """Columns that any of the files has, in the table's order."""
        schemas = (self._warehouse.partitions.schema(self._table, file) for file in files)
        there = {name for schema in schemas for name in schema.names}
        return pa.schema([one for one in self._schema if one.name in there])
