"""The keys of measured rows: plate, well, site and image set in front, in the plate's order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import IMAGE_SET_KEYS, ORDER, SOURCE_ROW
from cp_assets.measurements.image_sets import ImageSetKey
from cp_assets.measurements.keyed_rows import KeyedRows
from cp_assets.measurements.plan import IMAGE
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.datasets.model import MeasurementFolder
    from cp_assets.measurements.image_sets import FolderIdentities, ImageSetIdentity
    from cp_assets.measurements.matching import IntArray
    from cp_assets.rejections import RejectionLog


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

    def keys(
        self, compartment: str, rows: pa.Table, log: RejectionLog
    ) -> tuple[pa.RecordBatch, IntArray]:
        """Key columns of the rows that are kept, by image set and object, and where those lie.

        Rows whose image set is not known are recorded instead; rows of other plates that share the
        folder are passed over.

        Parameters
        ----------
        rows
            The key columns of the rows as read, and `SOURCE_ROW`.
        """
        self._check_tables(compartment, rows)
        keys, whose = _image_set_keys(rows)
        identities = [self.identities.of(key) for key in keys]
        for at, (key, identity) in enumerate(zip(keys, identities, strict=True)):
            if identity is None and key not in self.identities.others:
                self._reject(compartment, rows, np.flatnonzero(whose == at), key, log)
        order = self._places(identities)[whose]
        positions = _sorted_positions(rows, order)
        columns = self._columns(compartment, identities, whose[positions], order[positions])
        return columns, positions

    def _places(self, identities: Iterable[ImageSetIdentity | None]) -> IntArray:
        """Each image set's place in the folder, -1 for none; shape (image sets,)."""
        places = [-1 if one is None else self.order[one.image_id] for one in identities]
        return np.array(places, dtype=np.int64)

    def _check_tables(self, compartment: str, rows: pa.Table) -> None:
        """Refuse rows whose image sets are not told apart as those of the Image table are.

        Raises
        ------
        MeasurementError
            If one of the two has a TableNumber and the other has none.
        """
        known = next(iter((*self.identities.by_key, *self.identities.others)), None)
        if known is None or (known.table is None) == (not _has(rows, "TableNumber")):
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
            mine = self._places(identities)[whose]
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

    def _columns(
        self,
        compartment: str,
        identities: Sequence[ImageSetIdentity | None],
        whose: IntArray,
        order: IntArray,
    ) -> pa.RecordBatch:
        """Key columns; ``whose`` is each row's place in ``identities``, shape (rows,)."""
        constants = {
            **self.plate.columns(),
            "compartment": compartment,
            "source_folder": self.folder.relative,
            "source_file": self.folder.relative_file(compartment),
        }
        columns: dict[str, pa.Array] = {ORDER: pa.array(order)}
        for name in ("image_id", "site_id", "well_id"):
            values = [getattr(identity, name, None) for identity in identities]
            columns[name] = pa.array(values, pa.string()).take(pa.array(whose))
        for name in reversed(constants):
            columns[name] = pa.repeat(pa.scalar(constants[name], pa.string()), len(whose))
        names = list(reversed(columns))
        return pa.RecordBatch.from_arrays([columns[name] for name in names], names=names)

    def _reject(
        self,
        compartment: str,
        rows: pa.Table,
        positions: IntArray,
        key: ImageSetKey,
        log: RejectionLog,
    ) -> None:
        named = [name for name in ("ObjectNumber", SOURCE_ROW) if _has(rows, name)]
        for row in rows.select(named).take(pa.array(positions)).to_pylist():
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


def keyed_rows(
    compartment: str,
    folders: Sequence[FolderKeys],
    counts: Sequence[int],
    rows: pa.Table,
    log: RejectionLog,
) -> Iterator[KeyedRows]:
    """Rows of some folders with their keys, by image set and object; nothing if none is kept.

    Parameters
    ----------
    counts
        How many rows are of each folder, in order.
    """
    names = (*IMAGE_SET_KEYS, "ObjectNumber", SOURCE_ROW)
    narrow = rows.select([name for name in names if _has(rows, name)])
    found = []
    start = 0
    for keys, count in zip(folders, counts, strict=True):
        if count:
            columns, positions = keys.keys(compartment, narrow.slice(start, count), log)
            found.append((columns, positions + start))
        start += count
    if not sum(len(positions) for _, positions in found):
        return
    together = np.concatenate([positions for _, positions in found])
    is_in_place = np.array_equal(together, np.arange(rows.num_rows))
    # CellProfiler writes them in order, and to move thousands of columns takes long.
    where = None if is_in_place else together
    yield KeyedRows(pa.concat_batches([columns for columns, _ in found]), rows, where)


def _has(rows: pa.Table, name: str) -> bool:
    """Whether there is a column; to list all names takes longer than the rest of a site's keys."""
    return bool(rows.schema.get_field_index(name) >= 0)


def _sorted_positions(rows: pa.Table, order: IntArray) -> IntArray:
    """Where the rows lie that have a place, by place and object number; shape (kept,)."""
    kept = np.flatnonzero(order >= 0)
    names = [name for name in (SOURCE_ROW, "ObjectNumber") if _has(rows, name)]
    by = [rows[name].to_numpy()[kept] for name in names]
    return kept[np.lexsort((*by, order[kept]))]


def _image_set_keys(rows: pa.Table) -> tuple[list[ImageSetKey], IntArray]:
    """The image sets of some rows in order, and each row's place among them, shape (rows,)."""
    images = rows["ImageNumber"].to_numpy()
    if not _has(rows, "TableNumber"):
        numbers, whose = np.unique(images, return_inverse=True)
        return [ImageSetKey(None, number) for number in numbers.tolist()], whose
    both = np.stack([rows["TableNumber"].to_numpy(), images], axis=1)
    pairs, whose = np.unique(both, axis=0, return_inverse=True)
    return [ImageSetKey(table, image) for table, image in pairs.tolist()], whose.reshape(-1)
