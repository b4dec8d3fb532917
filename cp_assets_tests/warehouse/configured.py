"""Catalogs as users configure them: a `.pyiceberg.yaml` that names services of the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from cp_assets.warehouse.catalog_properties import catalog_properties
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.rest_catalog import rest_catalog
from cp_assets_tests.services.s3 import S3Endpoint

KINDS = ("postgres-s3", "postgres-folder", "rest-s3", "sqlite-s3")
"""Where the catalog is, and where the tables lie."""


@contextmanager
def configured(catalogs: Mapping[str, Mapping[str, str]], folder: Path) -> Iterator[None]:
    """PyIceberg finds these catalogs: name -> properties."""
    folder.mkdir(parents=True, exist_ok=True)
    if catalogs:
        (folder / ".pyiceberg.yaml").write_text(yaml.safe_dump({"catalog": dict(catalogs)}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYICEBERG_HOME", str(folder))
        yield


@contextmanager
def catalog_of(
    kind: str, folder: Path, postgres: Postgres, s3: S3Endpoint
) -> Iterator[dict[str, str]]:
    """Properties of an empty catalog of one of `KINDS`."""
    catalog, _, storage = kind.partition("-")
    if storage == "s3":
        stored = {"warehouse": f"s3://{s3.make_bucket()}/warehouse", **s3.pyiceberg()}
    else:
        stored = {"warehouse": f"file://{folder}/files"}
    if catalog == "postgres":
        yield {"type": "sql", "uri": postgres.url(postgres.make_database()), **stored}
    elif catalog == "sqlite":
        yield {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", **stored}
    else:
        own = catalog_properties({"uri": f"sqlite:///{folder}/served.db", **stored})
        with rest_catalog(**own) as served:
            yield {"type": "rest", "uri": served.uri, "token": served.token, **stored}
