"""Plate partitions: one dynamic partition a plate, ``dataset_id/batch_id/plate_id``.

Batch and plate travel as one key: a two-dimensional partition would be the full product of all
batches and all plates. The grammar of a key is that of `cp_assets.datasets.PlateKey`.
"""

from collections.abc import Iterable

import dagster as dg

from cp_assets.datasets import PlateKey

PLATES = dg.DynamicPartitionsDefinition(name="plates")


def register_plates(instance: dg.DagsterInstance, plates: Iterable[PlateKey]) -> list[str]:
    """Add the plates' partitions to a Dagster instance; returns those that are new, sorted."""
    known = set(instance.get_dynamic_partitions("plates"))
    new = sorted({plate.partition_key for plate in plates} - known)
    if new:
        instance.add_dynamic_partitions("plates", new)
    return new
