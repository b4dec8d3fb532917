"""Which column serves for a name of the contract, and what names a row."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iceberg_bioimage.validation.contracts import (
    MICROSCOPY_PROFILE_COLUMN_ALIASES,
    load_profile_column_aliases,
    resolve_microscopy_profile_columns,
)

from cp_assets.contract.given_aliases import aliases_of, read_aliases
from cp_assets.contract.names import BUILT_IN, CONTRACT, Aliases, row_key
from cp_assets.errors import ConfigurationError

PEERS = [
    *CONTRACT,
    *(alias for known in MICROSCOPY_PROFILE_COLUMN_ALIASES.values() for alias in known),
    *("Cells_AreaShape_Area", "image_ID"),
]
COLUMNS = st.lists(st.sampled_from(PEERS), unique=True)


@given(COLUMNS)
def test_table_that_the_peer_resolves_is_resolved_alike(columns: list[str]) -> None:
    theirs = resolve_microscopy_profile_columns(columns)
    ours = Aliases().resolve(columns)
    assert {name: ours.get(name) for name in CONTRACT} == theirs


@given(
    COLUMNS,
    st.dictionaries(st.sampled_from(CONTRACT), st.lists(st.sampled_from(PEERS), max_size=3)),
    st.dictionaries(st.sampled_from(CONTRACT), st.lists(st.sampled_from(PEERS), max_size=3)),
)
def test_the_more_narrowly_a_name_was_said_the_more_it_counts(
    columns: list[str], words: dict[str, list[str]], file: dict[str, list[str]]
) -> None:
    aliases = Aliases(given=words, of_file=file)
    if any(given and not set(given) & set(columns) for given in words.values()):
        with pytest.raises(ConfigurationError, match="the table has no column"):
            aliases.resolve(columns)
        return
    found = aliases.resolve(columns)
    for name in CONTRACT:
        order = [*words.get(name, []), *file.get(name, []), name, *BUILT_IN[name]]
        there = [candidate for candidate in order if candidate in columns]
        assert found.get(name) == (there[0] if there else None)


def test_file_is_read_as_the_peer_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "aliases.toml"
    file.write_text('[microscopy.aliases]\ndataset_id = ["ProjectID"]\nimage_id = ["Key", "K"]\n')
    assert read_aliases(file) == load_profile_column_aliases(file)


def test_command_line_counts_more_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "aliases.toml"
    file.write_text('[microscopy.aliases]\nimage_id = ["OfFile"]\nwell_id = "WellName"\n')
    aliases = aliases_of(file, ["image_id=Given", "object_id=Cell=1"])
    assert aliases.resolve(["image_id", "OfFile", "Given", "WellName", "Cell=1"]) == {
        "image_id": "Given",
        "well_id": "WellName",
        "object_id": "Cell=1",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[microscopy.aliases\n", "no TOML in UTF-8"),
        ("image_id = ['Key']\n", r"expected \[microscopy.aliases\]"),
        ("microscopy = 3\n", r"expected \[microscopy.aliases\]"),
        ("[microscopy.aliases]\nimage_id = 3\n", "image_id is 3"),
        ("[microscopy.aliases]\nimage_id = ['a', 3]\n", "image_id is "),
        ("[microscopy.aliases]\nimage = ['a']\n", "aliases.toml: alias of image: .* no such name"),
    ],
    ids=["broken", "no section", "no table", "a number", "one number", "unknown name"],
)
def test_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "aliases.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        aliases_of(file, [])


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.toml cannot be read"):
        aliases_of(tmp_path / "no.toml", [])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("image_id", "expected a name and a column"),
        ("image_id=", "expected a name and a column"),
        ("=Key", "expected a name and a column"),
        ("image=Key", "no such name; expected one of dataset_id, image_id"),
    ],
)
def test_word_that_cannot_be_used_is_named(word: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        aliases_of(None, [word])


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        (["image_id", "Metadata_ObjectID", "Metadata_ImageCropID"], ("crop", 1)),
        (["dataset_id", "image_id", "Metadata_ObjectID"], ("object", 1)),
        (["dataset_id", "image_id", "ObjectNumber"], ("object", 3)),
        (["dataset_id", "image_id", "compartment", "ObjectNumber"], ("object", 4)),
        (["dataset_id", "image_id", "Metadata_ImageID"], ("image", 3)),
        (["Metadata_ImageID", "Cells_AreaShape_Area"], ("image", 1)),
        (["Metadata_Well", "ObjectNumber"], None),
    ],
)
def test_key_of_a_row_is_that_of_what_it_is(
    columns: list[str], key: tuple[str, int] | None
) -> None:
    found = row_key(Aliases().resolve(columns), columns)
    assert (found and (found[0], len(found[1]))) == key
