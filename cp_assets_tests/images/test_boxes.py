from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.errors import BoxColumnsError
from cp_assets.images.boxes import box_fault, box_outside, boxes_in, flat_boxes, good_boxes
from cp_assets.measurements.boxes import BoxColumns, resolve_box_columns

ENDS = ("Minimum_X", "Minimum_Y", "Maximum_X", "Maximum_Y")


def _named(prefix: str) -> list[str]:
    return [f"{prefix}AreaShape_BoundingBox{end}" for end in ENDS]


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        (("Nuclei_", "Cytoplasm_", "Cells_"), "Cells_"),
        (("Nuclei_", "Cytoplasm_"), "Cytoplasm_"),
        (("Nuclei_", ""), "Nuclei_"),
        (("",), ""),
    ],
)
def test_box_columns_prefer_the_largest_object(prefixes: tuple[str, ...], expected: str) -> None:
    columns = [name for prefix in prefixes for name in _named(prefix)]
    assert resolve_box_columns(columns) == BoxColumns(*_named(expected))


def test_box_columns_of_an_incomplete_compartment_are_passed_over() -> None:
    columns = _named("Cells_")[:3] + _named("Nuclei_")
    assert resolve_box_columns(columns).x_min.startswith("Nuclei_")


def test_box_columns_by_substring_need_one_match_each() -> None:
    assert resolve_box_columns([f"bbox_{end}" for end in ENDS]).y_max == "bbox_Maximum_Y"
    with pytest.raises(
        BoxColumnsError, match=r"not clear(.|\n)*a_Minimum_X, b_Minimum_X(.|\n)*map="
    ):
        resolve_box_columns(["a_Minimum_X", "b_Minimum_X"])
    with pytest.raises(BoxColumnsError, match=r"no column .* since version 4"):
        resolve_box_columns(["Cells_AreaShape_Area"])


def test_box_columns_take_the_users_map() -> None:
    given = dict(zip(("x_min", "y_min", "x_max", "y_max"), "abcd", strict=True))
    assert resolve_box_columns([*"abcd", *_named("Cells_")], given) == BoxColumns(*"abcd")
    with pytest.raises(BoxColumnsError, match=r"does not have|do not have: d"):
        resolve_box_columns([*"abc"], given)
    with pytest.raises(BoxColumnsError, match="without y_max"):
        resolve_box_columns([*"abcd"], {k: v for k, v in given.items() if k != "y_max"})


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((0, 0, 1, 1), None),
        ((math.nan, 0, 1, 1), "no_box"),
        ((0, 0, math.inf, 1), "no_box"),
        ((5, 0, 5, 1), "inverted_box"),
        ((0, 3, 5, 1), "inverted_box"),
        ((0, 0, 2.5, 1), "fractional_box"),
    ],
)
def test_box_fault_names_the_reason(box: tuple[float, ...], reason: str | None) -> None:
    fault = box_fault((*box, math.nan, math.nan))
    assert (fault and fault[0]) == reason


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((0, 0, 6, 4), True),
        ((-1, 0, 6, 4), False),
        ((0, -1, 6, 4), False),
        ((0, 0, 7, 4), False),
        ((0, 0, 6, 5), False),
    ],
)
def test_box_outside_knows_x_from_y(box: tuple[float, ...], inside: bool) -> None:
    flat = (*box, math.nan, math.nan)
    assert (box_outside(flat, (1, 1, 1, 4, 6)) is None) == inside


@pytest.mark.parametrize(
    ("depth", "reason"),
    [
        ((0, 3), None),
        ((3, 3), "inverted_box"),
        ((0, math.nan), "no_box"),
        ((0.5, 2), "fractional_box"),
    ],
)
def test_box_with_a_depth_needs_all_of_it(depth: tuple[float, float], reason: str | None) -> None:
    fault = box_fault((0, 0, 1, 1, *depth))
    assert (fault and fault[0]) == reason


def test_box_knows_x_y_and_z() -> None:
    edges = (1.0, 2.0, 5.0, 7.0, 0.0, 3.0)
    assert box_outside(edges, (1, 1, 3, 7, 5)) is None
    assert "x 1..5, y 2..7, z 0..3" in (box_outside(edges, (1, 1, 2, 7, 5)) or "")
    flat = (*edges[:4], math.nan, math.nan)
    boxes = boxes_in(np.array([edges, flat, edges]), np.array([True, True, False]), depth=4)
    in_plane = [[2, 7], [1, 5]]
    assert boxes.tolist() == [[[0, 3], *in_plane], [[0, 4], *in_plane], [[0, 0]] * 3]
    assert flat_boxes(np.array([edges, flat])).tolist() == [False, True]


EDGE = st.sampled_from([math.nan, math.inf, -1.0, 0.0, 0.5, 1.0, 3.0, 5.0, 7.0, 1e300])


@given(st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE, EDGE, EDGE), min_size=1, max_size=8))
def test_good_boxes_are_those_without_a_fault_that_lie_inside(
    boxes: list[tuple[float, ...]],
) -> None:
    shape = (1, 1, 5, 3, 7)
    found = good_boxes(np.array(boxes), shape).tolist()
    wanted = [not (box_fault(box) or box_outside(box, shape)) for box in boxes]
    assert found == wanted
