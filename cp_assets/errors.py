"""Every error that cp_assets raises on purpose.

One base class, so that a caller can catch all of them; each is also the builtin that fits, so that
a caller who knows nothing of cp_assets can catch it too. A message says what is wrong and where,
what was expected, and what to do next.
"""

from __future__ import annotations


class CpAssetsError(Exception):
    """Base of every error of cp_assets."""


class ConfigurationError(CpAssetsError, ValueError):
    """The configuration, an option or an argument cannot be used."""


class PlateNotFoundError(CpAssetsError, LookupError):
    """No plate, or no such plate, lies below the dataset's root."""


class MeasurementError(CpAssetsError, ValueError):
    """A measurement file cannot be used: empty, of another format, or without its key columns."""


class JoinError(CpAssetsError, ValueError):
    """The compartments of a plate cannot be joined."""


class BoxColumnsError(CpAssetsError, ValueError):
    """The columns of the bounding box are missing or ambiguous."""


class ImageReadError(CpAssetsError, OSError):
    """An image file cannot be decoded."""


class InputChangedError(CpAssetsError, RuntimeError):
    """An input file changed while it was read; reading it again may succeed."""


class WarehouseError(CpAssetsError):
    """Base of what can go wrong with a warehouse."""


class NoSuchTableError(WarehouseError, LookupError):
    """The warehouse has no table of that name."""


class WarehouseWriteError(WarehouseError, OSError):
    """A partition could not be written; what the table held before is still there."""


class SchemaConflictError(WarehouseError, TypeError):
    """A column of a plate has another type than the same column of the table."""


class QueryError(CpAssetsError, ValueError):
    """A column, predicate or argument of a read does not fit the table."""
