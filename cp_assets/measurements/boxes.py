"""Bounding boxes: which columns of the joined profiles hold them.

A box is half-open in pixels: ``image[y_min:y_max, x_min:x_max]``. Objects of a stack have a range
in Z too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.errors import BoxColumnsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COMPARTMENTS = ("Cells", "Cytoplasm", "Nuclei")
"""Whose box is taken first: the largest object shows most of the cell."""

_ENDS = {
    "x_min": "Minimum_X",
    "y_min": "Minimum_Y",
    "x_max": "Maximum_X",
    "y_max": "Maximum_Y",
}
_DEPTH_ENDS = {"z_min": "Minimum_Z", "z_max": "Maximum_Z"}


@dataclass(frozen=True, slots=True)
class BoxColumns:
    """Columns of the joined profiles that hold the box's edges, in pixels; None without Z."""

    x_min: str
    y_min: str
    x_max: str
    y_max: str
    z_min: str | None = None
    z_max: str | None = None


def resolve_box_columns(
    columns: Iterable[str],
    explicit: Mapping[str, str] | None = None,
    compartment: str | None = None,
) -> BoxColumns:
    """Find the columns of the bounding box.

    In order: the user's map; CellProfiler's names for the compartment asked for, or for Cells,
    Cytoplasm, Nuclei; the same without a compartment; and, for other tools, the one column that
    contains ``Minimum_X`` and so on. CellProfiler's ``..Minimum_Z`` beside them is taken too.

    Raises
    ------
    BoxColumnsError
        If the map names a column that is not there, the compartment that was asked for has no box,
        or no or more than one column would do.
    """
    names = list(columns)
    if explicit is not None:
        return _explicit(names, explicit)
    if compartment is not None:
        return _of_compartment(names, compartment)
    for prefix in (*(f"{compartment}_" for compartment in COMPARTMENTS), ""):
        found = _cellprofilers(names, prefix)
        if found is not None:
            return found
    return _by_substring(names)


def _cellprofilers(names: list[str], prefix: str) -> BoxColumns | None:
    wanted = {edge: f"{prefix}AreaShape_BoundingBox{end}" for edge, end in _ENDS.items()}
    depth = {edge: f"{prefix}AreaShape_BoundingBox{end}" for edge, end in _DEPTH_ENDS.items()}
    if not all(name in names for name in wanted.values()):
        return None
    return BoxColumns(**wanted, **(depth if all(n in names for n in depth.values()) else {}))


def _of_compartment(names: list[str], compartment: str) -> BoxColumns:
    found = _cellprofilers(names, f"{compartment}_")
    if found is None:
        boxed = sorted({n.split("_AreaShape_")[0] for n in names if "_AreaShape_BoundingBox" in n})
        msg = (
            f"box_compartment: the joined profiles have no {compartment}_AreaShape_BoundingBox "
            f"columns; compartments with a box: {', '.join(boxed) or 'none'}"
        )
        raise BoxColumnsError(msg)
    return found


def _explicit(names: list[str], explicit: Mapping[str, str]) -> BoxColumns:
    missing = [edge for edge in _ENDS if edge not in explicit]
    unknown = [edge for edge in explicit if edge not in _ENDS]
    if missing or unknown:
        found = f"without {', '.join(missing)}" if missing else f"with {', '.join(unknown)}"
        msg = f"bbox_column_map {found}: expected exactly the keys {', '.join(_ENDS)}"
        raise BoxColumnsError(msg)
    absent = [explicit[edge] for edge in _ENDS if explicit[edge] not in names]
    if absent:
        likely = [name for name in names if "BoundingBox" in name] or "none"
        msg = (
            "bbox_column_map names columns that the joined profiles do not have: "
            f"{', '.join(absent)}; "
            f"columns with BoundingBox in their name: {likely}"
        )
        raise BoxColumnsError(msg)
    return BoxColumns(**{edge: explicit[edge] for edge in _ENDS})


def _by_substring(names: list[str]) -> BoxColumns:
    found = {edge: [name for name in names if end in name] for edge, end in _ENDS.items()}
    if all(len(candidates) == 1 for candidates in found.values()):
        return BoxColumns(**{edge: candidates[0] for edge, candidates in found.items()})
    if not any(found.values()):
        problem = "no column of the joined profiles holds a bounding box"
        hint = " (CellProfiler writes them since version 4, with MeasureObjectSizeShape)"
    else:
        problem = "the columns of the bounding box are not clear"
        hint = ""
    lines = [f"  {edge}: {_candidates(found[edge])}" for edge in _ENDS]
    example = {edge: (found[edge] or ["<column>"])[0] for edge in _ENDS}
    msg = (
        f"{problem}{hint}; candidates:\n{chr(10).join(lines)}\nsay which: bbox_column_map={example}"
    )
    raise BoxColumnsError(msg)


def _candidates(names: list[str], shown: int = 8) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(names[:shown]) or "none") + more
