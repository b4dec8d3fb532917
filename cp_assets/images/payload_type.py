"""The Arrow type of a payload: OME-Arrow's byte form in types that Iceberg has."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

import pyarrow as pa

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


_WIDENED = frozenset({pa.int8(), pa.int16(), pa.uint8(), pa.uint16(), pa.uint32()})


def iceberg_native(kind: pa.DataType) -> pa.DataType:
    """Replace every part of a type by the nearest one that Iceberg has.

    Null-typed fields are left out; 8- and 16-bit and uint32 numbers become int32, other timestamps
    microseconds, large binary and text plain. ``color_rgba`` fits an int32 as its bit pattern.
    """
    if pa.types.is_struct(kind):
        fields = [
            pa.field(field.name, iceberg_native(field.type), field.nullable)
            for field in kind
            if not pa.types.is_null(field.type)
        ]
        return pa.struct(fields)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(iceberg_native(kind.value_type))
    if kind in _WIDENED:
        return pa.int32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return {pa.large_binary(): pa.binary(), pa.large_string(): pa.string()}.get(kind, kind)


OME_ARROW_TYPE: pa.StructType = iceberg_native(_META.OME_ARROW_BYTE_STRUCT)
"""Type of every payload column: ``ome_arrow.OME_ARROW_BYTE_STRUCT`` in Iceberg's own types."""
