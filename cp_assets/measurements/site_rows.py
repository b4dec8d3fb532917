"""The tables of one compartment of many folders, read side by side and in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk
from cp_assets.measurements.csv_table import CsvTable
from cp_assets.measurements.csv_together import TEXT_BYTES, read_together
from cp_assets.measurements.plan import IMAGE
from cp_assets.measurements.reading import read_chunks, table_source
from cp_assets.streams import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cp_assets.datasets.model import MeasurementFolder, PlateSources


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
    sources: PlateSources, compartments: Iterable[str], overrides: Mapping[str, str]
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

    def read(wanted: tuple[str, Sequence[MeasurementFolder]]) -> list[SiteRows]:
        compartment, folders = wanted
        together = _together(compartment, folders, overrides) if len(folders) > 1 else None
        return [together] if together else [_alone(compartment, one, overrides) for one in folders]

    groups = (
        (compartment, group)
        for compartment in compartments
        for group in _groups(sources.folders, compartment)
    )
    for some in ordered_map(read, groups, sources.dataset.images.workers):
        yield from some


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
