"""Looking at plates within limits: so many in a tick, and no longer than a tick may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.watching.plate_state import PlateState, plate_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets.plate_files import InputFile

Clock = Callable[[], float]
"""Seconds that only go up."""


class TickOverError(Exception):
    """A plate's files could not be listed in the time that a tick has."""


@dataclass
class Budget:
    """What is left of a tick.

    Attributes
    ----------
    looks
        Plates that may still be looked at.
    seconds
        How long all looks may take together.
    is_untouched
        Whether none was taken yet: a look that takes too long then takes too long for any tick.
    """

    looks: int
    seconds: float
    clock: Clock = time.monotonic
    is_untouched: bool = True

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    @property
    def is_spent(self) -> bool:
        """Whether no further plate may be looked at."""
        return self.looks <= 0 or self.clock() >= self._end

    def look(self, files: Iterable[InputFile]) -> PlateState:
        """The state of a plate with these files.

        Raises
        ------
        TickOverError
            If listing them takes longer than is left.
        """
        self.looks -= 1
        self.is_untouched = False
        return plate_state(self._while_time_is_left(files))

    def _while_time_is_left(self, files: Iterable[InputFile]) -> Iterator[InputFile]:
        for file in files:
            if self.clock() >= self._end:
                raise TickOverError
            yield file
