"""In which order plates are looked at."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from cp_assets.datasets.identity import PlateKey

_DUE_FOR_ONE_OTHER = 3


def looking_order(
    keys: Sequence[PlateKey],
    due: Sequence[PlateKey],
    pending: Set[PlateKey],
    *,
    last: str,
    slow: str,
) -> Iterator[tuple[PlateKey, bool]]:
    """The plates to look at, each with whether it is one of those that go round.

    Those that are due go first, but a quarter of the looks is for those that go round: a plate that
    never ends uploading holds up no other.

    Parameters
    ----------
    keys
        All plates, sorted.
    due
        Pending plates to look at again, in their order.
    pending
        Plates that do not go round.
    last
        Partition key after which those that go round begin.
    slow
        Partition key of the plate to begin with, if it is there.
    """
    yield from ((key, key not in pending) for key in keys if key.partition_key == slow)
    rest = [key for key in keys if key not in pending and key.partition_key != slow]
    start = next((at for at, key in enumerate(rest) if key.partition_key > last), 0)
    in_turn = ((key, True) for key in (*rest[start:], *rest[:start]))
    for place, key in enumerate(one for one in due if one.partition_key != slow):
        yield key, False
        if place % _DUE_FOR_ONE_OTHER == 0:
            yield from islice(in_turn, 1)
    yield from in_turn
