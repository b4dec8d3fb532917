"""Finding DeepProfiler's files, one a site, and what their paths say of plate, well and site.

Three layouts are in use: ``<plate>/A01_5.npz`` as pycytominer reads it, and the gallery's
``<plate>/A01/5/embedding.npz`` and ``<plate>/A01-1/embedding.parquet``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cp_assets.datasets.identity import (
    normalise_site,
    normalise_well,
    site_sort_key,
    well_sort_key,
)
from cp_assets.datasets.listing import files_below
from cp_assets.datasets.walking import walk
from cp_assets.errors import ConfigurationError
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.stores import Place

_EMBEDDING = frozenset({"embedding.npz", "embedding.parquet"})
_SITE_FILE = re.compile(r"([A-Za-z]{1,2}\d{1,3})_([^/]+)\.npz", re.IGNORECASE)
_SITE_FOLDER = re.compile(r"([A-Za-z]{1,2}\d{1,3})-([^/]+)")


@dataclass(frozen=True)
class DeepProfilerFile:
    """The features of one site.

    Attributes
    ----------
    relative
        The file below the folder in which it was looked for, with ``/``.
    plate, well, site
        What the path says; well and site normalised. The plate is the name of the folder above and
        None where there is none.
    """

    path: Place
    relative: str
    plate: str | None
    well: str
    site: str

    @property
    def is_npz(self) -> bool:
        """Whether it is an ``.npz``, else Parquet."""
        return self.relative.lower().endswith(".npz")


def find_deepprofiler_files(
    root: Place, *, follow_links: bool = False, most: int | None = None
) -> tuple[DeepProfilerFile, ...]:
    """All of DeepProfiler's files below a folder, in the order of plate, well, site and path.

    A plate of files right in ``root`` has the name of that folder. Files of other names, and those
    behind links that lead out of the folder, are passed over.

    Parameters
    ----------
    follow_links
        Whether links that lead out of the folder are followed too.
    most
        Files of a store that may lie there; None for any number.

    Raises
    ------
    ConfigurationError
        If a folder cannot be listed, or holds more files; names it.
    """
    found = (deepprofiler_file(root, *file) for file in _files(root, follow_links, most))
    return tuple(
        sorted(
            (one for one in found if one is not None),
            key=lambda one: (
                one.plate or "",
                well_sort_key(one.well),
                site_sort_key(one.site),
                one.relative,
            ),
        )
    )


def _files(
    root: Place, follow_links: bool, most: int | None
) -> Iterator[tuple[str, ObjectPath | None]]:
    """Files below a folder, each with its path below that and, in a store, as it was listed."""
    if isinstance(root, ObjectPath):
        for count, file in enumerate(files_below(root)):
            if count == most:
                msg = (
                    f"{root}: more than {most} files lie below it, too many to look for those of "
                    "DeepProfiler; expected other measurements in it or one level below. Name the "
                    "plate's own folder, or the preset"
                )
                raise ConfigurationError(msg)
            yield file
        return
    for entry in walk(root, follow_links=follow_links):
        if not entry.leads_out and not entry.is_folder:
            yield entry.relative, None


def deepprofiler_file(
    root: Place, relative: str, found: Place | None = None
) -> DeepProfilerFile | None:
    """A file below a folder, or None if its path is not that of a file of DeepProfiler.

    Parameters
    ----------
    found
        The path of the file as it was listed; None where it was not.
    """
    place = place_of(f"{root.resolve().as_posix()}/{relative}")
    return None if place is None else DeepProfilerFile(found or root / relative, relative, *place)


def place_of(path: str) -> tuple[str | None, str, str] | None:
    """Plate, well and site of a path with ``/``; None for a path of another form.

    Well and site are normalised. The plate is None where no folder is named.
    """
    *folders, name = PurePosixPath(path).parts
    if name.lower() in _EMBEDDING:
        return _of_folders(folders)
    found = _SITE_FILE.fullmatch(name)
    return _place(folders, found[1], found[2]) if found else None


def _of_folders(folders: list[str]) -> tuple[str | None, str, str] | None:
    """Plate, well and site of the folders ``<plate>/A01-1`` or ``<plate>/A01/1``."""
    *above, last = folders or [""]
    found = _SITE_FOLDER.fullmatch(last)
    if found:
        return _place(above, found[1], found[2])
    return _place(above[:-1], above[-1], last) if above else None


def _place(folders: list[str], well: str, site: str) -> tuple[str | None, str, str] | None:
    named = normalise_well(well), normalise_site(site)
    if named[0] is None or named[1] is None:
        return None
    plate = folders[-1] if folders and folders[-1] != "/" else None
    return plate, named[0], named[1]
