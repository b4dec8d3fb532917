"""What a test does that lacks a program, a service or data."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

_REQUIRED = bool(os.environ.get("CP_ASSETS_REQUIRE_SERVICES"))


def missing(what: str) -> NoReturn:
    """Skip the test that lacks something; fail it where nothing may be skipped."""
    if _REQUIRED:
        pytest.fail(f"{what}; CP_ASSETS_REQUIRE_SERVICES is set, so nothing may be skipped")
    pytest.skip(what)
