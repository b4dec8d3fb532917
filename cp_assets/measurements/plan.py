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
    """How a compartment's objects are found from those of another.

    Attributes
    ----------
    via
        That other compartment: the anchor, or one that is linked before.
    direction
        ``parent``: ``via`` has the column ``Parent_<compartment>``, one object each.
        ``child``: the compartment has the column ``Parent_<via>``.
    column
        That column.
    """

    compartment: str
    direction: Literal["parent", "child"]
    column: str
    via: str


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
        If there is no compartment, the anchor that was asked for is not there, or no parent columns
        lead from the anchor to a compartment.
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
    return JoinPlan(anchor, _links(anchor, wanted, columns, dataset.parents, plate))


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


def _links(
    anchor: str,
    wanted: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    parents: Mapping[str, Sequence[str]],
    plate: str,
) -> tuple[Link, ...]:
    """A way to every compartment, as few steps from the anchor as there can be."""
    links: list[Link] = []
    waiting = [name for name in wanted if name != anchor]
    while waiting:
        linked = (anchor, *(link.compartment for link in links))
        found = [link for name in waiting if (link := _link(linked, name, columns, parents))]
        if not found:
            raise JoinError(_no_way(anchor, waiting[0], linked[1:], parents, plate))
        links += found
        waiting = [name for name in waiting if name not in {link.compartment for link in found}]
    return tuple(links)


def _link(
    linked: Sequence[str],
    other: str,
    columns: Mapping[str, Sequence[str]],
    parents: Mapping[str, Sequence[str]],
) -> Link | None:
    """The link from the first of some compartments that has one."""
    for via in linked:
        for column in _parent_columns(other, parents):
            if column in columns[via]:
                return Link(other, "parent", column, via)
        for column in _parent_columns(via, parents):
            if column in columns[other]:
                return Link(other, "child", column, via)
    return None


def _parent_columns(compartment: str, parents: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Columns of other compartments that name objects of this one."""
    return (f"Parent_{compartment}", *parents.get(compartment, ()))


def _no_way(
    anchor: str,
    other: str,
    linked: Sequence[str],
    parents: Mapping[str, Sequence[str]],
    plate: str,
) -> str:
    to_parent, to_anchor = (" or ".join(_parent_columns(one, parents)) for one in (other, anchor))
    beside = f", or such a column to or from {' or '.join(linked)}" if linked else ""
    return (
        f"plate {plate}: {other} cannot be joined to {anchor}: expected {to_parent} in "
        f"{anchor}.csv or {to_anchor} in {other}.csv{beside}. Objects are numbered independently, "
        "so equal numbers do not mean the same cell; export the parent column, or set "
        f"`compartments` to leave {other} out"
    )
