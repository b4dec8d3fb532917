from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.datasets import Dataset
from cp_assets.errors import JoinError
from cp_assets.measurements.matching import NO_ROW, Match, match_objects
from cp_assets.measurements.plan import JoinPlan, Link, plan_join

NUMBERS = st.integers(0, 6)
OBJECTS = st.lists(st.tuples(NUMBERS, st.one_of(st.none(), NUMBERS)), max_size=8)
"""(ObjectNumber, parent) of each row; numbers repeat and parents are missing on purpose."""


def table(rows: Sequence[tuple[int, int | None]], parent: str = "Parent_Other") -> pa.Table:
    return pa.table(
        {
            "ObjectNumber": pa.array([number for number, _ in rows], pa.int64()),
            parent: pa.array([parent for _, parent in rows], pa.int64()),
        }
    )


def balance(match: Match, compartment: str, rows: int) -> None:
    """Every row of a compartment is in a joined row or unused, never both or twice unused."""
    used = {int(row) for row in match.rows[compartment] if row != NO_ROW}
    unused = [
        int(row) for one in match.unused if one.compartment == compartment for row in one.rows
    ]
    assert len(unused) == len(set(unused))
    assert used.isdisjoint(unused)
    assert used | set(unused) == set(range(rows))


@given(OBJECTS, OBJECTS)
def test_match_objects_by_parent_equals_plain_python(
    cells: list[tuple[int, int | None]], nuclei: list[tuple[int, int | None]]
) -> None:
    plan = JoinPlan("Cells", (Link("Nuclei", "parent", "Parent_Nuclei", "Cells"),))
    match = match_objects(plan, {"Cells": table(cells, "Parent_Nuclei"), "Nuclei": table(nuclei)})
    times = Counter(number for number, _ in cells)
    times_nuclei = Counter(number for number, _ in nuclei)
    expected = []
    for row, (number, parent) in enumerate(cells):
        if times[number] == 1:
            at = [n for n, (nucleus, _) in enumerate(nuclei) if nucleus == parent]
            there = bool(parent) and times_nuclei[parent or 0] == 1
            expected.append((row, at[0] if there else NO_ROW))
    found = zip(match.rows["Cells"].tolist(), match.rows["Nuclei"].tolist(), strict=True)
    assert list(found) == expected
    orphans = [at for at, (_, nucleus) in enumerate(expected) if nucleus == NO_ROW]
    assert match.orphans["Nuclei"].tolist() == orphans
    balance(match, "Cells", len(cells))
    balance(match, "Nuclei", len(nuclei))


@given(OBJECTS, OBJECTS)
def test_match_objects_by_child_equals_plain_python(
    cells: list[tuple[int, int | None]], children: list[tuple[int, int | None]]
) -> None:
    plan = JoinPlan("Cells", (Link("Cytoplasm", "child", "Parent_Cells", "Cells"),))
    tables = {"Cells": table(cells), "Cytoplasm": table(children, "Parent_Cells")}
    match = match_objects(plan, tables)
    times = Counter(number for number, _ in cells)
    times_children = Counter(number for number, _ in children)
    expected = []
    for row, (number, _) in enumerate(cells):
        if times[number] == 1:
            own = [
                (child, at)
                for at, (child, parent) in enumerate(children)
                if parent == number and number and times_children[child] == 1
            ]
            expected.append((row, min(own)[1] if own else NO_ROW))
    found = zip(match.rows["Cells"].tolist(), match.rows["Cytoplasm"].tolist(), strict=True)
    assert list(found) == expected
    balance(match, "Cells", len(cells))
    balance(match, "Cytoplasm", len(children))


@given(OBJECTS, OBJECTS, OBJECTS)
def test_match_objects_by_way_of_another_equals_plain_python(
    cells: list[tuple[int, int | None]],
    cytoplasm: list[tuple[int, int | None]],
    of_cytoplasm: list[tuple[int, int | None]],
) -> None:
    """Cells to Cytoplasm, whose child it is, and from there to its nucleus and its vesicle."""
    nuclei = [(number, None) for number, _ in of_cytoplasm]
    parents = dict(of_cytoplasm)
    both = table(cytoplasm, "Parent_Cells").append_column(
        "Parent_Nuclei", pa.array([parents.get(number) for number, _ in cytoplasm], pa.int64())
    )
    plan = JoinPlan(
        "Cells",
        (
            Link("Cytoplasm", "child", "Parent_Cells", "Cells"),
            Link("Nuclei", "parent", "Parent_Nuclei", "Cytoplasm"),
            Link("Vesicles", "child", "Parent_Cytoplasm", "Cytoplasm"),
        ),
    )
    tables = {
        "Cells": table(cells),
        "Cytoplasm": both,
        "Nuclei": table(nuclei),
        "Vesicles": table(of_cytoplasm, "Parent_Cytoplasm"),
    }
    match = match_objects(plan, tables)
    times = Counter(number for number, _ in of_cytoplasm)
    rows = (match.rows[name].tolist() for name in ("Cytoplasm", "Nuclei", "Vesicles"))
    for whole, nucleus, vesicle in zip(*rows, strict=True):
        number = cytoplasm[whole][0] if whole != NO_ROW else 0
        parent = parents.get(number) if number else None
        there = bool(parent) and times[parent or 0] == 1
        assert (nuclei[nucleus][0] if nucleus != NO_ROW else None) == (parent if there else None)
        own = [n for n, p in of_cytoplasm if p == number and number and times[n] == 1]
        expected = min(own) if own else None
        assert (of_cytoplasm[vesicle][0] if vesicle != NO_ROW else None) == expected
    for name, content in tables.items():
        balance(match, name, content.num_rows)


@given(st.permutations([(1, 2), (2, 2), (3, 9), (4, None), (5, 1), (5, 3)]))
def test_match_objects_order_of_rows_does_not_matter(cells: list[tuple[int, int | None]]) -> None:
    plan = JoinPlan("Cells", (Link("Nuclei", "parent", "Parent_Nuclei", "Cells"),))
    nuclei = [(1, None), (2, None), (3, None)]
    match = match_objects(plan, {"Cells": table(cells, "Parent_Nuclei"), "Nuclei": table(nuclei)})
    rows = zip(match.rows["Cells"], match.rows["Nuclei"], strict=True)
    assert {cells[cell][0]: int(nucleus) for cell, nucleus in rows} == {
        1: 1,
        2: 1,
        3: NO_ROW,
        4: NO_ROW,
    }


CELLS = ["ImageNumber", "ObjectNumber", "Parent_Nuclei"]
NUCLEI = ["ImageNumber", "ObjectNumber"]
CYTOPLASM = [*NUCLEI, "Parent_Cells", "Parent_Nuclei"]


def plan_of(columns: dict[str, list[str]], **options: object) -> JoinPlan:
    dataset = Dataset(dataset_id="d", root=None, **options)  # type: ignore[arg-type]
    return plan_join(columns, dataset, "d/b/p")


def test_plan_join_usual_compartments() -> None:
    columns = {"Nuclei": NUCLEI, "Cytoplasm": CYTOPLASM, "Cells": CELLS, "Image": [], "PH3": NUCLEI}
    assert plan_of(columns) == JoinPlan(
        "Cells",
        (
            Link("Cytoplasm", "child", "Parent_Cells", "Cells"),
            Link("Nuclei", "parent", "Parent_Nuclei", "Cells"),
        ),
    )


def test_plan_join_without_cytoplasm() -> None:
    plan = plan_of({"Nuclei": NUCLEI, "Cells": CELLS, "Image": []})
    assert plan.compartments == ("Cells", "Nuclei")


@pytest.mark.parametrize("name", ["Nuclei", "Colonies"])
def test_plan_join_one_compartment_alone(name: str) -> None:
    assert plan_of({name: NUCLEI, "Image": []}) == JoinPlan(name, ())


def test_plan_join_given_anchor_and_compartments() -> None:
    columns = {"Nuclei": NUCLEI, "Cells": CELLS, "PH3": [*NUCLEI, "Parent_Nuclei"]}
    plan = plan_of(columns, anchor="Nuclei", compartments=("Nuclei", "PH3"))
    assert plan == JoinPlan("Nuclei", (Link("PH3", "child", "Parent_Nuclei", "Nuclei"),))


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {"Cells": NUCLEI, "Nuclei": NUCLEI},
            {},
            "d/b/p: Nuclei cannot be joined to Cells: expected Parent_Nuclei in Cells.csv or "
            "Parent_Cells in Nuclei.csv. Objects are numbered independently",
        ),
        ({"Image": []}, {}, "no compartment was measured"),
        ({"Cells": CELLS}, {"anchor": "Cell"}, "anchor Cell was not measured; there are Cells"),
        ({"Cells": CELLS}, {"compartments": ("PH3",)}, "PH3 was asked for and not measured"),
    ],
    ids=["no parents", "no objects", "unknown anchor", "unknown compartment"],
)
def test_plan_join_impossible_says_what_is_missing(
    columns: dict[str, list[str]], options: dict[str, object], message: str
) -> None:
    with pytest.raises(JoinError, match=message):
        plan_of(columns, **options)
