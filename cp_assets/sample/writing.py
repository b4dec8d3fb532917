"""Writing a sample: a small, complete Cell Painting Gallery prefix whose truth is known."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from cp_assets.errors import ConfigurationError
from cp_assets.sample.camera import illumination
from cp_assets.sample.image_files import npy_bytes, outline_bytes, tiff_bytes
from cp_assets.sample.image_table import Digests, experiment_table, image_table
from cp_assets.sample.layout import OUTLINED, SampleLayout, Site, under
from cp_assets.sample.metadata_tables import PLATE_MAP, barcode_platemap, load_data, plate_map
from cp_assets.sample.object_tables import object_tables
from cp_assets.sample.options import CHANNELS
from cp_assets.sample.truth import CellTruth, SampleTruth, SiteTruth, site_truth

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cp_assets.sample.options import SampleOptions

logger = logging.getLogger(__name__)


def write_sample(root: Path, options: SampleOptions) -> SampleTruth:
    """Write a sample prefix.

    Parameters
    ----------
    root
        The ``<source>`` folder itself: ``images`` and ``workspace`` appear right below it. To lay
        it out as in a bucket, pass ``out / options.prefix``. It must be empty or not exist yet.
    options
        What the sample shall hold. The same options write the same bytes into every file.

    Returns
    -------
    What is true of the sample; nothing of it is written into the prefix.

    Raises
    ------
    ConfigurationError
        If `root` is a file or holds anything.
    """
    _refuse_unless_empty(root)
    layout = SampleLayout(options)
    _write(under(root, layout.platemaps()), {"barcode_platemap.csv": barcode_platemap(options)})
    _write(under(root, layout.platemaps()) / "platemap", {f"{PLATE_MAP}.txt": plate_map(options)})
    cells: list[CellTruth] = []
    orphans = 0
    for plate in options.plate_names:
        illum = _write_plate(root, layout, plate)
        for well in options.well_names:
            for number in options.site_numbers:
                truth = site_truth(options, plate, well, number)
                _write_site(root, layout, truth, illum)
                cells += truth.cells
                orphans += len(truth.labels.orphan_nuclei)
        logger.info(
            "wrote sample plate %s: %d wells, %d sites each", plate, options.wells, options.sites
        )
    return SampleTruth(root=root, options=options, cells=tuple(cells), orphan_nuclei=orphans)


def _refuse_unless_empty(root: Path) -> None:
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        msg = f"cannot write a sample to {root}: it is not an empty folder; name a new one"
        raise ConfigurationError(msg)


def _write_plate(root: Path, layout: SampleLayout, plate: str) -> dict[str, str]:
    """Write what a plate has besides its sites; digests of its illumination by channel."""
    functions = {
        channel: npy_bytes(illumination(layout.options, plate, channel)) for channel in CHANNELS
    }
    named = {layout.illum_name(plate, channel): content for channel, content in functions.items()}
    _write(under(root, layout.illum(plate)), named)
    tables = {
        "load_data.csv": load_data(layout, plate, with_illum=False),
        "load_data_with_illum.csv": load_data(layout, plate, with_illum=True),
    }
    _write(under(root, layout.load_data(plate)), tables)
    return _digests(functions)


def _write_site(
    root: Path, layout: SampleLayout, truth: SiteTruth, illum: Mapping[str, str]
) -> None:
    site = Site(truth.plate, truth.well, truth.site)
    images = {channel: tiff_bytes(truth.image(channel)) for channel in CHANNELS}
    named = {site.image_name(channel): content for channel, content in images.items()}
    _write(under(root, layout.images(site.plate)), named)
    tables = {
        **object_tables(truth),
        "Image": image_table(layout, truth, Digests(_digests(images), illum)),
        "Experiment": experiment_table(),
    }
    analysis = under(root, layout.analysis(site))
    _write(analysis, {f"{name}.csv": content for name, content in tables.items()})
    _write_overlays(analysis, site, truth)


def _write_overlays(analysis: Path, site: Site, truth: SiteTruth) -> None:
    labels = {"CellOutlines": truth.labels.cells, "NucleiOutlines": truth.labels.nuclei}
    outlines = {
        site.overlay_name(OUTLINED[name], ".png"): outline_bytes(image)
        for name, image in labels.items()
    }
    masks = {
        site.overlay_name("cell_mask", ".tiff"): tiff_bytes(truth.labels.cells),
        site.overlay_name("nuclei_mask", ".tiff"): tiff_bytes(truth.labels.nuclei),
    }
    _write(analysis / "outlines", outlines)
    _write(analysis / "masks", masks)


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {
        name: hashlib.md5(content, usedforsecurity=False).hexdigest()
        for name, content in contents.items()
    }


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
