"""Reading DeepProfiler's features of one site: an ``.npz`` of arrays, and metadata in a pickle.

DeepProfiler numbers no objects: an object's number is its row, counted from 1. It is not the number
that CellProfiler gave the same cell; the two meet by their location.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cp_assets.datasets.deepprofiler_identity import SiteIdentity, identity_of
from cp_assets.datasets.npz import MAX_ARRAY_BYTES, Npz, open_npz
from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cp_assets.rejections import Rejection
    from cp_assets.stores import Place

DEFAULT_MODEL = "efficientnet"
"""What feature columns are named after where the metadata name no ``Metadata_Model``."""

LOCATIONS = ("Location_Center_X", "Location_Center_Y")
"""Centre of an object, pixels."""

_MATRIX = 2
_MODEL = "Metadata_Model"


@dataclass(frozen=True)
class DeepProfilerSite:
    """The objects of one site.

    Attributes
    ----------
    identity
        Who the site is.
    model
        What the feature columns are named after.
    rows
        One row an object: ``ObjectNumber`` and `SOURCE_ROW` (int64, from 1), `LOCATIONS` (float64,
        pixels) where the file has them, and the features ``<model>_0``, ``<model>_1``, ... (float64
        whatever the file has, so that all plates agree; NaN is null, as in CSV). No row if well or
        site are contradictory, which `SiteIdentity.faults` says.
    rejections
        Each object without any feature, which is kept (``incomplete``); a file without objects.
    """

    identity: SiteIdentity
    model: str
    rows: pa.Table
    rejections: tuple[Rejection, ...]


def read_deepprofiler_site(
    path: Place,
    name: str,
    *,
    default_model: str = DEFAULT_MODEL,
    max_bytes: int = MAX_ARRAY_BYTES,
) -> DeepProfilerSite:
    """Read one site's ``.npz``; nothing in it is run.

    The file holds ``features`` (objects, features) of any float type, ``locations`` (objects, 2) in
    pixels, x then y, and ``metadata``, a dictionary; only the first is needed.

    Parameters
    ----------
    name
        The file as rejections and errors name it: its path below the dataset, with ``/``.
    default_model
        What features are named after where the metadata do not say.
    max_bytes
        Largest array that is read, bytes.

    Raises
    ------
    MeasurementError
        If the file is damaged, too large, of another form, or its metadata hold anything but text,
        numbers, booleans, None and numpy's scalars; names what is refused.
    InputChangedError
        If the file changes while it is read.
    """
    with open_npz(path, name, max_bytes) as npz:
        features = _features(npz)
        locations = _locations(npz, len(features))
        identity = identity_of(path, npz)
    found = list(_without_features(identity, features))
    if identity.contradiction() is not None:
        features, locations, found = features[:0], None, []
    texts = identity.texts()
    model = texts.get(_MODEL) or default_model
    columns = list(_columns(features, locations, model))
    if len({*texts, *dict(columns)}) < len(texts) + len(columns):
        msg = f"{name}: the model {model[:80]!r} gives features the names of other columns"
        raise MeasurementError(msg)
    return DeepProfilerSite(identity, model, pa.table(dict(columns)), tuple(found))


def _features(npz: Npz) -> npt.NDArray[Any]:
    features = npz.numbers("features")
    if features.ndim != _MATRIX or features.dtype.kind != "f":
        msg = (
            f"{npz.name}: features.npy has shape {features.shape} of {features.dtype}; expected "
            "(objects, features) of floats"
        )
        raise MeasurementError(msg)
    return features


def _locations(npz: Npz, objects: int) -> npt.NDArray[np.float64] | None:
    if "locations" not in npz.members:
        return None
    locations = npz.numbers("locations")
    if locations.shape != (objects, len(LOCATIONS)):
        msg = (
            f"{npz.name}: locations.npy has shape {locations.shape}; expected "
            f"({objects}, {len(LOCATIONS)}), x and y of each row of features.npy"
        )
        raise MeasurementError(msg)
    return locations.astype(np.float64)


def _columns(
    features: npt.NDArray[Any],
    locations: npt.NDArray[np.float64] | None,
    model: str,
) -> Iterator[tuple[str, pa.Array]]:
    """Columns of the rows with their names, in their order."""
    numbers = pa.array(np.arange(1, len(features) + 1, dtype=np.int64))
    yield "ObjectNumber", numbers
    yield SOURCE_ROW, numbers
    if locations is not None:
        for column, values in zip(LOCATIONS, np.ascontiguousarray(locations.T), strict=True):
            yield column, pa.array(values, from_pandas=True)
    for at, values in enumerate(np.ascontiguousarray(features.T, dtype=np.float64)):
        yield f"{model}_{at}", pa.array(values, from_pandas=True)


def _without_features(identity: SiteIdentity, features: npt.NDArray[Any]) -> Iterator[Rejection]:
    """Objects of which every feature is NaN, such as those at the edge; or no object at all."""
    if not len(features):
        detail = "features.npy has no row: no object was found or none could be cropped"
        yield identity.rejection("file", "header_only", detail, "incomplete")
    for at in np.flatnonzero(np.isnan(features).all(axis=1)).tolist():
        detail = "every feature is NaN; DeepProfiler writes so where the crop leaves the image"
        yield identity.rejection("row", "no_features", detail, "incomplete", at + 1)
