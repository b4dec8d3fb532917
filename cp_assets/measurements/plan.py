"""Which compartments make a row of the joined profiles, and which columns link them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cp_assets.errors import JoinError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cp_assets.datasets.model import Dataset

IMAGE = "Image"
USUAL_COMPARTMENTS = ("Cells", "Cytoplasm", "Nuclei")
"""Joined by default where they are there; others stay in ``raw_measurements`` until asked for."""


@dataclass(frozen=True)
class Link:
    """How a compartment's objects are found from the anchor's.

    Attributes
    ----------
    direction
        ``parent``: the anchor has the column ``Parent_<compartment>``, one object each.
        ``child``: the compartment has the column ``Parent_<anchor>``.
    column
        That column.
    """

    compartment: str
    direction: Literal["parent", "child"]
    column: str


@dataclass(frozen=True)
class JoinPlan:
    """The compartment of which one object is one row, and the compartments beside it."""

    anchor: str
    links: tuple[Link, ...]

    @property
    def compartments(self) -> tuple[str, ...]:
        """Every compartment of the plan, the anchor first."""
        return (self.anchor, *(link.compartment for link in self.links))


def plan_join(columns: Mapping[str, Sequence[str]], dataset: Dataset, plate: str) -> JoinPlan:
    """Choose the anchor and find the links of a plate's compartments.

    Parameters
    ----------
    columns
        Compartment -> columns of its raw measurements.
    plate
        The plate, to name it in errors.

    Raises
    ------
    JoinError
        If there is no compartment, the anchor that was asked for is not there, or a compartment has
        no parent column that leads to the anchor.
    """
    measured = [name for name in columns if name != IMAGE]
    if not measured:
        msg = f"plate {plate}: no compartment was measured; expected files such as Cells.csv"
        raise JoinError(msg)
    wanted = _wanted(measured, dataset, plate)
    anchor = dataset.anchor or next(
        (name for name in USUAL_COMPARTMENTS if name in wanted), wanted[0]
    )
    if anchor not in measured:
        msg = f"plate {plate}: anchor {anchor} was not measured; there are {', '.join(measured)}"
        raise JoinError(msg)
    links = [
        _link(anchor, name, columns, dataset.parents, plate) for name in wanted if name != anchor
    ]
    return JoinPlan(anchor, tuple(links))


def _wanted(measured: Sequence[str], dataset: Dataset, plate: str) -> list[str]:
    if dataset.compartments is not None:
        missing = [name for name in dataset.compartments if name not in measured]
        if missing:
            msg = (
                f"plate {plate}: compartment {missing[0]} was asked for and not measured; there "
                "are "
                f"{', '.join(measured)}"
            )
            raise JoinError(msg)
        return list(dataset.compartments)
    usual = [name for name in USUAL_COMPARTMENTS if name in measured]
    return usual or sorted(measured)[:1]


def _link(
    anchor: str,
    other: str,
    columns: Mapping[str, Sequence[str]],
    parents: Mapping[str, Sequence[str]],
    plate: str,
) -> Link:
    to_parents = (f"Parent_{other}", *parents.get(other, ()))
    to_anchors = (f"Parent_{anchor}", *parents.get(anchor, ()))
    for column in to_parents:
        if column in columns[anchor]:
            return Link(other, "parent", column)
    for column in to_anchors:
        if column in columns[other]:
            return Link(other, "child", column)
    to_parent, to_anchor = " or ".join(to_parents), " or ".join(to_anchors)
    msg = (
        f"plate {plate}: {other} cannot be joined to {anchor}: expected {to_parent} in "
        f"{anchor}.csv or "
        f"{to_anchor} in {other}.csv. Objects are numbered independently, so equal numbers do not "
        "mean the "
        f"same cell; export the parent column, or set `compartments` to leave {other} out"
    )
    raise JoinError(msg)
