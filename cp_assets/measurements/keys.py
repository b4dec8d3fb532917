"""The keys of measured rows: plate, well, site and image set in front, in the plate's order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.measurements.columns import ORDER, SOURCE_ROW
from cp_assets.measurements.plan import IMAGE
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.datasets.model import MeasurementFolder
    from cp_assets.measurements.image_sets import FolderIdentities, ImageSetIdentity
    from cp_assets.rejections import RejectionLog

_SORT_KEYS = (ORDER, "ObjectNumber", SOURCE_ROW)
_SORTED_ROWS = 4096


@dataclass(frozen=True)
class FolderKeys:
    """Adds keys to the rows of one measurement folder."""

    plate: PlateKey
    folder: MeasurementFolder
    identities: FolderIdentities

    @cached_property
    def order(self) -> Mapping[str, int]:
        """Id of an image set -> its place in the folder, counted from 0."""
        everyone = [*self.identities.by_number.values()]
        if self.identities.whole_folder is not None:
            everyone.append(self.identities.whole_folder)
        in_order = sorted(everyone, key=lambda identity: identity.order)
        return {identity.image_id: place for place, identity in enumerate(in_order)}

    def keyed(
        self, compartment: str, rows: pa.Table, log: RejectionLog
    ) -> Iterator[pa.RecordBatch]:
        """The rows with their keys and `ORDER` in front, sorted.

        Rows whose image set is not known are recorded instead; rows of other plates that share the
        folder are passed over.
        """
        if not rows.num_rows:
            return
        numbers = rows["ImageNumber"].to_numpy()
        who = {int(number): self.identities.of(int(number)) for number in np.unique(numbers)}
        known = {number: identity for number, identity in who.items() if identity is not None}
        unknown = who.keys() - known.keys() - self.identities.others
        self._reject(compartment, rows, sorted(unknown), log)
        kept = rows if len(known) == len(who) else rows.filter(np.isin(numbers, list(known)))
        if kept.num_rows:
            table = self._with_keys(compartment, kept, known)
            by = [(name, "ascending") for name in _SORT_KEYS if name in table.column_names]
            order = pc.sort_indices(table.select([name for name, _ in by]), by)
            # CellProfiler writes them in order, and to move thousands of columns takes long.
            if np.any(np.diff(order.to_numpy().astype(np.int64)) < 0):
                table = table.take(order)
            yield from table.combine_chunks().to_batches()

    def _with_keys(
        self, compartment: str, rows: pa.Table, known: Mapping[int, ImageSetIdentity]
    ) -> pa.Table:
        numbers, inverse = np.unique(rows["ImageNumber"].to_numpy(), return_inverse=True)
        identities = [known[int(number)] for number in numbers]
        constants = {
            **self.plate.columns(),
            "compartment": compartment,
            "source_folder": self.folder.relative,
            "source_file": self.folder.relative_file(compartment),
        }
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            name: pa.repeat(pa.scalar(value, pa.string()), rows.num_rows)
            for name, value in constants.items()
        }
        for name in ("well_id", "site_id", "image_id"):
            values = [getattr(identity, name) for identity in identities]
            columns[name] = pa.array(values, pa.string()).take(pa.array(inverse))
        places = [self.order[identity.image_id] for identity in identities]
        columns[ORDER] = pa.array(np.array(places, dtype=np.int64)[inverse])
        columns.update(zip(rows.column_names, rows.columns, strict=True))
        return pa.table(columns)

    def _reject(
        self, compartment: str, rows: pa.Table, unknown: Iterable[int], log: RejectionLog
    ) -> None:
        for number in unknown:
            mine = rows.filter(pc.equal(rows["ImageNumber"], number))
            named = [name for name in ("ObjectNumber", SOURCE_ROW) if name in mine.column_names]
            for row in mine.select(named).to_pylist():
                log.add(self._rejection(compartment, number, row))

    def _rejection(self, compartment: str, number: int, row: Mapping[str, int | None]) -> Rejection:
        return Rejection(
            kind="row",
            reason="no_image_set",
            detail=(
                f"ImageNumber {number} is not in {self.folder.relative_file(IMAGE)}, or its image "
                "set was rejected: well and site are not known"
            ),
            compartment=compartment,
            well_id=self.folder.well,
            site_id=self.folder.site,
            object_number=row.get("ObjectNumber"),
            source_file=self.folder.relative_file(compartment),
            source_row=row[SOURCE_ROW],
        )


def without_order(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Keyed rows as the table takes them."""
    for batch in batches:
        yield batch.drop_columns([ORDER])


def sorted_on_disk(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Sort keyed rows by image set and object; DuckDB spills to disk what memory cannot hold."""
    first = next(batches, None)
    if first is None:
        return

    def everything() -> Iterator[pa.RecordBatch]:
        yield first
        yield from batches

    order = "ORDER BY " + ", ".join(f'"{name}"' for name in _SORT_KEYS)
    with TemporaryDirectory(prefix="cp_assets-") as spill:
        limits = {"memory_limit": "2GB", "temp_directory": spill}
        with duckdb.connect(config={**limits}) as connection:
            reader = pa.RecordBatchReader.from_batches(first.schema, everything())
            connection.register("keyed", reader)
            for batch in connection.sql(f"SELECT * FROM keyed {order}").to_arrow_reader(
                _SORTED_ROWS
            ):
                # DuckDB's names are blind to letter case and it renames what looks equal to it.
                yield batch.rename_columns(first.schema.names).drop_columns([ORDER])
