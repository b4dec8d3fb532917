"""What every measurement table is read through, whatever it lies in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cp_assets.measurements.chunks import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

    from cp_assets.datasets.model import TableFile
    from cp_assets.measurements.chunks import TableChunk
    from cp_assets.measurements.table_rules import TableName


@dataclass(frozen=True)
class TableSource(ABC):
    """One measurement table; each container has a class of its own.

    Attributes
    ----------
    file
        Where the table lies.
    table
        How it is called, what it measures, and its dialect.
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule by name is wrong.
    """

    file: TableFile
    table: TableName
    overrides: Mapping[str, str] = field(default_factory=dict)

    @abstractmethod
    def types(self) -> dict[str, pa.DataType]:
        """Columns by CellProfiler's names, with their types; none of a file of 0 bytes.

        Raises
        ------
        MeasurementError
            If the table cannot be read, lacks a key column or repeats a column.
        InputChangedError
            If its file changes while it is read.
        """

    @abstractmethod
    def chunks(
        self, chunk_bytes: int | None = CHUNK_BYTES, only: Collection[str] | None = None
    ) -> Iterator[TableChunk]:
        """Read the table in its stored order, in pieces of whole rows, at least one.

        Parameters
        ----------
        chunk_bytes
            Size of a piece in bytes, about; None for the whole table at once.
        only
            The columns to read, by CellProfiler's names; None for all.

        Raises
        ------
        MeasurementError
            If the table cannot be read, lacks a key column or repeats a column.
        InputChangedError
            If its file changes while it is read.
        """
