"""A summary of what a store, or a folder of stores, holds, put together while it is scanned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cp_assets.scanning.model import DatasetSummary

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from cp_assets.scanning.model import ImageAsset, ScanResult

_MOST = 1000


def summary_of(source_uri: str, results: Iterable[ScanResult]) -> DatasetSummary:
    """Sum up scans; memory does not grow with their number."""
    gathered = _Gathered()
    for result in results:
        gathered.add(result)
    return gathered.summary(source_uri)


class _Gathered:
    """Counts, and the distinct values that were seen, in the order in which they came."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(("store", "image_asset", "chunked_asset", "warning"), 0)
        self._seen: dict[str, dict[Any, None]] = {}

    def add(self, result: ScanResult) -> None:
        """Take in what one store holds."""
        self._counts["store"] += 1
        self._counts["warning"] += len(result.warnings)
        if result.image_assets:
            self._note("families", result.format_family)
        for warning in result.warnings:
            self._note("warnings", warning)
        for asset in result.image_assets:
            self._add(asset)

    def _add(self, asset: ImageAsset) -> None:
        self._counts["image_asset"] += 1
        self._counts["chunked_asset"] += asset.chunk_shape is not None
        self._note("array_paths", asset.array_path or "<root>")
        self._note("dtypes", asset.dtype)
        self._note("shapes", asset.shape)
        for name, value in (
            ("axes", asset.axes),
            ("channel_counts", asset.channel_count),
            ("storage_variants", asset.storage_variant),
            *(("channel_names", name) for name in asset.channel_names),
        ):
            if value is not None:
                self._note(name, value)

    def _note(self, what: str, value: Hashable) -> None:
        seen = self._seen.setdefault(what, {})
        if len(seen) < _MOST:
            seen[value] = None

    def _distinct(self, what: str) -> tuple[Any, ...]:
        return tuple(self._seen.get(what, ()))

    def summary(self, source_uri: str) -> DatasetSummary:
        """What was gathered."""
        counts = self._counts
        return DatasetSummary(
            source_uri=source_uri,
            format_family=", ".join(sorted(self._distinct("families"))),
            store_count=counts["store"],
            image_asset_count=counts["image_asset"],
            chunked_asset_count=counts["chunked_asset"],
            warning_count=counts["warning"],
            array_paths=self._distinct("array_paths"),
            dtypes=self._sorted("dtypes"),
            shapes=self._sorted("shapes"),
            axes=self._sorted("axes"),
            channel_counts=self._sorted("channel_counts"),
            channel_names=self._distinct("channel_names"),
            storage_variants=self._sorted("storage_variants"),
            warnings=self._distinct("warnings"),
        )

    def _sorted(self, what: str) -> tuple[Any, ...]:
        return tuple(sorted(self._distinct(what)))
