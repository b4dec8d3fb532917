"""Every error that cp_assets raises on purpose.

One base class, so that a caller can catch all of them; each is also the builtin that fits, so that
a caller who knows nothing of cp_assets can catch it too. A message says what is wrong and where,
what was expected, and what to do next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class CpAssetsError(Exception):
    """Base of every error of cp_assets."""


class PassingFaultError(CpAssetsError):
    """What passes by itself: run it again, after a while.

    Throttling, a broken connection, a database that restarts, a commit that others were faster
    with, an input that is being replaced. Every other error of cp_assets is final: the same run
    fails again until somebody mends data, configuration or disk. What is retried by Dagster is
    decided here alone: derive from this class what passes.
    """


class ConfigurationError(CpAssetsError, ValueError):
    """The configuration, an option or an argument cannot be used."""


class PlateNotFoundError(CpAssetsError, LookupError):
    """No plate, or no such plate, lies below the dataset's root."""


class PlatesFailedError(CpAssetsError, RuntimeError):
    """Plates of several could not be built; the others are.

    Attributes
    ----------
    failed
        Partition key of a plate -> its error, in the order of the plates.
    """

    def __init__(self, summary: str, failed: Mapping[str, Exception]) -> None:
        super().__init__(summary, failed)
        self.failed = failed

    def __str__(self) -> str:
        return "\n".join((self.args[0], *self.lines()))

    def lines(self) -> list[str]:
        """Each plate that failed, and why, in one line."""
        return [f"{plate}: {one_line(error)}" for plate, error in self.failed.items()]


def one_line(error: Exception) -> str:
    """An error's text without line breaks, and without the query that DuckDB repeats.

    What is not raised on purpose is named: its text says little alone.
    """
    text = " ".join(str(error).partition("\n\nLINE ")[0].split())
    return text if isinstance(error, CpAssetsError) else f"{type(error).__name__}: {text}"


class MeasurementError(CpAssetsError, ValueError):
    """A measurement file cannot be used: empty, of another format, or without its key columns."""


class JoinError(CpAssetsError, ValueError):
    """The compartments of a plate cannot be joined."""


class BoxColumnsError(CpAssetsError, ValueError):
    """The columns of the bounding box are missing or ambiguous."""


class ImageReadError(CpAssetsError, OSError):
    """An image file cannot be decoded."""


class InputChangedError(PassingFaultError, RuntimeError):
    """An input file changed while it was read; reading it again may succeed."""


class StoreError(CpAssetsError, RuntimeError):
    """An object store refuses a request: no such bucket, no right to it, no credentials.

    No `OSError`: what is taken for a missing file is left out, and this must end the run.
    """


class StoreUnavailableError(StoreError, PassingFaultError):
    """An object store throttles, hangs or breaks off, however often it is asked."""


class ScratchError(CpAssetsError, RuntimeError):
    """The scratch folder cannot take what must lie on local disk for a while."""


class WarehouseError(CpAssetsError):
    """Base of what can go wrong with a warehouse."""


class NoSuchTableError(WarehouseError, LookupError):
    """The warehouse has no table of that name."""


class WarehouseWriteError(WarehouseError, OSError):
    """A partition could not be written; what the table held before is still there."""


class WarehouseConflictError(WarehouseWriteError, PassingFaultError):
    """Other writers were faster; the table is as they left it."""


class PartitionChangedError(WarehouseConflictError):
    """Another run wrote the same partition meanwhile; what it wrote is there."""


class WarehouseUnavailableError(WarehouseWriteError, PassingFaultError, ConnectionError):
    """Catalog or storage did not answer; what the table held before is still there."""


class WarehouseCommitUnknownError(WarehouseUnavailableError):
    """The catalog did not say whether it took a commit: the table holds the old rows or the new.

    Never a part of either; the new files stay where they are.
    """


class MaintenanceError(WarehouseError, RuntimeError):
    """A table's files are not as its metadata says; maintenance has removed none of them."""


class SchemaConflictError(WarehouseError, TypeError):
    """A column of a plate has another type than the same column of the table."""


class WarehouseRootError(WarehouseError, ValueError):
    """A Cytomining warehouse root, its manifest, or what is to be exported, cannot be used."""


class AlertError(CpAssetsError, RuntimeError):
    """Somebody could not be told of a run that failed."""


class QueryError(CpAssetsError, ValueError):
    """A column, predicate or argument of a read does not fit the table."""
