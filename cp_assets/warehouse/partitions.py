"""What a table holds of a partition: its data files, and the fingerprint of their inputs.

The fingerprint lies in the key-value metadata of each Parquet file. So it lives and dies with the
rows, needs no second table, and survives the expiry of snapshots.

Manifests and data files never change once a snapshot names them, so each is read once for all the
steps of a plate that ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import pyarrow.parquet as pq
from pyiceberg.manifest import ManifestContent

from cp_assets.warehouse.bounded_cache import BoundedCache
from cp_assets.warehouse.spec import PLATE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
    from pyiceberg.table import Table

FINGERPRINT_KEY = b"cp_assets.fingerprint"
REJECTED_KEY = b"cp_assets.rejected"

MANIFEST_BYTES = 32 * 2**20
"""Most memory for entries of manifests."""

FOOTER_BYTES = 32 * 2**20
"""Most memory for footers of data files, as estimated with `FOOTER_GROWTH`."""

FOOTER_GROWTH = 10
"""Memory that a parsed footer takes for each of its bytes in the file; measured with pyarrow 25."""

SCHEMA_BYTES = 16 * 2**20
"""Most memory for schemas of data files."""

_FIELD_BYTES = 500

HOLDER_FOOTERS = 200
"""Most footers that are read to name a plate in an error."""

Known = TypeVar("Known")

_ENTRY_BYTES = 2000
"""Memory of an entry of a manifest; measured with PyIceberg 0.12."""


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


class Partitions:
    """The partitions of a warehouse's tables, as the tables' current snapshots have them."""

    def __init__(self) -> None:
        self._entries: BoundedCache[tuple[ManifestEntry, ...]] = BoundedCache(MANIFEST_BYTES)
        self._lists: BoundedCache[tuple[ManifestFile, ...]] = BoundedCache(MANIFEST_BYTES)
        self._footers: BoundedCache[pq.FileMetaData] = BoundedCache(FOOTER_BYTES)
        self._schemas: BoundedCache[pa.Schema] = BoundedCache(SCHEMA_BYTES)

    def state(self, table: Table | None, scope: Mapping[str, str]) -> PartitionState:
        """What the table holds of a partition; nothing where there is no table."""
        if table is None:
            return PartitionState((), None, None)
        files = self.files(table, scope)
        snapshot = table.current_snapshot()
        # The last file is closed when all rows have been made, so it knows their books.
        notes = (self.footer(table, files[-1]).metadata if files else None) or {}
        fingerprint, rejected = notes.get(FINGERPRINT_KEY), notes.get(REJECTED_KEY)
        return PartitionState(
            files=files,
            fingerprint=fingerprint.decode() if fingerprint else None,
            snapshot_id=snapshot.snapshot_id if snapshot else None,
            rejected=int(rejected) if rejected else None,
        )

    def files(self, table: Table, scope: Mapping[str, str]) -> tuple[DataFile, ...]:
        """The current data files of a partition, in the order in which they were written."""
        entries = [entry for one in self.manifests(table, scope) for entry in one.inside]
        return tuple(
            sorted((entry.data_file for entry in entries), key=lambda file: file.file_path)
        )

    def manifests(self, table: Table, scope: Mapping[str, str]) -> list[ScopedManifest]:
        """All manifests of the table's current snapshot, with the partition's entries told apart.

        Only manifests whose bounds admit the partition are read.
        """
        specs = table.specs()
        found = []
        for manifest in self._listed(table):
            names = [one.name for one in specs[manifest.partition_spec_id].fields]
            wanted = {names.index(name): value for name, value in scope.items()}
            if manifest.content != ManifestContent.DATA or not _may_hold(manifest, wanted):
                found.append(ScopedManifest(manifest))
                continue
            inside: list[ManifestEntry] = []
            outside: list[ManifestEntry] = []
            for entry in self.entries(table, manifest):
                partition = entry.data_file.partition
                owned = all(partition[position] == value for position, value in wanted.items())
                (inside if owned else outside).append(entry)
            found.append(ScopedManifest(manifest, tuple(inside), tuple(outside)))
        return found

    def entries(self, table: Table, manifest: ManifestFile) -> tuple[ManifestEntry, ...]:
        """Entries of a manifest's live files."""

        def read() -> tuple[tuple[ManifestEntry, ...], int]:
            return _sized(tuple(manifest.fetch_manifest_entry(table.io)))

        return self._entries.get(manifest.manifest_path, read)

    def learn(
        self,
        manifest_list: str,
        manifests: Sequence[ManifestFile],
        entries: Mapping[str, tuple[ManifestEntry, ...]],
    ) -> None:
        """Take over what a commit of this process has written: nobody needs to read it again.

        Parameters
        ----------
        manifest_list
            Where the snapshot's list of manifests lies.
        entries
            Of the new manifests' live files, by the manifest's path.
        """
        self._lists.get(manifest_list, partial(_sized, tuple(manifests)))
        for path, known in entries.items():
            self._entries.get(path, partial(_sized, known))

    def holder(self, table: Table, column: str, other_than: str) -> str | None:
        """A plate whose rows have a column, as ``dataset/batch/plate``; None if none was found.

        Looks into one footer a partition and at most `HOLDER_FOOTERS`, the oldest rows first.

        Parameters
        ----------
        other_than
            A plate that is named only if no other has the column.
        """
        own = None
        for plate, file in islice(self._first_files(table), HOLDER_FOOTERS):
            if column in self.schema(table, file).names:
                if plate != other_than:
                    return plate
                own = plate
        return own

    def _first_files(self, table: Table) -> Iterator[tuple[str, DataFile]]:
        """Plate and first file of each partition, the oldest first."""
        entries = [entry for one in self.manifests(table, {}) for entry in one.inside]
        seen = set()
        for entry in sorted(entries, key=lambda one: one.sequence_number or 0):
            partition = entry.data_file.partition
            values = tuple(str(partition[at]) for at in range(len(partition)))
            if values not in seen:
                seen.add(values)
                yield "/".join(values[: len(PLATE_COLUMNS)]), entry.data_file

    def footer(self, table: Table, file: DataFile) -> pq.FileMetaData:
        """Footer of a data file."""

        def read() -> tuple[pq.FileMetaData, int]:
            with table.io.new_input(file.file_path).open() as stream:
                footer = pq.read_metadata(stream)
            return footer, footer.serialized_size * FOOTER_GROWTH

        return self._footers.get(file.file_path, read)

    def schema(self, table: Table, file: DataFile) -> pa.Schema:
        """Arrow schema of a data file."""

        def read() -> tuple[pa.Schema, int]:
            footer = self.footer(table, file)
            with table.io.new_input(file.file_path).open() as stream:
                # Not the footer's own: they hold each other, 14 MB of each file with 12,000 column
                # chunks, until Python looks for cycles.
                found = pq.ParquetFile(stream, metadata=footer).schema_arrow
            return found, len(found) * _FIELD_BYTES

        return self._schemas.get(file.file_path, read)

    def _listed(self, table: Table) -> tuple[ManifestFile, ...]:
        snapshot = table.current_snapshot()
        if snapshot is None:
            return ()

        def read() -> tuple[tuple[ManifestFile, ...], int]:
            return _sized(tuple(snapshot.manifests(table.io)))

        return self._lists.get(snapshot.manifest_list, read)


def _sized(values: tuple[Known, ...]) -> tuple[tuple[Known, ...], int]:
    return values, len(values) * _ENTRY_BYTES


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
