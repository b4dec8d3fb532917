"""CellProfiler's AreaShape and Location measurements of a label image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.measure import euler_number, grid_points_in_poly, perimeter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cp_assets.sample.object_pixels import Columns, ObjectPixels

_MIDDLES_OF_SIDES = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]])


def shape_features(labels: NDArray[np.uint16], pixels: ObjectPixels) -> Columns:
    """Measure the shape of the objects 1..n of a label image (y, x), whose `pixels` are given too.

    Lengths are in pixels, areas in square pixels, orientations in degrees. Boxes are half-open:
    ``labels[Minimum_Y:Maximum_Y, Minimum_X:Maximum_X]`` holds the object. Definitions are those of
    scikit-image's ``regionprops``, which CellProfiler uses; Feret diameters are between the centres
    of pixels, as CellProfiler's are.

    Returns
    -------
    Columns by name, each (n,); counts and boxes int64, the rest float64.
    """
    boxes = ndimage.find_objects(labels)
    masks = [labels[box] == number for number, box in enumerate(boxes, start=1)]
    columns = _boxes(boxes, pixels.area) | _ellipses(pixels) | _hulls(masks)
    columns["AreaShape_EulerNumber"] = np.array(
        [euler_number(mask, 2) for mask in masks], dtype=np.int64
    )
    columns |= _outlines(masks, pixels.area)
    columns["AreaShape_Solidity"] = pixels.area / columns["AreaShape_ConvexArea"]
    return columns


def _boxes(boxes: list[tuple[slice, slice]], area: NDArray[np.int64]) -> Columns:
    rows, columns = zip(*boxes, strict=True)
    y_min, y_max = np.array([(row.start, row.stop) for row in rows], dtype=np.int64).T
    x_min, x_max = np.array([(column.start, column.stop) for column in columns], dtype=np.int64).T
    box_area = (y_max - y_min) * (x_max - x_min)
    return {
        "AreaShape_Area": area,
        "AreaShape_BoundingBoxArea": box_area,
        "AreaShape_BoundingBoxMaximum_X": x_max,
        "AreaShape_BoundingBoxMaximum_Y": y_max,
        "AreaShape_BoundingBoxMinimum_X": x_min,
        "AreaShape_BoundingBoxMinimum_Y": y_min,
        "AreaShape_EquivalentDiameter": np.sqrt(4.0 * area / np.pi),
        "AreaShape_Extent": area / box_area,
    }


def _ellipses(pixels: ObjectPixels) -> Columns:
    """Centre, and the ellipse of the same second moments."""
    center_y, center_x = pixels.mean(pixels.y), pixels.mean(pixels.x)
    dy, dx = pixels.y - pixels.spread(center_y), pixels.x - pixels.spread(center_x)
    yy, xx, xy = pixels.mean(dy * dy), pixels.mean(dx * dx), pixels.mean(dy * dx)
    middle, half = (yy + xx) / 2.0, np.hypot(2.0 * xy, yy - xx) / 2.0
    major, minor = middle + half, np.maximum(middle - half, 0.0)
    flatness = np.divide(minor, major, out=np.ones_like(major), where=major > 0)
    return {
        "AreaShape_Center_X": center_x,
        "AreaShape_Center_Y": center_y,
        "AreaShape_Eccentricity": np.sqrt(1.0 - flatness),
        "AreaShape_MajorAxisLength": 4.0 * np.sqrt(major),
        "AreaShape_MinorAxisLength": 4.0 * np.sqrt(minor),
        "AreaShape_Orientation": np.rad2deg(0.5 * np.arctan2(2.0 * xy, yy - xx)),
        "Location_Center_X": center_x,
        "Location_Center_Y": center_y,
    }


def _outlines(masks: list[NDArray[np.bool_]], area: NDArray[np.int64]) -> Columns:
    """Perimeter; form factor, 1 for a circle, and its inverse, both 0 without a perimeter."""
    around = np.array([perimeter(mask) for mask in masks], dtype=np.float64)
    known = around > 0
    form_factor = np.divide(4.0 * np.pi * area, around**2, out=np.zeros_like(around), where=known)
    compactness = np.divide(1.0, form_factor, out=np.zeros_like(around), where=known)
    return {
        "AreaShape_Perimeter": around,
        "AreaShape_FormFactor": form_factor,
        "AreaShape_Compactness": compactness,
    }


def _hulls(masks: list[NDArray[np.bool_]]) -> Columns:
    """Pixels of the convex hull, and its least and greatest width (Feret diameter)."""
    hulls = [_hull(mask) for mask in masks]
    areas = [_hull_area(mask, hull) for mask, hull in zip(masks, hulls, strict=True)]
    widths = np.array([_least_and_greatest_width(hull) for hull in hulls], dtype=np.float64)
    return {
        "AreaShape_ConvexArea": np.array(areas, dtype=np.int64),
        "AreaShape_MinFeretDiameter": widths[:, 0],
        "AreaShape_MaxFeretDiameter": widths[:, 1],
    }


def _hull(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners (y, x) of the convex hull of the pixels' centres, in order; two for a line."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    points = np.vstack([np.column_stack([rows, first]), np.column_stack([rows, last])]).astype(
        np.float64
    )
    start, end = points[0], points[-1]
    (dy, dx), away = end - start, points - start
    on_a_line = not np.any(away[:, 0] * dx - away[:, 1] * dy)
    return np.vstack([start, end]) if on_a_line else points[ConvexHull(points).vertices]


def _hull_area(mask: NDArray[np.bool_], hull: NDArray[np.float64]) -> int:
    """Pixels in the hull of the middles of the pixels' sides, as scikit-image counts them."""
    middles = (hull[:, np.newaxis, :] + _MIDDLES_OF_SIDES).reshape(-1, 2)
    corners = middles[ConvexHull(middles).vertices]
    return int(np.count_nonzero(grid_points_in_poly(mask.shape, corners, binarize=False)))


def _least_and_greatest_width(hull: NDArray[np.float64]) -> tuple[float, float]:
    apart = hull[:, np.newaxis] - hull[np.newaxis, :]
    greatest = np.hypot(apart[..., 0], apart[..., 1]).max()
    edges = np.roll(hull, -1, axis=0) - hull
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    if not lengths.all():  # a single pixel
        return 0.0, 0.0
    normals = np.column_stack([-edges[:, 1], edges[:, 0]]) / lengths[:, np.newaxis]
    return float(np.ptp(hull @ normals.T, axis=0).min()), float(greatest)
