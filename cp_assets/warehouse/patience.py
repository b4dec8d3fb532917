"""Asking catalog and storage again while they do not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.errors import CpAssetsError
from cp_assets.retries import retrying
from cp_assets.warehouse.faults import passes

if TYPE_CHECKING:
    from tenacity import Retrying

    from cp_assets.retries import Deadline

_FIRST_WAIT, _LONGEST_WAIT = 0.02, 2.0


def asking(deadline: Deadline) -> Retrying:
    """What calls a function until catalog and storage answer; see `cp_assets.retries.retrying`.

    An error of cp_assets ends it: whoever raised that has waited already.
    """
    return retrying(
        lambda error: not isinstance(error, CpAssetsError) and passes(error),
        deadline,
        first_wait=_FIRST_WAIT,
        longest_wait=_LONGEST_WAIT,
    )
