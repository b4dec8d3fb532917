"""The two header rows of CellProfiler's single ``object.csv``: object names over column names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.datasets.csv_text import open_csv
from cp_assets.datasets.presets import KEYS
from cp_assets.errors import MeasurementError

if TYPE_CHECKING:
    from cp_assets.stores import Place

HEADER_ROWS = 2

IMAGE = "Image"


@dataclass(frozen=True)
class CombinedHeader:
    """The two header rows: compartment and name of each column, in the file's order."""

    columns: tuple[tuple[str, str], ...]

    @property
    def compartments(self) -> tuple[str, ...]:
        """All compartments, Image first, then in the file's order."""
        return tuple(dict.fromkeys((IMAGE, *(compartment for compartment, _ in self.columns))))


def is_combined_csv(path: Place) -> bool:
    """Whether a CSV file has two header rows: object names over those of columns with the keys.

    A file that is no CSV text has not.
    """
    try:
        with open_csv(path, path.name, HEADER_ROWS) as text:
            return _is_combined(text.header)
    except MeasurementError:
        return False


def _is_combined(header: tuple[tuple[str, ...], ...]) -> bool:
    if len(header) < HEADER_ROWS:
        return False
    above, below = header
    return (
        len(above) == len(below)
        and all(above)
        and set(KEYS) <= set(below)
        and not set(KEYS) & set(above)
    )


def read_combined_header(path: Place, name: str) -> CombinedHeader:
    """Read the two header rows.

    Parameters
    ----------
    name
        The file as errors name it.

    Raises
    ------
    MeasurementError
        If the file has other header rows, lacks a key column, or repeats one in a compartment.
    """
    with open_csv(path, name, HEADER_ROWS) as text:
        return combined_header(name, text.header)


def combined_header(name: str, header: tuple[tuple[str, ...], ...]) -> CombinedHeader:
    """The header of an open file from the cells of its header rows.

    Raises
    ------
    MeasurementError
        See `read_combined_header`.
    """
    if not _is_combined(header):
        msg = (
            f"{name} has not the two header rows of ExportToSpreadsheet's combined file; expected "
            f"object names, then as many column names, {' and '.join(KEYS)} among them"
        )
        raise MeasurementError(msg)
    columns = tuple(zip(*header, strict=True))
    if len(set(columns)) < len(columns):
        compartment, column = next(one for one in columns if columns.count(one) > 1)
        msg = f"{name} has the column {column!r} of {compartment} more than once"
        raise MeasurementError(msg)
    return CombinedHeader(columns)
