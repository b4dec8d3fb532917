"""A warehouse root straight from image stores: what their headers say, and their chunks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.cytomining.merging import Mode, Rows
from cp_assets.cytomining.roles import KNOWN
from cp_assets.cytomining.root import Exported, writing
from cp_assets.datasets.identity import PlateKey
from cp_assets.scanning import scan_all
from cp_assets.scanning.chunks import chunk_index_batches
from cp_assets.scanning.names import stem_of
from cp_assets.scanning.tables import CHUNK_INDEX, IMAGE_ASSETS, image_assets_batches, own_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from cp_assets.scanning.model import ImageAsset, ScanResult
    from cp_assets.scanning.tables import AssetKeys
    from cp_assets.stores import StoreSettings
    from cp_assets.warehouse.spec import TableSpec

Assets = Iterable[tuple["ImageAsset", "AssetKeys"]]

_UNBATCHED = "unbatched"
_MOST_WARNINGS = 1000


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Who image stores are.

    Attributes
    ----------
    dataset_id, plate_id
        Of all stores; by default each store is a dataset and a plate of its own, called after it.
    chunks
        Whether to write the index of chunks.
    """

    dataset_id: str | None = None
    batch_id: str = _UNBATCHED
    plate_id: str | None = None
    chunks: bool = True

    def key(self, uri: str) -> PlateKey:
        """Identity of a store."""
        stem = stem_of(uri)
        return PlateKey(self.dataset_id or stem, self.batch_id, self.plate_id or stem)


def export_images(
    paths: Sequence[str | Path],
    root: str | Path,
    options: ImageOptions | None = None,
    *,
    mode: Mode = "append",
    stores: StoreSettings | None = None,
) -> Exported:
    """Write what image stores hold into a warehouse root, from their headers alone.

    Memory does not grow with the number of images or chunks: folders are walked once for each of
    the two tables.

    Parameters
    ----------
    paths
        Image files, Zarr stores, or folders or prefixes of them.
    mode
        ``append``: rows that came from the same path are replaced, others stay. ``replace``: the
        tables have these rows and no others afterwards.
    stores
        How object stores are reached.

    Raises
    ------
    ImageReadError
        If a path holds no image that can be read.
    WarehouseRootError
        If the root cannot be written into.
    """
    chosen = options or ImageOptions()
    warnings: list[str] = []
    with writing(Path(root), mode) as write:
        for path in paths:
            source = _Source(str(path), chosen, stores)
            write.add(source.rows(IMAGE_ASSETS, source.assets(warnings)))
            if chosen.chunks:
                write.add(source.rows(CHUNK_INDEX, source.chunks()))
        return replace(write.commit(), warnings=tuple(warnings))


@dataclass(frozen=True)
class _Source:
    path: str
    options: ImageOptions
    stores: StoreSettings | None

    def rows(self, spec: TableSpec, batches: Iterator[pa.RecordBatch]) -> Rows:
        where = self.path if "://" in self.path else str(Path(self.path).resolve())
        return Rows(
            KNOWN[spec.name],
            spec.schema,
            scope=f"images:{where}",
            batches=batches,
            spec=spec,
            source_type="scan_result",
            source_ref=where,
        )

    def assets(self, warnings: list[str]) -> Iterator[pa.RecordBatch]:
        for result in scan_all(self.path, self.stores):
            warnings.extend(result.warnings[: _MOST_WARNINGS - len(warnings)])
            yield from self._batches(result, image_assets_batches)

    def chunks(self) -> Iterator[pa.RecordBatch]:
        for result in scan_all(self.path, self.stores):
            yield from self._batches(
                result, lambda key, assets: chunk_index_batches(key, assets, self.stores)
            )

    def _batches(
        self,
        result: ScanResult,
        made: Callable[[PlateKey, Assets], Iterator[pa.RecordBatch]],
    ) -> Iterator[pa.RecordBatch]:
        assets = [(asset, own_keys(asset)) for asset in result.image_assets]
        yield from made(self.options.key(result.source_uri), assets)
