"""Bringing batches into a table's form: its column order, its types, its partition columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.arrow_types import iceberg_native
from cp_assets.errors import SchemaConflictError
from cp_assets.warehouse.schemas import arrow_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyiceberg.schema import Schema

    from cp_assets.warehouse.spec import TableSpec

_FROM_SCOPE = -1

_KINDS = {pa.float64(): "float", pa.int64(): "int", pa.string(): "string"}
"""Type of a column -> what the configuration calls it."""


@dataclass(frozen=True)
class BatchForm:
    """How batches of one schema become batches of a table.

    Made once for a schema and used for all its batches: with thousands of columns, looking at each
    column's type for each batch would cost more than writing it.

    Attributes
    ----------
    schema
        Of the batches to write: a subset of the table's columns, in its order.
    positions
        Where each of these columns lies in the incoming batch, or -1 for the scope's value.
    changing
        Which of these columns are not taken as they are: cast, checked for nulls, or the scope's.
    row_bytes
        Of a row's values of fixed width, in bytes.
    variable
        Which columns have values of other widths.
    """

    incoming: pa.Schema
    schema: pa.Schema
    positions: tuple[int, ...]
    changing: tuple[int, ...]
    scope: Mapping[str, str]
    where: str
    row_bytes: int
    variable: tuple[int, ...]

    @classmethod
    def of(
        cls,
        incoming: pa.Schema,
        table: Schema,
        spec: TableSpec,
        scope: Mapping[str, str],
        holder: Callable[[str], str | None],
    ) -> BatchForm:
        """Work out the form of a schema.

        Parameters
        ----------
        holder
            Names a plate whose rows have a column, for the error.

        Raises
        ------
        SchemaConflictError
            If a required column is missing, or a column has another type than the table's.
        """
        where = f"{spec.name} {'/'.join(scope.values())}"
        names = {*scope, *incoming.names} | {f.name for f in spec.schema if not f.nullable}
        fields = [field for field in arrow_schema(table) if field.name in names]
        place = {name: position for position, name in enumerate(incoming.names)}
        positions = [_FROM_SCOPE if f.name in scope else place.get(f.name) for f in fields]
        for field, position in zip(fields, positions, strict=True):
            if position is None:
                msg = f"{where}: required column {field.name} is missing from the rows"
                raise SchemaConflictError(msg)
            if position != _FROM_SCOPE:
                _check_type(field, incoming.field(position).type, where, holder)
        found = tuple(position for position in positions if position is not None)
        changing = tuple(
            number
            for number, (field, position) in enumerate(zip(fields, found, strict=True))
            if position == _FROM_SCOPE
            or not field.nullable
            or incoming.field(position).type != field.type
        )
        widths = [_width(field.type) for field in fields]
        return cls(
            incoming,
            pa.schema(fields),
            found,
            changing,
            scope,
            where,
            sum(width or 0 for width in widths),
            tuple(number for number, width in enumerate(widths) if width is None),
        )

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Bring one batch into the form.

        Raises
        ------
        SchemaConflictError
            If a required column has nulls.
        """
        columns = batch.columns
        arrays = [columns[position] for position in self.positions]
        for number in self.changing:
            arrays[number] = self._array(batch, self.schema.field(number), self.positions[number])
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def bytes_of(self, batch: pa.RecordBatch) -> int:
        """What a batch in this form takes in memory, about: to ask each of its columns takes ms."""
        variable = sum(int(batch.column(number).nbytes) for number in self.variable)
        return int(batch.num_rows) * self.row_bytes + variable

    def _array(self, batch: pa.RecordBatch, field: pa.Field, position: int) -> pa.Array:
        if position == _FROM_SCOPE:
            return pa.repeat(pa.scalar(self.scope[field.name], field.type), batch.num_rows)
        array = batch.column(position)
        if not field.nullable and array.null_count:
            msg = (
                f"{self.where}: required column {field.name} is null in {array.null_count} of "
                f"{len(array)} rows"
            )
            raise SchemaConflictError(msg)
        return array if array.type == field.type else array.cast(field.type)


def _width(kind: pa.DataType) -> int | None:
    """Bytes of a value; None where values differ in width."""
    return kind.bit_width // 8 if pa.types.is_primitive(kind) else None


def _check_type(
    field: pa.Field, kind: pa.DataType, where: str, holder: Callable[[str], str | None]
) -> None:
    if kind.equals(field.type) or iceberg_native(kind).equals(field.type):
        return
    plate = holder(field.name)
    written = f"as {plate} wrote it" if plate else "as other rows of this plate have it"
    wanted = _KINDS.get(field.type)
    same = (
        f"for the table's type set column_types: {{{field.name}: {wanted}}} of the dataset in "
        "cp_assets.yaml; else "
        if wanted
        else ""
    )
    msg = (
        f"{where}: column {field.name} is {kind} in this plate and {field.type} in the table, "
        f"{written}; {same}mend the file, or write to another warehouse"
    )
    raise SchemaConflictError(msg)
