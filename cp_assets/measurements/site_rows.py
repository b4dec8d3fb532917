"""The tables of one compartment of many folders, read side by side and in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk
from cp_assets.measurements.csv_table import CsvTable
from cp_assets.measurements.csv_together import TEXT_BYTES, read_together
from cp_assets.measurements.plan import IMAGE
from cp_assets.measurements.reading import read_chunks, table_source
from cp_assets.stores import ObjectPath, Prefetch
from cp_assets.stores.held import HeldObject
from cp_assets.streams import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cp_assets.datasets.model import MeasurementFolder, PlateSources
    from cp_assets.stores.prefetch import Fetched

    _Numbered: TypeAlias = tuple[int, tuple[str, Sequence[MeasurementFolder]]]

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
    with Prefetch(_FETCHED_BYTES, TEXT_BYTES) as prefetch:

        def wanted(numbered: _Numbered) -> tuple[int, Iterator[ObjectPath]]:
            number, (compartment, folders) = numbered
            return number, _objects(folders, compartment)

        def read(numbered: _Numbered) -> list[SiteRows]:
            number, (compartment, folders) = numbered
            fetched = prefetch.take(number)
            held = [_held(folder, compartment, fetched) for folder in folders]
            fetched.release()
            together = _together(compartment, held, overrides) if len(held) > 1 else None
            rows = [together] if together else [_alone(compartment, one, overrides) for one in held]
            # The folders as they were: those that are held keep their files in memory.
            owners = [folders] if together else [[folder] for folder in folders]
            return [replace(one, folders=own) for one, own in zip(rows, owners, strict=True)]

        # One compartment after the other, since one file may hold several.
        groups = (
            (compartment, group)
            for compartment in compartments
            for group in _groups(sources.folders, compartment)
        )
        coming = prefetch.ahead(enumerate(groups), wanted)
        for some in ordered_map(read, coming, sources.dataset.images.workers):
            yield from some


def _objects(folders: Sequence[MeasurementFolder], compartment: str) -> Iterator[ObjectPath]:
    """The compartment's files in a store that are read whole."""
    for folder in folders:
        path = folder.tables[compartment].path
        if isinstance(path, ObjectPath) and folder.preset.container in ("file", "deepprofiler"):
            yield path


def _held(folder: MeasurementFolder, compartment: str, fetched: Fetched) -> MeasurementFolder:
    """A folder with the compartment's file in memory; as it is, where that is not fetched."""
    table = folder.tables[compartment]
    if not isinstance(table.path, ObjectPath):
        return folder
    content = fetched.data(table.path)
    if content is None:
        return folder
    held = replace(table, path=HeldObject.of(table.path, content))
    return replace(folder, tables={**folder.tables, compartment: held})


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
