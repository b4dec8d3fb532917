from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.datasets import PlateKey
from cp_assets.errors import ConfigurationError
from cp_assets.watching.cursor import Cursor, Pending

NAMES = st.text(st.characters(min_codepoint=32, codec="utf-8"), min_size=1, max_size=9)
PENDING = st.builds(
    Pending,
    digest=st.text("0123456789abcdef", max_size=16),
    newest=st.floats(0, 2e9),
    files=st.integers(0, 10**6),
    since=st.floats(0, 2e9),
    has_changed=st.booleans(),
)
CURSORS = st.builds(
    Cursor,
    pending=st.dictionaries(st.builds(PlateKey, NAMES, NAMES, NAMES), PENDING, max_size=5),
    last=NAMES,
    slow=NAMES,
    gone=NAMES,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cursor=CURSORS)
def test_cursor_is_read_back_as_it_was(cursor: Cursor) -> None:
    assert Cursor.from_text(cursor.to_text()) == cursor


@pytest.mark.parametrize("text", [None, ""])
def test_cursor_of_a_first_tick_is_empty(text: str | None) -> None:
    assert Cursor.from_text(text) == Cursor()


@pytest.mark.parametrize(
    "text",
    ["2021-04-26", "0:abc", "1:", "1:!!", "1:" + "A" * 40, "2:" + Cursor().to_text()[2:]],
    ids=["another sensor's", "version", "empty", "no base64", "no zlib", "later version"],
)
def test_cursor_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cursor .* is none of version 1"):
        Cursor.from_text(text)
