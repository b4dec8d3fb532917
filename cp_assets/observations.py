"""A plate's files as observations in Dagster's event log, written and read back."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from cp_assets.datasets import PlateKey
from cp_assets.datasets.plate_files import FILE_KINDS
from cp_assets.watching.plate_state import FilesState, PlateState
from cp_assets.watching.records import Observed

_DATA_VERSION = "dagster/data_version"
"""Tag of an observation from which Dagster tells what is stale; it has no public name."""

_STATE, _THERE, _GONE = "state", "there", "gone"


def there(key: PlateKey, state: PlateState) -> Iterator[dg.AssetObservation]:
    """A plate's files as they are, one observation a kind."""
    for kind, files in state.by_kind.items():
        yield dg.AssetObservation(
            kind,
            partition=key.partition_key,
            metadata={_STATE: _THERE, **_figures(files)},
            tags={_DATA_VERSION: files.digest},
        )


def gone(key: PlateKey, observed: Observed) -> Iterator[dg.AssetObservation]:
    """A plate's files as gone.

    With the data version of before: what was built from them is not stale, and no run could build
    it again.
    """
    for kind, version in observed.versions.items():
        yield dg.AssetObservation(
            kind,
            description="The plate is no longer there. Its tables are kept.",
            partition=key.partition_key,
            metadata={_STATE: _GONE},
            tags={_DATA_VERSION: version},
        )


def last_observed(instance: dg.DagsterInstance, key: PlateKey) -> Observed | None:
    """What was observed last of a plate's files, or None."""
    versions = {}
    states = set()
    for kind in FILE_KINDS:
        asset = dg.AssetKey(kind)
        wanted = dg.AssetRecordsFilter(asset, asset_partitions=[key.partition_key])
        for record in instance.fetch_observations(wanted, limit=1).records:
            observation = record.event_log_entry.asset_observation
            if observation is not None and observation.data_version is not None:
                versions[kind] = observation.data_version
                states.add(observation.metadata.get(_STATE))
    return Observed(versions, dg.MetadataValue.text(_GONE) in states) if versions else None


def _figures(files: FilesState) -> dict[str, dg.MetadataValue]:
    figures: dict[str, dg.MetadataValue] = {
        "files": dg.MetadataValue.int(files.files),
        "bytes": dg.MetadataValue.int(files.bytes),
    }
    if files.newest:
        newest = datetime.fromtimestamp(files.newest, UTC)
        figures["newest change"] = dg.MetadataValue.timestamp(newest)
    return figures
