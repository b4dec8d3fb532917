"""Windows and borders, against numpy's padding of the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.datasets.model import Border, ImageOptions
from cp_assets.errors import ConfigurationError
from cp_assets.images.pixels import Decoded
from cp_assets.images.windows import Box, Placement, Window, cut, window_of

HEIGHT, WIDTH, MARGIN = 12, 9, 40
SHAPE = (2, 1, 3, HEIGHT, WIDTH)
IMAGE = np.random.default_rng(3).integers(1, 999, SHAPE, dtype=np.uint16)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    def edges(size: int) -> tuple[int, int]:
        low = draw(st.integers(0, size - 1))
        return low, draw(st.integers(low + 1, size))

    return Box(edges(HEIGHT), edges(WIDTH), draw(st.sampled_from([None, (0, 1), (1, 3)])))


def cropped(window: Window, border: Border) -> np.ndarray:
    return cut(Decoded(IMAGE).read, SHAPE, Placement.of(window, SHAPE), border)


@given(boxes(), st.integers(0, 20))
def test_padding_that_clips_is_the_slice_of_the_widened_box(box: Box, padding: int) -> None:
    window = window_of(box, SHAPE, ImageOptions(padding=padding))
    (y0, y1), (x0, x1) = box.y, box.x
    rows = slice(max(0, y0 - padding), y1 + padding)
    columns = slice(max(0, x0 - padding), x1 + padding)
    depth = slice(*box.z) if box.z else slice(None)
    np.testing.assert_array_equal(cropped(window, "clip"), IMAGE[:, :, depth, rows, columns])


@given(boxes(), st.integers(1, 30), st.sampled_from(["zero", "edge"]))
def test_fixed_size_is_the_slice_of_the_padded_image(box: Box, size: int, border: Border) -> None:
    window = window_of(box, SHAPE, ImageOptions(crop_size=size, border=border))
    mode = {"zero": "constant", "edge": "edge"}[border]
    around = np.pad(IMAGE, [(0, 0)] * 3 + [(MARGIN, MARGIN)] * 2, mode=mode)
    starts = [(low + high - size) // 2 + MARGIN for low, high in (box.y, box.x)]
    depth = slice(*box.z) if box.z else slice(None)
    rows, columns = (slice(start, start + size) for start in starts)
    np.testing.assert_array_equal(cropped(window, border), around[:, :, depth, rows, columns])


@given(boxes(), st.integers(0, 5))
def test_reflect_mirrors_the_crops_own_pixels(box: Box, padding: int) -> None:
    window = window_of(box, SHAPE, ImageOptions(padding=padding, border="reflect"))
    found = cropped(window, "reflect")
    inside = cropped(window.inside(SHAPE), "clip")
    before = (window.inside(SHAPE).y[0] - window.y[0], window.inside(SHAPE).x[0] - window.x[0])
    for row in range(found.shape[3]):
        for column in range(found.shape[4]):
            y, x = (
                _mirrored(place - lead, size)
                for place, lead, size in zip((row, column), before, inside.shape[3:], strict=True)
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
    mask = IMAGE[:1, :, :1]
    window = Window(z=(1, 3), y=(2, 5), x=(0, 4))
    flat = (1, 1, 1, HEIGHT, WIDTH)
    found = cut(Decoded(mask).read, flat, Placement.of(window, SHAPE), "clip")
    np.testing.assert_array_equal(found, mask[:, :, :, 2:5, 0:4])


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
