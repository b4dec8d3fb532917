"""The tables of one compartment of many folders, read side by side and in order."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk
from cp_assets.measurements.csv_table import CsvTable
from cp_assets.measurements.csv_together import TEXT_BYTES, read_together
from cp_assets.measurements.plan import IMAGE
from cp_assets.measurements.reading import read_chunks, table_source
from cp_assets.stores import ObjectPath
from cp_assets.stores.held import HeldObject
from cp_assets.stores.prefetch import Prefetch
from cp_assets.streams import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cp_assets.datasets.model import MeasurementFolder, PlateSources

_FETCHED_BYTES = 4 * TEXT_BYTES
"""Bytes of files of a store that are fetched before their turn."""


@dataclass(frozen=True)
class SiteRows:
    """The rows of a compartment's tables of some folders, or the first of one folder's.

    Attributes
    ----------
    counts
        How many rows of ``chunk`` are of each folder, in order.
    rest
        Further pieces of the one folder's table.
    """

    compartment: str
    folders: Sequence[MeasurementFolder]
    counts: Sequence[int]
    chunk: TableChunk
    rest: Iterator[TableChunk]


def site_rows(
    sources: PlateSources, compartments: Sequence[str], overrides: Mapping[str, str]
) -> Iterator[SiteRows]:
    """One compartment after the other, the tables of all folders that have one.

    Small CSV files of equal columns come together. Image tables come whole: they are small, and may
    hold line breaks.

    Parameters
    ----------
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule by name is wrong.

    Raises
    ------
    MeasurementError, InputChangedError
        As `cp_assets.measurements.table_source.TableSource.chunks`.
    """
    with closing(_Fetching(sources.folders)) as fetching:

        def read(wanted: tuple[str, Sequence[MeasurementFolder]]) -> list[SiteRows]:
            compartment, folders = wanted
            held = [fetching.held(folder, compartment) for folder in folders]
            together = _together(compartment, held, overrides) if len(held) > 1 else None
            rows = [together] if together else [_alone(compartment, one, overrides) for one in held]
            # The folders as they were: those that are held keep their files in memory.
            owners = [folders] if together else [[folder] for folder in folders]
            return [replace(one, folders=own) for one, own in zip(rows, owners, strict=True)]

        groups = (
            (compartment, group)
            for compartment in compartments
            for group in _groups(sources.folders, compartment)
        )
        for some in ordered_map(read, groups, sources.dataset.images.workers):
            yield from some


class _Fetching:
    """Fetches the small files of a store before their turn, many at a time.

    One compartment after the other, since one file may hold several.
    """

    def __init__(self, folders: Sequence[MeasurementFolder]) -> None:
        self._folders = folders
        self._by_compartment: dict[str, Prefetch] = {}
        self._lock = Lock()

    def held(self, folder: MeasurementFolder, compartment: str) -> MeasurementFolder:
        """A folder with the compartment's file in memory; as it is, where that is not fetched."""
        path = _fetched_path(folder, compartment)
        if path is None:
            return folder
        content = self._prefetch(compartment).read(path)
        held = replace(folder.tables[compartment], path=HeldObject.of(path, content))
        return replace(folder, tables={**folder.tables, compartment: held})

    def close(self) -> None:
        """Fetch no more."""
        for prefetch in self._by_compartment.values():
            prefetch.close()

    def _prefetch(self, compartment: str) -> Prefetch:
        with self._lock:
            if compartment not in self._by_compartment:
                paths = (_fetched_path(folder, compartment) for folder in self._folders)
                wanted = [path for path in paths if path is not None]
                self._by_compartment[compartment] = Prefetch(wanted, max_bytes=_FETCHED_BYTES)
            return self._by_compartment[compartment]


def _fetched_path(folder: MeasurementFolder, compartment: str) -> ObjectPath | None:
    """The file of a compartment, if it is a small one of a store that is read whole."""
    table = folder.tables.get(compartment)
    if table is None or not isinstance(table.path, ObjectPath):
        return None
    is_read_whole = folder.preset.container in ("file", "deepprofiler")
    is_small = is_read_whole and table.path.stat().st_size <= TEXT_BYTES
    return table.path if is_small else None


def _together(
    compartment: str, folders: Sequence[MeasurementFolder], overrides: Mapping[str, str]
) -> SiteRows | None:
    """None where each folder's table is to be read by itself."""
    tables = [table_source(folder, compartment, overrides) for folder in folders]
    csv_tables = [table for table in tables if isinstance(table, CsvTable)]
    found = read_together(csv_tables) if len(csv_tables) == len(tables) else None
    if found is None:
        return None
    rows, counts = found
    return SiteRows(compartment, folders, counts, TableChunk(rows, ()), iter(()))


def _alone(compartment: str, folder: MeasurementFolder, overrides: Mapping[str, str]) -> SiteRows:
    size = None if compartment == IMAGE else CHUNK_BYTES
    rest = read_chunks(folder, compartment, overrides, chunk_bytes=size)
    first = next(rest)
    if compartment == IMAGE:
        # After the last piece the file is held to be unchanged.
        rest = iter([*rest])
    return SiteRows(compartment, [folder], [first.rows.num_rows], first, rest)


def _groups(
    folders: Sequence[MeasurementFolder], compartment: str
) -> Iterator[list[MeasurementFolder]]:
    """Folders one after another whose files are together at most `TEXT_BYTES`, or one larger."""
    group: list[MeasurementFolder] = []
    size = 0
    for folder in folders:
        if compartment not in folder.tables:
            continue
        path = folder.tables[compartment].path
        own = path.stat().st_size if path.suffix.lower() == ".csv" else TEXT_BYTES
        if group and size + own > TEXT_BYTES:
            yield group
            group, size = [], 0
        group.append(folder)
        size += own
    if group:
        yield group
