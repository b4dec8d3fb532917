"""Local copies of objects, for readers that can read nothing else."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.errors import ScratchError
from cp_assets.stores.object_path import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.stores.places import Place

_SCRATCH_VARIABLE = "CP_ASSETS_SCRATCH"
_GIB = 2**30


def scratch_folder() -> Path:
    """Where local copies lie: ``CP_ASSETS_SCRATCH``, or the system's folder of temporary files."""
    return Path(os.environ.get(_SCRATCH_VARIABLE) or tempfile.gettempdir())


@contextmanager
def spooled(path: Place) -> Iterator[Path]:
    """Have a file on local disk: itself if it is there, else a copy that is deleted afterwards.

    Raises
    ------
    ScratchError
        If the scratch folder has no room for it, or cannot be written to.
    """
    if not isinstance(path, ObjectPath):
        yield path
        return
    size = path.stat().st_size
    with _folder(path, size) as folder:
        copy = folder / path.name
        try:
            path.copy_to(copy)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}:
                raise
            raise _refused(path, size, folder.parent, error.strerror) from error
        yield copy


@contextmanager
def _folder(path: ObjectPath, size: int) -> Iterator[Path]:
    scratch = scratch_folder()
    try:
        free = shutil.disk_usage(scratch).free
        if size > free:
            raise _refused(path, size, scratch, f"{free / _GIB:.1f} GiB are free")
        folder = tempfile.TemporaryDirectory(prefix="cp_assets-spool-", dir=scratch)
    except OSError as error:
        raise _refused(path, size, scratch, error.strerror or str(error)) from error
    with folder as name:
        yield Path(name)


def _refused(path: ObjectPath, size: int, scratch: Path, reason: str | None) -> ScratchError:
    return ScratchError(
        f"{path}: a local copy takes {size / _GIB:.1f} GiB, and {scratch} cannot hold it "
        f"({reason}): free some space, or set {_SCRATCH_VARIABLE} to a folder with more"
    )
