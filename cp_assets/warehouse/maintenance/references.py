"""What a table's metadata names: data files, manifests, lists of manifests, metadata, statistics.

Files are told apart by their names alone, without folder: names are made of random numbers, while
a folder can be spelled in many ways (``file:/x``, ``file:///x``, ``s3a://``, a link, ``%20``). A
spelling that was not understood would make all files of a table look like those that nothing names.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

_READERS = 8


@dataclass(frozen=True)
class References:
    """Files that a table's metadata names.

    Attributes
    ----------
    current
        Names of files that the current snapshot needs -> their paths.
    names
        Names of all files that some snapshot, or the metadata, names.
    """

    current: dict[str, str]
    names: frozenset[str]


class ReferenceReader:
    """Reads what tables name, each manifest once: a manifest never changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}

    def read(self, table: Table, without: frozenset[int] = frozenset()) -> References:
        """What a table's metadata, as it was loaded, names.

        Parameters
        ----------
        without
            Snapshots to leave out, as if they had been expired.
        """
        metadata = table.metadata
        own = [table.metadata_location, *(one.metadata_file for one in metadata.metadata_log)]
        own += [one.statistics_path for one in metadata.statistics]
        own += [one.statistics_path for one in metadata.partition_statistics]
        snapshots = [one for one in metadata.snapshots if one.snapshot_id not in without]
        now = table.current_snapshot()
        current = [table.metadata_location, *(self._files(table, [now]) if now else ())]
        everything = [*own, *self._files(table, snapshots)]
        return References(
            current={file_name(path): path for path in current},
            names=frozenset(name for path in everything for name in _spellings(path)),
        )

    def _files(self, table: Table, snapshots: list[Snapshot]) -> Iterator[str]:
        with ThreadPoolExecutor(_READERS) as pool:
            listed = list(pool.map(lambda one: one.manifests(table.io), snapshots))
            manifests = {one.manifest_path: one for some in listed for one in some}
            list(pool.map(lambda one: self._entries(table, one), manifests.values()))
        yield from (one.manifest_list for one in snapshots)
        for path in manifests:
            yield path
            yield from self._known[path]

    def _entries(self, table: Table, manifest: ManifestFile) -> None:
        if manifest.manifest_path not in self._known:
            entries = manifest.fetch_manifest_entry(table.io)
            self._known[manifest.manifest_path] = tuple(e.data_file.file_path for e in entries)


def file_name(path: str) -> str:
    """A path's last part."""
    return path.rpartition("/")[2]


def _spellings(path: str) -> Iterable[str]:
    name = file_name(path)
    return {name, unquote(name)}
