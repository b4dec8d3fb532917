"""What only the rows of a root's tables tell: ids that are missing or repeated, kinds that mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.contract.names import Aliases
from cp_assets.datasets.databases import quoted
from cp_assets.warehouse.query import open_connection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cp_assets.cytomining.inspection import FoundRoot, FoundTable

_KIND_COLUMNS = (
    *("compartment", "Metadata_compartment", "Metadata_Compartment"),
    *("profile_level", "Metadata_profile_level", "Metadata_Profile_Level"),
)
_ASSET = ("dataset_id", "image_id", "array_path")
_SHAPE = "chunk_shape_json"


def mixed_kinds(table: FoundTable) -> Iterable[str]:
    """Columns that say that rows of a profile table are of several kinds."""
    for name in _KIND_COLUMNS:
        if name in table.kinds():
            kind = quoted(name)
            found = _rows(table, [name], f"SELECT DISTINCT {kind} FROM t WHERE {kind} NOT NULL")
            if len(found) > 1:
                kinds = ", ".join(sorted(str(row[0]) for row in found))
                yield f"its rows are of several kinds in {name}: {kinds}"


def profile_identifiers(table: FoundTable) -> Iterable[str]:
    """What is wrong with the ids of objects and images of a profile table."""
    if any(file.problem for file in table.files) or not table.files:
        yield "its files cannot be read"
        return
    kinds = table.kinds()
    found = Aliases().resolve(kinds)
    image = found.get("image_id")
    if image is None:
        yield "has no column of image ids, such as image_id or Metadata_ImageID"
    keys = _object_keys(table, found)
    if keys is None:
        yield "has no column of object ids, such as Metadata_ObjectID or Metadata_ObjectNumber"
    if image is None or keys is None:
        return
    missing = [name for name in (image, *keys) if name not in kinds]
    if missing:
        yield f"object_keys names {missing[0]}, which is no column"
        return
    yield from _repeated(table, image, keys)


def _object_keys(table: FoundTable, found: dict[str, str]) -> tuple[str, ...] | None:
    """Columns that together name a row's object: as the manifest says, or as they are called."""
    said = table.texts("object_keys")
    if said:
        return said
    image = found.get("image_id")
    if table.text("profile_level") == "image" and image is not None:
        # The image is what is measured.
        return (image,)
    if "object_id" in found:
        return (found["object_id"],)
    if "object_number" in found and image is not None:
        dataset = (found["dataset_id"],) if "dataset_id" in found else ()
        return (*dataset, image, found["object_number"])
    return None


def _repeated(table: FoundTable, image: str, keys: Sequence[str]) -> Iterable[str]:
    columns = list(dict.fromkeys((image, *keys)))
    nulls = ", ".join(f"count(*) - count({quoted(name)})" for name in columns)
    counts = _rows(table, columns, f"SELECT {nulls} FROM t")[0]
    for name, count in zip(columns, counts, strict=True):
        if count:
            yield f"{name} is null in {count} rows"
    named = ", ".join(map(quoted, keys))
    again = _rows(
        table, columns, f"SELECT {named} FROM t GROUP BY {named} HAVING count(*) > 1 LIMIT 1"
    )
    if again:
        shown = ", ".join(f"{name} {value}" for name, value in zip(keys, again[0], strict=True))
        yield f"several rows have {shown}"


def unchunked_rows(root: FoundRoot) -> list[str] | str:
    """Rows of a chunk index whose image has no chunks; or why that cannot be seen."""
    tables = {table.role: table for table in root.tables}
    chunks, assets = tables.get("chunk_index"), tables.get("image_assets")
    if chunks is None or not chunks.rows:
        return "the root has no rows in images.chunk_index"
    if assets is None:
        return "the root has no images.image_assets to hold chunk_index against"
    wanted = (*_ASSET, _SHAPE)
    if not {*_ASSET} <= {*chunks.kinds()} or not {*wanted} <= {*assets.kinds()}:
        return f"the tables do not both have {', '.join(_ASSET)}"
    connection = open_connection()
    # Registered streams are read once: the assets are kept, being few for each image.
    connection.register("a", _reader(assets, wanted))
    connection.execute(
        f"CREATE TEMP TABLE unchunked AS SELECT {', '.join(_ASSET)} FROM a WHERE {_SHAPE} IS NULL"
    )
    connection.register("t", _reader(chunks, _ASSET))
    same = " AND ".join(f"t.{name} IS NOT DISTINCT FROM u.{name}" for name in _ASSET)
    found = connection.sql(
        f"SELECT image_id, count(*) FROM t SEMI JOIN unchunked u ON {same} GROUP BY ALL LIMIT 5"
    ).fetchall()
    return [f"{chunks.label}: image {row[0]} has no chunks, and {row[1]} rows" for row in found]


def _rows(table: FoundTable, columns: Sequence[str], sql: str) -> list[tuple[object, ...]]:
    connection = open_connection()
    connection.register("t", _reader(table, columns))
    return connection.sql(sql).fetchall()


def _reader(table: FoundTable, columns: Sequence[str]) -> pa.RecordBatchReader:
    kinds = table.kinds()
    schema = pa.schema([(name, kinds[name]) for name in columns])
    return pa.RecordBatchReader.from_batches(schema, table.batches(columns))
