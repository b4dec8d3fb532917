"""The features against scikit-image and NumPy, on label images that no one tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import regionprops
from skimage.segmentation import find_boundaries

from cp_assets.sample import SampleOptions, site_truth
from cp_assets.sample.object_pixels import ObjectPixels, outermost_pixels
from cp_assets.sample.shape_features import shape_features
from cp_assets.sample.texture_features import texture_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

REGION = {
    "Area": "area",
    "BoundingBoxArea": "area_bbox",
    "ConvexArea": "area_convex",
    "Eccentricity": "eccentricity",
    "EquivalentDiameter": "equivalent_diameter_area",
    "EulerNumber": "euler_number",
    "Extent": "extent",
    "MajorAxisLength": "axis_major_length",
    "MinorAxisLength": "axis_minor_length",
    "Perimeter": "perimeter",
    "Solidity": "solidity",
}


@pytest.fixture(scope="module")
def cells() -> NDArray[np.uint16]:
    return site_truth(SampleOptions(), "BR00900001", "E07", 1).labels.cytoplasm


def test_shape_features_are_those_of_regionprops(cells: NDArray[np.uint16]) -> None:
    columns = shape_features(cells, ObjectPixels.of(cells))
    regions = regionprops(cells)
    for name, attribute in REGION.items():
        expected = [region[attribute] for region in regions]
        np.testing.assert_allclose(
            columns[f"AreaShape_{name}"], expected, rtol=1e-9, atol=1e-9, err_msg=name
        )
    turned = columns["AreaShape_Orientation"] - np.rad2deg(
        [region.orientation for region in regions]
    )
    np.testing.assert_allclose((turned + 90) % 180 - 90, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "area", "least", "greatest"),
    [
        (np.ones((1, 1)), 1, 0.0, 0.0),
        (np.ones((1, 5)), 5, 0.0, 4.0),
        (np.eye(4), 4, 0.0, 3 * np.sqrt(2)),
        (np.ones((3, 4)), 12, 2.0, np.hypot(2, 3)),
        (np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]]), 9, 2.0, np.hypot(2, 2)),
    ],
    ids=["pixel", "line", "diagonal", "rectangle", "corners"],
)
def test_hull_of_simple_shapes(
    mask: NDArray[np.float64], area: int, least: float, greatest: float
) -> None:
    labels = np.pad(mask, 1).astype(np.uint16)
    columns = shape_features(labels, ObjectPixels.of(labels))
    assert columns["AreaShape_ConvexArea"][0] == area
    assert columns["AreaShape_MinFeretDiameter"][0] == pytest.approx(least)
    assert columns["AreaShape_MaxFeretDiameter"][0] == pytest.approx(greatest)
    assert np.isfinite([column[0] for column in columns.values()]).all()


@given(seed=st.integers(0, 10_000), objects=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_object_pixels_measure_as_numpy_does(seed: int, objects: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, objects + 1, (9, 11)).astype(np.uint16)
    labels.ravel()[:objects] = np.arange(1, objects + 1)
    image = rng.random(labels.shape)
    pixels = ObjectPixels.of(labels)
    values = pixels.values(image)
    parts = [image[labels == number] for number in range(1, objects + 1)]
    np.testing.assert_allclose(pixels.mean(values), [part.mean() for part in parts])
    np.testing.assert_array_equal(
        values[pixels.place_of_maximum(values)], [part.max() for part in parts]
    )
    middle = pixels.quantile(pixels.sort(values), 0.5)
    for part, value in zip(parts, middle, strict=True):
        assert np.quantile(part, 0.25) - 1e-12 <= value <= part.max()


def test_quantile_counts_as_cellprofiler_does() -> None:
    labels = np.ones((1, 4), dtype=np.uint16)
    pixels = ObjectPixels.of(labels)
    ordered = pixels.sort(np.array([4.0, 1.0, 3.0, 2.0]))
    assert [pixels.quantile(ordered, part)[0] for part in (0.25, 0.5, 0.75)] == [2.0, 3.0, 4.0]


def test_outermost_pixels_are_inner_boundaries(cells: NDArray[np.uint16]) -> None:
    np.testing.assert_array_equal(outermost_pixels(cells), find_boundaries(cells, mode="inner"))


def test_edge_of_an_object_that_fills_the_image_is_all_of_it() -> None:
    edges = ObjectPixels.of_edges(np.ones((3, 3), dtype=np.uint16))
    assert edges.area.tolist() == [9]


@pytest.mark.parametrize(("angle", "radians"), [("00", 0.0), ("02", np.pi / 2)])
def test_texture_is_that_of_the_cooccurrence_matrix(angle: str, radians: float) -> None:
    image = np.random.default_rng(1).random((20, 23))
    columns = texture_features(np.ones(image.shape, dtype=np.uint16), {"DNA": image})
    grey = np.floor(image * 255 + 0.5).astype(np.uint8)
    matrix = graycomatrix(grey, [3], [radians], normed=True)
    for name, prop in (("Contrast", "contrast"), ("InverseDifferenceMoment", "homogeneity")):
        measured = columns[f"Texture_{name}_DNA_3_{angle}_256"][0]
        assert measured == pytest.approx(graycoprops(matrix, prop)[0, 0], rel=1e-5)
