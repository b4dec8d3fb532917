"""``profiles.raw_measurements``: every row that CellProfiler measured, as measured.

Columns keep their names; keys that say which plate, well, site and image set a row belongs to are
added in front. Rows come by compartment, then in the plate's order of image sets, then by object
number, whatever the order of folders, files and rows on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.load_data import image_set_places
from cp_assets.measurements.columns import column_type
from cp_assets.measurements.csv_table import (
    SOURCE_ROW,
    CsvTable,
    read_csv_chunks,
    read_csv_table,
    read_header,
)
from cp_assets.measurements.image_sets import (
    FolderIdentities,
    ImageSetIdentity,
    identify_image_sets,
)
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.streams import ordered_map
from cp_assets.warehouse.spec import KEY_COLUMNS, TableSpec, column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.datasets.model import MeasurementFolder, PlateSources

IMAGE = "Image"

RAW_MEASUREMENTS = TableSpec(
    name="profiles.raw_measurements",
    doc="one object or image set of one compartment, as measured",
    schema=pa.schema(
        [
            *KEY_COLUMNS,
            column("compartment", pa.string(), "Image, or the compartment measured", required=True),
            column("source_folder", pa.string(), "measurement folder, below the dataset's root"),
            column("source_file", pa.string(), "measurement file, below the dataset's root"),
            column("source_row", pa.int64(), "row of that file, from 1, without the header"),
            column("ImageNumber", pa.int64(), "CellProfiler's image set number in its folder"),
            column("ObjectNumber", pa.int64(), "CellProfiler's object number in its image set"),
        ]
    ),
    partition_by=("compartment",),
    open_columns=True,
)

_ORDER = "__order"


@dataclass
class RawReader:
    """Reads one plate's measurement files.

    Attributes
    ----------
    log
        Takes what could not be used.
    """

    sources: PlateSources
    log: RejectionLog
    _identities: dict[str, FolderIdentities] = field(default_factory=dict)
    _places: dict[tuple[str, str], tuple[str | None, str | None]] | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows of all compartments, the Image table first.

        Raises
        ------
        MeasurementError
            If a file cannot be used at all; names it.
        InputChangedError
            If a file changes while it is read.
        """
        yield from self._image_rows()
        names = {name for folder in self.sources.folders for name in folder.tables} - {IMAGE}
        for compartment in sorted(names):
            yield from self._object_rows(compartment)

    def _image_rows(self) -> Iterator[pa.RecordBatch]:
        if self._places is None:
            self._places = image_set_places(self.sources.load_data)
        taken: dict[str, str] = {}
        folders = self.sources.folders
        for rank, table in enumerate(self._read_image_tables()):
            folder = folders[rank]
            self._take_rejections(table)
            identities = identify_image_sets(self.sources, rank, table.rows, self._places)
            identities = _without_repeated(identities, folder, taken)
            self._identities[folder.relative] = identities
            for rejection in identities.rejections:
                self.log.add(rejection)
            yield from self._keyed(folder, IMAGE, table.rows)

    def _read_image_tables(self) -> Iterator[CsvTable]:
        overrides = self.sources.dataset.column_types

        def read(folder: MeasurementFolder) -> CsvTable:
            name = folder.relative_file(IMAGE)
            return read_csv_table(folder.tables[IMAGE], name, IMAGE, overrides)

        return ordered_map(read, self.sources.folders, self.sources.dataset.images.workers)

    def _object_rows(self, compartment: str) -> Iterator[pa.RecordBatch]:
        overrides = self.sources.dataset.column_types
        folders = [folder for folder in self.sources.folders if compartment in folder.tables]

        def chunks(folder: MeasurementFolder) -> Iterator[CsvTable]:
            name = folder.relative_file(compartment)
            return read_csv_chunks(folder.tables[compartment], name, compartment, overrides)

        def first_chunk(folder: MeasurementFolder) -> tuple[CsvTable, Iterator[CsvTable]]:
            rest = chunks(folder)
            return next(rest), rest

        ahead = ordered_map(first_chunk, folders, self.sources.dataset.images.workers)
        for folder, (first, rest) in zip(folders, ahead, strict=True):
            yield from self._in_order(folder, compartment, first, rest)

    def _in_order(
        self, folder: MeasurementFolder, compartment: str, first: CsvTable, rest: Iterator[CsvTable]
    ) -> Iterator[pa.RecordBatch]:
        """Rows of one file by image set and object; a large file is sorted on disk."""
        self._take_rejections(first)
        second = next(rest, None)
        if second is None:
            yield from self._keyed(folder, compartment, first.rows)
            return

        def keyed() -> Iterator[pa.RecordBatch]:
            yield from self._keyed(folder, compartment, first.rows, keep_order=True)
            piece: CsvTable | None = second
            while piece is not None:
                self._take_rejections(piece)
                yield from self._keyed(folder, compartment, piece.rows, keep_order=True)
                piece = next(rest, None)

        yield from sorted_on_disk(keyed())

    def _take_rejections(self, table: CsvTable) -> None:
        for rejection in table.rejections:
            self.log.add(rejection)

    def _keyed(
        self,
        folder: MeasurementFolder,
        compartment: str,
        rows: pa.Table,
        *,
        keep_order: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """The rows with their keys in front, sorted; rows without an image set are recorded."""
        if not rows.num_rows:
            return
        identities = self._identities[folder.relative]
        numbers = rows["ImageNumber"].to_numpy()
        known = {number: identities.of(int(number)) for number in np.unique(numbers)}
        unknown = [n for n, who in known.items() if who is None and n not in identities.others]
        self._reject_unknown(folder, compartment, rows, unknown)
        usable = np.isin(numbers, [n for n, who in known.items() if who is not None])
        kept = rows if usable.all() else rows.filter(pa.array(usable))
        if not kept.num_rows:
            return
        keyed = self._with_keys(folder, compartment, kept, known)
        by = [(_ORDER, "ascending"), ("ObjectNumber", "ascending"), ("source_row", "ascending")]
        ordered = keyed.take(
            pc.sort_indices(keyed, [key for key in by if key[0] in keyed.column_names])
        )
        yield from (
            (ordered if keep_order else ordered.drop_columns([_ORDER]))
            .combine_chunks()
            .to_batches()
        )

    def _with_keys(
        self,
        folder: MeasurementFolder,
        compartment: str,
        rows: pa.Table,
        known: dict[int, ImageSetIdentity | None],
    ) -> pa.Table:
        who = sorted((i for i in known.values() if i is not None), key=lambda one: one.order)
        place = {identity.image_id: position for position, identity in enumerate(who)}
        position_of = {number: place[i.image_id] for number, i in known.items() if i is not None}
        positions = np.array(
            [position_of[n] for n in rows["ImageNumber"].to_numpy()], dtype=np.int64
        )
        constants = {
            **self.sources.key.columns(),
            "compartment": compartment,
            "source_folder": folder.relative,
            "source_file": folder.relative_file(compartment),
        }
        columns: dict[str, pa.Array] = {
            name: pa.repeat(pa.scalar(value, pa.string()), rows.num_rows)
            for name, value in constants.items()
        }
        indices = pa.array(positions)
        for name in ("well_id", "site_id", "image_id"):
            columns[name] = pa.array([getattr(i, name) for i in who], pa.string()).take(indices)
        # Order over the whole file: several pieces of one file are sorted together.
        order = {i.image_id: rank for rank, i in enumerate(self._file_order(folder))}
        ranks = np.array([order[i.image_id] for i in who], dtype=np.int64)
        columns[_ORDER] = pa.array(ranks[positions])
        columns.update({name: rows[name] for name in rows.column_names})
        return pa.table(columns)

    def _file_order(self, folder: MeasurementFolder) -> list[ImageSetIdentity]:
        identities = self._identities[folder.relative]
        everyone = [*identities.by_number.values()]
        if identities.whole_folder is not None:
            everyone.append(identities.whole_folder)
        return sorted(everyone, key=lambda identity: identity.order)

    def _reject_unknown(
        self, folder: MeasurementFolder, compartment: str, rows: pa.Table, unknown: list[int]
    ) -> None:
        for number in unknown:
            mine = rows.filter(pc.equal(rows["ImageNumber"], int(number)))
            for row in mine.select(_present(mine, ("ObjectNumber", SOURCE_ROW))).to_pylist():
                self.log.add(
                    Rejection(
                        kind="row",
                        reason="no_image_set",
                        detail=(
                            f"ImageNumber {number} is not in {folder.relative_file(IMAGE)}, or its "
                            "image "
                            "set was rejected: well and site are not known"
                        ),
                        compartment=compartment,
                        well_id=folder.well,
                        site_id=folder.site,
                        object_number=row.get("ObjectNumber"),
                        source_file=folder.relative_file(compartment),
                        source_row=row[SOURCE_ROW],
                    )
                )


def first_columns(sources: PlateSources) -> pa.Schema:
    """Columns of the plate's first measurement folder, over all compartments.

    The table takes them at once; what other folders bring beyond them is added as it comes.
    """
    overrides = sources.dataset.column_types
    found: dict[str, pa.DataType] = {}
    for compartment, path in sorted(sources.folders[0].tables.items()):
        if path.stat().st_size:
            header = read_header(path, sources.folders[0].relative_file(compartment), compartment)
            found.update((name, column_type(name, overrides)) for name in header)
    return pa.schema([*RAW_MEASUREMENTS.schema, *_not_in_schema(found)])


def _not_in_schema(found: dict[str, pa.DataType]) -> list[pa.Field]:
    known = set(RAW_MEASUREMENTS.schema.names)
    return [pa.field(name, kind) for name, kind in found.items() if name not in known]


def _present(rows: pa.Table, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in rows.column_names]


def _without_repeated(
    identities: FolderIdentities, folder: MeasurementFolder, taken: dict[str, str]
) -> FolderIdentities:
    """Reject image sets that another folder of the plate measured already."""
    kept: dict[int, ImageSetIdentity] = {}
    rejections = list(identities.rejections)
    whole = identities.whole_folder
    if whole is not None and taken.setdefault(whole.image_id, folder.relative) != folder.relative:
        rejections.append(_repeated(whole, folder, taken[whole.image_id]))
        whole = None
    for number, identity in identities.by_number.items():
        first = taken.setdefault(identity.image_id, folder.relative)
        if first == folder.relative:
            kept[number] = identity
            continue
        rejections.append(_repeated(identity, folder, first))
    return FolderIdentities(kept, whole, identities.others, tuple(rejections))


def _repeated(identity: ImageSetIdentity, folder: MeasurementFolder, first: str) -> Rejection:
    detail = (
        f"well {identity.well_id}, site {identity.site_id} is measured in {first} already; "
        "expected one folder an image set"
    )
    return Rejection(
        kind="image",
        reason="duplicate_image_set",
        detail=detail,
        compartment=IMAGE,
        well_id=identity.well_id,
        site_id=identity.site_id,
        image_id=identity.image_id,
        source_file=folder.relative_file(IMAGE),
    )


def sorted_on_disk(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Sort keyed rows by image set and object; DuckDB spills to disk what memory cannot hold."""
    first = next(batches, None)
    if first is None:
        return

    def everything() -> Iterator[pa.RecordBatch]:
        yield first
        yield from batches

    order = f'ORDER BY "{_ORDER}", "ObjectNumber", "source_row"'
    with TemporaryDirectory(prefix="cp_assets-") as spill:
        limits = {"memory_limit": "2GB", "temp_directory": spill}
        with duckdb.connect(config={**limits}) as connection:
            reader = pa.RecordBatchReader.from_batches(first.schema, everything())
            connection.register("keyed", reader)
            for batch in connection.sql(f"SELECT * FROM keyed {order}").to_arrow_reader(4096):
                # DuckDB's names are blind to letter case and it renames what looks equal to it.
                yield batch.rename_columns(first.schema.names).drop_columns([_ORDER])
