"""Opening a PyIceberg catalog: a configured one by name, or a folder's own SQLite catalog."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import RESTError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cp_assets.errors import (
    ConfigurationError,
    NoSuchTableError,
    WarehouseUnavailableError,
    WarehouseWriteError,
)
from cp_assets.warehouse.catalog_properties import catalog_properties, is_sql
from cp_assets.warehouse.configured_catalogs import (
    configured_name,
    configured_settings,
    variables_of,
)
from cp_assets.warehouse.faults import passes
from cp_assets.warehouse.foreign_errors import first_line, shown_cause
from cp_assets.warehouse.sql_catalog import RememberingSqlCatalog

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

CATALOG_NAME = "cp_assets"
"""The configured catalog that is used where none is named; also the name of a folder's catalog."""

_CATALOG_FILE = "catalog.db"
_ATTEMPTS = 3
_UNSAFE_IN_URI = frozenset("#?%")


def default_warehouse() -> str:
    """The warehouse where none is named.

    The PyIceberg catalog ``cp_assets`` if one is configured (``.pyiceberg.yaml`` or
    ``PYICEBERG_CATALOG__CP_ASSETS__*``), else the folder ``CP_ASSETS_WAREHOUSE``, else
    ``./warehouse``.
    """
    configured = configured_name(CATALOG_NAME)
    if configured is not None:
        return configured
    return os.environ.get("CP_ASSETS_WAREHOUSE", "warehouse")


def hold_configured(named: str | None) -> str | None:
    """The warehouse that ``cp_assets.yaml`` names, where a name without ``/`` is a catalog's.

    A machine that lacks the catalog's settings must not write plates into a folder of that name.

    Raises
    ------
    ConfigurationError
        If no catalog of that name is configured, and there is no warehouse in a folder of it.
    """
    if named is None or "/" in named or configured_name(named) is not None:
        return named
    if is_warehouse(Path(named)):
        return named
    variable = f"{variables_of(named)}URI"
    msg = (
        f"cp_assets.yaml names the warehouse {named}, and no PyIceberg catalog of that name is "
        f"configured: set {variable} and the like, write .pyiceberg.yaml, or name the folder "
        f"./{named}"
    )
    raise ConfigurationError(msg)


def is_warehouse(folder: Path) -> bool:
    """Whether a folder has the catalog of a warehouse."""
    return (folder / _CATALOG_FILE).is_file()


def open_catalog(warehouse: str | Path | None, *, create: bool) -> tuple[Catalog, str]:
    """Open the catalog of a warehouse.

    Parameters
    ----------
    warehouse
        Name of a configured PyIceberg catalog, or a folder; None for `default_warehouse`.
    create
        Make the folder's catalog if there is none.

    Returns
    -------
    The catalog, and the warehouse's name to show a user.

    Raises
    ------
    NoSuchTableError
        If the folder holds no warehouse and may not be made one.
    ConfigurationError
        If the folder's path cannot be part of a file URI as engines read them, or a configured
        catalog cannot be used so.
    WarehouseUnavailableError
        If a configured catalog does not answer.
    WarehouseWriteError
        If the folder or its catalog cannot be made.
    """
    name = str(warehouse) if warehouse is not None else default_warehouse()
    configured = None if isinstance(warehouse, Path) else configured_name(name)
    if configured is not None:
        return _configured_catalog(configured), configured
    if "://" in name:
        msg = (
            "a warehouse is a folder or the name of a configured PyIceberg catalog, not a URL: put "
            "the URL into .pyiceberg.yaml or PYICEBERG_CATALOG__<NAME>__URI and give the name"
        )
        raise ConfigurationError(msg)
    folder = Path(name).expanduser().resolve()
    if _UNSAFE_IN_URI & set(str(folder)):
        msg = (
            f"warehouse {folder}: the path holds one of # ? %, which Iceberg engines read as parts "
            "of a URI; choose another folder"
        )
        raise ConfigurationError(msg)
    if not create and not is_warehouse(folder):
        msg = (
            f"no warehouse at {folder}: expected {_CATALOG_FILE} in that folder, or a PyIceberg "
            f"catalog configured under the name {name!r}; `cp-assets convert` makes one"
        )
        raise NoSuchTableError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _folder_catalog(folder), str(folder)
    except (OSError, SQLAlchemyError) as error:
        msg = (
            f"warehouse {folder} cannot be opened for writing ({first_line(error)}); "
            "check the path and its permissions"
        )
        raise WarehouseWriteError(msg) from error


def _configured_catalog(name: str) -> Catalog:
    """The catalog as PyIceberg's configuration has it now, with defaults for what it leaves out.

    Raises
    ------
    ConfigurationError
        If it cannot be used so; no message repeats what the configuration says.
    WarehouseUnavailableError
        If the catalog does not answer.
    """
    properties = catalog_properties(configured_settings(name))
    try:
        if is_sql(properties):
            # PyIceberg's configuration cannot name another class beside `type: sql`.
            return _sql_catalog(name, properties)
        return load_catalog(name, **properties)
    except Exception as error:  # noqa: BLE001 - a catalog may be of any class
        if passes(error):
            msg = (
                f"catalog {name} does not answer ({first_line(error)}); see whether it runs where "
                "its uri says, or try again later"
            )
            raise WarehouseUnavailableError(msg) from shown_cause(error)
        msg = (
            f"catalog {name} cannot be opened as it is configured for PyIceberg "
            f"({type(error).__name__}{_said(error)}); check its type, uri and credentials in "
            ".pyiceberg.yaml or PYICEBERG_CATALOG__*"
        )
        raise ConfigurationError(msg) from None


def _said(error: Exception) -> str:
    """What a database or a REST catalog says; others may repeat a part of a URL's password."""
    return f": {first_line(error)}" if isinstance(error, DBAPIError | RESTError) else ""


def _folder_catalog(folder: Path) -> SqlCatalog:
    uri = f"sqlite:///{folder / _CATALOG_FILE}"
    properties = catalog_properties({"uri": uri, "warehouse": f"file://{folder}"})
    return _sql_catalog(CATALOG_NAME, properties)


def _sql_catalog(name: str, properties: dict[str, str]) -> SqlCatalog:
    for _ in range(_ATTEMPTS):
        try:
            return RememberingSqlCatalog(name, **properties)
        except DBAPIError as error:
            # Another process makes the catalog's own tables at this moment: they are there next
            # time.
            if "already exists" not in str(error):
                raise
    return RememberingSqlCatalog(name, **properties)
