"""Profiles joined to the metadata of their images, as a stream: Parquet in, Parquet out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.contract.image_lookup import ImageLookup
from cp_assets.contract.key_values import key_arrays
from cp_assets.contract.names import NO_ALIASES, RECOMMENDED, REQUIRED, Aliases
from cp_assets.contract.parquet_output import parquet_output
from cp_assets.contract.profile_tables import with_keys
from cp_assets.contract.scratch import MAX_MEMORY, scratch_connection
from cp_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cp_assets.contract.image_tables import ImageTables
    from cp_assets.contract.profile_tables import ProfileTable

_BATCH_BYTES = 32 * 2**20
_MOST_ROWS = 65_536


@dataclass(frozen=True, kw_only=True)
class JoinOptions:
    """How profiles are joined to images.

    Attributes
    ----------
    aliases
        Which columns of the profiles hold the keys.
    dataset_id
        Of all profiles, where they have no such column.
    include_chunks
        Whether an image has a row for each of its chunks.
    keep_unmatched
        Whether a profile row without an image is kept, with nulls; it is left out otherwise.
    max_memory
        Bytes that DuckDB may take before it spills.
    """

    aliases: Aliases = NO_ALIASES
    dataset_id: str | None = None
    include_chunks: bool = False
    keep_unmatched: bool = False
    max_memory: int = MAX_MEMORY


@dataclass(frozen=True, kw_only=True)
class JoinSummary:
    """What a join wrote; the first five are those of iceberg-bioimage.

    Attributes
    ----------
    profile_rows, profile_rows_without_image
        Rows of the profiles, and those that found no image.
    image_assets, image_assets_without_profile
        Image arrays with a key, and those that no row names.
    warnings
        What of the images could not be read.
    """

    source_uri: str
    profile_table: str
    output: str
    rows_written: int
    columns: tuple[str, ...]
    profile_rows: int
    profile_rows_without_image: int
    image_assets: int
    image_assets_without_profile: int
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    def to_json(self, **options: Any) -> str:
        """As JSON; takes the options of `json.dumps`."""
        return json.dumps(self.to_dict(), **options)


def join_to_images(
    images: ImageTables,
    profiles: ProfileTable,
    output: Path,
    options: JoinOptions | None = None,
) -> JoinSummary:
    """Join profiles to their images by ``dataset_id`` and ``image_id``, and write Parquet.

    A row has the keys (the pair as text, the recommended ones as the profiles have them), the
    columns of its image asset, and all columns of the profiles, in their types. A profile row has
    as many rows as its image has assets. They come in the order of the profiles, and for each in
    the order of the image assets. Where images and profiles have a column of the same name, the
    images' is called ``image_...``. Images are held by DuckDB, which spills them; of the profiles,
    a batch.

    Parameters
    ----------
    output
        A Parquet file, which is there when all of it is; one that is there before is replaced.

    Raises
    ------
    ConfigurationError
        If the profiles or the images lack a key, chunks are wanted and not known, or the output
        cannot be written.
    MeasurementError
        If the profiles cannot be read.
    """
    options = options or JoinOptions()
    plan = _Plan.of(profiles, options)
    with scratch_connection(options.max_memory) as connection:
        lookup = ImageLookup.load(connection, images, with_chunks=options.include_chunks)
        joiner = _Joiner(plan, lookup, options.keep_unmatched)
        with parquet_output(output, joiner.schema) as write:
            for batch in plan.profiles.whole_batches():
                for joined in joiner.join(batch):
                    write(joined)
    return JoinSummary(
        source_uri=images.assets.name,
        profile_table=profiles.name,
        output=str(output),
        rows_written=joiner.written,
        columns=tuple(joiner.schema.names),
        profile_rows=joiner.read,
        profile_rows_without_image=joiner.lost,
        image_assets=lookup.assets,
        image_assets_without_profile=lookup.assets - int(joiner.seen.sum()),
        warnings=tuple(images.warnings),
    )


@dataclass(frozen=True)
class _Plan:
    """Which columns of the profiles go where.

    Attributes
    ----------
    keys, given
        Of the pair: its columns, and a value for all rows.
    further
        Recommended name -> column.
    kept
        Column -> its name in the output; what serves under its own name is there already.
    """

    profiles: ProfileTable
    keys: dict[str, str]
    given: dict[str, str]
    further: dict[str, str]
    kept: dict[str, str]

    @classmethod
    def of(cls, profiles: ProfileTable, options: JoinOptions) -> _Plan:
        profiles = with_keys(profiles, options.aliases.columns)
        found = options.aliases.resolve(profiles.columns)
        keys = {name: found[name] for name in REQUIRED if name in found}
        wanted = options.dataset_id is not None and "dataset_id" not in keys
        given = {"dataset_id": str(options.dataset_id)} if wanted else {}
        missing = [name for name in REQUIRED if name not in keys and name not in given]
        if missing:
            msg = (
                f"{profiles.name}: no column {' and '.join(missing)} to join by; name the column "
                f"with an alias, such as {missing[-1]}=..., or give the dataset's id"
            )
            raise ConfigurationError(msg)
        further = {name: found[name] for name in RECOMMENDED if name in found}
        taken = {*REQUIRED, *further}
        rest = [name for name in profiles.columns if found.get(name) != name or name not in taken]
        return cls(profiles, keys, given, further, _named(rest, "profile", taken))

    @property
    def fields(self) -> list[pa.Field]:
        """Of the keys."""
        schema = self.profiles.schema
        further = [schema.field(column).with_name(name) for name, column in self.further.items()]
        return [*(pa.field(name, pa.string()) for name in REQUIRED), *further]


class _Joiner:
    """Joins batches of profiles, and counts.

    Attributes
    ----------
    schema
        Of the output.
    seen
        For each number of an image asset, whether a row named it.
    """

    def __init__(self, plan: _Plan, lookup: ImageLookup, keep_unmatched: bool) -> None:
        self._plan = plan
        self._lookup = lookup
        self._keep_unmatched = keep_unmatched
        profiles = plan.profiles.schema
        taken = {field.name for field in plan.fields} | {*plan.kept.values()}
        images = _named(lookup.schema.names, "image", taken)
        fields = [
            *plan.fields,
            *(lookup.schema.field(name).with_name(new) for name, new in images.items()),
            *(profiles.field(name).with_name(new) for name, new in plan.kept.items()),
        ]
        self.schema = pa.schema([field.with_nullable(True) for field in fields])
        self.seen = np.zeros(lookup.numbered, dtype=np.bool_)
        self.read = self.written = self.lost = 0

    def join(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The output's rows of some profiles."""
        keys = key_arrays(batch, self._plan.keys, self._plan.profiles.name, self._plan.given)
        pair = [keys[name] for name in REQUIRED]
        columns = [*pair, *(batch.column(name) for name in self._plan.further.values())]
        arrays = [*columns, *map(batch.column, self._plan.kept)]
        rows = pa.RecordBatch.from_arrays(arrays, names=[str(at) for at in range(len(arrays))])
        has_image = np.zeros(batch.num_rows, dtype=np.bool_)
        at_once = _rows_at_once(rows)
        for found in self._lookup.find(pair, at_once, keep_unmatched=self._keep_unmatched):
            place, image = found["row"].to_numpy(), found["image_row"]
            is_there = pc.is_valid(image).to_numpy(zero_copy_only=False)
            has_image[place[is_there]] = True
            self.seen[image.drop_null().to_numpy()] = True
            self.written += found.num_rows
            yield self._assembled(_taken(rows, place), found.columns[2:], len(columns))
        self.read += batch.num_rows
        self.lost += int(batch.num_rows - has_image.sum())

    def _assembled(
        self, rows: pa.RecordBatch, images: Sequence[pa.Array], keys: int
    ) -> pa.RecordBatch:
        arrays = [*rows.columns[:keys], *images, *rows.columns[keys:]]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _taken(rows: pa.RecordBatch, places: np.ndarray[Any, np.dtype[np.int64]]) -> pa.RecordBatch:
    """Rows at some places; all of them are not copied."""
    if np.array_equal(places, np.arange(rows.num_rows)):
        return rows
    return rows.take(pa.array(places))


def _rows_at_once(batch: pa.RecordBatch) -> int:
    size = batch.nbytes / max(1, batch.num_rows)
    return int(min(_MOST_ROWS, max(1, _BATCH_BYTES // max(1.0, size))))


def _named(columns: Sequence[str], whose: str, taken: set[str]) -> dict[str, str]:
    """Column -> a name that none of those taken has: its own, or one that says whose it is."""
    named: dict[str, str] = {}
    used = set(taken)
    for column in columns:
        name = column
        while name in used:
            name = f"{whose}_{name}"
        named[column] = name
        used.add(name)
    return named
