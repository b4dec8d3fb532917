"""Spans of time as a person writes them: ``7d``, ``12h``, ``30m``, ``45s`` or ``0``."""

from __future__ import annotations

import re
from datetime import timedelta

from cp_assets.errors import ConfigurationError

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?([wdhms])", re.IGNORECASE)


def duration(text: str | float | timedelta) -> timedelta:
    """The span that a text says.

    Raises
    ------
    ConfigurationError
        If the text is no span, or is one without its unit.
    """
    if isinstance(text, timedelta):
        return text
    given = str(text).strip()
    found = _SPAN.fullmatch(given)
    if found is None and given != "0":
        msg = f"{given!r} is no span of time; expected a number and its unit, such as 7d, 12h or 0"
        raise ConfigurationError(msg)
    try:
        return timedelta(**{_UNITS[found[2].lower()]: float(found[1])}) if found else timedelta()
    except OverflowError as error:
        msg = f"{given!r} is longer than any warehouse stands"
        raise ConfigurationError(msg) from error


def duration_text(span: timedelta) -> str:
    """A span as `duration` reads it, in its largest whole unit."""
    seconds = span.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s" if seconds else "0"
