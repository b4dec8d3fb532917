"""``profiles.raw_measurements``: every row that CellProfiler measured, as measured.

Columns keep their names; keys that say which plate, well, site and image set a row belongs to are
added in front. Rows come by compartment, then in the plate's order of image sets, then by object
number, whatever the order of folders, files and rows on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.databases import unchanged_databases
from cp_assets.datasets.load_data import image_set_places
from cp_assets.datasets.spooling import local_databases
from cp_assets.measurements.columns import ADDED, IMAGE_SET_KEYS
from cp_assets.measurements.image_sets import (
    FolderIdentities,
    ImageSetIdentity,
    ImageSetKey,
    identify_image_sets,
    identity_columns,
)
from cp_assets.measurements.keyed_rows import KeyedRows, gathered, sorted_on_disk
from cp_assets.measurements.keys import FolderKeys, keyed_rows
from cp_assets.measurements.plan import IMAGE
from cp_assets.measurements.reading import read_chunks, read_types
from cp_assets.measurements.site_rows import SiteRows, site_rows
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.warehouse.spec import KEY_COLUMNS, TableSpec, column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cp_assets.datasets.model import MeasurementFolder, PlateSources
    from cp_assets.measurements.chunks import TableChunk

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
    code_version="3",
    # Measured values shrink by 2 % less than with zstd and are written three times as fast.
    codec="snappy",
)


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
    _keys: dict[str, FolderKeys] = field(default_factory=dict)
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
        for rejection in self.sources.left_out:
            self.log.add(rejection)
        with local_databases(self.sources) as sources:
            tables = [table for folder in sources.folders for table in folder.tables.values()]
            with unchanged_databases({table.path for table in tables if table.table is not None}):
                names = {name for folder in sources.folders for name in folder.tables} - {IMAGE}
                read = site_rows(sources, (IMAGE, *sorted(names)), self._overrides)
                for compartment, some in groupby(read, key=attrgetter("compartment")):
                    keyed = self._image_rows if compartment == IMAGE else self._object_rows
                    yield from gathered(keyed(some))

    @cached_property
    def _overrides(self) -> Mapping[str, str]:
        return _column_types(self.sources)

    def _image_rows(self, tables: Iterable[SiteRows]) -> Iterator[KeyedRows]:
        if self._places is None:
            self._places = image_set_places(self.sources.load_data)
        taken: dict[str, str] = {}
        rank = 0
        for some in tables:
            named = some.chunk.rows.select(identity_columns(some.chunk.rows.column_names))
            start = 0
            for folder, count in zip(some.folders, some.counts, strict=True):
                own = named.slice(start, count)
                identities = identify_image_sets(self.sources, rank, own, self._places)
                identities = _without_repeated(identities, folder, taken)
                for rejection in identities.rejections:
                    self.log.add(rejection)
                self._keys[folder.relative] = FolderKeys(self.sources.key, folder, identities)
                start, rank = start + count, rank + 1
            yield from self._keyed(some, some.chunk)

    def _object_rows(self, tables: Iterable[SiteRows]) -> Iterator[KeyedRows]:
        for some in tables:
            second = next(some.rest, None)
            if second is None:
                yield from self._keyed(some, some.chunk)
            else:
                yield from self._in_order(some, chain([some.chunk, second], some.rest))

    def _in_order(self, one: SiteRows, pieces: Iterable[TableChunk]) -> Iterator[KeyedRows]:
        """Rows of a table of several pieces by image set and object.

        It is sorted on disk, unless its keys alone, which are read in a fraction of the time, show
        that it lies in order.
        """
        keyed = chain.from_iterable(
            self._keyed(replace(one, counts=[piece.rows.num_rows]), piece) for piece in pieces
        )
        keys = self._keys[one.folders[0].relative]
        is_in_order = self._lies_in_order(keys, one.compartment)
        yield from keyed if is_in_order else sorted_on_disk(keyed)

    def _lies_in_order(self, keys: FolderKeys, compartment: str) -> bool:
        """Whether a table's stored order is the plate's."""
        if keys.folder.tables[compartment].path.suffix.lower() in {".csv", ".gz"}:
            # Finding the keys of a CSV file takes longer than sorting it: its lines are parsed.
            return False
        only = (*IMAGE_SET_KEYS, "ObjectNumber")
        pieces = read_chunks(keys.folder, compartment, self._overrides, only=only)
        return keys.in_order(piece.rows for piece in pieces)

    def _keyed(self, some: SiteRows, chunk: TableChunk) -> Iterator[KeyedRows]:
        """The rows of a chunk, which are of these folders, with their keys."""
        for rejection in chunk.rejections:
            self.log.add(rejection)
        keys = [self._keys[folder.relative] for folder in some.folders]
        yield from keyed_rows(some.compartment, keys, some.counts, chunk.rows, self.log)


def first_columns(sources: PlateSources) -> pa.Schema:
    """Columns of the plate's first measurement folder, over all compartments.

    The table takes them at once; what other folders bring beyond them is added as it comes.
    """
    overrides = _column_types(sources)
    found: dict[str, pa.DataType] = {}
    for compartment in sorted(sources.folders[0].tables):
        found.update(read_types(sources.folders[0], compartment, overrides))
    return pa.schema([*RAW_MEASUREMENTS.schema, *_not_in_schema(found)])


def _column_types(sources: PlateSources) -> Mapping[str, str]:
    """What is said of columns, and text for those that are numbers in some files of the plate only.

    Of IN Carta's columns, some are told by their values, and a plate may have several files.
    """
    said = sources.dataset.column_types
    by_value = [folder for folder in sources.folders if folder.preset.container == "in-carta"]
    if len(by_value) < 2:  # noqa: PLR2004
        return said
    found: dict[str, set[pa.DataType]] = {}
    for folder in by_value:
        for name, kind in read_types(folder, folder.preset.compartment, said).items():
            found.setdefault(name, set()).add(kind)
    mixed = {name: "string" for name, kinds in found.items() if len(kinds) > 1}
    return {**said, **mixed}


def _not_in_schema(found: dict[str, pa.DataType]) -> list[pa.Field]:
    known = ADDED.union(RAW_MEASUREMENTS.schema.names)
    return [pa.field(name, kind) for name, kind in found.items() if name not in known]


def _without_repeated(
    identities: FolderIdentities, folder: MeasurementFolder, taken: dict[str, str]
) -> FolderIdentities:
    """Reject image sets that another folder of the plate measured already."""
    kept: dict[ImageSetKey, ImageSetIdentity] = {}
    rejections = list(identities.rejections)
    whole = identities.whole_folder
    if whole is not None and taken.setdefault(whole.image_id, folder.relative) != folder.relative:
        rejections.append(_repeated(whole, folder, taken[whole.image_id]))
        whole = None
    for key, identity in identities.by_key.items():
        first = taken.setdefault(identity.image_id, folder.relative)
        if first == folder.relative:
            kept[key] = identity
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
