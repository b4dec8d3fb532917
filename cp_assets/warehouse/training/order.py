"""The order of crops: block shuffling, so that files are read in large pieces.

What a seed and an epoch decide:

1. the order of the data files, taken `OPEN_FILES` at a time; row groups of those files come in one
   random order;
2. each object of a row group is dealt at random to one of the next ``window`` steps, a step being
   the reading of one more row group; a step's objects come in random order.

So a batch mixes objects of up to ``window`` row groups from `OPEN_FILES` files: several wells and
plates. It is no uniform permutation of all objects: two objects of one row group are never more
than ``window`` steps apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cp_assets.warehouse.lookup import DataFiles, SelectedFiles

OPEN_FILES = 8
"""Data files whose row groups are mixed; their footers are in memory."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Unit:
    """A row group to read, with the rest of its last object where that lies in later ones.

    Attributes
    ----------
    parts
        Path and row group: the unit's own, then those that its last object goes on in.
    continues
        Whether the first object began in an earlier row group, and belongs to that one's unit.
    """

    parts: tuple[tuple[str, int], ...]
    continues: bool


@dataclass(frozen=True)
class _Group:
    path: str
    number: int
    first: str
    last: str
    objects: int


def units(files: DataFiles, selected: SelectedFiles) -> list[Unit]:
    """All row groups of the files, in the order of their rows.

    An object's rows lie together, as this library writes them; they may go on in the next row group
    or file.
    """
    files.read_indexes(selected)
    groups = [group for path in selected.paths for group in _groups(files, selected, path)]
    starts = [i for i, group in enumerate(groups) if not (_continues(groups, i) and _single(group))]
    return [
        Unit(
            parts=tuple((group.path, group.number) for group in _with_rest(groups, i)),
            continues=_continues(groups, i),
        )
        for i in starts
    ]


def _groups(files: DataFiles, selected: SelectedFiles, path: str) -> list[_Group]:
    index = files.index(selected, path)
    numbers, starts, counts = np.unique(index.row_groups, return_index=True, return_counts=True)
    return [
        _Group(path, number, index.ids[start].as_py(), index.ids[start + count - 1].as_py(), count)
        for number, start, count in zip(
            numbers.tolist(), starts.tolist(), counts.tolist(), strict=True
        )
    ]


def _single(group: _Group) -> bool:
    return group.objects == 1


def _continues(groups: Sequence[_Group], i: int) -> bool:
    return i > 0 and groups[i - 1].last == groups[i].first


def _with_rest(groups: Sequence[_Group], i: int) -> list[_Group]:
    """A group and those that its last object goes on in."""
    end = i + 1
    while end < len(groups) and groups[end].first == groups[i].last:
        end += 1
        if not _single(groups[end - 1]):
            break
    return list(groups[i:end])


def shuffled(all_units: Sequence[Unit], rng: np.random.Generator) -> list[Unit]:
    """The units in a random order that keeps few files open at a time."""
    by_path: dict[str, list[Unit]] = {}
    for unit in all_units:
        by_path.setdefault(unit.parts[0][0], []).append(unit)
    paths = [list(by_path)[i] for i in rng.permutation(len(by_path))]
    order: list[Unit] = []
    for start in range(0, len(paths), OPEN_FILES):
        near = [unit for path in paths[start : start + OPEN_FILES] for unit in by_path[path]]
        order.extend(near[i] for i in rng.permutation(len(near)))
    return order


def mixed(
    steps: Iterable[Sequence[Item]], window: int, rng: np.random.Generator
) -> Iterator[list[Item]]:
    """Deal each step's items at random to this step and the ``window - 1`` that follow."""
    to_come: list[list[Item]] = [[] for _ in range(window)]
    for items in steps:
        for item, slot in zip(items, rng.integers(window, size=len(items)).tolist(), strict=True):
            to_come[slot].append(item)
        yield _permuted(to_come.pop(0), rng)
        to_come.append([])
    for rest in to_come:
        yield _permuted(rest, rng)


def _permuted(items: list[Item], rng: np.random.Generator) -> list[Item]:
    return [items[i] for i in rng.permutation(len(items)).tolist()]
