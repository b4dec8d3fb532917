"""What DuckDB calls a table's columns: to SQL names that differ in letter case only are one name.

Such columns are common: ``Metadata_compound`` of one plate, ``Metadata_Compound`` of another. A
name that is spelled as in the table is the column of exactly that name; DuckDB is asked by a name
of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cp_assets.datasets.databases import quoted
from cp_assets.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import duckdb
    import pyarrow.dataset as pads
    from pyarrow import Table

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'                      # text
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$       # text between dollars
    | --[^\n]* | /\*.*?\*/                  # comments
    | "(?P<quoted>(?:[^"]|"")*)"
    | (?P<bare>[^\W\d]\w*)(?!\w|\s*\()      # not a function
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class SqlSource:
    """Rows that DuckDB can select from.

    Attributes
    ----------
    sql
        What stands behind FROM.
    columns
        Column -> what DuckDB calls it, in the order of the rows.
    """

    sql: str
    columns: Mapping[str, str]

    def column(self, name: str) -> str:
        """DuckDB's name of a column, quoted; a name that no column has is left to DuckDB.

        Raises
        ------
        QueryError
            If no column is spelled so, and several are in other letter case.
        """
        return quoted(self._resolved(name))

    def predicate(self, sql: str) -> str:
        """A predicate over the columns' own names as one over DuckDB's.

        Raises
        ------
        QueryError
            As `column`.
        """
        return _TOKEN.sub(self._token, sql) if self.is_ambiguous else sql

    @property
    def is_ambiguous(self) -> bool:
        """Whether names of columns differ in letter case only."""
        return len(self._spellings) < len(self.columns)

    @cached_property
    def _spellings(self) -> dict[str, list[str]]:
        return _spellings(self.columns)

    def _resolved(self, name: str) -> str:
        if not self.is_ambiguous:
            return name
        alike = [name] if name in self.columns else self._spellings.get(name.lower(), [])
        if len(alike) > 1:
            msg = (
                f"{name} is no column: there are {' and '.join(sorted(alike))}, which differ in "
                "letter case; spell it as the one that is meant"
            )
            raise QueryError(msg)
        return self.columns[alike[0]] if alike else name

    def _token(self, found: re.Match[str]) -> str:
        text = found["quoted"]
        name = found["bare"] if text is None else text.replace('""', '"')
        if name is None:
            return found[0]
        resolved = self._resolved(name)
        # What SQL finds by itself stays as it is: it may be a keyword.
        return found[0] if resolved.lower() == name.lower() else quoted(resolved)


def register(
    connection: duckdb.DuckDBPyConnection, alias: str, rows: pads.Dataset | Table
) -> SqlSource:
    """Make rows known to DuckDB under an alias."""
    connection.register(alias, rows)
    own = rows.schema.names
    # Asked only where it matters: DuckDB takes 0.3 s to name 8,000 columns.
    named = connection.table(alias).columns if len(_spellings(own)) < len(own) else own
    return SqlSource(quoted(alias), dict(zip(own, named, strict=True)))


@dataclass(frozen=True)
class Picked:
    """Columns of several sources side by side, each once.

    Attributes
    ----------
    names
        Column -> its name there, in the order of the sources.
    expressions
        Column -> what stands for it behind SELECT.
    """

    names: Mapping[str, str]
    expressions: Mapping[str, str]


def pick(parts: Mapping[str, SqlSource], quote: Callable[[str], str] = quoted) -> Picked:
    """Every column of the sources, of the first that has it.

    Parameters
    ----------
    parts
        Alias of the source -> source.
    quote
        How the dialect writes names.
    """
    expressions: dict[str, str] = {}
    names: dict[str, str] = {}
    taken: set[str] = set()
    for alias, source in parts.items():
        for column, inner in source.columns.items():
            if column not in names:
                names[column] = _free(column, taken)
                taken.add(names[column].lower())
                expressions[column] = f"{alias}.{quote(inner)} AS {quote(names[column])}"
    return Picked(names, expressions)


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 0
    while free.lower() in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _spellings(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.lower(), []).append(name)
    return found
