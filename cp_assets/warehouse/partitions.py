"""What a table holds of a partition: its data files, and the fingerprint of their inputs.

The fingerprint lies in the key-value metadata of each Parquet file. So it lives and dies with the
rows, needs no second table, and survives the expiry of snapshots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from pyiceberg.manifest import ManifestContent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
    from pyiceberg.table import Table

FINGERPRINT_KEY = b"cp_assets.fingerprint"
REJECTED_KEY = b"cp_assets.rejected"


@dataclass(frozen=True)
class PartitionState:
    """A partition as the table's current snapshot has it.

    Attributes
    ----------
    files
        Data files in the order of their rows.
    fingerprint
        Of the inputs, or None if there are no rows or others wrote them.
    rejected
        How many entries the books of these rows have, or None where that is not known.
    """

    files: tuple[DataFile, ...]
    fingerprint: str | None
    snapshot_id: int | None
    rejected: int | None = None

    @property
    def rows(self) -> int:
        """Rows of the partition."""
        return sum(file.record_count for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of the partition's data files."""
        return sum(file.file_size_in_bytes for file in self.files)


@dataclass(frozen=True)
class ScopedManifest:
    """A manifest of the current snapshot, and which of its files a partition owns.

    Attributes
    ----------
    inside
        Entries of the partition's live data files.
    outside
        Entries of all other live files; empty, like ``inside``, where the manifest's bounds say
        that it holds nothing of the partition and so was not read.
    """

    manifest: ManifestFile
    inside: tuple[ManifestEntry, ...] = ()
    outside: tuple[ManifestEntry, ...] = ()


def scoped_manifests(table: Table, scope: Mapping[str, str]) -> list[ScopedManifest]:
    """All manifests of the table's current snapshot, with the partition's entries told apart.

    Only manifests whose bounds admit the partition are read.
    """
    snapshot = table.current_snapshot()
    if snapshot is None:
        return []
    specs = table.specs()
    found = []
    for manifest in snapshot.manifests(table.io):
        names = [one.name for one in specs[manifest.partition_spec_id].fields]
        wanted = {names.index(name): value for name, value in scope.items()}
        if manifest.content != ManifestContent.DATA or not _may_hold(manifest, wanted):
            found.append(ScopedManifest(manifest))
            continue
        inside: list[ManifestEntry] = []
        outside: list[ManifestEntry] = []
        for entry in manifest.fetch_manifest_entry(table.io):
            partition = entry.data_file.partition
            owned = all(partition[position] == value for position, value in wanted.items())
            (inside if owned else outside).append(entry)
        found.append(ScopedManifest(manifest, tuple(inside), tuple(outside)))
    return found


def _may_hold(manifest: ManifestFile, wanted: Mapping[int, str]) -> bool:
    """Whether the bounds of the manifest's partition values, which are UTF-8, admit the values."""
    summaries = manifest.partitions
    if not summaries:
        return True
    bounds = ((summaries[position], value.encode()) for position, value in wanted.items())
    return all(
        (one.lower_bound is None or one.lower_bound <= value)
        and (one.upper_bound is None or one.upper_bound >= value)
        for one, value in bounds
    )


def data_files(table: Table, scope: Mapping[str, str]) -> tuple[DataFile, ...]:
    """The current data files of a partition, in the order in which they were written."""
    entries = [entry for one in scoped_manifests(table, scope) for entry in one.inside]
    return tuple(sorted((entry.data_file for entry in entries), key=lambda file: file.file_path))


def partition_state(table: Table | None, scope: Mapping[str, str]) -> PartitionState:
    """What the table holds of a partition; nothing where there is no table."""
    if table is None:
        return PartitionState((), None, None)
    files = data_files(table, scope)
    snapshot = table.current_snapshot()
    # The last file is closed when all rows have been made, so it knows their books.
    notes = _notes(table.io, files[-1].file_path) if files else {}
    fingerprint, rejected = notes.get(FINGERPRINT_KEY), notes.get(REJECTED_KEY)
    return PartitionState(
        files=files,
        fingerprint=fingerprint.decode() if fingerprint else None,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        rejected=int(rejected) if rejected else None,
    )


def _notes(io: FileIO, path: str) -> dict[bytes, bytes]:
    with io.new_input(path).open() as stream:
        return dict(pq.read_metadata(stream).metadata or {})
