"""A warehouse root straight from image stores: their headers, their chunks, and profiles joined."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq

from cp_assets.contract.image_tables import ImageTables, ScannedRows
from cp_assets.contract.joining import JoinOptions, join_to_images
from cp_assets.contract.names import Aliases, row_key
from cp_assets.contract.profile_tables import open_table
from cp_assets.cytomining.merging import Mode, Rows
from cp_assets.cytomining.names import TableName
from cp_assets.cytomining.parts import parquet_batches
from cp_assets.cytomining.roles import KNOWN, Declaration
from cp_assets.cytomining.root import Exported, RootWrite, writing
from cp_assets.datasets.identity import PlateKey
from cp_assets.datasets.layouts import UNBATCHED
from cp_assets.rejections import RejectionLog
from cp_assets.scanning import scan_all
from cp_assets.scanning.chunks import chunk_index_batches
from cp_assets.scanning.names import stem_of
from cp_assets.scanning.tables import CHUNK_INDEX, IMAGE_ASSETS, image_assets_batches
from cp_assets.stores import place
from cp_assets.warehouse.spec import TableSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from cp_assets.contract.joining import JoinSummary
    from cp_assets.stores import StoreSettings

_JOINED = TableName("profiles", "joined_profiles")
_MOST_WARNINGS = 1000


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """What is written of image stores, and who they are.

    Attributes
    ----------
    dataset_id, plate_id
        By default the name of the store or folder without its ending, as ``register`` has it.
    chunks
        Whether to write the index of chunks.
    profiles
        Parquet or CSV of profiles, to be joined to their images as ``profiles.joined_profiles``.
    profile_dataset_id
        Of all profiles, where they have no such column.
    aliases
        Which columns of the profiles serve as keys of the join contract.
    """

    dataset_id: str | None = None
    batch_id: str = UNBATCHED
    plate_id: str | None = None
    chunks: bool = True
    profiles: str | Path | None = None
    profile_dataset_id: str | None = None
    aliases: Aliases = field(default_factory=Aliases)

    def key(self, path: str) -> PlateKey:
        """Identity of a store or folder."""
        name = stem_of(path)
        return PlateKey(self.dataset_id or name, self.batch_id, self.plate_id or name)


def export_images(
    paths: Sequence[str | Path],
    root: str | Path,
    options: ImageOptions | None = None,
    *,
    mode: Mode = "append",
    stores: StoreSettings | None = None,
) -> Exported:
    """Write what image stores hold into a warehouse root, from their headers alone.

    Memory does not grow with the number of images, chunks or profiles: stores are scanned anew for
    each table.

    Parameters
    ----------
    paths
        Image files, Zarr stores, or folders or prefixes of them; each is a plate of its own unless
        ``options`` say otherwise.
    mode
        ``append``: rows of the same plate are replaced, others stay. ``replace``: the tables have
        these rows and no others afterwards.
    stores
        How object stores are reached.

    Raises
    ------
    ImageReadError
        If a path holds no image that can be read.
    WarehouseRootError
        If two paths would be one plate, or the root cannot be written into.
    ConfigurationError, MeasurementError
        If the profiles cannot be read or joined.
    """
    chosen = options or ImageOptions()
    warnings: list[str] = []
    sources = [_Source.of(path, chosen, stores) for path in paths]
    with writing(Path(root), mode) as write:
        for source in sources:
            warnings += source.write(write, chosen)
            unlisted = dict.fromkeys(one.detail for one in source.unlisted)  # each was read anew
            told = [*source.images.warnings, *unlisted]
            warnings.extend(told[: max(0, _MOST_WARNINGS - len(warnings))])
        return replace(write.commit(), warnings=tuple(warnings))


@dataclass(frozen=True)
class _Source:
    """A store or folder that holds images, and their rows.

    Attributes
    ----------
    unlisted
        Takes the images whose chunks cannot be listed.
    """

    where: str
    key: PlateKey
    images: ImageTables
    unlisted: RejectionLog

    @classmethod
    def of(cls, path: str | Path, options: ImageOptions, stores: StoreSettings | None) -> _Source:
        there = place(str(path), stores)
        where = str(there.resolve())
        key = options.key(where)
        # What holds no image is told before there is a root.
        next(scan_all(where, stores))
        warnings: list[str] = []
        unlisted = RejectionLog()
        chunks = partial(chunk_index_batches, stores=stores, log=unlisted)
        scanned = partial(ScannedRows, where, key, stores=stores, warnings=warnings)
        return cls(
            where,
            key,
            ImageTables(
                scanned(spec=IMAGE_ASSETS, rows=image_assets_batches),
                scanned(spec=CHUNK_INDEX, rows=chunks),
                warnings,
            ),
            unlisted,
        )

    def write(self, write: RootWrite, options: ImageOptions) -> list[str]:
        """Add the rows of each table; gives warnings of what is not in them as one may think."""
        write.add(self._rows(IMAGE_ASSETS, self.images.assets.whole_batches()))
        if options.chunks and self.images.chunks is not None:
            write.add(self._rows(CHUNK_INDEX, self.images.chunks.whole_batches()))
        if options.profiles is None:
            return []
        return self._write_joined(write, options.profiles, options)

    def _rows(self, spec: TableSpec, batches: Iterator[pa.RecordBatch]) -> Rows:
        return Rows(
            KNOWN[spec.name],
            spec.schema,
            scope=str(self.key),
            batches=batches,
            spec=spec,
            source_type="scan_result",
            source_ref=self.where,
        )

    def _write_joined(
        self, write: RootWrite, profiles: str | Path, options: ImageOptions
    ) -> list[str]:
        """Join into a file beside the root's tables, and take its rows from there."""
        table = open_table(profiles)
        file = write.plan.staging / "joined.parquet"
        join = JoinOptions(aliases=options.aliases, dataset_id=options.profile_dataset_id)
        done = join_to_images(self.images, table, file, join)
        found = row_key(options.aliases.resolve(table.schema.names), table.schema.names)
        level, keys = found if found is not None else (None, ())
        declaration = Declaration(
            _JOINED,
            role="joined_profiles",
            join_keys=("dataset_id", "image_id"),
            grain="profile, with what its image's header says",
            profile_level=level,
            object_keys=keys if level == "object" else (),
        )
        with pq.ParquetFile(file) as joined:
            schema = joined.schema_arrow
            write.add(
                Rows(
                    declaration,
                    schema,
                    scope=str(self.key),
                    batches=parquet_batches(joined),
                    spec=TableSpec(str(_JOINED), "", schema),
                    source_type="joined_profiles",
                    source_ref=f"{self.where} {profiles}",
                )
            )
        warnings = _joined_warnings(done, file, level)
        file.unlink()
        return warnings


def _joined_warnings(done: JoinSummary, file: Path, level: str | None) -> list[str]:
    found = []
    if done.profile_rows_without_image:
        found.append(
            f"{_JOINED}: {done.profile_rows_without_image:,} of {done.profile_rows:,} profiles "
            "have no image here and are left out; join-profiles --keep-unmatched keeps them"
        )
    with duckdb.connect() as connection:
        images = "SELECT count(DISTINCT (dataset_id, image_id)) FROM read_parquet($file)"
        [(images_named,)] = connection.execute(images, {"file": str(file)}).fetchall()
    if level == "image" and images_named < done.rows_written:
        found.append(
            f"{_JOINED}: several rows name one image, and no column tells its objects apart; "
            "say which does, such as --alias object_id=COLUMN"
        )
    return found
