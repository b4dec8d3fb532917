"""Lengths in micrometres."""

from __future__ import annotations

import math

_MICROMETRES = {
    "pm": 1e-6,
    "picometer": 1e-6,
    "Å": 1e-4,
    "\N{ANGSTROM SIGN}": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "um": 1.0,
    "\N{MICRO SIGN}m": 1.0,
    "\N{GREEK SMALL LETTER MU}m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "inch": 25_400.0,
    "in": 25_400.0,
    "m": 1e6,
    "meter": 1e6,
}


def micrometres(length: object, unit: object) -> float | None:
    """Convert a length; None if it is no positive number, or if the unit is not one of length."""
    factor = _MICROMETRES.get(unit) if isinstance(unit, str) else None
    if factor is None or not isinstance(length, str | int | float):
        return None
    try:
        value = float(length) * factor
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and value > 0 else None
