"""The Arrow type of a payload: OME-Arrow's byte form in types that Iceberg has."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from cp_assets.arrow_types import iceberg_native

if TYPE_CHECKING:
    import pyarrow as pa

Pixels = npt.NDArray[Any]
"""Pixels in the order T, C, Z, Y, X, in the file's dtype and the machine's byte order."""


@dataclass(frozen=True, slots=True)
class PhysicalSize:
    """Size of a pixel in micrometres; None where the file does not say."""

    z: float | None = None
    y: float | None = None
    x: float | None = None


_SHELL = "_cp_assets_ome_arrow"


def _ome_arrow_meta() -> ModuleType:
    """``ome_arrow.meta`` without the rest of ome_arrow.

    Importing ome_arrow imports matplotlib and BioIO, 5 s that every command and every run of a
    Dagster step would pay for one type. The module is loaded below an empty package of another name
    instead.
    """
    if "ome_arrow.meta" in sys.modules:
        return sys.modules["ome_arrow.meta"]
    spec = importlib.util.find_spec("ome_arrow")
    if spec is None or not spec.submodule_search_locations:
        return importlib.import_module("ome_arrow.meta")
    shell = ModuleType(_SHELL)
    shell.__path__ = list(spec.submodule_search_locations)
    sys.modules[_SHELL] = shell
    return importlib.import_module(f"{_SHELL}.meta")


_META = _ome_arrow_meta()

OME_ARROW_TAG: str = str(_META.OME_ARROW_TAG_TYPE)
"""Value of a payload's field ``type``."""

OME_ARROW_VERSION: str = str(_META.OME_ARROW_TAG_VERSION)
"""Value of a payload's field ``version``: the version of ome_arrow whose type is used."""


OME_ARROW_TYPE: pa.StructType = iceberg_native(_META.OME_ARROW_BYTE_STRUCT)
"""Type of every payload column: ``ome_arrow.OME_ARROW_BYTE_STRUCT`` in Iceberg's own types."""
