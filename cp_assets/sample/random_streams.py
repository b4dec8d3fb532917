"""Independent random streams: no part of a sample depends on the order in which it is made."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Purposes of random numbers; the numbers are part of every seed and never change."""

    LAYOUT = 1
    NUMBERING = 2
    STAIN = 3
    CAMERA = 4
    ILLUMINATION = 5
    TIMING = 6


def generator(seed: int, purpose: Stream, *keys: int) -> np.random.Generator:
    """Random generator for one purpose and place.

    Parameters
    ----------
    seed
        The sample's seed, 0 or greater.
    purpose
        What the numbers are for; each purpose has a stream of its own.
    keys
        Indices of the place, such as (plate, well, site); each place has a stream of its own.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(purpose), *keys))
    return np.random.Generator(np.random.PCG64(sequence))
