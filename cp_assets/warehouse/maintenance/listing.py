"""What lies in a table's folders, on local disk or in an object store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.fs as pafs
from pyiceberg.io.pyarrow import PyArrowFileIO

from cp_assets.warehouse.file_io import open_filesystem

if TYPE_CHECKING:
    from datetime import datetime

    from pyiceberg.table import Table

_SAME_STORE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "wasbs": "wasb"}


@dataclass(frozen=True)
class StoredFile:
    """A file as the store lists it.

    Attributes
    ----------
    location
        As the table's FileIO takes it.
    changed
        When it was changed last; None where the store does not say.
    """

    location: str
    name: str
    size: int
    changed: datetime | None


@dataclass(frozen=True)
class Folder:
    """A folder of a store.

    Attributes
    ----------
    location
        As metadata spell it.
    path
        As the filesystem takes it.
    place
        The same for every spelling of one folder, links on local disk followed; ends with ``/``.
    """

    filesystem: pafs.FileSystem
    location: str
    path: str
    place: str

    @classmethod
    def of(cls, location: str, table: Table) -> Folder:
        """The folder that a location of a table's metadata means."""
        location, properties = location.rstrip("/"), table.io.properties
        filesystem, path = open_filesystem(properties, location)
        scheme, _, _ = PyArrowFileIO.parse_location(location, properties)
        inner = str(Path(path).resolve()) if scheme == "file" else path
        place = f"{_SAME_STORE.get(scheme, scheme)}:{inner.rstrip('/')}/"
        return cls(filesystem, location, path, place)

    def overlaps(self, other: Folder) -> bool:
        """Whether one lies in the other, or both are one."""
        return self.place.startswith(other.place) or other.place.startswith(self.place)

    def files(self) -> list[StoredFile]:
        """All files below; none if the folder does not exist.

        A file that no location means is left out: PyIceberg ends a location at ``#`` or ``?``, and
        would delete another file.
        """
        selector = pafs.FileSelector(self.path, allow_not_found=True, recursive=True)
        infos = (one for one in self.filesystem.get_file_info(selector) if one.is_file)
        found = (
            (f"{self.location}/{one.path[len(self.path) :].lstrip('/')}", one) for one in infos
        )
        return [
            StoredFile(location, one.base_name, one.size, one.mtime)
            for location, one in found
            if PyArrowFileIO.parse_location(location)[2] == one.path
        ]


def table_folders(table: Table) -> list[Folder]:
    """The folders of data and of metadata, as far as they lie in the table's own location.

    What a location holds beside them, another table for instance, is none of this table's.
    """
    provider = table.location_provider()
    own = Folder.of(table.location(), table)
    found = [Folder.of(path, table) for path in (provider.data_path, provider.metadata_path)]
    inside = [one for one in found if one.place.startswith(own.place) and one.place != own.place]
    outer = sorted(inside, key=lambda one: len(one.place))
    return [one for at, one in enumerate(outer) if not any(map(one.overlaps, outer[:at]))]
