"""A site of DeepProfiler's as measurement tables: itself as Image, its objects as a compartment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.deepprofiler_identity import read_identity
from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.deepprofiler import read_deepprofiler_site
from cp_assets.measurements.table_source import TableSource

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_IMAGE = "Image"
_IMAGE_NUMBER = 1
"""A file is one image set."""


@dataclass(frozen=True)
class DeepProfilerTable(TableSource):
    """The site's own row, or its objects.

    Both have the types of the file: metadata are text, everything else numbers, whatever
    ``overrides`` say.
    """

    def types(self) -> dict[str, pa.DataType]:
        """Of the file, which is read for them."""
        schema = self._chunk().rows.schema
        return {one.name: one.type for one in schema if one.name != SOURCE_ROW}

    def chunks(
        self, chunk_bytes: int | None = CHUNK_BYTES, only: Collection[str] | None = None
    ) -> Iterator[TableChunk]:
        """At once, since arrays are compressed as a whole."""
        yield self._chunk().only(only)

    def _chunk(self) -> TableChunk:
        name = self.table.name.removesuffix(f":{self.file.table}")
        chunk = self._image(name) if self.table.compartment == _IMAGE else self._objects(name)
        told = [
            replace(one, compartment=self.table.compartment, source_file=self.table.name)
            for one in chunk.rejections
        ]
        return TableChunk(chunk.rows, tuple(told))

    def _image(self, name: str) -> TableChunk:
        """The metadata and what the path says beside them; no row if they contradict each other."""
        identity = read_identity(self.file.path, name)
        texts = identity.texts()
        names = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")
        for column, text in zip(names, identity.place(), strict=True):
            texts[column] = texts.get(column) or text
        columns = {
            "ImageNumber": pa.array([_IMAGE_NUMBER], pa.int64()),
            **{column: pa.array([text], pa.string()) for column, text in texts.items()},
            SOURCE_ROW: pa.nulls(1, pa.int64()),
        }
        rows = pa.table(columns)
        known = rows if identity.contradiction() is None else rows.slice(0, 0)
        return TableChunk(known, tuple(identity.faults()))

    def _objects(self, name: str) -> TableChunk:
        site = read_deepprofiler_site(self.file.path, name)
        number = pa.repeat(pa.scalar(_IMAGE_NUMBER, pa.int64()), site.rows.num_rows)
        return TableChunk(site.rows.add_column(0, "ImageNumber", number), site.rejections)
