"""The state of the image files that only ``path_prefix_map`` leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.datasets.fingerprints import digest, tree_state
from cp_assets.images import recorded
from cp_assets.images.load_data import LoadData
from cp_assets.images.prefixes import PrefixMap
from cp_assets.stores import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ImageSet
    from cp_assets.stores import Place


def mapped_fingerprint(sources: PlateSources, sets: Iterable[ImageSet]) -> str:
    """Fingerprint of the files that a plate's records lead to by its prefix map.

    A mapped folder may be a whole bucket, so that only the files of the records are looked at; one
    that comes or goes counts as changed too.

    Parameters
    ----------
    sets
        All image sets of the plate; not read where the dataset has no prefix map.

    Raises
    ------
    MeasurementError
        If a LoadData file cannot be used.
    """
    prefixes = PrefixMap.of(sources.dataset.images)
    if not prefixes.pairs:
        return digest([])
    load_data = LoadData.read(sources.load_data)
    plate = sources.image_plate or sources.key.plate_id
    found = {
        str(mapped.path): mapped.path
        for image_set in sets
        for file in image_set.channels
        for record in load_data.records(plate, image_set, file)
        if not recorded.danger(record)
        for form in recorded.forms(record)
        for mapped in prefixes.files(form)
        if prefixes.leads_out(mapped) is None
    }
    return digest([(name, _state(path)) for name, path in sorted(found.items())])


def _state(path: Place) -> object:
    """Of a file its size and time of change, of an OME-Zarr those of all its files."""
    return tree_state(path, follow_links=False) if path.is_dir() else state_of(path)
