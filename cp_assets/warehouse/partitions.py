"""What a table holds of a partition: its data files, and the fingerprint of their inputs.

The fingerprint lies in the key-value metadata of each Parquet file. So it lives and dies with the
rows, needs no second table, and survives the expiry of snapshots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from pyiceberg.expressions import And, BooleanExpression, EqualTo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

FINGERPRINT_KEY = b"cp_assets.fingerprint"


@dataclass(frozen=True)
class PartitionState:
    """A partition as the table's current snapshot has it.

    Attributes
    ----------
    files
        Data files in the order of their rows.
    fingerprint
        Of the inputs, or None if there are no rows or others wrote them.
    """

    files: tuple[DataFile, ...]
    fingerprint: str | None
    snapshot_id: int | None

    @property
    def rows(self) -> int:
        """Rows of the partition."""
        return sum(file.record_count for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of the partition's data files."""
        return sum(file.file_size_in_bytes for file in self.files)


def scope_filter(scope: Mapping[str, str]) -> BooleanExpression:
    """The Iceberg predicate column = value for each entry."""
    terms = [EqualTo(term=name, value=value) for name, value in scope.items()]
    return terms[0] if len(terms) == 1 else And(*terms)


def data_files(table: Table, scope: Mapping[str, str]) -> tuple[DataFile, ...]:
    """The current data files of a partition, in the order in which they were written."""
    if table.current_snapshot() is None:
        return ()
    some_column = next(iter(scope))
    scan = table.scan(row_filter=scope_filter(scope), selected_fields=(some_column,))
    return tuple(sorted((task.file for task in scan.plan_files()), key=lambda file: file.file_path))


def partition_state(table: Table, scope: Mapping[str, str]) -> PartitionState:
    """What the table holds of a partition now."""
    files = data_files(table, scope)
    snapshot = table.current_snapshot()
    return PartitionState(
        files=files,
        fingerprint=_fingerprint(table.io, files[0].file_path) if files else None,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
    )


def _fingerprint(io: FileIO, path: str) -> str | None:
    with io.new_input(path).open() as stream:
        found = (pq.read_metadata(stream).metadata or {}).get(FINGERPRINT_KEY)
    return found.decode() if found else None
