"""Finding rows without reading tables: the files of a selection, the row groups of an object.

A data file never changes once a snapshot names it, so what was learnt of it is kept under its path,
for as long as it fits into a bound of memory. The catalog is asked at every read: a new snapshot is
seen at once.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, In
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.transforms import IdentityTransform

from cp_assets.warehouse.bounded_cache import BoundedCache
from cp_assets.warehouse.file_io import open_filesystem
from cp_assets.warehouse.partitions import FOOTER_GROWTH
from cp_assets.warehouse.schemas import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow.fs as pafs
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

OBJECT_ID = "Metadata_ObjectID"
"""Column of an object's id in every table that has objects; the column that lookups go by."""

PLAN_BYTES = 16 * 2**20
"""Most memory for the lists of a selection's files."""

INDEX_BYTES = 128 * 2**20
"""Most memory for ids of objects: some 40 bytes an object, 3 million objects."""

FOOTER_BYTES = 512 * 2**20
"""Most memory for footers of data files, as estimated with `FOOTER_GROWTH`."""

PlateTerms = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class SelectedFiles:
    """Data files of a table's snapshot that can hold a selection's rows.

    Attributes
    ----------
    paths
        As ``filesystem`` takes them, in the order in which they were written.
    schema
        Of the table: a column that a file lacks is null.
    partitions
        Of each path: column -> the one value that all its rows have.
    location
        Of one of the files, as the table has it.
    properties
        Of the table's file access.
    """

    paths: tuple[str, ...]
    schema: pa.Schema
    partitions: tuple[Mapping[str, Any], ...] = ()
    location: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def filesystem(self) -> pafs.FileSystem | None:
        """Where the files lie; of this process, which may not be the one that made this."""
        if self.location is None:
            return None
        return open_filesystem(dict(self.properties), self.location)[0]

    def dataset(self) -> pads.Dataset:
        """All rows of the files; a file is opened only for a predicate that its partition meets."""
        if not self.paths:
            return pads.dataset(self.schema.empty_table())
        parquet, filesystem = pads.ParquetFileFormat(), self.filesystem
        fragments = [
            parquet.make_fragment(path, filesystem, _is_of(partition))
            for path, partition in zip(self.paths, self.partitions, strict=True)
        ]
        return pads.FileSystemDataset(fragments, self.schema, parquet, filesystem)


@dataclass(frozen=True)
class ObjectIndex:
    """The objects of one data file, in the order of its rows.

    Attributes
    ----------
    ids
        Id of an object, once for each run of its rows within a row group.
    row_groups
        Row group of each id, int32.
    """

    ids: pa.StringArray
    row_groups: npt.NDArray[np.int32]

    def find(self, wanted: pa.StringArray) -> list[int]:
        """The row groups that hold rows of these objects, ascending."""
        one = len(wanted) == 1
        same = pc.equal(self.ids, wanted[0]) if one else pc.is_in(self.ids, value_set=wanted)
        return [int(group) for group in np.unique(self.row_groups[_is_true(same)])]

    @property
    def nbytes(self) -> int:
        """Memory of the index, bytes."""
        return int(self.ids.nbytes) + self.row_groups.nbytes


class DataFiles:
    """What is known of a warehouse's data files, in bounded memory; shared by all its reads."""

    def __init__(self) -> None:
        self._plans: BoundedCache[SelectedFiles] = BoundedCache(PLAN_BYTES)
        self._footers: BoundedCache[pads.ParquetFileFragment] = BoundedCache(FOOTER_BYTES)
        self._indexes: BoundedCache[ObjectIndex] = BoundedCache(INDEX_BYTES)

    def select(self, table: Table, plates: PlateTerms | None = None) -> SelectedFiles:
        """The files of the table's current snapshot in the partitions that can match."""
        snapshot = table.current_snapshot()
        key = (
            table.metadata.table_uuid,
            table.metadata.current_schema_id,
            snapshot.snapshot_id if snapshot else None,
            tuple(sorted((plates or {}).items())),
        )
        return self._plans.get(key, lambda: _planned(table, plates or {}))

    def dataset(
        self,
        table: Table,
        plates: PlateTerms | None = None,
        objects: Sequence[str] | None = None,
    ) -> pads.Dataset:
        """The table's current rows as a pyarrow dataset, limited to what can match.

        Parameters
        ----------
        plates
            Partition column -> values to keep.
        objects
            Ids of objects: only row groups that hold one of them are part of the dataset.
        """
        files = self.select(table, plates)
        if objects is None or OBJECT_ID not in files.schema.names:
            return files.dataset()
        fragments = self._fragments_of(files, pa.array(objects, pa.string()))
        return pads.FileSystemDataset(
            fragments, files.schema, pads.ParquetFileFormat(), files.filesystem
        )

    def footer(self, files: SelectedFiles, path: str) -> pads.ParquetFileFragment:
        """The file with its footer parsed."""

        def read() -> tuple[pads.ParquetFileFragment, int]:
            fragment = pads.ParquetFileFormat().make_fragment(path, files.filesystem)
            fragment.ensure_complete_metadata()
            return fragment, fragment.metadata.serialized_size * FOOTER_GROWTH

        # A footer keeps its file system, and one of S3 must not be used after a fork.
        is_remote = urlsplit(files.location or "").scheme not in ("", "file")
        return self._footers.get((os.getpid(), path) if is_remote else path, read)

    def index(self, files: SelectedFiles, path: str) -> ObjectIndex:
        """Where the objects of a file are; reads the ids of all its rows."""

        def read() -> tuple[ObjectIndex, int]:
            index = _object_index(self.footer(files, path))
            return index, index.nbytes

        return self._indexes.get(path, read)

    def read_indexes(self, files: SelectedFiles) -> None:
        """Read those indexes of the files that are not known yet, several at a time."""
        missing = [path for path in files.paths if path not in self._indexes]
        if not missing:
            return
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            list(pool.map(lambda path: self.index(files, path), missing))

    def _fragments_of(
        self, files: SelectedFiles, wanted: pa.StringArray
    ) -> list[pads.ParquetFileFragment]:
        """The files that hold one of the objects, each with the row groups that do."""
        self.read_indexes(files)
        found = [(path, self.index(files, path).find(wanted)) for path in files.paths]
        return [
            self.footer(files, path).subset(row_group_ids=groups)
            for path, groups in found
            if groups
        ]


def _planned(table: Table, plates: Mapping[str, tuple[str, ...]]) -> tuple[SelectedFiles, int]:
    schema = arrow_schema(table.schema())
    if table.current_snapshot() is None:
        return SelectedFiles((), schema), 0
    row_filter: BooleanExpression = AlwaysTrue()
    for name, values in plates.items():
        row_filter = And(row_filter, In(term=name, literals=values))
    columns = tuple(plates) or (schema.names[0],)
    tasks = table.scan(row_filter=row_filter, selected_fields=columns).plan_files()
    found = sorted((task.file for task in tasks), key=lambda file: file.file_path)
    if not found:
        return SelectedFiles((), schema), 0
    properties = table.io.properties
    paths = tuple(PyArrowFileIO.parse_location(file.file_path, properties)[2] for file in found)
    named = _Partitions(table)
    files = SelectedFiles(
        paths, schema, tuple(map(named.of, found)), found[0].file_path, properties
    )
    return files, sum(map(len, paths)) + sum(map(len, named.texts))


class _Partitions:
    """The values of identity columns that data files were written with; equal ones are shared."""

    def __init__(self, table: Table) -> None:
        schema = table.schema()
        self._fields = {
            spec_id: [
                (place, schema.find_field(field.source_id).name)
                for place, field in enumerate(spec.fields)
                if isinstance(field.transform, IdentityTransform)
            ]
            for spec_id, spec in table.specs().items()
        }
        self._known: dict[str, Mapping[str, Any]] = {}

    @property
    def texts(self) -> Iterable[str]:
        return self._known

    def of(self, file: DataFile) -> Mapping[str, Any]:
        """Column -> value of a file."""
        values = {name: file.partition[place] for place, name in self._fields[file.spec_id]}
        return self._known.setdefault(repr(values), values)


def _is_of(partition: Mapping[str, Any]) -> pads.Expression | None:
    """What holds for every row of a partition."""
    terms = [
        pads.field(name).is_null() if value is None else pads.field(name) == value
        for name, value in partition.items()
    ]
    return reduce(and_, terms) if terms else None


def _object_index(file: pads.ParquetFileFragment) -> ObjectIndex:
    """Read the ids of a file's rows and keep the first of each run of equal ones."""
    footer: Any = file.metadata
    counts = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    groups = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    if OBJECT_ID not in file.physical_schema.names:
        return ObjectIndex(pa.array([], pa.string()), groups[:0])
    ids = file.to_table(columns=[OBJECT_ID])[OBJECT_ID].combine_chunks().cast(pa.string())
    first = _is_true(ids.is_valid())
    if len(ids) > 1:
        changed = _is_true(pc.not_equal(ids[1:], ids[:-1]).fill_null(True))
        first[1:] &= changed | (groups[1:] != groups[:-1])
    return ObjectIndex(ids.filter(pa.array(first)), groups[first])


def _is_true(values: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    return np.array(values.to_numpy(zero_copy_only=False), bool)
