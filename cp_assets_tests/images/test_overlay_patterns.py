from __future__ import annotations

import re

import pytest

from cp_assets.images.overlay_patterns import OverlayPattern


def _of(overlay: str, image: str, files: list[str], name: str = "A01_s1_ch1.tif") -> list[str]:
    return list(OverlayPattern.over(re.compile(overlay), re.compile(image), files).of(name))


@pytest.mark.parametrize(
    ("overlay", "image", "files", "expected"),
    [
        (r"^([A-Z]\d+)-(\d+)", r"^([A-Z]\d+)_s(\d+)", ["A01-1.png", "A01-2.png"], ["A01-1.png"]),
        (r"^([a-z]\d+)-(\d+)", r"^([A-Z]\d+)_s(\d+)", ["a1-01.png", "a1-11.png"], ["a1-01.png"]),
        (r"s(\d+)_ch", r"_s(\d+)", ["A02_s2_ch1.png", "A01_s1_ch1.png"], ["A01_s1_ch1.png"]),
        (
            r"(?P<site>\d+)x(?P<well>[A-Z]\d+)",
            r"(?P<well>[A-Z]\d+)_s(?P<site>\d+)",
            ["1xA01.png", "2xA01.png"],
            ["1xA01.png"],
        ),
        (r"^(cells|nuclei)", r"(A01_s1)", ["cells_A01_s1.png"], []),
        (r"^(?:cells|nuclei)", r"(A01_s1)", ["cells_A01_s1.png"], ["cells_A01_s1.png"]),
    ],
    ids=["equal", "case-and-zeros", "site-not-channel", "named", "other-meaning", "not-a-group"],
)
def test_patterns_compare_group_with_group(
    overlay: str, image: str, files: list[str], expected: list[str]
) -> None:
    assert _of(overlay, image, files) == expected


@pytest.mark.parametrize(
    ("image", "overlay", "fits"),
    [
        (r"_s(\d+)", "A01_s2_ch1", False),
        (r"_s(\d+)", "B1_s2", False),
        (r"_s(\d+)", "A01_s10", False),
        (r"_s(\d+)", "A01_s1", True),
        (r"_s(\d+)", "A01-1", True),
        (r"_s(\d+)", "A01_s1Cells", True),
        (r"_s(\d+)", "A01_s1b", False),
        (r"(A01_s1)", "a01_S1_x", True),
        (r"(A01_s1)", "BA01_s1", False),
        (r"(A01)_s(1)", "A01_s1", True),
        (r"ch1", "A01_s1_ch1Outlines", True),
        (r"ch1", "A01_s1_ch10", False),
    ],
)
def test_patterns_without_groups_to_compare_look_for_words(
    image: str, overlay: str, fits: bool
) -> None:
    assert bool(_of(r"\.png$", image, [f"deep/{overlay}.png"])) is fits
