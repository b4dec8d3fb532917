"""Matching the objects of one image set: which nucleus and which cytoplasm belong to which cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from cp_assets.measurements.plan import JoinPlan, Link

IntArray = npt.NDArray[np.int64]
NO_ROW = -1
NO_OBJECT = 0
"""CellProfiler's number for no parent."""


@dataclass(frozen=True)
class Unused:
    """Rows of a compartment that no joined row takes.

    Attributes
    ----------
    rows
        Positions in the compartment's table.
    """

    compartment: str
    reason: str
    detail: str
    rows: IntArray


@dataclass(frozen=True)
class Match:
    """One image set's rows, joined.

    Attributes
    ----------
    rows
        Compartment -> for each joined row the position in the compartment's table, or `NO_ROW`.
        All arrays have shape (joined rows,).
    unused
        What no joined row takes, by reason.
    orphans
        Joined rows (positions) whose parent does not exist, by compartment.
    """

    rows: dict[str, IntArray]
    unused: tuple[Unused, ...]
    orphans: dict[str, IntArray]


def integers(table: pa.Table, column: str) -> IntArray:
    """A column of whole numbers, nulls as `NO_OBJECT`; shape (rows,)."""
    if column not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.int64)
    numbers: IntArray = table[column].fill_null(NO_OBJECT).to_numpy().astype(np.int64)
    return numbers


def match_objects(plan: JoinPlan, tables: Mapping[str, pa.Table]) -> Match:
    """Join the compartments of one image set; every anchor object becomes one row.

    Objects whose number occurs twice in a compartment are all left out: nothing says which is
    right, and the result must not depend on the order of rows.
    """
    unused: list[Unused] = []
    kept: dict[str, IntArray] = {}
    for name in plan.compartments:
        numbers = integers(tables[name], "ObjectNumber")
        unique, counts = np.unique(numbers, return_counts=True)
        repeated = np.isin(numbers, unique[counts > 1])
        kept[name] = np.flatnonzero(~repeated)
        if repeated.any():
            detail = "the image set has this ObjectNumber more than once; expected each number once"
            unused.append(Unused(name, "duplicate_key", detail, np.flatnonzero(repeated)))
    anchor_rows = kept[plan.anchor]
    rows = {plan.anchor: anchor_rows}
    orphans: dict[str, IntArray] = {}
    for link in plan.links:
        follow = _parents if link.direction == "parent" else _children
        found, left = follow(link, tables, kept[link.compartment], rows[link.via])
        rows[link.compartment] = found
        unused += left
        orphans[link.compartment] = np.flatnonzero(found == NO_ROW)
    return Match(rows, tuple(unused), orphans)


def _parents(
    link: Link, tables: Mapping[str, pa.Table], own: IntArray, via: IntArray
) -> tuple[IntArray, list[Unused]]:
    """The parent of the object of each joined row, by the parent column there.

    Parameters
    ----------
    own
        Rows of the compartment that may be taken.
    via
        For each joined row the row of `Link.via`, or `NO_ROW`.
    """
    wanted = _of_rows(tables[link.via], link.column, via)
    found = _look_up(wanted, integers(tables[link.compartment], "ObjectNumber"), own)
    detail = f"no {link.via} object names it as its parent"
    return found, _unused(link.compartment, "no_child", detail, np.setdiff1d(own, found))


def _children(
    link: Link, tables: Mapping[str, pa.Table], own: IntArray, via: IntArray
) -> tuple[IntArray, list[Unused]]:
    """The child of the object of each joined row, by its parent column; of several the lowest."""
    named = integers(tables[link.compartment], link.column)
    numbers = integers(tables[link.compartment], "ObjectNumber")
    order = own[np.lexsort((numbers[own], named[own]))]
    first_of_parent = np.ones(len(order), dtype=bool)
    first_of_parent[1:] = named[order][1:] != named[order][:-1]
    parents = _of_rows(tables[link.via], "ObjectNumber", via)
    found = _look_up(parents, named, order[first_of_parent])
    second = order[~first_of_parent]
    has_parent = np.isin(named, parents) & (named != NO_OBJECT)
    extra = second[has_parent[second]]
    lost = own[~has_parent[own]]
    return found, [
        *_unused(
            link.compartment,
            "extra_child",
            f"its {link.via} object has another of a lower number",
            extra,
        ),
        *_unused(link.compartment, "no_parent", f"its {link.column} is no {link.via} object", lost),
    ]


def _of_rows(table: pa.Table, column: str, rows: IntArray) -> IntArray:
    """Numbers of some rows; `NO_OBJECT` for `NO_ROW`."""
    # NO_ROW is -1: the last of them.
    return np.append(integers(table, column), NO_OBJECT)[rows]


def _unused(compartment: str, reason: str, detail: str, rows: IntArray) -> list[Unused]:
    return [Unused(compartment, reason, detail, rows)] if len(rows) else []


def _look_up(wanted: IntArray, numbers: IntArray, candidates: IntArray) -> IntArray:
    """Position of each wanted number among the candidates, or `NO_ROW`."""
    if not len(candidates):
        return np.full(len(wanted), NO_ROW, dtype=np.int64)
    order = candidates[np.argsort(numbers[candidates], kind="stable")]
    at = np.minimum(np.searchsorted(numbers[order], wanted), len(order) - 1)
    hit = (numbers[order[at]] == wanted) & (wanted != NO_OBJECT)
    return np.where(hit, order[at], NO_ROW)
