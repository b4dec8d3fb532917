"""IN Carta's export as tables: its image sets as Image, its objects as a compartment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk, in_pieces
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.in_carta import InCartaFile, open_in_carta
from cp_assets.measurements.table_source import TableSource
from cp_assets.stores import state_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cp_assets.datasets.model import TableFile
    from cp_assets.stores import State

_IMAGE = "Image"


@dataclass(frozen=True)
class InCartaTable(TableSource):
    """The image sets of an export, or its objects.

    Image sets stand in no row of their own, so their `SOURCE_ROW` is null.
    """

    def types(self) -> dict[str, pa.DataType]:
        """By the names, and by the values of columns whose names say nothing."""
        export = self._opened()
        if self.table.compartment == _IMAGE:
            return {one.name: one.type for one in export.image_sets.schema}
        return export.types

    def chunks(
        self, chunk_bytes: int | None = CHUNK_BYTES, only: Collection[str] | None = None
    ) -> Iterator[TableChunk]:
        """Of about so many bytes of text; image sets at once."""
        export = self._opened()
        if self.table.compartment == _IMAGE:
            nowhere = pa.nulls(export.image_sets.num_rows, pa.int64())
            yield TableChunk(export.image_sets.append_column(SOURCE_ROW, nowhere), ()).only(only)
            return
        chunks = export.chunks(self.table, chunk_bytes or CHUNK_BYTES)
        yield from in_pieces(chunks, chunk_bytes, only)

    def _opened(self) -> InCartaFile:
        said = tuple(sorted(self.overrides.items()))
        name = self.table.name.removesuffix(f":{self.file.table}")
        return _looked_through(self.file, name, said, state_of(self.file.path))


@lru_cache(maxsize=64)
def _looked_through(
    file: TableFile, name: str, overrides: tuple[tuple[str, str], ...], _state: State
) -> InCartaFile:
    """Look through a file once for its image sets and its objects, as long as it is unchanged."""
    return open_in_carta(file.path, name, dict(overrides))
