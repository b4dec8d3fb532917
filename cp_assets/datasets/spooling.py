"""Databases of a store on a disk, as long as they are read: SQLite reads no other files."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cp_assets.stores import ObjectPath
from cp_assets.stores.spool import spooled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.datasets.model import MeasurementFolder, PlateSources

_FIRST_BYTES = 16 * 2**20
_LAST_BYTES = 2**20


@contextmanager
def local_databases(sources: PlateSources) -> Iterator[PlateSources]:
    """A plate whose databases lie on a disk: those of a store are fetched, each once.

    Raises
    ------
    InputChangedError
        If one has changed since it was found.
    """
    with ExitStack() as stack:
        fetched = {
            table.path: stack.enter_context(spooled(table.path))
            for folder in sources.folders
            if folder.preset.container == "database"
            for table in {table.path: table for table in folder.tables.values()}.values()
            if isinstance(table.path, ObjectPath)
        }
        yield _with_paths(sources, fetched) if fetched else sources


def _with_paths(sources: PlateSources, fetched: dict[ObjectPath, Path]) -> PlateSources:
    def moved(folder: MeasurementFolder) -> MeasurementFolder:
        tables = {
            name: replace(table, path=fetched.get(table.path, table.path))  # type: ignore[arg-type]
            for name, table in folder.tables.items()
        }
        return replace(folder, tables=tables)

    return replace(sources, folders=tuple(map(moved, sources.folders)))


@contextmanager
def without_middle(path: ObjectPath) -> Iterator[Path | None]:
    """A large file's beginning and end, with nothing between them; None for one that is small.

    That is where SQLite has its schema, unless tables were made when others were large. Pages that
    are not there are zeros, which SQLite takes for damage and not for missing rows.
    """
    size = path.stat().st_size
    if size <= _FIRST_BYTES + _LAST_BYTES:
        yield None
        return
    with TemporaryDirectory(prefix="cp_assets-") as scratch, path.open("rb") as stream:
        file = Path(scratch) / path.name
        with file.open("wb") as into:
            into.write(stream.read(_FIRST_BYTES))
            os.truncate(into.fileno(), size)
            into.seek(stream.seek(-_LAST_BYTES, os.SEEK_END))
            into.write(stream.read())
        yield file
