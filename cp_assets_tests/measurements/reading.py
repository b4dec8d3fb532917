"""Reading raw measurements and joining them without a warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from cp_assets.datasets import PlateSources
from cp_assets.measurements.joined import joined_profiles
from cp_assets.measurements.raw import RawReader
from cp_assets.rejections import RejectionLog


def read_raw(sources: PlateSources) -> tuple[dict[str, list[pa.RecordBatch]], RejectionLog]:
    """Raw batches of a plate by compartment."""
    log = RejectionLog()
    found: dict[str, list[pa.RecordBatch]] = {}
    for batch in RawReader(sources, log).batches():
        found.setdefault(batch["compartment"][0].as_py(), []).append(batch)
    return found, log


def raw_table(sources: PlateSources, compartment: str) -> pa.Table:
    """Raw rows of one compartment."""
    batches = read_raw(sources)[0].get(compartment, [])
    return pa.concat_tables([pa.table(batch) for batch in batches], promote_options="default")


def join_plate(sources: PlateSources) -> tuple[pa.Table, RejectionLog]:
    """Joined profiles of a plate, and the books of the join alone."""
    raw, _ = read_raw(sources)
    columns = {
        name: list(dict.fromkeys(column for batch in batches for column in batch.schema.names))
        for name, batches in raw.items()
    }

    def scan(compartment: str, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        for batch in raw[compartment]:
            there = [one for one in columns or () if one in batch.schema.names]
            yield batch if columns is None else batch.select(there)

    log = RejectionLog()
    batches = list(joined_profiles(sources, columns, scan, log))
    tables = [pa.table(batch) for batch in batches] or [pa.table({})]
    return pa.concat_tables(tables, promote_options="default"), log
