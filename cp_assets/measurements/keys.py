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

from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import ORDER, SOURCE_ROW
from cp_assets.measurements.image_sets import ImageSetKey
from cp_assets.measurements.plan import IMAGE
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.datasets.model import MeasurementFolder
    from cp_assets.measurements.image_sets import FolderIdentities, ImageSetIdentity
    from cp_assets.measurements.matching import IntArray
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
        everyone = [*self.identities.by_key.values()]
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
        self._check_tables(compartment, rows)
        keys, whose = _image_set_keys(rows)
        identities = [self.identities.of(key) for key in keys]
        unknown = [
            at
            for at, (key, identity) in enumerate(zip(keys, identities, strict=True))
            if identity is None and key not in self.identities.others
        ]
        for at in unknown:
            self._reject(compartment, rows.filter(pa.array(whose == at)), keys[at], log)
        known = np.array([identity is not None for identity in identities])
        if not known.all():
            rows, whose = rows.filter(pa.array(known[whose])), whose[known[whose]]
        if rows.num_rows:
            table = self._with_keys(compartment, rows, identities, whose)
            by = [(name, "ascending") for name in _SORT_KEYS if name in table.column_names]
            order = pc.sort_indices(table.select([name for name, _ in by]), by)
            # CellProfiler writes them in order, and to move thousands of columns takes long.
            if np.any(np.diff(order.to_numpy().astype(np.int64)) < 0):
                table = table.take(order)
            yield from table.combine_chunks().to_batches()

    def _check_tables(self, compartment: str, rows: pa.Table) -> None:
        """Refuse rows whose image sets are not told apart as those of the Image table are.

        Raises
        ------
        MeasurementError
            If one of the two has a TableNumber and the other has none.
        """
        known = next(iter((*self.identities.by_key, *self.identities.others)), None)
        if known is None or (known.table is None) == ("TableNumber" not in rows.column_names):
            return
        image, own = (self.folder.relative_file(name) for name in (IMAGE, compartment))
        has, lacks = (own, image) if known.table is None else (image, own)
        msg = (
            f"{has} has a TableNumber and {lacks} has none; expected both or neither, since it "
            "tells image sets of equal numbers apart. Export the tables together, or set "
            "`table_number: null` in the preset if ImageNumbers are unique"
        )
        raise MeasurementError(msg)

    def in_order(self, pieces: Iterable[pa.Table]) -> bool:
        """Whether rows come in the plate's order of image sets and objects already.

        Rows whose image set is not known do not matter: they are left out.
        """
        last = (-1, -1)
        for rows in pieces:
            keys, whose = _image_set_keys(rows) if rows.num_rows else ([], np.array([], int))
            identities = [self.identities.of(key) for key in keys]
            places = np.array(
                [-1 if one is None else self.order[one.image_id] for one in identities]
            )
            mine = places[whose] if len(whose) else whose
            kept = mine >= 0
            if not kept.any():
                continue
            mine, objects = mine[kept], rows["ObjectNumber"].to_numpy()[kept]
            rising = (mine[1:] > mine[:-1]) | (
                (mine[1:] == mine[:-1]) & (objects[1:] >= objects[:-1])
            )
            if not rising.all() or (mine[0], objects[0]) < last:
                return False
            last = (mine[-1], objects[-1])
        return True

    def _with_keys(
        self,
        compartment: str,
        rows: pa.Table,
        identities: Sequence[ImageSetIdentity | None],
        whose: IntArray,
    ) -> pa.Table:
        """Rows with their keys; ``whose`` is each row's place in ``identities``, shape (rows,)."""
        constants = {
            **self.plate.columns(),
            "compartment": compartment,
            "source_folder": self.folder.relative,
            "source_file": self.folder.relative_file(compartment),
        }
        columns: dict[str, pa.Array] = {
            name: pa.repeat(pa.scalar(value, pa.string()), rows.num_rows)
            for name, value in constants.items()
        }
        for name in ("well_id", "site_id", "image_id"):
            values = [getattr(identity, name, None) for identity in identities]
            columns[name] = pa.array(values, pa.string()).take(pa.array(whose))
        places = [-1 if one is None else self.order[one.image_id] for one in identities]
        columns[ORDER] = pa.array(np.array(places, dtype=np.int64)[whose])
        # One by one: to take thousands of columns apart and together again takes longer.
        for name in reversed(columns):
            rows = rows.add_column(0, name, columns[name])
        return rows

    def _reject(
        self, compartment: str, rows: pa.Table, key: ImageSetKey, log: RejectionLog
    ) -> None:
        named = [name for name in ("ObjectNumber", SOURCE_ROW) if name in rows.column_names]
        for row in rows.select(named).to_pylist():
            log.add(self._rejection(compartment, key, row))

    def _rejection(
        self, compartment: str, key: ImageSetKey, row: Mapping[str, int | None]
    ) -> Rejection:
        return Rejection(
            kind="row",
            reason="no_image_set",
            detail=(
                f"{key} is not in {self.folder.relative_file(IMAGE)}, or its image "
                "set was rejected: well and site are not known"
            ),
            compartment=compartment,
            well_id=self.folder.well,
            site_id=self.folder.site,
            object_number=row.get("ObjectNumber"),
            source_file=self.folder.relative_file(compartment),
            source_row=row[SOURCE_ROW],
        )


def _image_set_keys(rows: pa.Table) -> tuple[list[ImageSetKey], IntArray]:
    """The image sets of some rows in order, and each row's place among them, shape (rows,)."""
    images = rows["ImageNumber"].to_numpy()
    if "TableNumber" not in rows.column_names:
        numbers, whose = np.unique(images, return_inverse=True)
        return [ImageSetKey(None, number) for number in numbers.tolist()], whose
    both = np.stack([rows["TableNumber"].to_numpy(), images], axis=1)
    pairs, whose = np.unique(both, axis=0, return_inverse=True)
    return [ImageSetKey(table, image) for table, image in pairs.tolist()], whose.reshape(-1)


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
