"""The load_data files and plate maps of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.sample.csv_text import table_bytes
from cp_assets.sample.layout import SampleLayout, Site
from cp_assets.sample.options import CHANNELS, row_and_column
from cp_assets.sample.treatments import treatment_of

if TYPE_CHECKING:
    from cp_assets.sample.options import SampleOptions

PLATE_MAP = "CPA_SAMPLE_01"
"""Name of the one plate map; every plate has the same."""

_PLATE_MAP_HEADER = (
    "plate_map_name",
    "well_position",
    "broad_sample",
    "mmoles_per_liter",
    "solvent",
    "pert_iname",
    "pert_type",
    "control_type",
)


def load_data(layout: SampleLayout, plate: str, *, with_illum: bool) -> bytes:
    """Content of ``load_data.csv`` or ``load_data_with_illum.csv``: one row an image set."""
    header = [f"{kind}_Orig{channel}" for channel in CHANNELS for kind in ("FileName", "PathName")]
    header += ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Row", "Metadata_Col"]
    if with_illum:
        header += [
            f"{kind}_Illum{channel}" for channel in CHANNELS for kind in ("FileName", "PathName")
        ]
    illum = _illum_cells(layout, plate) if with_illum else []
    sites = (
        Site(plate, well, number)
        for well in layout.options.well_names
        for number in layout.options.site_numbers
    )
    return table_bytes(
        header, [[*_site_cells(layout, site), *illum] for site in sites], line_end="\n"
    )


def barcode_platemap(options: SampleOptions) -> bytes:
    """Content of ``barcode_platemap.csv``: which plate has which plate map."""
    rows = [(plate, PLATE_MAP) for plate in options.plate_names]
    return table_bytes(["Assay_Plate_Barcode", "Plate_Map_Name"], rows, line_end="\n")


def plate_map(options: SampleOptions) -> bytes:
    """Content of the plate map: what was added to each imaged well, tab-separated."""
    rows = []
    for index, well in enumerate(options.well_names):
        treatment = treatment_of(index)
        control = treatment.kind if treatment.kind != "trt" else ""
        kind = "control" if control else "trt"
        dose = "" if treatment.kind == "negcon" else "0.005"
        rows.append(
            (PLATE_MAP, well, treatment.broad_sample, dose, "DMSO", treatment.name, kind, control)
        )
    return table_bytes(_PLATE_MAP_HEADER, rows, delimiter="\t", line_end="\n")


def _site_cells(layout: SampleLayout, site: Site) -> list[object]:
    folder = str(layout.on_worker(layout.images(site.plate)))
    cells: list[object] = []
    for channel in CHANNELS:
        cells += [site.image_name(channel), folder]
    return [*cells, site.plate, site.well, site.number, *row_and_column(site.well)]


def _illum_cells(layout: SampleLayout, plate: str) -> list[object]:
    folder = str(layout.on_worker(layout.illum(plate)))
    cells: list[object] = []
    for channel in CHANNELS:
        cells += [layout.illum_name(plate, channel), folder]
    return cells
