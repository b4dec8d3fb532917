"""Cytomining Parquet warehouse roots: written, added to, and held against their specification.

A root is a folder of Parquet files, ``<root>/<namespace>/<table>/*.parquet``, and of
``warehouse_manifest.json``, which says what each table is.
"""

from __future__ import annotations

from cp_assets.cytomining.checking import RootReport, check_root
from cp_assets.cytomining.export import Plates, export
from cp_assets.cytomining.image_stores import ImageOptions, export_images
from cp_assets.cytomining.manifest import Manifest, read_manifest
from cp_assets.cytomining.own_tables import TableOptions, export_table
from cp_assets.cytomining.quality_control import PlateNames, take_in_quality_control
from cp_assets.cytomining.root import Exported

__all__ = [
    "Exported",
    "ImageOptions",
    "Manifest",
    "PlateNames",
    "Plates",
    "RootReport",
    "TableOptions",
    "check_root",
    "export",
    "export_images",
    "export_table",
    "read_manifest",
    "take_in_quality_control",
]
