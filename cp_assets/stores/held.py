"""Objects that were read before they are asked for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from cp_assets.stores.object_path import ObjectPath

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


@dataclass(frozen=True, eq=False, slots=True)
class HeldObject(ObjectPath):
    """An object whose bytes are in memory: to read it takes no request, however often."""

    content: bytes = b""

    @classmethod
    def of(cls, path: ObjectPath, content: bytes) -> Self:
        """An object with all of its bytes."""
        return cls(path.bucket, path.key, path.options, path._known, content)  # noqa: SLF001 - of its own kind

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the bytes to read them."""
        if mode != "rb":
            msg = f"{self}: can be opened as rb, not as {mode}"
            raise ValueError(msg)
        return cast("BinaryIO", io.BytesIO(self.content))

    def read_bytes(self) -> bytes:
        """The bytes."""
        return self.content

    def read_range(self, start: int, stop: int | None = None) -> bytes:
        """Some of the bytes."""
        return self.content[start:stop]

    def copy_to(self, path: Path) -> None:
        """Write the bytes to a local file."""
        path.write_bytes(self.content)
