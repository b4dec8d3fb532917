"""The one partition writer: a stream of record batches becomes a plate's partition, in one commit.

Files are written beside the table; one Iceberg snapshot then takes the plate's old files out and
the new ones in. Readers see the old plate or the new one, never a part. A crash leaves only files
that no snapshot names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cp_assets.errors import (
    WarehouseCommitUnknownError,
    WarehouseWriteError,
)
from cp_assets.stages import stage
from cp_assets.warehouse.commits import replace_files
from cp_assets.warehouse.conforming import BatchForm
from cp_assets.warehouse.files import PartitionFiles
from cp_assets.warehouse.foreign_errors import catalog_errors
from cp_assets.warehouse.spec import PLATE_COLUMNS
from cp_assets.warehouse.tables import add_columns, find_table, open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from cp_assets.warehouse.spec import TableSpec
    from cp_assets.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class PartitionWrite:
    """What a write of a partition did.

    Attributes
    ----------
    snapshot_id
        Iceberg snapshot that holds the partition, or None if there was nothing to commit.
    seconds
        Wall time from the first batch to the commit, in seconds.
    columns
        Columns of the written files and their Arrow types.
    """

    table: str
    rows: int
    bytes: int
    files: int
    snapshot_id: int | None
    seconds: float
    columns: Mapping[str, str]


def write_partition(  # noqa: PLR0913 - one writer for all tables, every option by name
    warehouse: Warehouse,
    spec: TableSpec,
    scope: Mapping[str, str],
    batches: Iterable[pa.RecordBatch],
    fingerprint: str,
    *,
    columns_to_come: pa.Schema | None = None,
    table: Table | None = None,
    rejected: Callable[[], int] | None = None,
) -> PartitionWrite:
    """Replace a partition by the rows of a stream, in one commit.

    Parameters
    ----------
    scope
        Partition column -> value of the rows to replace: the plate's columns, and no others unless
        the spec has further partition columns. Columns of the scope that are not in a batch are
        added to it.
    batches
        Rows with the spec's columns; where ``spec.open_columns``, with others too. Partition
        columns are constant within a batch. Read once; never held beyond a row group.
    fingerprint
        Of the inputs; stored in every file, see `cp_assets.warehouse.partitions`.
    columns_to_come
        Columns that the stream is likely to bring, added to the table at once: each change of a
        wide schema costs seconds. The stream may bring others, or fewer.
    table
        The table, if it has been loaded already: loading a wide table costs as much as its write.
    rejected
        How many entries the books of these rows have so far; noted in the files.

    Raises
    ------
    SchemaConflictError
        If a column has another type than the table's.
    WarehouseWriteError
        If the files or the commit cannot be written; the table is as before.
    WarehouseUnavailableError, WarehouseConflictError
        The same, where running it again may help: catalog or storage did not answer, or others
        wrote the same partition.
    WarehouseCommitUnknownError
        If the catalog did not say whether it took the commit.
    """
    start = time.perf_counter()
    staged = _StagedPartition(warehouse, spec, scope, fingerprint, table, rejected)
    try:
        for batch in batches:
            with write_errors(spec, scope), stage("writing"):
                staged.add(batch, columns_to_come)
        with write_errors(spec, scope):
            with stage("writing"):
                new = staged.finish()
            size = sum(file.file_size_in_bytes for file in new)
            with stage("committing", size):
                snapshot_id = staged.commit(new)
    except WarehouseCommitUnknownError:
        # The catalog may have taken the commit: the files must stay.
        raise
    except Exception:
        staged.discard()
        raise
    except BaseException:
        # An interrupt; in the middle of a commit the same holds.
        if not staged.is_committing:
            staged.discard()
        raise
    return PartitionWrite(
        table=spec.name,
        rows=sum(file.record_count for file in new),
        bytes=size,
        files=len(new),
        snapshot_id=snapshot_id,
        seconds=time.perf_counter() - start,
        columns=staged.columns,
    )


@dataclass
class _StagedPartition:
    """Rows on their way into files that no snapshot names yet."""

    warehouse: Warehouse
    spec: TableSpec
    scope: Mapping[str, str]
    fingerprint: str
    table: Table | None
    rejected: Callable[[], int] | None
    columns: dict[str, str] = field(default_factory=dict)
    is_committing: bool = False
    _files: PartitionFiles | None = None
    _form: BatchForm | None = None

    def add(self, batch: pa.RecordBatch, columns_to_come: pa.Schema | None) -> None:
        if self._files is None:
            self.table = self.table or open_table(self.warehouse, self.spec)
            add_columns(self.table, self.spec, columns_to_come or batch.schema)
            self._files = PartitionFiles(self.table, self.spec, self.fingerprint, self.rejected)
        if self._form is None or not self._form.incoming.equals(batch.schema):
            table = self._files.table
            add_columns(table, self.spec, batch.schema)
            holder = partial(self.warehouse.partitions.holder, table, other_than=self._plate)
            self._form = BatchForm.of(batch.schema, table.schema(), self.spec, self.scope, holder)
            self.columns.update((f.name, str(f.type)) for f in self._form.schema)
        rows = self._form.apply(batch)
        self._files.add(rows, self._form.bytes_of(rows))

    @property
    def _plate(self) -> str:
        return "/".join(self.scope[name] for name in PLATE_COLUMNS)

    def finish(self) -> list[DataFile]:
        return self._files.finish() if self._files else []

    def commit(self, new: list[DataFile]) -> int | None:
        """Swap the partition's files in one snapshot; None if there were none and are none."""
        table = self.table or find_table(self.warehouse, self.spec.name)
        if table is None:
            return None
        properties = {
            "cp_assets.partition": _describe(self.scope),
            "cp_assets.fingerprint": self.fingerprint,
            "cp_assets.code-version": self.spec.code_version,
        }
        self.is_committing = True
        return replace_files(self.warehouse.partitions, table, self.scope, new, properties)

    def discard(self) -> None:
        if self._files is not None:
            self._files.discard()


def write_errors(spec: TableSpec, scope: Mapping[str, str]) -> AbstractContextManager[None]:
    """Name table and partition in what storage and catalog raise."""
    unchanged = "the table still holds what it held before."
    return catalog_errors(
        f"{spec.name} {_describe(scope)}: the partition could not be written",
        WarehouseWriteError,
        passing=f"{unchanged} Catalog or storage did not answer: run it again",
        mend=f"{unchanged} Free space or mend the path, then run it again",
    )


def _describe(scope: Mapping[str, str]) -> str:
    return "/".join(scope.values())
