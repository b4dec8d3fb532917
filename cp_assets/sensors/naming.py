"""Names of sensors."""

import hashlib
import re
from collections.abc import Iterable


def sensor_names(dataset_ids: Iterable[str]) -> dict[str, str]:
    """Dataset id -> the name of its sensor: letters, digits and ``_``, and no name twice.

    A sensor's name is what Dagster knows its state by, so it depends on the id alone, unless two
    ids differ in other signs only: then the later one's ends in a few letters of its own.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for dataset_id in dataset_ids:
        name = "plates_of_" + re.sub(r"[^A-Za-z0-9]+", "_", dataset_id).strip("_")
        if name.lower() in taken or name == "plates_of_":
            name += "_" + hashlib.sha256(dataset_id.encode()).hexdigest()[:8]
        taken.add(name.lower())
        names[dataset_id] = name
    return names
