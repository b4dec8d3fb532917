"""Plate partitions: one dynamic partition a plate, ``dataset_id/batch_id/plate_id``.

Batch and plate travel as one key: a two-dimensional partition would be the full product of all
batches and all plates. The grammar of a key is that of `cp_assets.datasets.PlateKey`.
"""

from collections.abc import Iterable

import dagster as dg

from cp_assets.datasets import PlateKey

DATASET_TAG = "cp_assets/dataset"
BATCH_TAG = "cp_assets/batch"
PLATE_TAG = "cp_assets/plate"

PLATES = dg.DynamicPartitionsDefinition(name="plates")


def plate_tags(plate: PlateKey) -> dict[str, str]:
    """Tags of a plate's runs: the UI filters runs by them, the run queue limits runs by them.

    Values are the names as they are; Dagster restricts the signs of a run tag's key only.
    """
    return {
        DATASET_TAG: plate.dataset_id,
        BATCH_TAG: plate.batch_id,
        PLATE_TAG: plate.plate_id,
    }


def register_plates(instance: dg.DagsterInstance, plates: Iterable[PlateKey]) -> list[str]:
    """Add the plates' partitions to a Dagster instance; returns those that are new, sorted."""
    known = set(instance.get_dynamic_partitions("plates"))
    new = sorted({plate.partition_key for plate in plates} - known)
    if new:
        instance.add_dynamic_partitions("plates", new)
    return new
