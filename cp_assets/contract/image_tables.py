"""The images that profiles are to find: of a store that is scanned, of a table, of a warehouse."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.contract.profile_tables import (
    IcebergRows,
    ProfileTable,
    is_table,
    open_table,
    table_of_path,
)
from cp_assets.datasets import PlateKey
from cp_assets.datasets.layouts import UNBATCHED
from cp_assets.errors import ConfigurationError
from cp_assets.scanning import scan_all
from cp_assets.scanning.chunks import chunk_index_batches
from cp_assets.scanning.names import IMAGE_ENDINGS, ZARR_ENDING, stem_of
from cp_assets.scanning.tables import CHUNK_INDEX, IMAGE_ASSETS, image_assets_batches, own_keys
from cp_assets.stores import place
from cp_assets.warehouse.catalog import is_warehouse
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from cp_assets.scanning.model import ImageAsset
    from cp_assets.scanning.tables import AssetKeys
    from cp_assets.stores import StoreSettings
    from cp_assets.warehouse.spec import TableSpec


@dataclass(frozen=True)
class ImageTables:
    """Image assets, and their chunks where they are known.

    Attributes
    ----------
    warnings
        What of the images could not be read; filled while they are.
    """

    assets: ProfileTable
    chunks: ProfileTable | None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScannedRows:
    """Rows of a store, or of a folder of stores, scanned each time that they are read.

    Attributes
    ----------
    rows
        Rows of the scanned assets: image assets or their chunks.
    warnings
        Takes what could not be read.
    """

    name: str
    plate: PlateKey
    spec: TableSpec
    rows: Callable[[PlateKey, Iterable[tuple[ImageAsset, AssetKeys]]], Iterator[pa.RecordBatch]]
    stores: StoreSettings | None
    warnings: list[str]

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the table."""
        return tuple(self.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """Of the table."""
        return self.spec.schema

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns."""
        for batch in self.whole_batches():
            yield batch.select([name for name in columns if name in self.columns])

    def whole_batches(self) -> Iterator[pa.RecordBatch]:
        """All columns."""
        self.warnings.clear()
        yield from self.rows(self.plate, self._assets())

    def _assets(self) -> Iterator[tuple[ImageAsset, AssetKeys]]:
        for found in scan_all(self.name, self.stores):
            self.warnings.extend(found.warnings)
            yield from ((asset, own_keys(asset)) for asset in found.image_assets)


def open_images(
    where: str | Path,
    warehouse: str | Path | Warehouse | None = None,
    *,
    dataset_id: str | None = None,
    stores: StoreSettings | None = None,
) -> ImageTables:
    """Open the images of a path, or of a warehouse's table.

    Parameters
    ----------
    where
        An image store or a folder of such, which is scanned; the folder of a warehouse, for its
        ``images.image_assets``; a Parquet or CSV file or a folder of Parquet files with the columns
        of that table. A name that is no path there is a table of ``warehouse``.
    dataset_id
        Of a store that is scanned; by default its name without ending, as ``register`` has it.

    Raises
    ------
    ConfigurationError
        If nothing is there.
    NoSuchTableError
        If the warehouse has no such table.
    """
    path = place(where, stores)
    if not path.exists():
        if str(where).lower().endswith((*IMAGE_ENDINGS, ZARR_ENDING)):
            msg = f"{where}: no such file or folder; expected an image store, or a table of images"
            raise ConfigurationError(msg)
        return _of_table(open_table(where, warehouse))
    if isinstance(path, Path) and is_warehouse(path):
        return _of_table(open_table(IMAGE_ASSETS.name, open_warehouse(path)))
    if is_table(path):
        return ImageTables(table_of_path(path), None)
    stem = stem_of(str(path.resolve()))
    plate = PlateKey(dataset_id or stem, UNBATCHED, stem)
    warnings: list[str] = []
    scanned = partial(ScannedRows, str(where), plate, stores=stores, warnings=warnings)
    return ImageTables(
        assets=scanned(spec=IMAGE_ASSETS, rows=image_assets_batches),
        chunks=scanned(spec=CHUNK_INDEX, rows=partial(chunk_index_batches, stores=stores)),
        warnings=warnings,
    )


def _of_table(assets: ProfileTable) -> ImageTables:
    if not isinstance(assets, IcebergRows):
        return ImageTables(assets, None)
    there = assets.warehouse.has_table(CHUNK_INDEX.name)
    return ImageTables(assets, IcebergRows(assets.warehouse, CHUNK_INDEX.name) if there else None)
