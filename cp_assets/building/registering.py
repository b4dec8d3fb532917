"""Registering image stores by themselves: `register`, without measurements or a plate's layout."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cp_assets.building.plate_table import NotApplicable, PlateBuild, PlateTable, build_table
from cp_assets.datasets.fingerprints import tree_state
from cp_assets.datasets.identity import PlateKey
from cp_assets.datasets.layouts import UNBATCHED
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.scanning.chunks import chunk_index_batches
from cp_assets.scanning.many import scan_all
from cp_assets.scanning.names import stem_of
from cp_assets.scanning.tables import CHUNK_INDEX, IMAGE_ASSETS, image_assets_batches, own_keys
from cp_assets.stores import place, state_of
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from cp_assets.scanning.model import ImageAsset, ScanResult
    from cp_assets.scanning.tables import AssetKeys
    from cp_assets.stores import Place, StoreSettings


@dataclass(frozen=True)
class Registration:
    """What registering a store, or a folder of stores, did.

    Attributes
    ----------
    tables
        What became of each table that was asked for.
    """

    source_uri: str
    plate: PlateKey
    tables: tuple[PlateBuild, ...]

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON has it, under the names of iceberg-bioimage where it has them."""
        rows = {one.table: one.rows for one in self.tables}
        return {
            "source_uri": self.source_uri,
            **self.plate.columns(),
            "image_assets_rows_published": rows.get(IMAGE_ASSETS.name, 0),
            "chunk_rows_published": rows.get(CHUNK_INDEX.name, 0),
            "states": {one.table: one.state for one in self.tables},
            "unreadable": sum(sum(one.rejected.values()) for one in self.tables),
        }


def register(  # noqa: PLR0913 - one call, every option by name
    source: str | Place,
    warehouse: str | Path | Warehouse | None = None,
    *,
    dataset_id: str | None = None,
    batch_id: str = UNBATCHED,
    plate_id: str | None = None,
    image_assets: bool = True,
    chunks: bool = True,
    stores: StoreSettings | None = None,
    force: bool = False,
) -> Registration:
    """Write what the headers of an image store say, or of all stores of a folder.

    Registering again replaces the rows; of unchanged stores it changes nothing.

    Parameters
    ----------
    source
        As `cp_assets.scanning.scan_all` takes it.
    warehouse
        As `cp_assets.convert` takes it; None for the one that is configured. Nothing is made before
        the source was scanned.
    dataset_id, plate_id
        By default the name of the store or folder, without its ending.
    image_assets, chunks
        Whether to write ``images.image_assets``, and ``images.chunk_index``.
    stores
        How object stores are reached.
    force
        Write even what is unchanged.

    Raises
    ------
    ImageReadError
        If there is no image.
    StoreError, WarehouseWriteError
        If a store cannot be read, or the warehouse cannot be written.
    """
    scanned = _Scanned.of(source, stores)
    inputs, has_chunks = scanned.look()
    name = stem_of(scanned.source)
    plate = PlateKey(dataset_id or name, batch_id, plate_id or name)
    opened = (
        warehouse if isinstance(warehouse, Warehouse) else open_warehouse(warehouse, create=True)
    )

    def assets(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        return image_assets_batches(plate, scanned.images(log))

    def chunk_rows(log: RejectionLog) -> Iterator[pa.RecordBatch]:
        # What cannot be scanned is in the books of the image assets.
        return chunk_index_batches(plate, scanned.images(RejectionLog()), stores, log)

    index: PlateTable | NotApplicable = PlateTable(CHUNK_INDEX, plate, inputs, chunk_rows)
    if not has_chunks:
        index = NotApplicable(CHUNK_INDEX, plate, "no image is stored in tiles or chunks")
    tables = [
        *([PlateTable(IMAGE_ASSETS, plate, inputs, assets)] if image_assets else []),
        *([index] if chunks else []),
    ]
    built = [build_table(opened, table, force=force) for table in tables]
    return Registration(str(source), plate, tuple(built))


@dataclass(frozen=True)
class _Scanned:
    """A store, or a folder of stores, scanned anew each time: nothing of it is kept."""

    source: str
    stores: StoreSettings | None

    @classmethod
    def of(cls, source: str | Place, stores: StoreSettings | None) -> _Scanned:
        """With a local path made absolute, since the rows are read elsewhere."""
        found = place(source, stores)
        return cls(str(found.resolve() if isinstance(found, Path) else found), stores)

    def look(self) -> tuple[str, bool]:
        """Fingerprint of what the headers say, and whether any image has chunks.

        Of the files whose bytes the chunk index points into, the state counts too.
        """
        found, has_chunks = hashlib.sha256(), False
        for result in scan_all(self.source, self.stores):
            parts = [result.to_dict(), self._state(result)]
            found.update(json.dumps(parts, sort_keys=True, default=str).encode())
            has_chunks |= _has_chunks(result)
        return found.hexdigest()[:32], has_chunks

    def images(self, log: RejectionLog) -> Iterator[tuple[ImageAsset, AssetKeys]]:
        """Each image array; the log takes what cannot be read."""
        for result in scan_all(self.source, self.stores):
            for line in result.warnings:
                log.add(_unreadable(result, line))
            for asset in result.image_assets:
                yield asset, own_keys(asset)

    def _state(self, result: ScanResult) -> object:
        if not _has_chunks(result):
            return None
        store = place(result.source_uri, self.stores)
        if result.format_family != "zarr":
            return state_of(store)
        is_sharded = any(asset.shard_shape for asset in result.image_assets)
        return tree_state(store, follow_links=False) if is_sharded else None


def _has_chunks(result: ScanResult) -> bool:
    return any(asset.chunk_shape for asset in result.image_assets)


def _unreadable(result: ScanResult, line: str) -> Rejection:
    is_part = bool(result.image_assets)
    return Rejection(
        "image",
        "unreadable_part" if is_part else "unreadable_image",
        line,
        outcome="incomplete" if is_part else "rejected",
        source_file=result.source_uri,
    )
