"""Where inputs lie: local folders and object stores, behind one kind of path.

What the rooms above are handed is a `Place`: a `pathlib.Path`, or an `ObjectPath` that answers the
same questions of ``s3://``, ``gs://`` and ``az://``.
"""

from __future__ import annotations

from cp_assets.stores.object_path import ObjectPath
from cp_assets.stores.options import StoreOptions, StoreSettings
from cp_assets.stores.places import Place, State, place, state_of
from cp_assets.stores.prefetch import Prefetch
from cp_assets.stores.spool import spooled

__all__ = [
    "ObjectPath",
    "Place",
    "Prefetch",
    "State",
    "StoreOptions",
    "StoreSettings",
    "place",
    "spooled",
    "state_of",
]
