from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.errors import CpAssetsError
from cp_assets.sample import SampleOptions, site_truth


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"plates": 0}, "plates must be 1 to 9999, got 0"),
        ({"wells": 385}, "wells must be 1 to 384, got 385"),
        ({"wells": 0}, "wells must be"),
        ({"sites": 100}, "sites must be 1 to 99, got 100"),
        ({"cells": 1}, "cells must be 4"),
        ({"seed": -1}, "seed must be 0"),
        ({"image_size": (50, 400)}, "image height must be 96"),
        ({"image_size": (400, 5000)}, "image width must be 96 to 4096, got 5000"),
        ({"batch": "a/b"}, "batch must be a plain folder name"),
        ({"project": ".."}, "project must be a plain folder name"),
        ({"source": ""}, "source must be a plain folder name"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_options_that_cannot_be_written_name_the_fault(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(CpAssetsError, match=fault) as caught:
        SampleOptions(**options)
    assert isinstance(caught.value, ValueError)


def test_options_with_several_faults_name_all_of_them() -> None:
    with pytest.raises(CpAssetsError, match=r"plates.*wells.*batch"):
        SampleOptions(plates=0, wells=400, batch="a b")


@given(wells=st.integers(1, 384))
def test_wells_are_distinct_and_on_the_plate(wells: int) -> None:
    names = SampleOptions(wells=wells).well_names
    assert len(set(names)) == wells
    assert list(names) == sorted(names)
    assert all(
        name[0] in string.ascii_uppercase[:16] and 1 <= int(name[1:]) <= 24 for name in names
    )


@pytest.mark.parametrize(("wells", "rows"), [(1, 1), (4, 2), (24, 4), (96, 8), (384, 16)])
def test_wells_spread_over_rows(wells: int, rows: int) -> None:
    assert len({name[0] for name in SampleOptions(wells=wells).well_names}) == rows


def test_plates_are_named_as_barcodes() -> None:
    assert SampleOptions(plates=2).plate_names == ("BR00900001", "BR00900002")


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        (("BR00900009", "E07", 1), "no plate 'BR00900009'"),
        (("BR00900001", "Z99", 1), "no well 'Z99'"),
        (("BR00900001", "E07", 0), "no site 0"),
        (("BR00900001", "E07", 3), "no site 3"),
    ],
    ids=["plate", "well", "site-below", "site-above"],
)
def test_site_truth_of_a_place_that_is_not_there_is_refused(
    place: tuple[str, str, int], fault: str
) -> None:
    with pytest.raises(CpAssetsError, match=fault):
        site_truth(SampleOptions(), *place)
