"""Annotation: what was done to a well, from plate maps and from files that the user names.

Columns come beside the joined rows, by plate and well, as ``Metadata_...``. No column of the joined
profiles is ever overwritten, and nothing is taken or left out in silence: it is in the books.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.fingerprints import digest
from cp_assets.datasets.metadata_files import find_annotation
from cp_assets.measurements.annotation_columns import (
    PREFIX,
    annotation_columns,
)
from cp_assets.measurements.columns import ARROW_TYPES
from cp_assets.measurements.joined_columns import JOINED_PROFILES, raw_columns_of
from cp_assets.measurements.well_tables import Value, WellTable, read_well_table
from cp_assets.stores import state_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from cp_assets.datasets.model import PlateSources
    from cp_assets.measurements.columns import ColumnKind
    from cp_assets.rejections import RejectionLog

_SHOWN = 5


def annotation_fingerprint(sources: PlateSources) -> str:
    """Fingerprint of the files that annotate a plate, and of what their columns hold.

    Raises
    ------
    ConfigurationError, MeasurementError
        As `annotated`.
    """
    found = find_annotation(sources)
    files = [(file.name, *state_of(file.path)) for file in found.files]
    everyone = annotation_columns(found.of_dataset, sources.dataset.column_types)
    # Of the columns of others' files none, or a new plate map would have every plate written again.
    own = annotation_columns([file.path for file in found.files], {})
    return digest([files, [everyone[key] for key in own]])


def annotated(
    batches: Iterable[pa.RecordBatch], sources: PlateSources, log: RejectionLog
) -> Generator[pa.RecordBatch, None, None]:
    """The joined rows of a plate with the columns of the files that annotate it.

    Text is ``string``, numbers are ``float64``; see `annotation_columns`. Where no file has a row
    for a well, they are null. A column without any value in any file of the dataset is left out.

    Raises
    ------
    ConfigurationError
        If a file that the user named does not exist.
    MeasurementError
        If a file cannot be read, or has neither a column of wells nor one of plates.
    """
    found = find_annotation(sources)
    for fault in found.faults:
        log.add(fault)
    if not found.files:
        yield from batches
        return
    columns = {
        key: (name, kind)
        for key, (name, kind) in annotation_columns(
            found.of_dataset, sources.dataset.column_types
        ).items()
        if kind is not None
    }
    tables = [read_well_table(file, sources.key.plate_id, columns, log) for file in found.files]
    annotation = Annotation(tables, dict(columns.values()), log)
    for batch in batches:
        yield annotation.beside(batch)
    annotation.close_books()


@dataclass
class Annotation:
    """Files of one plate, side by side, and what became of them."""

    tables: list[WellTable]
    kinds: Mapping[str, ColumnKind]
    log: RejectionLog
    _cells: Counter[str | None] = field(default_factory=Counter)
    _values: dict[str | None, dict[str, Value]] = field(default_factory=dict)
    _conflicts: dict[tuple[str, int, int], list[str]] = field(default_factory=dict)
    _names: tuple[str, ...] | None = None

    def beside(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch of joined rows with the annotation of their wells."""
        # Asked for once: a wide schema makes its names anew each time.
        existing = batch.schema.names
        if self._names is None:
            self._names = self._choose_names(existing)
        wells = batch["well_id"].dictionary_encode()
        names = wells.dictionary.to_pylist()
        values = [self._of_well(well) for well in (*names, None)]
        rows = wells.indices.fill_null(len(names))
        for count in rows.value_counts().to_pylist():
            self._cells[[*names, None][count["values"]]] += count["counts"]
        added = [name for name in self._names if name not in existing]
        arrays = [
            pa.array([one.get(name) for one in values], ARROW_TYPES[self.kinds[name]]).take(rows)
            for name in added
        ]
        return pa.RecordBatch.from_arrays([*batch.columns, *arrays], names=[*existing, *added])

    def close_books(self) -> None:
        """Enter what is known at the end: conflicts, cells without rows, rows without cells."""
        for (name, first, at), wells in self._conflicts.items():
            detail = (
                f"{name} has another value in {self.tables[first].file.name} for {len(wells)} "
                f"well(s), such as {wells[0]}; that file is listed first, so its value is taken"
            )
            entry = self.tables[at].entry("file", "annotation_conflict", detail, count=len(wells))
            self.log.add(entry)
        for table in self.tables:
            if table.by_well or (table.has_rows and not table.of_plates):
                self._cells_without(table)
                self._rows_without(table)
            elif self._cells:
                why = (
                    "its rows of the plate contradict each other"
                    if table.contradicted
                    else "it has no row of the plate"
                )
                detail = f"{why}: the columns of the file are null"
                self.log.add(table.entry("file", "plate_not_annotated", detail))

    def _cells_without(self, table: WellTable) -> None:
        for well, count in self._cells.items():
            if table.values(well) is None:
                why = (
                    f"its rows of well {well} contradict each other"
                    if well in table.contradicted
                    else f"it has no row of well {well}"
                )
                detail = f"{why}: the columns of the file are null"
                entry = table.entry("object", "not_annotated", detail, well_id=well, count=count)
                self.log.add(entry)

    def _rows_without(self, table: WellTable) -> None:
        without = [
            str(well) for well in table.by_well if well is not None and well not in self._cells
        ]
        if without:
            detail = f"no joined row is of these wells: {', '.join(without[:_SHOWN])}"
            more = f" and {len(without) - _SHOWN} more" if len(without) > _SHOWN else ""
            self.log.add(
                table.entry(
                    "row", "no_such_well", detail + more, outcome="rejected", count=len(without)
                )
            )

    def _of_well(self, well: str | None) -> dict[str, Value]:
        if well not in self._values:
            self._values[well] = self._merged(well)
        return self._values[well]

    def _merged(self, well: str | None) -> dict[str, Value]:
        """What the files say of a well; of two values the first counts."""
        merged: dict[str, tuple[Value, int]] = {}
        for at, table in enumerate(self.tables):
            for name, value in (table.values(well) or {}).items():
                if value is None or name not in (self._names or ()):
                    continue
                taken, first = merged.setdefault(name, (value, at))
                if taken != value and name not in table.keys:
                    self._conflicts.setdefault((name, first, at), []).append(str(well))
        return {name: value for name, (value, _) in merged.items()}

    def _choose_names(self, existing: list[str]) -> tuple[str, ...]:
        """Columns of the files that are no columns of the joined profiles."""
        taken = {name.lower() for name in (*JOINED_PROFILES.schema.names, *existing)}
        metadata = [name for name in existing if name.startswith(PREFIX)]
        chosen: dict[str, None] = {}
        for table in self.tables:
            for name in table.columns:
                if name.lower() not in taken and name not in raw_columns_of([*metadata, name]):
                    chosen[name] = None
                elif name not in table.keys:
                    detail = (
                        f"{name} is a column of the joined profiles, so the file's own is left "
                        "out; name it otherwise to keep it"
                    )
                    self.log.add(table.entry("file", "annotation_conflict", detail))
        return tuple(chosen)
