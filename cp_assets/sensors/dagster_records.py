"""What Dagster's instance has on record of a dataset's plates."""

from collections.abc import Set

import dagster as dg

from cp_assets.datasets import PlateKey
from cp_assets.errors import ConfigurationError
from cp_assets.observations import last_observed
from cp_assets.partitions import PLATES, plate_tags
from cp_assets.provenance.manifest import MANIFEST
from cp_assets.watching.needs import RunRequest
from cp_assets.watching.records import Observed, Requested

_PARTITION_TAG = "dagster/partition"
_REQUESTED_BY = {"cp_assets/requested_by": "sensor"}
_REQUEST_TAG = "cp_assets/request"
"""Number and digest of a request, so that a run that is executed again counts as its own."""

_LAST_TABLE = dg.AssetKey(MANIFEST.identifier[1])
"""Built when all others are."""


class DagsterRecords:
    """Records of one dataset's plates.

    The event log has what was observed and built, the runs have what was requested: both outlive
    the sensor's cursor, and neither says so before it is so.
    """

    def __init__(self, instance: dg.DagsterInstance, dataset_id: str) -> None:
        self._instance = instance
        self._dataset_id = dataset_id

    def plates(self) -> Set[PlateKey]:
        """The dataset's plates that have a partition."""
        found = set()
        for partition in self._instance.get_dynamic_partitions(str(PLATES.name)):
            try:
                key = PlateKey.parse(partition)
            except ConfigurationError:
                continue  # One that people have added, and no plate of ours.
            if key.dataset_id == self._dataset_id:
                found.add(key)
        return found

    def observed(self, key: PlateKey) -> Observed | None:
        """What was observed last."""
        return last_observed(self._instance, key)

    def requested(self, key: PlateKey) -> Requested | None:
        """The newest run that a sensor requested, or that repeats such a run."""
        wanted = dg.RunsFilter(tags={_PARTITION_TAG: key.partition_key, **_REQUESTED_BY})
        for record in self._instance.get_run_records(wanted, limit=1):
            run = record.dagster_run
            number, _, digest = run.tags.get(_REQUEST_TAG, "").partition(":")
            if number.isdecimal():
                return Requested(digest, int(number), run.is_finished)
        return None

    def built_at(self, key: PlateKey) -> float | None:
        """When the last of the plate's tables was built."""
        wanted = dg.AssetRecordsFilter(_LAST_TABLE, asset_partitions=[key.partition_key])
        found = self._instance.fetch_materializations(wanted, limit=1).records
        return found[0].timestamp if found else None


def run_request(request: RunRequest) -> dg.RunRequest:
    """A plate's run, as Dagster's daemon takes it."""
    return dg.RunRequest(
        run_key=request.run_key,
        partition_key=request.key.partition_key,
        tags={
            **plate_tags(request.key),
            **_REQUESTED_BY,
            _REQUEST_TAG: f"{request.number}:{request.digest}",
        },
    )
