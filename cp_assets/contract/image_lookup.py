"""Finding the images of some rows: image assets lie in DuckDB, which spills what memory lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.contract.key_values import image_columns, key_arrays
from cp_assets.contract.names import REQUIRED
from cp_assets.contract.scratch import registered
from cp_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from cp_assets.contract.image_tables import ImageTables
    from cp_assets.contract.profile_tables import ProfileTable

_ARRAY = ("uri", "array_path")
"""What tells the arrays of one image apart, for their chunks."""

_SAME = " AND ".join(f"{{0}}.{name} = {{1}}.{name}" for name in REQUIRED)
_KEYS = ", ".join(REQUIRED)
_WANTED = pa.schema([("row", pa.int64()), *((name, pa.string()) for name in REQUIRED)])


@dataclass(frozen=True)
class ImageLookup:
    """Image assets, or where they are wanted a row for each chunk of one.

    Attributes
    ----------
    schema
        Columns beside the pair of ``dataset_id`` and ``image_id``: those of the assets, then those
        of the chunks that assets lack.
    assets
        How many image assets have both of the pair.
    numbered
        One more than the largest ``image_row``.
    """

    schema: pa.Schema
    assets: int
    numbered: int
    _connection: duckdb.DuckDBPyConnection

    @classmethod
    def load(
        cls, connection: duckdb.DuckDBPyConnection, images: ImageTables, *, with_chunks: bool
    ) -> ImageLookup:
        """Read all image assets, and their chunks.

        Raises
        ------
        ConfigurationError
            If the images have no ``dataset_id`` or ``image_id``; or no chunks, which are wanted.
        """
        columns = _load(connection, "images", images.assets)
        if with_chunks:
            columns = _join_chunks(connection, columns, _chunks_of(images))
        connection.execute("ALTER TABLE images RENAME TO lookup")
        assets, last = connection.execute(
            "SELECT count(DISTINCT image_row), coalesce(max(image_row), -1) FROM lookup"
        ).fetchall()[0]
        kinds = connection.sql("SELECT * FROM lookup LIMIT 0").to_arrow_table().schema
        fields = [
            kinds.field(own).with_name(name)
            for own, name in zip(_own(columns), columns, strict=True)
        ]
        return cls(pa.schema(fields), int(assets), int(last) + 1, connection)

    def find(
        self, keys: Sequence[pa.Array], batch_rows: int, *, keep_unmatched: bool
    ) -> Iterator[pa.RecordBatch]:
        """The images of rows.

        Parameters
        ----------
        keys
            Text of ``dataset_id`` and of ``image_id`` of each row.
        keep_unmatched
            Whether a row without an image comes too, once, with nulls.

        Returns
        -------
        batches of ``row``, the place in ``keys``; ``image_row``, which numbers the image assets;
        and the columns of `schema`; in the order of the rows, and of the assets as they were read
        """
        rows = pa.RecordBatch.from_arrays([pa.array(range(len(keys[0]))), *keys], schema=_WANTED)
        join = "LEFT JOIN" if keep_unmatched else "JOIN"
        listed = "".join(f", l.{own}" for own in _own(self.schema.names))
        with registered(self._connection, "wanted", _WANTED, [rows]):
            found = self._connection.sql(
                f"SELECT w.row, l.image_row{listed} FROM wanted w "
                f"{join} lookup l ON {_SAME.format('w', 'l')} "
                "ORDER BY w.row, l.image_row, l.chunk_row"
            )
            yield from found.to_arrow_reader(batch_rows)


def _own(columns: Sequence[str]) -> list[str]:
    """Names for DuckDB, to which those that differ in letter case only are one."""
    return [f"column_{at}" for at in range(len(columns))]


def _load(connection: duckdb.DuckDBPyConnection, name: str, rows: ProfileTable) -> list[str]:
    """Read a table's rows that have both of the pair; its other columns, in order."""
    pair = image_columns(rows)
    columns = [column for column in rows.columns if column not in pair.values()]
    kinds = [rows.schema.field(column).type for column in columns]
    schema = pa.schema(
        [
            *((one, pa.string()) for one in REQUIRED),
            ("image_row", pa.int64()),
            *zip(_own(columns), kinds, strict=True),
        ]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        before = 0
        for batch in rows.whole_batches():
            keys = key_arrays(batch, pair, rows.name)
            numbers = pa.array(range(before, before + batch.num_rows), pa.int64())
            arrays = [*(keys[one] for one in REQUIRED), numbers, *map(batch.column, columns)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
            before += batch.num_rows

    there = " AND ".join(f"{one} IS NOT NULL" for one in REQUIRED)
    with registered(connection, "rows", schema, batches()) as source:
        connection.execute(
            f"CREATE TEMP TABLE {name} AS SELECT *, 0::BIGINT AS chunk_row "
            f"FROM {source} WHERE {there}"
        )
    return columns


def _join_chunks(
    connection: duckdb.DuckDBPyConnection, columns: list[str], chunks: ProfileTable
) -> list[str]:
    """Put the chunks beside their assets; the columns of both."""
    of_chunks = _load(connection, "chunks", chunks)
    missing = {*_ARRAY} - (set(columns) & set(of_chunks))
    if missing:
        msg = f"{chunks.name}: chunks and images need columns {' and '.join(_ARRAY)} to be joined"
        raise ConfigurationError(msg)
    own = dict(zip(_own(of_chunks), of_chunks, strict=True))
    new = {one: name for one, name in own.items() if name not in columns}
    same = " AND ".join(
        f"i.column_{columns.index(name)} IS NOT DISTINCT FROM c.column_{of_chunks.index(name)}"
        for name in _ARRAY
    )
    picked = ", ".join(
        [
            *(f"i.{one}" for one in (*REQUIRED, "image_row", *_own(columns))),
            "c.image_row AS chunk_row",
            *(f"c.{one} AS column_{len(columns) + at}" for at, one in enumerate(new)),
        ]
    )
    connection.execute(
        f"CREATE TEMP TABLE chunked AS SELECT {picked} FROM images i "
        f"LEFT JOIN chunks c ON {_SAME.format('i', 'c')} AND {same}"
    )
    connection.execute("DROP TABLE images; DROP TABLE chunks; ALTER TABLE chunked RENAME TO images")
    return [*columns, *new.values()]


def _chunks_of(images: ImageTables) -> ProfileTable:
    if images.chunks is None:
        msg = (
            f"{images.assets.name}: its chunks are not known; name an image store or a warehouse "
            "with images.chunk_index, or leave --include-chunks out"
        )
        raise ConfigurationError(msg)
    return images.chunks
