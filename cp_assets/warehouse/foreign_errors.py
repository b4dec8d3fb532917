"""What catalogs and stores raise, in the words of cp_assets and without the secrets in them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyiceberg.exceptions import CommitFailedException, RESTError
from sqlalchemy.exc import SQLAlchemyError

from cp_assets.errors import CpAssetsError, WarehouseError, WarehouseUnavailableError
from cp_assets.redaction import redacted
from cp_assets.warehouse.faults import passes

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREIGN = (OSError, SQLAlchemyError, RESTError, CommitFailedException)
"""What storage (pyarrow) and catalogs (SQLAlchemy, REST) raise."""


def first_line(error: BaseException) -> str:
    """An error's first line, without secrets; SQLAlchemy's go on with the statement and a link."""
    return redacted(str(error).partition("\n")[0])


def shown_cause(error: BaseException) -> BaseException | None:
    """The error as another's cause; None where its text, which logs repeat, holds a secret."""
    return error if redacted(str(error)) == str(error) else None


@contextmanager
def catalog_errors(
    what: str,
    final: type[WarehouseError] = WarehouseError,
    *,
    passing: str = "catalog or storage did not answer: try again later",
    mend: str = "check the catalog's configuration, and your rights there",
) -> Iterator[None]:
    """Say what could not be done where catalog or storage fails.

    Parameters
    ----------
    final
        Class of the errors that do not pass.
    passing, mend
        What to do after an error that passes, and after one that does not.

    Raises
    ------
    WarehouseUnavailableError
        If it may be done after a while.
    WarehouseError
        Otherwise: of the class ``final``.
    """
    try:
        yield
    except CpAssetsError:
        raise
    except FOREIGN as error:
        told = f"{what} ({first_line(error)})"
        if passes(error):
            raise WarehouseUnavailableError(f"{told}; {passing}") from shown_cause(error)
        raise final(f"{told}; {mend}") from shown_cause(error)
