"""CellProfiler's Intensity, intensity-weighted Location and Correlation measurements.

Intensities are raw pixels divided by 65,535: nothing is corrected for illumination first.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cp_assets.sample.object_pixels import Columns, ObjectPixels

_TINY = 1e-15


def intensity_features(
    pixels: ObjectPixels, edges: ObjectPixels, images: Mapping[str, NDArray[np.float64]]
) -> Columns:
    """Measure the objects 1..n of a label image in every channel.

    Parameters
    ----------
    pixels, edges
        All pixels, and the outermost pixels, of each object.
    images
        Pixels of each channel by name, float64 (y, x), 0 to 1.

    Returns
    -------
    Columns by name, each float64 (n,). Locations are in pixels.
    """
    values = {channel: pixels.values(image) for channel, image in images.items()}
    columns: Columns = {}
    for channel, image in images.items():
        columns |= _intensity(pixels, values[channel], channel)
        columns |= _edge_intensity(edges, edges.values(image), channel)
        columns |= _location(pixels, values[channel], channel)
    return columns | _correlations(pixels, values)


def _intensity(pixels: ObjectPixels, values: NDArray[np.float64], channel: str) -> Columns:
    ordered, mean = pixels.sort(values), pixels.mean(values)
    median = pixels.quantile(ordered, 0.5)
    deviation = pixels.sort(np.abs(values - pixels.spread(median)))
    measured = {
        "IntegratedIntensity": pixels.total(values),
        "MeanIntensity": mean,
        "StdIntensity": np.sqrt(pixels.mean((values - pixels.spread(mean)) ** 2)),
        "MinIntensity": ordered[pixels.start],
        "MaxIntensity": ordered[pixels.start + pixels.area - 1],
        "LowerQuartileIntensity": pixels.quantile(ordered, 0.25),
        "MedianIntensity": median,
        "MADIntensity": pixels.quantile(deviation, 0.5),
        "UpperQuartileIntensity": pixels.quantile(ordered, 0.75),
    }
    return {f"Intensity_{name}_{channel}": column for name, column in measured.items()}


def _edge_intensity(edges: ObjectPixels, values: NDArray[np.float64], channel: str) -> Columns:
    mean = edges.mean(values)
    measured = {
        "IntegratedIntensityEdge": edges.total(values),
        "MeanIntensityEdge": mean,
        "StdIntensityEdge": np.sqrt(edges.mean((values - edges.spread(mean)) ** 2)),
        "MinIntensityEdge": np.minimum.reduceat(values, edges.start),
        "MaxIntensityEdge": np.maximum.reduceat(values, edges.start),
    }
    return {f"Intensity_{name}_{channel}": column for name, column in measured.items()}


def _location(pixels: ObjectPixels, values: NDArray[np.float64], channel: str) -> Columns:
    weight = np.maximum(pixels.total(values), _TINY)
    center_y, center_x = (
        pixels.total(values * pixels.y) / weight,
        pixels.total(values * pixels.x) / weight,
    )
    displacement = np.hypot(center_y - pixels.mean(pixels.y), center_x - pixels.mean(pixels.x))
    brightest = pixels.place_of_maximum(values)
    nowhere = np.zeros(len(pixels.area))
    return {
        f"Intensity_MassDisplacement_{channel}": displacement,
        f"Location_CenterMassIntensity_X_{channel}": center_x,
        f"Location_CenterMassIntensity_Y_{channel}": center_y,
        f"Location_CenterMassIntensity_Z_{channel}": nowhere,
        f"Location_MaxIntensity_X_{channel}": pixels.x[brightest].astype(np.float64),
        f"Location_MaxIntensity_Y_{channel}": pixels.y[brightest].astype(np.float64),
        f"Location_MaxIntensity_Z_{channel}": nowhere,
    }


def _correlations(pixels: ObjectPixels, values: Mapping[str, NDArray[np.float64]]) -> Columns:
    """Pearson's correlation of any two channels within each object; 0 where one is constant."""
    centered = {
        channel: value - pixels.spread(pixels.mean(value)) for channel, value in values.items()
    }
    power = {channel: pixels.total(value**2) for channel, value in centered.items()}
    columns: Columns = {}
    for first, second in combinations(sorted(values), 2):
        scale = np.sqrt(power[first] * power[second])
        together = pixels.total(centered[first] * centered[second])
        correlation = np.divide(together, scale, out=np.zeros_like(scale), where=scale > _TINY)
        columns[f"Correlation_Correlation_{first}_{second}"] = correlation
    return columns
