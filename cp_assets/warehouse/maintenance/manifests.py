"""Merging a table's manifests: few, large, each of plates that lie side by side."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from pyiceberg.manifest import ManifestContent
from pyiceberg.table.snapshots import Operation

from cp_assets.warehouse.attempts import patiently
from cp_assets.warehouse.commits import Commit, existing

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
    from pyiceberg.table import Table

    from cp_assets.warehouse.partitions import Partitions

FILES = 10_000
"""Data files of a merged manifest: some MB, read in a second."""


def merge_manifests(partitions: Partitions, table: Table) -> int | None:
    """Write a table's manifests anew; rows and data files stay as they are.

    Commits of others are waited out and built upon.

    Returns
    -------
    The snapshot, or None where there would be no fewer manifests than there are.

    Raises
    ------
    WarehouseWriteError
        If other writers left no gap for minutes.
    """

    def attempt() -> _Merge | None:
        merge = _Merge(partitions, table, {}, [], {}, Operation.REPLACE)
        return merge if merge.surplus else None

    taken = patiently(table, attempt, ".".join(table.name()))
    return taken.snapshot_id if taken else None


def surplus_manifests(partitions: Partitions, table: Table) -> int:
    """How many manifests fewer there would be."""
    return _Merge(partitions, table, {}, [], {}, Operation.REPLACE).surplus


class _Merge(Commit):
    @property
    def surplus(self) -> int:
        data = sum(one.manifest.content == ManifestContent.DATA for one in self._manifests)
        return data - sum(map(len, self._portions.values()))

    def _outgoing(self) -> list[DataFile]:
        return []

    def _new_manifests(self) -> list[ManifestFile]:
        there = [one.manifest for one in self._manifests]
        like = {one.partition_spec_id: one for one in there}
        merged = [one for one in there if one.content != ManifestContent.DATA]
        for spec_id, portions in self._portions.items():
            merged += [self._write(existing(some), like[spec_id]) for some in portions]
        return merged

    @cached_property
    def _portions(self) -> dict[int, list[list[ManifestEntry]]]:
        """Partition spec -> entries of each of its manifests to be."""
        entries: dict[int, list[ManifestEntry]] = defaultdict(list)
        for one in self._manifests:
            # Without a scope, all files are inside.
            entries[one.manifest.partition_spec_id] += one.inside
        return {spec_id: _cut(sorted(found, key=_place)) for spec_id, found in entries.items()}


def _cut(entries: list[ManifestEntry]) -> list[list[ManifestEntry]]:
    return [entries[at : at + FILES] for at in range(0, len(entries), FILES)]


def _place(entry: ManifestEntry) -> tuple[list[str], str]:
    file = entry.data_file
    return [str(file.partition[at]) for at in range(len(file.partition))], file.file_path
