"""Fixtures of the readers' tests."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from cp_assets_tests.images.readers.files import limit_memory


@pytest.fixture
def little_memory() -> Iterator[None]:
    """No more than 1 GiB beyond what the process already has."""
    limits = limit_memory(2**30)
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
