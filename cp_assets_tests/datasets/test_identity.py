from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.datasets.identity import (
    PlateKey,
    normalise_site,
    normalise_well,
    row_letters,
    row_number,
    site_sort_key,
    split_site_folder,
    well_sort_key,
)
from cp_assets.errors import ConfigurationError

NAMES = st.text(
    st.characters(min_codepoint=32, exclude_categories=("Cs",)), min_size=1, max_size=30
)
ODD_NAMES = [
    "a,b",
    "a|b",
    "*",
    '"quoted"',
    "it's",
    "a/b",
    "~2C",
    "a b",
    "[1]",
    "100%",
    ".",
    "..",
    "#",
]


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("a1", "A01"),
        ("A01", "A01"),
        ("a01", "A01"),
        ("A-1", "A01"),
        (" A 1 ", "A01"),
        ("A001", "A01"),
        ("P24", "P24"),
        ("Z1", "Z01"),
        ("aa1", "AA01"),
        ("AF48", "AF48"),
        ("AG1", None),
        ("A49", None),
        ("A0", None),
        ("A00", None),
        ("ZZ1", None),
        ("1A", None),
        ("A", None),
        ("", None),
        ("A1.5", None),
        ("A01B", None),
    ],
)
def test_normalise_well_every_spelling(text: str, well: str | None) -> None:
    assert normalise_well(text) == well


def test_normalise_well_every_well_of_1536_is_its_own() -> None:
    wells = [f"{row_letters(row)}{column:02d}" for row in range(32) for column in range(1, 49)]
    assert [normalise_well(well) for well in wells] == wells
    assert len(set(wells)) == 1536
    assert sorted(set(wells), key=well_sort_key) == wells


def test_row_number_inverts_row_letters() -> None:
    assert [row_number(row_letters(row)) for row in range(32)] == list(range(32))
    assert [row_letters(row) for row in (0, 25, 26, 31)] == ["A", "Z", "AA", "AF"]


@pytest.mark.parametrize(
    ("text", "site"),
    [
        *(("1", "1"), ("01", "1"), ("1.0", "1"), ("0", "0"), ("000", "0"), (" 2 ", "2")),
        ("", None),
        *(("s1", "1"), ("S01", "1"), ("site1", "1"), ("Site_01", "1"), ("site 1", "1")),
        *(("f12", "12"), ("Field3", "3"), ("FOV_004", "4"), ("s", "s"), ("sites1", "sites1")),
        *(("1.5", "1.5"), ("left", "left"), ("1a", "1a"), ("-1", "-1"), ("s-1", "s-1")),
    ],
)
def test_normalise_site_every_spelling(text: str, site: str | None) -> None:
    assert normalise_site(text) == site


@given(
    st.integers(0, 10**6),
    st.integers(0, 4),
    st.sampled_from(["", "s", "S", "site", "SITE_", "Site ", "f", "field", "FOV"]),
    st.sampled_from(["", ".0", ".00"]),
)
def test_normalise_site_spellings_of_a_number_meet(
    number: int, zeros: int, prefix: str, end: str
) -> None:
    assert normalise_site(f" {prefix}{'0' * zeros}{number}{end}") == str(number)


@given(st.integers(0, 10**6), st.sampled_from(["", "s", "site", "site_"]))
def test_normalise_site_keeps_a_minus(number: int, prefix: str) -> None:
    assert normalise_site(f"{prefix}-{number}") == f"{prefix}-{number}"


@given(st.text(max_size=8))
def test_normalise_site_twice_is_once_and_can_be_sorted(text: str) -> None:
    site = normalise_site(text)
    assert normalise_site(site or "") == site
    assert site_sort_key(site) <= site_sort_key(None)


@pytest.mark.parametrize("site", ["²", "①", "٣", "1²", "9" * 5000])
def test_site_of_odd_digits_can_be_sorted(site: str) -> None:
    assert site_sort_key(normalise_site(site)) < site_sort_key(None)


def test_site_sort_key_numbers_before_names() -> None:
    sites = [None, "left", "10", "9", "1"]
    assert sorted(sites, key=site_sort_key) == ["1", "9", "10", "left", None]


@given(NAMES, NAMES, NAMES)
def test_plate_key_any_names_come_back(dataset: str, batch: str, plate: str) -> None:
    key = PlateKey(dataset, batch, plate)
    assert re.fullmatch(r"[A-Za-z0-9_\-+.~]+(/[A-Za-z0-9_\-+.~]+){2}", key.partition_key)
    assert PlateKey.parse(key.partition_key) == key


@given(NAMES, NAMES)
def test_plate_key_different_plates_have_different_keys(first: str, second: str) -> None:
    keys = {PlateKey("d", "b", name).partition_key for name in (first, second)}
    assert len(keys) == len({first, second})


@pytest.mark.parametrize("name", ODD_NAMES)
def test_plate_key_odd_names_come_back(name: str) -> None:
    key = PlateKey(name, name, name)
    assert PlateKey.parse(str(key)) == key
    assert not set(str(key)) & set(",|*\"'[] %#")
    assert not {".", ".."} & set(str(key).split("/"))


def test_plate_key_plain_names_stay_readable() -> None:
    key = PlateKey("cpg0016-jump/source_4", "2021_04_26_Batch1", "BR00117035")
    assert key.partition_key == "cpg0016-jump~2Fsource_4/2021_04_26_Batch1/BR00117035"


@pytest.mark.parametrize(
    "text", ["", "a", "a/b", "a/b/c/d", "a//c", "a/b,c/d", "a/b/~2", "a/b/~zz"]
)
def test_plate_key_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not dataset_id/batch_id/plate_id"):
        PlateKey.parse(text)


def test_plate_key_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not decode to UTF-8"):
        PlateKey.parse("a/b/~FF")


@pytest.mark.parametrize("name", ["", "a\nb", "tab\t"])
def test_plate_key_empty_or_control_character_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"plate_id is .* expected a name"):
        PlateKey("d", "b", name)


@pytest.mark.parametrize(
    ("folder", "plate", "expected"),
    [
        ("BR1-A01-1", "BR1", ("A01", "1")),
        ("BR1-a1-01", "BR1", ("A01", "1")),
        ("BR1-A01", "BR1", ("A01", None)),
        ("my-plate-2-AF48-9", "my-plate-2", ("AF48", "9")),
        ("my-plate-B02", "my-plate", ("B02", None)),
        ("BR1-A01-s01", "BR1", ("A01", "1")),
        ("BR1-A01--1", "BR1", ("A01", "-1")),
        ("BR1-A01-left-top", "BR1", ("A01", "left-top")),
        ("long-name-B03-4", "short", ("B03", "4")),
        ("results-v2", "short", (None, None)),
        ("long-name-B03-left", "short", (None, None)),
        ("BR1", "BR1", (None, None)),
        ("BR1-A49-1", "BR1", (None, None)),
        ("notes", "BR1", (None, None)),
    ],
)
def test_split_site_folder_every_form(
    folder: str, plate: str, expected: tuple[str | None, str | None]
) -> None:
    assert split_site_folder(folder, plate) == expected
