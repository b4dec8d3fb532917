"""Quality-control tables of other tools, such as coSMicQC, as tables of the Iceberg warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.contract.names import BATCH_NAMES, Aliases
from cp_assets.contract.profile_tables import open_table
from cp_assets.cytomining.names import TableName
from cp_assets.cytomining.own_tables import QUALITY_CONTROL, KeyedTable, TableOptions
from cp_assets.datasets.fingerprints import digest
from cp_assets.datasets.identity import PlateKey, plate_name
from cp_assets.errors import WarehouseRootError
from cp_assets.stores import place, state_of
from cp_assets.warehouse.spec import KEY_COLUMNS, PLATE_COLUMNS, TableSpec
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets.warehouse.writer import PartitionWrite, write_partition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cp_assets.stores import Place

_TELLING = ("profiles.joined_profiles", "images.image_assets")
"""Tables whose plates tell the batch of rows that name a plate alone."""


@dataclass(frozen=True, kw_only=True)
class PlateNames:
    """What the user says of a table's plates; of the rest its columns or the warehouse tell."""

    dataset_id: str | None = None
    batch_id: str | None = None
    plate_id: str | None = None


def take_in_quality_control(
    source: str | Path,
    warehouse: Warehouse | str | Path | None,
    table_name: str,
    plates: PlateNames | None = None,
    aliases: Aliases | None = None,
) -> list[PartitionWrite]:
    """Write a quality-control table into the warehouse as ``quality_control.<name>``.

    Each plate of it is one partition, replaced in one commit: taking in the same plate again
    replaces its rows. A table of many plates is read once for each. Columns keep their names; keys
    of the join contract are added where they have others.

    Parameters
    ----------
    source
        Parquet, a folder of Parquet files, or CSV.
    table_name
        With or without ``quality_control.``.
    plates
        Dataset, batch and plate of rows that do not say; what is given counts for all rows. What
        nobody says is looked up: the plate of that name that has profiles or images.

    Raises
    ------
    ConfigurationError, MeasurementError
        If there is no such table, or it cannot be read.
    WarehouseRootError
        If the name cannot be used, or nothing tells the plate of a row.
    SchemaConflictError, WarehouseWriteError
        If the warehouse does not take the rows.
    """
    name = TableName.of_role(table_name, QUALITY_CONTROL)
    if name.namespace != QUALITY_CONTROL or str(name) == "quality_control.rejected_rows":
        msg = f"{name}: expected a name of your own, such as {QUALITY_CONTROL}.cosmicqc"
        raise WarehouseRootError(msg)
    opened = warehouse if isinstance(warehouse, Warehouse) else open_warehouse(warehouse)
    options = TableOptions(table_name=str(name), role=QUALITY_CONTROL, aliases=aliases or Aliases())
    table = KeyedTable.of(open_table(source), options)
    rows = _PlateRows(str(source), table, plates or PlateNames(), opened)
    fingerprint = digest([str(name), str(source), _states(source)])
    spec = _spec(name)
    return [
        write_partition(
            opened,
            spec,
            key.columns(),
            rows.of(values),
            fingerprint,
            columns_to_come=table.schema,
        )
        for key, values in rows.plates().items()
    ]


def _spec(name: TableName) -> TableSpec:
    keys = [one if one.name in PLATE_COLUMNS else one.with_nullable(True) for one in KEY_COLUMNS]
    return TableSpec(
        name=str(name),
        doc="flags and scores to keep or leave out rows of profiles by",
        schema=pa.schema(keys),
        open_columns=True,
        lookup_columns=(),
    )


def _states(source: str | Path) -> list[tuple[str, object]]:
    """What tells that the files are the same."""
    there = place(str(source))
    files: list[Place] = list(there.iterdir()) if there.is_dir() else [there]
    return sorted((one.name, state_of(one)) for one in files if one.is_file())


class _PlateRows:
    """A table's rows, plate by plate."""

    def __init__(
        self, source: str, table: KeyedTable, names: PlateNames, warehouse: Warehouse
    ) -> None:
        self._source = source
        self._table = table
        self._names = names
        self._known = {key for table in _TELLING for key in warehouse.plates(table)}
        columns = table.schema.names
        batch = next((one for one in BATCH_NAMES if one in columns), None)
        self._columns = {
            "dataset_id": None if names.dataset_id else table.resolved.get("dataset_id"),
            "batch_id": None if names.batch_id else batch,
            "plate_id": None if names.plate_id else table.resolved.get("plate_id"),
        }

    def plates(self) -> dict[PlateKey, list[tuple[str | None, ...]]]:
        """Plate -> the values of the key columns that its rows have."""
        found: dict[PlateKey, list[tuple[str | None, ...]]] = {}
        for values in sorted(self._distinct(), key=str):
            found.setdefault(self._key(values), []).append(values)
        if not found:
            msg = f"{self._source}: has no row to take in"
            raise WarehouseRootError(msg)
        return found

    def of(self, wanted: Sequence[tuple[str | None, ...]]) -> Iterator[pa.RecordBatch]:
        """The rows that have one of these values in the key columns."""
        for batch in self._table.batches():
            texts = self._texts(batch)
            keep = pa.array([False] * batch.num_rows)
            for values in wanted:
                keep = pc.or_(keep, _is_all(texts, values, batch.num_rows))
            chosen = batch.filter(keep)
            if chosen.num_rows:
                yield chosen

    def _distinct(self) -> set[tuple[str | None, ...]]:
        found: set[tuple[str | None, ...]] = set()
        for batch in self._table.batches():
            texts = self._texts(batch)
            if not batch.num_rows:
                continue
            if not texts:
                return {()}
            names = [str(number) for number in range(len(texts))]
            rows = pa.table(texts, names=names).group_by(names).aggregate([])
            found.update(zip(*(rows[name].to_pylist() for name in names), strict=True))
        return found

    def _texts(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The columns that tell the plate, as text."""
        return [batch[name].cast(pa.string()) for name in self._columns.values() if name]

    def _key(self, values: tuple[str | None, ...]) -> PlateKey:
        """The plate of rows that have these values in the key columns.

        Raises
        ------
        WarehouseRootError
            If nothing tells it.
        """
        given = iter(values)
        told = {
            name: getattr(self._names, name) or (plate_name(next(given) or "") if column else None)
            for name, column in self._columns.items()
        }
        fitting = [
            key
            for key in self._known
            if all(value in (None, getattr(key, name)) for name, value in told.items())
        ]
        if all(told.values()):
            return PlateKey(**{name: str(value) for name, value in told.items()})
        if len(fitting) == 1 and told["plate_id"]:
            return fitting[0]
        missing = next(name for name, value in told.items() if value is None)
        msg = (
            f"{self._source}: nothing tells the {missing} of plate {told['plate_id'] or '(none)'}, "
            f"and {len(fitting)} plates of {' and '.join(_TELLING)} fit; say it with "
            f"--{missing.replace('_', '-')}"
        )
        raise WarehouseRootError(msg)


def _is_all(texts: Sequence[pa.Array], values: tuple[str | None, ...], rows: int) -> pa.Array:
    """Which rows have these values, a null among them."""
    same = pa.array([True] * rows)
    for array, value in zip(texts, values, strict=True):
        here = pc.is_null(array) if value is None else pc.equal(array, value).fill_null(False)
        same = pc.and_(same, here)
    return same
