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
    AssertTableUUID,
    RemoveSnapshotsUpdate,
    SetSnapshotRefUpdate,
)

from cp_assets.errors import (
    CpAssetsError,
    WarehouseCommitUnknownError,
    WarehouseConflictError,
    WarehouseUnavailableError,
    WarehouseWriteError,
)
from cp_assets.warehouse.faults import passes
from cp_assets.warehouse.foreign_errors import first_line, shown_cause
from cp_assets.warehouse.history import superseded_snapshots
from cp_assets.warehouse.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pyiceberg.avro.codecs import AvroCompressionCodec
    from pyiceberg.manifest import DataFile, ManifestFile, ManifestWriter
    from pyiceberg.table import Table

    from cp_assets.warehouse.partitions import Partitions

_PATIENCE_SECONDS = 300.0

_MERGE_AT = 10
"""Manifests of about the same size (1-9 files, 10-99, ...) that are merged into one."""

_COMPRESSION: AvroCompressionCodec = "deflate"


def replace_files(
    partitions: Partitions,
    table: Table,
    scope: Mapping[str, str],
    new: list[DataFile],
    properties: Mapping[str, str],
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

    Returns
    -------
    The snapshot, or None where there is nothing to take out and nothing to put in.

    Raises
    ------
    WarehouseConflictError
        If another writer changed the same partition meanwhile, or writers of other partitions left
        no gap for minutes; the table is as they left it.
    WarehouseCommitUnknownError
        If the catalog could not say for minutes whether it took the commit: the new files must
        stay. No other error of the class `Exception` leaves that open.
    """
    seen: frozenset[str] | None = None

    def attempt() -> _Commit | None:
        nonlocal seen
        commit = _Commit(partitions, table, scope, new, properties)
        there = frozenset(file.file_path for file in commit.removed)
        if seen is not None and there != seen:
            msg = f"{_what(scope)}: another run wrote the same partition meanwhile; run it again"
            raise WarehouseConflictError(msg)
        seen = there
        return commit if there or new else None

    return _Attempts(table, attempt, _what(scope)).run()


def _what(scope: Mapping[str, str]) -> str:
    return "/".join(scope.values())


@dataclass
class _Attempts:
    """Commits one after the other, until the catalog has taken one.

    Where a catalog does not answer, it may have taken the commit, now or in a moment: the table's
    history tells. Another attempt is no danger, since each is built on the state before it, and
    the catalog takes one of them at most.
    """

    table: Table
    attempt: Callable[[], _Commit | None]
    what: str
    _unsure: list[_Commit] = field(default_factory=list)
    _is_stale: bool = False

    def run(self) -> int | None:
        """The snapshot, or None where there was nothing to commit."""
        patience = Patience(_PATIENCE_SECONDS)
        while True:
            try:
                return self._try()
            except CpAssetsError:
                raise
            except Exception as error:  # noqa: BLE001 - a catalog may be of any class
                if not passes(error):
                    return self._settle(error, patience)
                if not patience.wait():
                    raise self._given_up(error) from shown_cause(error)
            self._is_stale = True

    def _try(self) -> int | None:
        if self._is_stale:
            self.table.refresh()
            self._is_stale = False
        taken = self._taken()
        if taken is not None:
            return taken
        try:
            commit = self.attempt()
        except WarehouseConflictError as error:
            if self._unsure:
                # Our own files may be a part of what is there, or of its history.
                raise self._given_up(error) from None
            raise
        if commit is None:
            return None
        try:
            snapshot_id = commit.send()
        finally:
            if commit.may_be_taken:
                self._unsure.append(commit)
        self._forget(snapshot_id)
        return snapshot_id

    def _taken(self) -> int | None:
        """The snapshot of an earlier attempt that the catalog has taken after all."""
        history = {snapshot.snapshot_id for snapshot in self.table.metadata.snapshots}
        for commit in self._unsure:
            if commit.snapshot_id in history:
                self._forget(commit.snapshot_id)
                return commit.snapshot_id
        return None

    def _forget(self, taken: int | None) -> None:
        """Remove the files of the other attempts, which the catalog can take no more."""
        for commit in self._unsure:
            if commit.snapshot_id != taken:
                commit.discard()
        self._unsure.clear()

    def _settle(self, error: Exception, patience: Patience) -> int:
        """Find out whether a commit that ended in an error is there; else raise the error."""
        if not self._unsure:
            raise error
        while True:
            try:
                self.table.refresh()
                break
            except Exception as silence:  # noqa: BLE001 - as above
                if not passes(silence) or not patience.wait():
                    raise self._given_up(error) from shown_cause(silence)
        taken = self._taken()
        if taken is None:
            self._forget(None)
            raise error
        return taken

    def _given_up(self, error: Exception) -> WarehouseWriteError:
        told = first_line(error)
        if self._unsure:
            msg = (
                f"{self.what}: the catalog did not say whether it took the commit ({told}); the "
                "table holds the old rows or the new ones: run it again"
            )
            return WarehouseCommitUnknownError(msg)
        if isinstance(error, CommitFailedException):
            msg = f"{self.what}: other writers left no gap to commit ({told}); run it again"
            return WarehouseConflictError(msg)
        msg = f"{self.what}: catalog or storage did not answer for minutes ({told}); run it again"
        return WarehouseUnavailableError(msg)


@dataclass
class _Commit:
    """One attempt, on the table as it was when the attempt began."""

    partitions: Partitions
    table: Table
    scope: Mapping[str, str]
    new: list[DataFile]
    properties: Mapping[str, str]
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
        self.removed = [entry.data_file for one in self._manifests for entry in one.inside]

    def send(self) -> int:
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
        return self.snapshot_id

    def _ask(self, snapshot: Snapshot) -> None:
        self.table.catalog.commit_table(
            self.table,
            (
                AssertTableUUID(uuid=self.table.metadata.table_uuid),
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
                *self._dropped(),
            ),
        )

    def _dropped(self) -> tuple[RemoveSnapshotsUpdate, ...]:
        snapshots = superseded_snapshots(self.table.metadata)
        return (RemoveSnapshotsUpdate(snapshot_ids=snapshots),) if snapshots else ()

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
                kept.append(self._write(_existing(one.outside), one.manifest))
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
            result.append(self._write(_existing(entries), alike[0]))
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
        operation = Operation.OVERWRITE if self._parent else Operation.APPEND
        return update_snapshot_summaries(
            summary=Summary(operation, **collector.build(), **self.properties),
            previous_summary=self._parent.summary if self._parent else None,
        )

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


def _existing(entries: Iterable[ManifestEntry]) -> list[ManifestEntry]:
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
