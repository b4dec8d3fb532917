"""Disks that are full when a test says so: a real small one, and a FileIO that counts bytes."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from pyiceberg.io import OutputFile, OutputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO


class Disk(Protocol):
    """Where a warehouse lies."""

    folder: Path
    io: str | None

    def leave(self, size: int) -> None:
        """Let so many more bytes be written."""

    def free(self) -> None:
        """Let anything be written."""


class CountedDisk:
    """A folder whose catalog writes by `CountedIO`."""

    io = f"{__name__}.CountedIO"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def leave(self, size: int) -> None:
        CountedIO.left = size

    def free(self) -> None:
        CountedIO.left = None


class RealDisk:
    """A file system of its own, filled up by one large file."""

    io = None
    _SIZE = 64 * 2**20

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @classmethod
    @contextmanager
    def mounted(cls, folder: Path) -> Iterator[RealDisk | None]:
        """Gives None where this process may not mount anything."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={cls._SIZE}", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, check=False, capture_output=True).returncode == 0
        except FileNotFoundError:
            done = False
        try:
            yield cls(folder) if done else None
        finally:
            if done:
                subprocess.run(["umount", "-l", str(folder)], check=True)

    def leave(self, size: int) -> None:
        there = os.statvfs(self.folder)
        with self._filler.open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, max(1, there.f_bavail * there.f_frsize - size))

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


class CountedIO(PyArrowFileIO):
    """Writes until its bytes are used up, then says that the disk is full."""

    left: int | None = None

    def new_output(self, location: str) -> PyArrowFile:
        return _CountedFile(super().new_output(location))  # type: ignore[return-value]


class _CountedFile(OutputFile):
    def __init__(self, file: PyArrowFile) -> None:
        super().__init__(file.location)
        self._file = file

    def __len__(self) -> int:
        return len(self._file)

    def exists(self) -> bool:
        return self._file.exists()

    def to_input_file(self) -> Any:
        return self._file.to_input_file()

    def create(self, overwrite: bool = False) -> OutputStream:
        return _CountedStream(self._file.create(overwrite))


class _CountedStream(OutputStream):
    def __init__(self, stream: OutputStream) -> None:
        self._stream = stream

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)  # type: ignore[attr-defined]

    def write(self, data: Any) -> int:
        if CountedIO.left is not None:
            if len(data) > CountedIO.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            CountedIO.left -= len(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return int(self._stream.tell())  # type: ignore[attr-defined]

    def flush(self) -> None:
        self._stream.flush()  # type: ignore[attr-defined]

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> OutputStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
