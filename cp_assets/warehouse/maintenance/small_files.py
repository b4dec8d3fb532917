"""Rewriting small files: the same rows in the same order, in as few files as the writer makes.

Files of one write share the first part of their names, and rows are read in the order of names. A
write is rewritten as a whole, and its new files begin as the old ones did: so they keep their place
among those of other writes.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitStateUnknownException

from cp_assets.errors import MaintenanceError
from cp_assets.warehouse.commits import replace_files
from cp_assets.warehouse.files import FILE_BYTES, FILE_CHUNKS, PartitionFiles
from cp_assets.warehouse.maintenance.references import file_name
from cp_assets.warehouse.partitions import FINGERPRINT_KEY, REJECTED_KEY
from cp_assets.warehouse.schemas import arrow_schema
from cp_assets.warehouse.writer import write_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from cp_assets.warehouse.partitions import Partitions
    from cp_assets.warehouse.spec import TableSpec
    from cp_assets.warehouse.warehouse import Warehouse

_OURS = re.compile(r"^(?P<write>[0-9a-f]+-[0-9a-f]{32})(\.[0-9a-f]{32})?-\d{5}\.parquet$")

_SMALL = 0.5
"""Share of the writer's bounds; of two smaller ones side by side one file can be made."""

_BATCHES = 8
"""Batches that a row group is read in."""


@dataclass(frozen=True)
class Write:
    """The live files of one write of a table.

    Attributes
    ----------
    name
        First part of the files' names.
    scope
        Partition column -> value: what holds these files and no others.
    files
        In the order of their rows.
    """

    name: str
    scope: Mapping[str, str]
    files: tuple[DataFile, ...]

    @property
    def paths(self) -> frozenset[str]:
        """Of its files."""
        return frozenset(file.file_path for file in self.files)

    @property
    def rows(self) -> int:
        """Of all its files."""
        return sum(file.record_count for file in self.files)


def live_files(partitions: Partitions, table: Table) -> list[DataFile]:
    """All data files of the current snapshot."""
    return [e.data_file for one in partitions.manifests(table, {}) for e in one.inside]


def small_files(files: Iterable[DataFile]) -> list[DataFile]:
    """Files that share a partition with another small one, whatever their columns."""
    beside: dict[tuple[str, ...], list[DataFile]] = defaultdict(list)
    for file in files:
        if file.file_size_in_bytes < _SMALL * FILE_BYTES:
            beside[_partition(file)].append(file)
    return [file for some in beside.values() if len(some) > 1 for file in some]


def rewritable(partitions: Partitions, table: Table) -> list[Write]:
    """Writes of which fewer files can be made; only the footers of `small_files` are read."""
    files = live_files(partitions, table)
    by_name: dict[str, list[DataFile]] = defaultdict(list)
    for file in files:
        by_name[_write_of(file)].append(file)
    suspects = {_write_of(file) for file in small_files(files)} - {""}
    writes = (_whole_write(partitions, table, name, by_name[name]) for name in sorted(suspects))
    return [one for one in writes if one is not None and _is_worth_it(partitions, table, one)]


def rewrite(warehouse: Warehouse, table: Table, spec: TableSpec, write: Write) -> int:
    """Write a write's rows anew, and swap the files in one snapshot.

    Returns
    -------
    How many files there are now.

    Raises
    ------
    PartitionChangedError
        If the partition has been written meanwhile; it is as that left it.
    WarehouseWriteError
        If files or commit cannot be written; the table is as before.
    """
    return swap_rows(warehouse, table, spec, write, _rows(warehouse.partitions, table, spec, write))


def swap_rows(
    warehouse: Warehouse,
    table: Table,
    spec: TableSpec,
    write: Write,
    rows: Iterable[pa.RecordBatch],
) -> int:
    """Put other files in a write's place, with its fingerprint and its books' count; see `rewrite`.

    Parameters
    ----------
    rows
        As many as the write has, in the table's types; partition columns are constant in a batch.
    """
    partitions = warehouse.partitions
    notes = partitions.footer(table, write.files[-1]).metadata or {}
    books = notes.get(REJECTED_KEY)
    name = f"{write.name}.{uuid.uuid4().hex}"
    fingerprint = notes[FINGERPRINT_KEY].decode()
    count = None if books is None else lambda: int(books)
    files = PartitionFiles(
        table, _stored_alike(partitions, table, spec, write), fingerprint, count, name
    )
    try:
        with write_errors(spec, write.scope):
            for batch in rows:
                files.add(batch, batch.nbytes)
            new = files.finish()
            _check_rows(spec, write, new)
            replace_files(
                partitions,
                table,
                write.scope,
                new,
                {"cp_assets.maintenance": "rewrite"},
                rewritten=write.paths,
            )
    except CommitStateUnknownException:
        raise
    except BaseException:
        files.discard()
        raise
    return len(new)


def write_of_partition(
    partitions: Partitions, table: Table, scope: Mapping[str, str]
) -> Write | None:
    """The one write that a partition's files are of; None where there are several, or others'."""
    files = partitions.files(table, scope)
    names = {_write_of(file) for file in files}
    if len(names) != 1 or "" in names:
        return None
    return _whole_write(partitions, table, names.pop(), list(files))


def _whole_write(
    partitions: Partitions, table: Table, name: str, files: list[DataFile]
) -> Write | None:
    """The write, unless its partition holds other files too, or files of another shape."""
    if {file.spec_id for file in files} != {table.spec().spec_id}:
        return None
    columns = [field.name for field in table.spec().fields]
    values = list(zip(*map(_partition, files), strict=True))
    scope = {c: v[0] for c, v in zip(columns, values, strict=True) if len(set(v)) == 1}
    write = Write(name, scope, _in_order(files))
    there = {file.file_path for file in partitions.files(table, scope)}
    known = set(table.schema().column_names)
    alike = there == write.paths and all(
        FINGERPRINT_KEY in (partitions.footer(table, one).metadata or {})
        and known.issuperset(partitions.schema(table, one).names)
        for one in write.files
    )
    return write if alike else None


def _in_order(files: list[DataFile]) -> tuple[DataFile, ...]:
    """By name within a partition, and partitions as they first appear: rows keep their order."""
    named = sorted(files, key=lambda file: file.file_path)
    first = {key: at for at, key in reversed(list(enumerate(map(_partition, named))))}
    return tuple(sorted(named, key=lambda file: first[_partition(file)]))


def _is_worth_it(partitions: Partitions, table: Table, write: Write) -> bool:
    """Whether two small files of a partition with the same columns lie side by side."""
    return any(
        _partition(a) == _partition(b)
        and partitions.schema(table, a).equals(partitions.schema(table, b))
        and _is_small(partitions, table, a)
        and _is_small(partitions, table, b)
        for a, b in pairwise(write.files)
    )


def _is_small(partitions: Partitions, table: Table, file: DataFile) -> bool:
    footer = partitions.footer(table, file)
    chunks = footer.num_row_groups * footer.num_columns
    return file.file_size_in_bytes < _SMALL * FILE_BYTES and chunks < _SMALL * FILE_CHUNKS


def _rows(
    partitions: Partitions, table: Table, spec: TableSpec, write: Write
) -> Iterator[pa.RecordBatch]:
    whole = arrow_schema(table.schema())
    for file in write.files:
        footer = partitions.footer(table, file)
        names = partitions.schema(table, file).names
        schema = pa.schema([whole.field(name) for name in names])
        with table.io.new_input(file.file_path).open() as stream:
            parquet = pq.ParquetFile(stream, metadata=footer)
            for batch in parquet.iter_batches(batch_size=_rows_at_once(footer, spec)):
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _rows_at_once(footer: pq.FileMetaData, spec: TableSpec) -> int:
    """So many that a row group is made of several batches, however large a row is."""
    groups = [footer.row_group(at) for at in range(footer.num_row_groups)]
    row_bytes = sum(one.total_byte_size for one in groups) / max(1, footer.num_rows)
    return max(1, int(spec.row_group_bytes / _BATCHES / max(1.0, row_bytes)))


def _stored_alike(partitions: Partitions, table: Table, spec: TableSpec, write: Write) -> TableSpec:
    """The spec with the compression that the files have: a dataset may have chosen its own."""
    footer = partitions.footer(table, write.files[0])
    codecs: dict[str, Any] = {"ZSTD": "zstd", "SNAPPY": "snappy", "UNCOMPRESSED": "none"}
    found = footer.row_group(0).column(0).compression if footer.num_row_groups else ""
    return replace(spec, codec=codecs.get(found, spec.codec))


def _check_rows(spec: TableSpec, write: Write, new: list[DataFile]) -> None:
    rows = sum(file.record_count for file in new)
    if rows != write.rows:
        msg = f"{spec.name} {'/'.join(write.scope.values())}: {write.rows} rows would become {rows}"
        raise MaintenanceError(msg)


def _write_of(file: DataFile) -> str:
    """First part of the name of a file that the partition writer made; else nothing."""
    found = _OURS.match(file_name(file.file_path))
    return found["write"] if found else ""


def _partition(file: DataFile) -> tuple[str, ...]:
    return tuple(str(file.partition[at]) for at in range(len(file.partition)))
