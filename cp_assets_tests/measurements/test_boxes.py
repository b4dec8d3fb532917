from __future__ import annotations

import pytest

from cp_assets.errors import BoxColumnsError
from cp_assets.measurements.boxes import BoxColumns, resolve_box_columns

ENDS = {"x_min": "Minimum_X", "y_min": "Minimum_Y", "x_max": "Maximum_X", "y_max": "Maximum_Y"}


def cellprofiler(prefix: str) -> list[str]:
    return [f"{prefix}AreaShape_BoundingBox{end}" for end in ENDS.values()]


def columns_of(prefix: str) -> BoxColumns:
    return BoxColumns(*cellprofiler(prefix))


@pytest.mark.parametrize(
    ("prefixes", "chosen"),
    [
        (("Nuclei_", "Cytoplasm_", "Cells_"), "Cells_"),
        (("Nuclei_", "Cytoplasm_"), "Cytoplasm_"),
        (("", "Nuclei_"), "Nuclei_"),
        (("",), ""),
    ],
)
def test_resolve_box_columns_largest_compartment_first(
    prefixes: tuple[str, ...], chosen: str
) -> None:
    names = [name for prefix in prefixes for name in cellprofiler(prefix)]
    assert resolve_box_columns(names) == columns_of(chosen)


def test_resolve_box_columns_incomplete_compartment_is_passed_over() -> None:
    names = [*cellprofiler("Cells_")[:3], *cellprofiler("Nuclei_")]
    assert resolve_box_columns(names) == columns_of("Nuclei_")


def test_resolve_box_columns_given_map_comes_first() -> None:
    given = {"x_min": "a", "y_min": "b", "x_max": "c", "y_max": "d"}
    assert resolve_box_columns([*"abcd", *cellprofiler("Cells_")], given) == BoxColumns(*"abcd")


def test_resolve_box_columns_other_tools_by_part_of_the_name() -> None:
    names = [f"Blob_{end}_px" for end in ENDS.values()]
    assert resolve_box_columns(["Area", *names]) == BoxColumns(*names)


def test_resolve_box_columns_ambiguous_lists_candidates_and_the_map() -> None:
    names = [f"{tool}_{end}" for tool in ("One", "Two") for end in ENDS.values()]
    with pytest.raises(BoxColumnsError, match="not clear") as caught:
        resolve_box_columns(names)
    assert "x_min: One_Minimum_X, Two_Minimum_X" in str(caught.value)
    assert "bbox_column_map={'x_min': 'One_Minimum_X'" in str(caught.value)


def test_resolve_box_columns_none_says_who_writes_them() -> None:
    with pytest.raises(BoxColumnsError, match=r"MeasureObjectSizeShape.*\n  x_min: none"):
        resolve_box_columns(["Cells_AreaShape_Area"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x_min": "a"}, "without y_min, x_max, y_max"),
        (dict.fromkeys((*ENDS, "z_min"), "a"), "with z_min"),
        (dict.fromkeys(ENDS, "zzz"), "do not have: zzz"),
    ],
    ids=["edges missing", "unknown edge", "unknown column"],
)
def test_resolve_box_columns_map_that_does_not_fit(given: dict[str, str], message: str) -> None:
    with pytest.raises(BoxColumnsError, match=message):
        resolve_box_columns(["a"], given)
