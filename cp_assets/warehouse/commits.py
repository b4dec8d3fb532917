"""The commit of a partition: its old files out, its new files in, in one Iceberg snapshot.

PyIceberg's own overwrite copies a table's metadata some twenty times (half a second where a row
holds OME-Arrow values, four where it has 8,000 columns), reads every manifest of the table, and
takes the writers of two plates for rivals unless the plates' names differ in the files' bounds.
Here the snapshot's manifests are written with PyIceberg's writers and the catalog is asked once;
what another writer did meanwhile matters only where it touched the same partition.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import (
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import (
    Operation,
    Snapshot,
    SnapshotSummaryCollector,
    Summary,
    update_snapshot_summaries,
)
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    RemoveSnapshotsUpdate,
    SetSnapshotRefUpdate,
)

from cp_assets.errors import PartitionChangedError
from cp_assets.warehouse.attempts import patiently
from cp_assets.warehouse.history import NothingNames, superseded_snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyiceberg.avro.codecs import AvroCompressionCodec
    from pyiceberg.manifest import DataFile, ManifestFile, ManifestWriter
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

    from cp_assets.warehouse.partitions import Partitions

_MERGE_AT = 10
"""Manifests of about the same size (1-9 files, 10-99, ...) that are merged into one."""

_COMPRESSION: AvroCompressionCodec = "deflate"


def replace_files(
    partitions: Partitions,
    table: Table,
    scope: Mapping[str, str],
    new: list[DataFile],
    properties: Mapping[str, str],
    *,
    rewritten: frozenset[str] | None = None,
) -> int | None:
    """Replace the data files of a partition in one snapshot.

    Commits of others to the same table are waited out and built upon, and so are a catalog or a
    store that do not answer.

    Parameters
    ----------
    partitions
        Of the table's warehouse.
    table
        As it was loaded; refreshed where others have committed since.
    scope
        Partition column -> value: whose files go.
    properties
        Entered into the snapshot's summary.
    rewritten
        Paths of the files whose rows the new ones hold: the snapshot's operation is then
        ``replace``, and the partition must still consist of these files.

    Returns
    -------
    The snapshot, or None where there is nothing to take out and nothing to put in.

    Raises
    ------
    PartitionChangedError
        If another writer changed the same partition meanwhile; the table is as they left it.
    WarehouseConflictError
        If writers of other partitions left no gap for minutes.
    WarehouseCommitUnknownError
        If the catalog could not say for minutes whether it took the commit: the new files must
        stay. No other error of the class `Exception` leaves that open.
    """
    operation = Operation.OVERWRITE if rewritten is None else Operation.REPLACE
    seen = rewritten

    def attempt() -> Commit | None:
        nonlocal seen
        commit = Commit(partitions, table, scope, new, properties, operation)
        there = frozenset(file.file_path for file in commit.removed)
        if seen is not None and there != seen:
            msg = f"{_what(scope)}: another run wrote the same partition meanwhile; run it again"
            raise PartitionChangedError(msg)
        seen = there
        return commit if there or new else None

    taken = patiently(table, attempt, _what(scope))
    return taken.snapshot_id if taken else None


def _what(scope: Mapping[str, str]) -> str:
    return "/".join(scope.values())


@dataclass
class Commit:
    """One attempt, on the table as it was when the attempt began.

    Attributes
    ----------
    removed
        Data files of the partition, which go.
    may_be_taken
        Whether the catalog was asked and did not answer.
    """

    partitions: Partitions
    table: Table
    scope: Mapping[str, str]
    new: list[DataFile]
    properties: Mapping[str, str]
    operation: Operation
    removed: list[DataFile] = field(init=False)
    may_be_taken: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._parent = self.table.current_snapshot()
        self.snapshot_id = self.table.metadata.new_snapshot_id()
        self._token = uuid.uuid4()
        self._written: list[str] = []
        self._sequence_number = self.table.metadata.next_sequence_number()
        self._entries: dict[str, tuple[ManifestEntry, ...]] = {}
        self._manifests = self.partitions.manifests(self.table, self.scope)
        self.removed = self._outgoing()

    def _outgoing(self) -> list[DataFile]:
        return [entry.data_file for one in self._manifests for entry in one.inside]

    def send(self) -> None:
        """Write the snapshot and ask the catalog to take it.

        What `may_be_taken` after an error has left its files, for its sender to settle.

        Raises
        ------
        CommitFailedException
            If the table has changed since; nothing is left behind.
        """
        try:
            snapshot, manifests = self._snapshot()
        except BaseException:
            self.discard()
            raise
        self.may_be_taken = True
        try:
            self._ask(snapshot)
        except CommitFailedException:
            self.may_be_taken = False
            self.discard()
            raise
        self.may_be_taken = False
        self.partitions.learn(snapshot.manifest_list, manifests, self._entries)

    def is_in(self, metadata: TableMetadata) -> bool:
        """Whether a table's metadata have its snapshot."""
        return any(one.snapshot_id == self.snapshot_id for one in metadata.snapshots)

    def _ask(self, snapshot: Snapshot) -> None:
        uuid = self.table.metadata.table_uuid
        dropped = superseded_snapshots(self.table.metadata)
        self.table.catalog.commit_table(
            self.table,
            (
                NothingNames(uuid=uuid, snapshot_ids=frozenset(dropped)),
                AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=self._parent_id),
            ),
            (
                AddSnapshotUpdate(snapshot=snapshot),
                SetSnapshotRefUpdate(
                    ref_name=MAIN_BRANCH,
                    type=SnapshotRefType.BRANCH,
                    snapshot_id=self.snapshot_id,
                    max_ref_age_ms=None,
                    max_snapshot_age_ms=None,
                    min_snapshots_to_keep=None,
                ),
                *([RemoveSnapshotsUpdate(snapshot_ids=dropped)] if dropped else []),
            ),
        )

    @property
    def _parent_id(self) -> int | None:
        return self._parent.snapshot_id if self._parent else None

    def _snapshot(self) -> tuple[Snapshot, list[ManifestFile]]:
        """The snapshot, and its manifests as a reader of it has them."""
        metadata = self.table.metadata
        path = self._metadata_path(f"snap-{self.snapshot_id}-0-{self._token}.avro")
        with write_manifest_list(
            format_version=metadata.format_version,
            output_file=self.table.io.new_output(path),
            snapshot_id=self.snapshot_id,
            parent_snapshot_id=self._parent_id,
            sequence_number=self._sequence_number,
            avro_compression=_COMPRESSION,
        ) as listing:
            manifests = [listing.prepare_manifest(one) for one in self._new_manifests()]
            listing.add_manifests(manifests)
        snapshot = Snapshot(
            snapshot_id=self.snapshot_id,
            parent_snapshot_id=self._parent_id,
            sequence_number=self._sequence_number,
            manifest_list=path,
            summary=self._summary(),
            schema_id=metadata.current_schema_id,
        )
        return snapshot, manifests

    def _new_manifests(self) -> list[ManifestFile]:
        """The change itself, then what stays, with small manifests merged."""
        swapped = [self._entry(ManifestEntryStatus.ADDED, file) for file in self.new]
        for one in self._manifests:
            swapped += [_as(ManifestEntryStatus.DELETED, e, self.snapshot_id) for e in one.inside]
        return [self._write(swapped), *self._merged(self._kept())]

    def _kept(self) -> list[ManifestFile]:
        """Manifests without the partition's files; those that held nothing else are gone."""
        kept: list[ManifestFile] = []
        for one in self._manifests:
            if not one.inside:
                kept.append(one.manifest)
            elif one.outside:
                kept.append(self._write(existing(one.outside), one.manifest))
        return kept

    def _merged(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        """Merge manifests of equal size: there are never more than a few dozen."""
        sizes: dict[tuple[int, int], list[ManifestFile]] = defaultdict(list)
        result = []
        for manifest in manifests:
            live = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
            if manifest.content != ManifestContent.DATA:
                result.append(manifest)
            elif live:
                sizes[manifest.partition_spec_id, len(str(live))].append(manifest)
        for alike in sizes.values():
            if len(alike) < _MERGE_AT:
                result += alike
                continue
            entries = [e for m in alike for e in self.partitions.entries(self.table, m)]
            result.append(self._write(existing(entries), alike[0]))
        return result

    def _write(
        self, entries: Sequence[ManifestEntry], like: ManifestFile | None = None
    ) -> ManifestFile:
        spec = self.table.specs()[like.partition_spec_id] if like else self.table.spec()
        path = self._metadata_path(f"{self._token}-m{len(self._written)}.avro")
        writer: ManifestWriter = write_manifest(
            format_version=self.table.metadata.format_version,
            spec=spec,
            schema=self.table.schema(),
            output_file=self.table.io.new_output(path),
            snapshot_id=self.snapshot_id,
            avro_compression=_COMPRESSION,
        )
        with writer:
            for entry in entries:
                writer.add_entry(entry)
        live = (entry for entry in entries if entry.status != ManifestEntryStatus.DELETED)
        self._entries[path] = tuple(_as_read(entry, self._sequence_number) for entry in live)
        return writer.to_manifest_file()

    def _entry(self, status: ManifestEntryStatus, file: DataFile) -> ManifestEntry:
        file.spec_id = self.table.spec().spec_id
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=self.snapshot_id,
            sequence_number=None,
            file_sequence_number=None,
            data_file=file,
        )

    def _summary(self) -> Summary:
        collector = SnapshotSummaryCollector()
        schema, specs = self.table.schema(), self.table.specs()
        for file in self.new:
            collector.add_file(file, partition_spec=self.table.spec(), schema=schema)
        for file in self.removed:
            collector.remove_file(file, partition_spec=specs[file.spec_id], schema=schema)
        # PyIceberg counts no totals for a replacement; they are those of any other change.
        counted = update_snapshot_summaries(
            summary=Summary(Operation.OVERWRITE, **collector.build(), **self.properties),
            previous_summary=self._parent.summary if self._parent else None,
        )
        operation = self.operation if self._parent else Operation.APPEND
        return Summary(operation, **counted.additional_properties)

    def _metadata_path(self, name: str) -> str:
        path = self.table.location_provider().new_metadata_location(name)
        self._written.append(path)
        return path

    def discard(self) -> None:
        """Remove the files of a commit that the catalog has not taken."""
        for path in self._written:
            try:
                self.table.io.delete(path)
            except OSError:
                # No snapshot names it: maintenance removes what could not be removed here.
                continue


def _as_read(entry: ManifestEntry, sequence_number: int) -> ManifestEntry:
    """The entry as readers have it: what is new takes the snapshot's sequence number."""
    if entry.sequence_number is not None:
        return entry
    return ManifestEntry.from_args(
        status=entry.status,
        snapshot_id=entry.snapshot_id,
        sequence_number=sequence_number,
        file_sequence_number=sequence_number,
        data_file=entry.data_file,
    )


def existing(entries: Iterable[ManifestEntry]) -> list[ManifestEntry]:
    """Entries of files that stay, for another manifest."""
    return [_as(ManifestEntryStatus.EXISTING, entry, entry.snapshot_id) for entry in entries]


def _as(
    status: ManifestEntryStatus, entry: ManifestEntry, snapshot_id: int | None
) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )
