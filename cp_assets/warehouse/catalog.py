"""Opening a PyIceberg catalog: a configured one by name, or a folder's own SQLite catalog."""

from __future__ import annotations

import os
from pathlib import Path

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.utils.config import Config
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from cp_assets.errors import ConfigurationError, NoSuchTableError, WarehouseWriteError
from cp_assets.warehouse.sql_catalog import RememberingSqlCatalog

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
    configured = _configured(CATALOG_NAME)
    if configured is not None:
        return configured
    return os.environ.get("CP_ASSETS_WAREHOUSE", "warehouse")


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
        If the folder's path cannot be part of a file URI as engines read them.
    WarehouseWriteError
        If the folder or its catalog cannot be made.
    """
    name = str(warehouse) if warehouse is not None else default_warehouse()
    configured = None if isinstance(warehouse, Path) else _configured(name)
    if configured is not None:
        return _configured_catalog(configured), configured
    folder = Path(name).expanduser().resolve()
    if _UNSAFE_IN_URI & set(str(folder)):
        msg = (
            f"warehouse {folder}: the path holds one of # ? %, which Iceberg engines read as parts "
            "of a "
            "URI; choose another folder"
        )
        raise ConfigurationError(msg)
    if not create and not (folder / _CATALOG_FILE).is_file():
        msg = (
            f"no warehouse at {folder}: expected {_CATALOG_FILE} in that folder, or a PyIceberg "
            "catalog "
            f"configured under the name {name!r}; `cp-assets convert` makes one"
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


def _configured(name: str) -> str | None:
    """A configured catalog's name: environment variables can write ``_`` only for its ``-``."""
    known = Config()
    names = (name, name.replace("_", "-"))
    return next((one for one in names if known.get_catalog_config(one) is not None), None)


def _configured_catalog(name: str) -> Catalog:
    catalog = load_catalog(name)
    if type(catalog) is not SqlCatalog:
        return catalog
    # PyIceberg's configuration cannot name another class beside `type: sql`.
    catalog.close()
    return RememberingSqlCatalog(catalog.name, **catalog.properties)


def _folder_catalog(folder: Path) -> SqlCatalog:
    uri = f"sqlite:///{folder / _CATALOG_FILE}?timeout=60"
    for _ in range(_ATTEMPTS):
        try:
            return RememberingSqlCatalog(CATALOG_NAME, uri=uri, warehouse=f"file://{folder}")
        except OperationalError as error:
            # Another process makes the catalog's own tables at this moment: they are there next
            # time.
            if "already exists" not in str(error):
                raise
    return RememberingSqlCatalog(CATALOG_NAME, uri=uri, warehouse=f"file://{folder}")


def first_line(error: BaseException) -> str:
    """An error's first line; SQLAlchemy's go on with the statement and a link."""
    return str(error).partition("\n")[0]
