from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from cp_assets.sample import CHANNELS, SampleOptions, SampleTruth, site_truth
from cp_assets.sample.camera import illumination
from cp_assets_tests.sample.reading import places, written_sites

any_options = st.builds(
    SampleOptions,
    plates=st.integers(1, 3),
    wells=st.integers(1, 12),
    sites=st.integers(1, 3),
    cells=st.integers(4, 20),
    seed=st.integers(0, 2**63 - 1),
    image_size=st.tuples(st.integers(96, 190), st.integers(96, 190)),
)


@given(options=any_options, data=st.data())
@settings(max_examples=25, deadline=None)
def test_segmentation_holds_its_promises(options: SampleOptions, data: st.DataObject) -> None:
    plate, well, number = data.draw(st.sampled_from(list(places(options))))
    truth = site_truth(options, plate, well, number)
    labels, cells = truth.labels, len(truth.labels.parent_nucleus)
    assert truth.pixels.shape == (len(CHANNELS), *options.image_size)
    assert truth.pixels.dtype == labels.cells.dtype == labels.nuclei.dtype == np.uint16
    assert np.array_equal(np.unique(labels.cells[labels.cells > 0]), np.arange(1, cells + 1))
    assert np.array_equal(
        np.unique(labels.cytoplasm[labels.cytoplasm > 0]), np.arange(1, cells + 1)
    )
    assert labels.nucleus_count == cells + len(labels.orphan_nuclei)
    assert labels.orphan_nuclei
    for cell, nucleus in enumerate(labels.parent_nucleus.tolist(), start=1):
        inside = truth.nucleus_mask(nucleus)
        assert np.all(labels.cells[inside] == cell)
        assert np.array_equal(truth.cell_mask(cell) & ~inside, labels.cytoplasm == cell)
        assert label(truth.cell_mask(cell), connectivity=1).max() == 1
    for orphan in labels.orphan_nuclei:
        assert not labels.cells[truth.nucleus_mask(orphan)].any()
    if cells > 1:
        assert not np.any(labels.parent_nucleus == np.arange(1, cells + 1))


def test_site_truth_is_what_was_written_whatever_the_order(sample: SampleTruth) -> None:
    for site in reversed(written_sites(sample)):
        truth = sample.site(site.plate, site.well, site.site)
        assert np.array_equal(truth.labels.cells, site.mask("cell"))
        assert np.array_equal(truth.labels.nuclei, site.mask("nuclei"))
        for channel in CHANNELS:
            assert np.array_equal(truth.image(channel), site.image(channel))


def test_sites_differ_from_each_other(options: SampleOptions) -> None:
    images = [site_truth(options, *place).image("DNA") for place in places(options)]
    assert len({image.tobytes() for image in images}) == len(images)


def test_truth_counts_every_cell_and_orphan(sample: SampleTruth) -> None:
    keys = [(cell.plate, cell.well, cell.site, cell.cell_number) for cell in sample.cells]
    assert keys == sorted(set(keys))
    orphans = sum(len(sample.site(*place).labels.orphan_nuclei) for place in places(sample.options))
    assert sample.orphan_nuclei == orphans > 0


def test_default_site_has_touching_cells_and_cells_at_the_border() -> None:
    cells = site_truth(SampleOptions(), "BR00900001", "E07", 1).labels.cells.astype(int)
    left, right = cells[:, :-1], cells[:, 1:]
    assert np.any((left != right) & (left > 0) & (right > 0))
    at_border = set(np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]])) - {0}
    assert 3 <= len(at_border) < cells.max()
    assert 25 <= cells.max() <= 60


@pytest.mark.parametrize(
    ("channel", "inside", "outside"),
    [
        ("DNA", "nuclei", "cytoplasm"),
        ("Mito", "cytoplasm", "nuclei"),
        ("ER", "cytoplasm", "nuclei"),
    ],
)
def test_stain_is_bright_where_its_organelle_is(channel: str, inside: str, outside: str) -> None:
    truth = site_truth(SampleOptions(), "BR00900001", "E07", 1)
    labels = {"nuclei": truth.labels.nuclei > 0, "cytoplasm": truth.labels.cytoplasm > 0}
    image = truth.image(channel)
    background = image[(truth.labels.cells == 0) & (truth.labels.nuclei == 0)].mean()
    assert (
        np.percentile(image[labels[inside]], 95)
        > np.percentile(image[labels[outside]], 95)
        > background
    )


def test_illumination_function_flattens_the_background() -> None:
    options = SampleOptions(seed=3)
    raw, flat = [], []
    for site in options.site_numbers:
        truth = site_truth(options, "BR00900001", "M19", site)
        light = illumination(options, "BR00900001", "DNA")
        empty = (truth.labels.cells == 0) & (truth.labels.nuclei == 0)
        dim, lit = (
            empty & (light < np.quantile(light, 0.3)),
            empty & (light > np.quantile(light, 0.7)),
        )
        image = truth.image("DNA")
        raw.append(np.median(image[lit]) / np.median(image[dim]))
        flat.append(np.median((image / light)[lit]) / np.median((image / light)[dim]))
    assert light.min() == 1.0
    assert min(raw) > 1.12
    assert np.allclose(flat, 1.0, atol=0.1)


def test_illumination_functions_differ_by_plate_and_channel() -> None:
    options = SampleOptions()
    functions = {
        illumination(options, plate, name).tobytes()
        for plate in options.plate_names
        for name in CHANNELS
    }
    assert len(functions) == len(options.plate_names) * len(CHANNELS)


def test_treatments_change_the_cells() -> None:
    options = SampleOptions(plates=1, wells=3, sites=1)
    control, large, dim = (
        site_truth(options, "BR00900001", well, 1) for well in options.well_names
    )
    area = [np.median([cell.nucleus_area_px for cell in truth.cells]) for truth in (control, large)]
    mito = [np.median([cell.cell_mean["Mito"] for cell in truth.cells]) for truth in (control, dim)]
    assert area[1] > 1.15 * area[0]
    assert mito[1] < 0.85 * mito[0]
