"""One annotation file, as far as it speaks of one plate: what it says of each well."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cp_assets.datasets.identity import normalise_well
from cp_assets.datasets.text_tables import TextTable
from cp_assets.errors import MeasurementError
from cp_assets.measurements.annotation_columns import (
    PLATE_NAMES,
    WELL_NAMES,
    is_number,
    joined_name,
    key_column,
)
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cp_assets.datasets.metadata_files import AnnotationFile
    from cp_assets.measurements.columns import ColumnKind
    from cp_assets.rejections import RejectionLog
    from cp_assets.stores import Place

Value = str | float | int | None
_SHOWN = 5


@dataclass
class WellTable:
    """The rows of one annotation file for one plate.

    Attributes
    ----------
    keys
        Columns that name plate and well: two files may spell them differently.
    by_well
        Well -> joined name -> value. None is the well of a file that annotates plates.
    of_plates
        Whether the file annotates plates, not wells.
    has_rows
        Whether the file has rows of the plate, be they of use or not.
    contradicted
        Wells whose rows say different things, so that none is used.
    """

    file: AnnotationFile
    columns: tuple[str, ...]
    keys: frozenset[str]
    of_plates: bool
    by_well: dict[str | None, dict[str, Value]] = field(default_factory=dict)
    has_rows: bool = False
    contradicted: set[str | None] = field(default_factory=set)

    def values(self, well: str | None) -> dict[str, Value] | None:
        """What the file says of a well, or None if nothing."""
        return self.by_well.get(None if self.of_plates else well)

    def entry(
        self, kind: Literal["row", "object", "file"], reason: str, detail: str, **more: Any
    ) -> Rejection:
        """What the books say of the file, incomplete unless told; ``more`` is for `Rejection`."""
        given = {"outcome": "incomplete", "source_file": self.file.name, **more}
        return Rejection(kind, reason, detail, **given)


def read_well_table(
    file: AnnotationFile,
    plate: str,
    columns: Mapping[str, tuple[str, ColumnKind]],
    log: RejectionLog,
) -> WellTable:
    """Read the rows of an annotation file for a plate.

    Parameters
    ----------
    columns
        Name and kind of each column to read, by its joined name in lower case; those of plates and
        wells are among them.
    log
        Takes rows and values that cannot be used.

    Raises
    ------
    MeasurementError
        If the file cannot be read, or has neither a column of wells nor one of plates.
    """
    table = TextTable.of(file.path)
    plate_column = None if file.is_plate_map else key_column(table.columns, PLATE_NAMES)
    well_column = key_column(table.columns, WELL_NAMES)
    named = {
        position: columns[joined_name(name).lower()]
        for position, name in enumerate(table.columns)
        if name and joined_name(name).lower() in columns
    }
    reader = _Reader(
        WellTable(
            file,
            tuple(name for name, _ in named.values()),
            frozenset(
                columns[joined_name(name).lower()][0]
                for name in (plate_column, well_column)
                if name
            ),
            of_plates=well_column is None,
        ),
        plate,
        named,
        _place(table, plate_column),
        _place(table, well_column),
        log,
    )
    if not table.columns:
        log.add(reader.table.entry("file", "empty_file", "the file has no header and no row"))
    elif plate_column is None and well_column is None:
        msg = (
            f"{file.path} has no column of wells and none of plates, only "
            f"{', '.join(table.columns[:12])}; name one Metadata_Well (or well_position), or "
            "Metadata_Plate, or leave the file out"
        )
        raise MeasurementError(msg)
    else:
        reader.read(table)
    return reader.table


def _place(table: TextTable, column: str | None) -> int | None:
    return None if column is None else table.columns.index(column)


@dataclass
class _Reader:
    table: WellTable
    plate: str
    columns: Mapping[int, tuple[str, ColumnKind]]
    plate_at: int | None
    well_at: int | None
    log: RejectionLog

    def read(self, rows: TextTable) -> None:
        """Take the plate's rows; those that cannot be used are recorded."""
        numbers: dict[str | None, list[int]] = defaultdict(list)
        count = nameless = 0
        for count, row in rows.rows():
            nameless += any(row[at] for at, name in enumerate(rows.columns) if not name)
            mine = self.plate_at is None or (row[self.plate_at] or "").strip() == self.plate
            self.table.has_rows |= mine
            if not mine or not self._is_whole(count, row, len(rows.columns)):
                continue
            well = normalise_well(row[self.well_at] or "") if self.well_at is not None else None
            if well is None and self.well_at is not None:
                detail = f"{row[self.well_at]!r} is no well of a plate up to 1536 wells"
                self.log.add(
                    self.table.entry("row", "no_well", detail, outcome="rejected", source_row=count)
                )
                continue
            values = self._values(count, row)
            known = self.table.by_well.setdefault(well, values)
            if not numbers[well] or not self._same(known, values):
                numbers[well].append(count)
        if not count:
            detail = "the file has a header and no row"
            self.log.add(self.table.entry("file", "header_only", detail))
        if nameless:
            detail = "a column has no name in the header, so it is left out; name it to keep it"
            self.log.add(self.table.entry("file", "no_column_name", detail, count=nameless))
        self._take_out_repeated(numbers)

    def _is_whole(self, number: int, row: list[str | None], width: int) -> bool:
        if len(row) <= width:
            return True
        detail = f"the row has {len(row)} values, the header {width}"
        self.log.add(
            self.table.entry("row", "column_count", detail, outcome="rejected", source_row=number)
        )
        return False

    def _values(self, number: int, row: list[str | None]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for position, (name, kind) in self.columns.items():
            text = row[position]
            values[name] = _typed(text, kind)
            if text is not None and values[name] is None:
                expected = "a whole number" if kind == "int" else "a number"
                detail = f"{name} is {text!r}: expected {expected}; the value is left empty"
                self.log.add(self.table.entry("row", "not_a_number", detail, source_row=number))
        return values

    def _same(self, one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
        keys = self.table.keys
        return all(other[name] == value for name, value in one.items() if name not in keys)

    def _take_out_repeated(self, numbers: Mapping[str | None, list[int]]) -> None:
        """Leave out what is said in several ways: nothing says which is right."""
        for well, rows in numbers.items():
            if len(rows) > 1:
                del self.table.by_well[well]
                self.table.contradicted.add(well)
                what = f"plate {self.plate}" if well is None else f"well {well}"
                detail = (
                    f"{what} is in rows {', '.join(map(str, rows[:_SHOWN]))} with other values; "
                    "expected one row, so none of them is used"
                )
                self.log.add(
                    self.table.entry(
                        "row",
                        "duplicate_key",
                        detail,
                        outcome="rejected",
                        well_id=well,
                        count=len(rows),
                    )
                )


def _typed(text: str | None, kind: ColumnKind) -> Value:
    if text is None or kind == "string":
        return text
    if not is_number(text):
        return None
    number = float(text)
    if kind == "int":
        return int(number) if number.is_integer() else None
    return number


def wells_named(path: Place) -> frozenset[str]:
    """The wells that a file has rows of, of any plate.

    Raises
    ------
    MeasurementError
        If the file cannot be read.
    """
    table = TextTable.of(path)
    column = key_column(table.columns, WELL_NAMES)
    if column is None:
        return frozenset()
    at = table.columns.index(column)
    wells = (normalise_well(row[at] or "") for _, row in table.rows())
    return frozenset(well for well in wells if well is not None)
