"""Who a site of DeepProfiler's is, by its file's path and the metadata in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.datasets.deepprofiler_files import place_of
from cp_assets.datasets.identity import normalise_site, normalise_well, plate_name
from cp_assets.datasets.npz import MAX_ARRAY_BYTES, Npz, open_npz
from cp_assets.datasets.restricted_pickle import PlainValue, plain_dict, unpickle_object
from cp_assets.errors import MeasurementError
from cp_assets.rejections import Rejection
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cp_assets.rejections import Outcome, RejectionKind
    from cp_assets.stores import Place


@dataclass(frozen=True)
class SiteIdentity:
    """What a file says of its site.

    Attributes
    ----------
    name
        The file as rejections and errors name it.
    metadata
        As the file holds it; empty where it holds none.
    """

    name: str
    path: Place
    metadata: Mapping[str, PlainValue]

    def texts(self) -> dict[str, str | None]:
        """The metadata as columns ``Metadata_...``, the first of each name."""
        found: dict[str, str | None] = {}
        for key, value in self.metadata.items():
            found.setdefault(_column(key), None if value is None else str(value))
        return found

    def place(self) -> tuple[str | None, str | None, str | None]:
        """Plate, from the metadata, else the path; well and site, normalised."""
        by_path, by_metadata = self._by_path(), self._by_metadata()
        return (
            by_metadata[0] or by_path[0],
            by_path[1] or by_metadata[1],
            by_path[2] or by_metadata[2],
        )

    def faults(self) -> Iterator[Rejection]:
        """Entries whose column another entry has taken, and a contradiction."""
        columns = [_column(key) for key in self.metadata]
        for at, (key, column) in enumerate(zip(self.metadata, columns, strict=True)):
            if column in columns[:at]:
                detail = f"metadata {key!r}: another entry is the column {column!r} already"
                yield self.rejection("file", "column_name_taken", detail, "incomplete")
        contradiction = self.contradiction()
        if contradiction is not None:
            text = f"{contradiction}; its rows are left out. Mend the name or the file"
            yield self.rejection("image", "identity_conflict", text, "rejected")

    def contradiction(self) -> str | None:
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
        return detail

    def rejection(
        self,
        kind: RejectionKind,
        reason: str,
        detail: str,
        outcome: Outcome,
        row: int | None = None,
    ) -> Rejection:
        """Record the site, or one object of it."""
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

    def _by_path(self) -> tuple[str | None, str | None, str | None]:
        return place_of(_whole(self.path)) or (None, None, None)

    def _by_metadata(self) -> tuple[str | None, str | None, str | None]:
        texts = self.texts()
        plate, well, site = (
            (texts.get(f"Metadata_{word}") or "").strip() for word in ("Plate", "Well", "Site")
        )
        return plate_name(plate), normalise_well(well), normalise_site(site)


def _whole(path: Place) -> str:
    return path.as_posix() if isinstance(path, ObjectPath) else path.absolute().as_posix()


def _column(key: str) -> str:
    """Column of a metadata entry."""
    return key if key.startswith("Metadata_") else f"Metadata_{key}"


def read_identity(path: Place, name: str) -> SiteIdentity:
    """Read the metadata of a site, and nothing else; nothing in the file is run.

    Parameters
    ----------
    name
        The file as rejections and errors name it.

    Raises
    ------
    MeasurementError
        If the file is damaged, or its metadata hold anything but text, numbers, booleans, None and
        numpy's scalars; names what is refused.
    InputChangedError
        If the file changes while it is read.
    """
    with open_npz(path, name, MAX_ARRAY_BYTES) as npz:
        return identity_of(path, npz)


def identity_of(path: Place, npz: Npz) -> SiteIdentity:
    """The identity in an open file.

    Raises
    ------
    MeasurementError
        As `read_identity`.
    """
    if "metadata" not in npz.members:
        return SiteIdentity(npz.name, path, {})
    name = f"{npz.name}: metadata.npy"
    metadata = plain_dict(unpickle_object(npz.pickle("metadata"), name), name)
    try:
        "".join((*metadata, *(v for v in metadata.values() if isinstance(v, str)))).encode()
    except UnicodeEncodeError as error:
        msg = f"{name} holds text that is no Unicode"
        raise MeasurementError(msg) from error
    return SiteIdentity(npz.name, path, metadata)
