"""Reading DeepProfiler's features of one site: an ``.npz`` of arrays, and metadata in a pickle.

DeepProfiler numbers no objects: an object's number is its row, counted from 1. It is not the number
that CellProfiler gave the same cell; the two meet by their location.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.deepprofiler_files import place_of
from cp_assets.measurements.npz import MAX_ARRAY_BYTES, Npz, open_npz
from cp_assets.measurements.restricted_pickle import PlainValue, plain_dict, unpickle_object
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

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
    plate
        From the metadata, else the path; None where neither says.
    well, site
        Normalised, from the path or the metadata; None where neither says.
    metadata
        As the file holds it; empty where it holds none.
    model
        What the feature columns are named after.
    rows
        One row an object: ``ObjectNumber`` and `SOURCE_ROW` (int64, from 1), `LOCATIONS` (float64,
        pixels) where the file has them, the metadata as text in ``Metadata_...``, and the features
        ``<model>_0``, ``<model>_1``, ... (float64 whatever the file has, so that all plates agree;
        NaN is null, as in CSV). No row if well or site are contradictory.
    rejections
        That contradiction; each object without any feature, which is kept (``incomplete``); a file
        without objects; a metadata entry whose column is taken.
    """

    plate: str | None
    well: str | None
    site: str | None
    metadata: Mapping[str, PlainValue]
    model: str
    rows: pa.Table
    rejections: tuple[Rejection, ...]


def read_deepprofiler_site(
    path: Path,
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
        metadata = _metadata(npz)
    file = _File(name, path, metadata)
    fault = file.contradiction()
    if fault is not None:
        features, locations = features[:0], None
    texts = file.texts()
    model = texts.get(_MODEL) or default_model
    columns = list(_columns(features, locations, texts, model))
    if len(dict(columns)) < len(columns):
        msg = f"{name}: the model {model[:80]!r} gives features the names of other columns"
        raise MeasurementError(msg)
    plate, well, site = file.place()
    found = (*file.taken(), *(file.without_features(features) if fault is None else (fault,)))
    return DeepProfilerSite(plate, well, site, metadata, model, pa.table(dict(columns)), found)


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


def _metadata(npz: Npz) -> dict[str, PlainValue]:
    if "metadata" not in npz.members:
        return {}
    name = f"{npz.name}: metadata.npy"
    metadata = plain_dict(unpickle_object(npz.pickle("metadata"), name), name)
    try:
        "".join((*metadata, *(v for v in metadata.values() if isinstance(v, str)))).encode()
    except UnicodeEncodeError as error:
        msg = f"{name} holds text that is no Unicode"
        raise MeasurementError(msg) from error
    return metadata


def _columns(
    features: npt.NDArray[Any],
    locations: npt.NDArray[np.float64] | None,
    texts: Mapping[str, str | None],
    model: str,
) -> Iterator[tuple[str, pa.Array]]:
    """Columns of the rows with their names, in their order."""
    numbers = pa.array(np.arange(1, len(features) + 1, dtype=np.int64))
    yield "ObjectNumber", numbers
    yield SOURCE_ROW, numbers
    if locations is not None:
        for column, values in zip(LOCATIONS, np.ascontiguousarray(locations.T), strict=True):
            yield column, pa.array(values, from_pandas=True)
    for column, text in texts.items():
        yield column, pa.repeat(pa.scalar(text, pa.string()), len(features))
    for at, values in enumerate(np.ascontiguousarray(features.T, dtype=np.float64)):
        yield f"{model}_{at}", pa.array(values, from_pandas=True)


@dataclass(frozen=True)
class _File:
    """Who a site is, by its path and its metadata."""

    name: str
    path: Path
    metadata: Mapping[str, PlainValue]

    def texts(self) -> dict[str, str | None]:
        """The metadata as columns, the first of each name."""
        found: dict[str, str | None] = {}
        for key, value in self.metadata.items():
            found.setdefault(_column(key), None if value is None else str(value))
        return found

    def taken(self) -> Iterator[Rejection]:
        """Entries whose column another entry has taken."""
        columns = [_column(key) for key in self.metadata]
        for at, (key, column) in enumerate(zip(self.metadata, columns, strict=True)):
            if column in columns[:at]:
                detail = f"metadata {key!r}: another entry is the column {column!r} already"
                yield self._rejection("file", "column_name_taken", detail, "incomplete")

    def place(self) -> tuple[str | None, str | None, str | None]:
        """Plate, well and site."""
        by_path, by_metadata = self._by_path(), self._by_metadata()
        return (
            by_metadata[0] or by_path[0],
            by_path[1] or by_metadata[1],
            by_path[2] or by_metadata[2],
        )

    def contradiction(self) -> Rejection | None:
        """Why the site's identity cannot be trusted, or None if it can."""
        _, *by_path = self._by_path()
        _, *by_metadata = self._by_metadata()
        said = self.texts().get("Metadata_Well")
        detail = None
        if said and by_metadata[0] is None:
            detail = f"well {said!r} is no well of a plate up to 1536 wells (A01 to AF48)"
        for word, path_says, file_says in zip(("well", "site"), by_path, by_metadata, strict=True):
            if path_says and file_says and path_says != file_says:
                detail = f"the metadata say {word} {file_says}, the file's path {path_says}"
        if detail is None:
            return None
        text = f"{detail}; its rows are left out. Mend the name or the file"
        return self._rejection("image", "identity_conflict", text, "rejected")

    def without_features(self, features: npt.NDArray[Any]) -> Iterator[Rejection]:
        """Objects of which every feature is NaN, such as those at the edge; or no object at all."""
        if not len(features):
            detail = "features.npy has no row: no object was found or none could be cropped"
            yield self._rejection("file", "header_only", detail, "incomplete")
        for at in np.flatnonzero(np.isnan(features).all(axis=1)).tolist():
            detail = "every feature is NaN; DeepProfiler writes so where the crop leaves the image"
            yield self._rejection("row", "no_features", detail, "incomplete", at + 1)

    def _by_path(self) -> tuple[str | None, str | None, str | None]:
        return place_of(self.path.absolute().as_posix()) or (None, None, None)

    def _by_metadata(self) -> tuple[str | None, str | None, str | None]:
        texts = self.texts()
        plate, well, site = (
            (texts.get(f"Metadata_{word}") or "").strip() for word in ("Plate", "Well", "Site")
        )
        return plate or None, normalise_well(well), normalise_site(site)

    def _rejection(
        self, kind: Any, reason: str, detail: str, outcome: Any, row: int | None = None
    ) -> Rejection:
        _, well, site = self.place()
        return Rejection(
            kind=kind,
            reason=reason,
            detail=detail,
            outcome=outcome,
            well_id=well,
            site_id=site,
            object_number=row,
            source_file=self.name,
            source_row=row,
        )


def _column(key: str) -> str:
    """Column of a metadata entry."""
    return key if key.startswith("Metadata_") else f"Metadata_{key}"
