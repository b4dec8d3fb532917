"""The source assets: a plate's files as they lie there.

Their data version is the digest of the files' states: what was built from another state than the
one observed last is stale. The sensors observe them, when a plate is uploaded; in the UI they can
be observed by hand.
"""

import warnings
from collections.abc import Iterator, Sequence

import dagster as dg

from cp_assets import observations
from cp_assets.assets.specification import OWNERS
from cp_assets.datasets import PlateKey
from cp_assets.datasets.plate_files import DatasetFiles, FileKind, dataset_files
from cp_assets.errors import PlateNotFoundError
from cp_assets.partitions import PLATES
from cp_assets.resources import DatasetsResource
from cp_assets.running.steps import plain_failures
from cp_assets.watching.plate_state import PlateState, plate_state

_DESCRIPTIONS: dict[FileKind, str] = {
    "measurement_files": "A plate's files of measurements, with LoadData.",
    "image_files": "A plate's images, masks and outlines.",
    "annotation_files": "The plate map, and other files that say what was done to a plate's wells.",
}


def _specs() -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(kind, description=doc, group_name="inputs", kinds={"file"}, owners=OWNERS)
        for kind, doc in _DESCRIPTIONS.items()
    ]


with warnings.catch_warnings():
    # Observable source assets are a beta feature of Dagster 1.13.
    warnings.simplefilter("ignore", dg.BetaWarning)
    _observable = dg.multi_observable_source_asset(
        specs=_specs(), name="input_files", partitions_def=PLATES, can_subset=True
    )


@_observable
def input_files(
    context: dg.AssetExecutionContext, datasets: DatasetsResource
) -> Iterator[dg.ObserveResult]:
    """The files of the partition's plate, or without a partition those of all plates."""
    known: Sequence[str] = (
        [context.partition_key]
        if context.has_partition_key
        else context.instance.get_dynamic_partitions(str(PLATES.name))
    )
    with plain_failures():
        for key, state in _states(known, context, datasets):
            for observation in observations.there(key, state):
                if observation.asset_key in context.selected_asset_keys:
                    context.log_event(observation)
    # An ObserveResult cannot say which partition it is of.
    yield from ()


def _states(
    partitions: Sequence[str], context: dg.AssetExecutionContext, datasets: DatasetsResource
) -> Iterator[tuple[PlateKey, PlateState]]:
    """The states of plates; those that are not there are left out."""
    configuration = datasets.configuration()
    listed: dict[str, DatasetFiles] = {}
    for key in map(PlateKey.parse, partitions):
        try:
            if key.dataset_id not in listed:
                listed[key.dataset_id] = dataset_files(configuration.dataset_of(key))
        except PlateNotFoundError as error:
            context.log.warning("%s is left out: %s", key, error)
            continue
        if key in listed[key.dataset_id]:
            yield key, plate_state(listed[key.dataset_id].files(key))
        else:
            context.log.warning("%s is left out: it is no longer there", key)
