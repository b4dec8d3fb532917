"""The view `profile_with_images`: its join, written once, for our DuckDB and for other engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.datasets.databases import quoted
from cp_assets.warehouse.spec import PLATE_COLUMNS
from cp_assets.warehouse.sql_names import Picked, SqlSource, pick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LINKS = "profiles.profile_with_images"
PROFILES = "profiles.joined_profiles"
CROPS = "images.image_crops"

VIEW_PARTS = {"l": LINKS, "p": PROFILES, "c": CROPS}
"""Alias in the join -> table, in the order in which columns are taken from them."""

_KEYS = {"p": "Metadata_ObjectID", "c": "Metadata_ImageCropID"}
"""Alias -> what joins it to the links, beside the image."""


def joined_rows(
    parts: Mapping[str, SqlSource],
    quote: Callable[[str], str] = quoted,
) -> tuple[Picked, str]:
    """The view's rows: link rows with their profile and crop, each column once.

    Plates are joined too, although the ids are enough: an engine then sees that a predicate on a
    plate holds for all three tables, and reads the files of that plate alone.

    Parameters
    ----------
    parts
        Table -> what stands for it behind FROM.
    quote
        How the dialect writes names.

    Returns
    -------
    The columns, and the join that stands behind FROM.
    """
    aliased = {alias: parts[table] for alias, table in VIEW_PARTS.items()}
    joins = [
        f"JOIN {aliased[alias].sql} {alias} ON "
        + " AND ".join(
            f"l.{quote(name)} = {alias}.{quote(name)}" for name in ("image_id", key, *PLATE_COLUMNS)
        )
        for alias, key in _KEYS.items()
    ]
    return pick(aliased, quote), "\n".join([f"{aliased['l'].sql} l", *joins])
