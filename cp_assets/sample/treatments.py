"""Treatments of the wells: what was added, and what it does to the simulated cells.

The compounds do not exist; each is named after its effect, so that a profile can be checked by eye.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """One row of a plate map and its effect.

    Attributes
    ----------
    name
        Name in the plate map.
    broad_sample
        Compound id in the plate map; empty for untreated wells.
    kind
        ``negcon``, ``poscon`` or ``trt``.
    density, nucleus_scale, cell_scale
        Factors on the number of cells and on the radius of nuclei and cells.
    gain
        Factors on the stain of (DNA, RNA, ER, AGP, Mito).
    """

    name: str
    broad_sample: str
    kind: str
    density: float = 1.0
    nucleus_scale: float = 1.0
    cell_scale: float = 1.0
    gain: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)


TREATMENTS = (
    Treatment(name="DMSO", broad_sample="", kind="negcon"),
    Treatment(
        name="large-nuclei",
        broad_sample="CPA-S0001",
        kind="poscon",
        density=0.7,
        nucleus_scale=1.2,
        cell_scale=1.12,
    ),
    Treatment(
        name="dim-mitochondria",
        broad_sample="CPA-S0002",
        kind="trt",
        gain=(1.0, 1.0, 0.95, 1.05, 0.5),
    ),
    Treatment(
        name="bright-actin",
        broad_sample="CPA-S0003",
        kind="trt",
        cell_scale=0.95,
        gain=(1.0, 0.9, 1.0, 1.7, 1.0),
    ),
    Treatment(
        name="few-cells", broad_sample="CPA-S0004", kind="poscon", density=0.5, cell_scale=1.15
    ),
    Treatment(
        name="dim-nucleoli", broad_sample="CPA-S0005", kind="trt", gain=(0.95, 0.55, 1.1, 1.0, 1.0)
    ),
)
"""Every treatment; wells take them in turn, beginning with the negative control."""


def treatment_of(well_index: int) -> Treatment:
    """Treatment of a well by its place in `SampleOptions.well_names`, from 0."""
    return TREATMENTS[well_index % len(TREATMENTS)]
