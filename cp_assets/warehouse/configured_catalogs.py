"""Catalogs as PyIceberg's configuration names them.

A variable's name cannot hold ``-``: PyIceberg reads ``_`` as ``-`` there, and keeps both apart in
``.pyiceberg.yaml``. So ``PYICEBERG_CATALOG__CP_ASSETS__URI`` and a file's ``cp_assets`` would be
two catalogs. Here a name may be written either way; only where a file has a catalog of each
spelling, and no variable is set, are they two.
"""

from __future__ import annotations

import os
from typing import Any

from pyiceberg.utils.config import Config


def configured_name(name: str) -> str | None:
    """A configured catalog's name as its configuration spells it; None where there is none.

    A file's spelling counts before that of variables: a database keeps the tables of a catalog
    under one name, whether or not a machine sets variables too.
    """
    alike = [one for one in Config().get_known_catalogs() if _plain(one) == _plain(name)]
    # What holds a `_` can only be of a file.
    in_file = [one for one in alike if "_" in one] if _has_variables(name) else []
    spelled = in_file or alike
    if name.lower() in spelled:
        return name
    return spelled[0] if spelled else None


def configured_settings(name: str) -> dict[str, Any]:
    """What is configured of a catalog; variables stand over a file, as PyIceberg has it.

    Parameters
    ----------
    name
        As `configured_name` gives it.
    """
    config = Config()
    spellings = (name, _plain(name)) if _has_variables(name) else (name,)
    found = [config.get_catalog_config(one) or {} for one in spellings]
    return {key: value for settings in found for key, value in settings.items()}


def variables_of(name: str) -> str:
    """How the names of a catalog's variables begin."""
    return f"PYICEBERG_CATALOG__{name.replace('-', '_').upper()}__"


def _has_variables(name: str) -> bool:
    return any(variable.upper().startswith(variables_of(name)) for variable in os.environ)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
