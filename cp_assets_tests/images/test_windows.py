"""Windows and borders, against numpy's padding of the whole image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.datasets.model import Border, ImageOptions
from cp_assets.errors import ConfigurationError
from cp_assets.images.pixels import Decoded
from cp_assets.images.windows import Placements, Window, place

HEIGHT, WIDTH, MARGIN = 12, 9, 40
SHAPE = (2, 1, 3, HEIGHT, WIDTH)
IMAGE = np.random.default_rng(3).integers(1, 999, SHAPE, dtype=np.uint16)


@st.composite
def boxes(draw: st.DrawFn) -> Window:
    def edges(size: int) -> tuple[int, int]:
        low = draw(st.integers(0, size - 1))
        return low, draw(st.integers(low + 1, size))

    depth = draw(st.sampled_from([(0, SHAPE[2]), (0, 1), (1, 3)]))
    return Window(depth, edges(HEIGHT), edges(WIDTH))


def placed(box: Window, **options: Any) -> Placements:
    return place(np.array([box]), np.ones(1, bool), SHAPE, ImageOptions(**options))


def cropped(box: Window, **options: Any) -> np.ndarray:
    return placed(box, **options).cutter(Decoded(IMAGE))(0)


@given(boxes(), st.integers(0, 20))
def test_padding_that_clips_is_the_slice_of_the_widened_box(box: Window, padding: int) -> None:
    (y0, y1), (x0, x1) = box.y, box.x
    rows = slice(max(0, y0 - padding), y1 + padding)
    columns = slice(max(0, x0 - padding), x1 + padding)
    found = cropped(box, padding=padding)
    np.testing.assert_array_equal(found, IMAGE[:, :, slice(*box.z), rows, columns])


@given(boxes(), st.integers(1, 30), st.sampled_from(["zero", "edge"]))
def test_fixed_size_is_the_slice_of_the_padded_image(
    box: Window, size: int, border: Border
) -> None:
    mode = {"zero": "constant", "edge": "edge"}[border]
    around = np.pad(IMAGE, [(0, 0)] * 3 + [(MARGIN, MARGIN)] * 2, mode=mode)
    starts = [(low + high - size) // 2 + MARGIN for low, high in (box.y, box.x)]
    rows, columns = (slice(start, start + size) for start in starts)
    found = cropped(box, crop_size=size, border=border)
    np.testing.assert_array_equal(found, around[:, :, slice(*box.z), rows, columns])


@given(boxes(), st.integers(0, 5))
def test_reflect_mirrors_the_crops_own_pixels(box: Window, padding: int) -> None:
    found = cropped(box, padding=padding, border="reflect")
    inside = cropped(box, padding=padding)
    before = [min(padding, edges[0]) for edges in (box.y, box.x)]
    for row in range(found.shape[3]):
        for column in range(found.shape[4]):
            y, x = (
                _mirrored(spot - padding + lead, size)
                for spot, lead, size in zip((row, column), before, inside.shape[3:], strict=True)
            )
            np.testing.assert_array_equal(found[..., row, column], inside[..., y, x])


def _mirrored(place: int, size: int) -> int:
    """Where a place over the edge is mirrored to, without repeating the outermost pixel."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    place %= period
    return place if place < size else period - place


def test_the_flat_mask_of_a_stack_is_cut_whole_in_z() -> None:
    mask = Decoded(IMAGE[:1, :, :1])
    found = placed(Window(z=(1, 3), y=(2, 5), x=(0, 4))).cutter(mask)(0)
    np.testing.assert_array_equal(found, mask.pixels[:, :, :, 2:5, 0:4])


@given(st.lists(st.tuples(boxes(), st.booleans()), min_size=1, max_size=6), st.integers(0, 20))
def test_areas_are_those_of_the_windows_of_good_boxes(
    given_boxes: list[tuple[Window, bool]], padding: int
) -> None:
    good = np.array([ok for _, ok in given_boxes])
    options = ImageOptions(padding=padding, border="zero")
    found = place(np.array([box for box, _ in given_boxes]), good, SHAPE, options)
    wanted = [cropped(box, padding=padding, border="zero")[0, 0].size for box, _ in given_boxes]
    assert found.areas.tolist() == (good * wanted).tolist()
    assert found.area == sum(good * wanted)


def test_a_whole_image_is_its_only_window() -> None:
    whole = Placements.whole(SHAPE)
    np.testing.assert_array_equal(whole.cutter(Decoded(IMAGE))(0), IMAGE)
    assert whole.area == 3 * HEIGHT * WIDTH


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"padding": -1}, "padding is 0 to 65536"),
        ({"padding": 1.5}, "padding is 0 to 65536"),
        ({"padding": 2**31}, "padding is 0 to 65536"),
        ({"crop_size": 0}, "crop_size is 1 to 65536"),
        ({"padding": 2, "crop_size": 9}, "not both given"),
        ({"border": "mirror"}, "border is clip, zero, edge or reflect"),
        ({"zstd_level": 23}, "zstd_level is 1 to 22"),
        ({"workers": 0}, "workers is 1 or more"),
        ({"max_memory": 1}, "max_memory is 64 MiB or more"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        ImageOptions(**options)  # type: ignore[arg-type]
