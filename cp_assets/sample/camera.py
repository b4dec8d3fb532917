"""From ideal brightness to 16-bit pixels: background, uneven light, shot noise."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cp_assets.sample.options import CHANNELS
from cp_assets.sample.random_streams import Stream, generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cp_assets.sample.options import SampleOptions

MAX_INTENSITY = 65_535
"""Largest value of a pixel; CellProfiler divides by it."""

_GAIN = np.array([9_000.0, 10_000.0, 9_500.0, 11_000.0, 8_000.0])
_BACKGROUND = np.array([420.0, 900.0, 600.0, 1_000.0, 700.0])
_COUNTS_PER_ELECTRON = 2.0
_READ_NOISE = 12.0


@lru_cache(maxsize=2 * len(CHANNELS))
def illumination(options: SampleOptions, plate: str, channel: str) -> NDArray[np.float64]:
    """Light that reaches each pixel of a plate's channel, relative to the darkest one.

    Returns
    -------
    Float64 (y, x), 1.0 at its smallest, as CellProfiler scales illumination functions: dividing an
    image by it flattens the background. Read-only, since it is remembered for the next call.
    """
    rng = generator(
        options.seed, Stream.ILLUMINATION, options.plate_index(plate), CHANNELS.index(channel)
    )
    height, width = options.image_size
    shift_y, shift_x = rng.uniform(-0.25, 0.25, 2)
    fall_off, tilt = rng.uniform(0.16, 0.26), rng.uniform(-0.04, 0.04)
    y = np.linspace(-1.0, 1.0, height)[:, np.newaxis] - shift_y
    x = np.linspace(-1.0, 1.0, width)[np.newaxis, :] - shift_x
    light = np.exp(-fall_off * (y**2 + x**2)) + tilt * (y - x)
    light = np.asarray(light / light.min())
    light.flags.writeable = False
    return light


def expose(
    brightness: NDArray[np.float32],
    light: NDArray[np.float64],
    gain: tuple[float, ...],
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Expose the camera once a channel.

    Parameters
    ----------
    brightness
        Ideal images, float32 (c, y, x), about 1 where bright.
    light
        Illumination of each channel, float64 (c, y, x).
    gain
        Factor of the treatment on each channel.
    rng
        Source of the noise.

    Returns
    -------
    Pixels, uint16 (c, y, x).
    """
    per_channel = (slice(None), np.newaxis, np.newaxis)
    signal = brightness * (_GAIN * gain)[per_channel].astype(np.float32)
    expected = (signal + _BACKGROUND[per_channel].astype(np.float32)) * light.astype(np.float32)
    spread = np.sqrt(_COUNTS_PER_ELECTRON * expected + _READ_NOISE**2)
    counts = expected + spread * rng.standard_normal(expected.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(counts), 0.0, MAX_INTENSITY), dtype=np.uint16)
