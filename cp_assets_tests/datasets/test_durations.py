from __future__ import annotations

from datetime import timedelta

import pytest

from cp_assets.datasets.durations import duration, duration_text
from cp_assets.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("7d", timedelta(days=7)),
        ("1.5 h", timedelta(minutes=90)),
        ("30M", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("2w", timedelta(days=14)),
        ("0", timedelta()),
        (0, timedelta()),
        (timedelta(days=1), timedelta(days=1)),
    ],
)
def test_duration_says(text: str, span: timedelta) -> None:
    assert duration(text) == span
    assert duration(duration_text(span)) == span


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 years", "1e9d", "9999999999999d"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"span of time|longer than"):
        duration(text)
