"""Identifiers of tables in a Cytomining warehouse root, and where each lies below it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.errors import WarehouseRootError

if TYPE_CHECKING:
    from pathlib import Path

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")

_NAMESPACES = {
    "profiles": "profiles",
    "joined_profiles": "profiles",
    "embeddings": "embeddings",
    "image_assets": "images",
    "chunk_index": "images",
    "image_crops": "images",
    "source_images": "images",
    "quality_control": "quality_control",
}
"""Role -> the one namespace that a table of it belongs to."""


@dataclass(frozen=True, order=True)
class TableName:
    """``namespace.table``, of letters, digits, ``_`` and ``-`` only.

    So every name is one folder below one folder, on every file system and in every store.
    """

    namespace: str
    table: str

    def __str__(self) -> str:
        return f"{self.namespace}.{self.table}"

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read ``namespace.table``.

        Raises
        ------
        WarehouseRootError
            If it is of another form.
        """
        parts = text.split(".")
        if len(parts) != 2 or not all(_SEGMENT.fullmatch(part) for part in parts):  # noqa: PLR2004
            msg = (
                f"table name {text!r}: expected namespace.table, each of letters, digits, _ and - "
                "only, such as profiles.joined_profiles"
            )
            raise WarehouseRootError(msg)
        return cls(*parts)

    @classmethod
    def of_role(cls, text: str, role: str) -> TableName:
        """Read a name whose namespace may be left out where the role has only one.

        Raises
        ------
        WarehouseRootError
            If the name cannot be used, or lacks a namespace that the role does not tell.
        """
        if "." in text:
            return cls.parse(text)
        namespace = _NAMESPACES.get(role)
        if namespace is None:
            msg = (
                f"table name {text!r} has no namespace, and tables of role {role} may lie in "
                f"several: write profiles.{text}, images.{text} or quality_control.{text}"
            )
            raise WarehouseRootError(msg)
        return cls.parse(f"{namespace}.{text}")

    def folder(self, root: Path) -> Path:
        """Where the table lies.

        Raises
        ------
        WarehouseRootError
            If links lead out of the root.
        """
        folder = root / self.namespace / self.table
        if not folder.resolve().is_relative_to(root.resolve()):
            msg = f"{folder}: leads out of the warehouse root {root}; remove the link"
            raise WarehouseRootError(msg)
        return folder


def segment_of(text: str) -> str:
    """A text as part of a table's name: small letters, and ``_`` for what no name can have."""
    return re.sub(r"[^a-z0-9_-]+", "_", text.lower())
