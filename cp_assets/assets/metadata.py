"""What a materialization records: figures, columns, lineage, a picture for the data steward."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from cp_assets.assets.previews import preview
from cp_assets.building import NotApplicable, PlateBuild, PlateTable
from cp_assets.measurements.joined_columns import JOINED_PROFILES, raw_columns_of
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.warehouse import Warehouse

_PAYLOAD = "ome_arrow_"


def figures(build: PlateBuild) -> dict[str, float]:
    """Rows, bytes and seconds of a build, for its log line and for the plots of Dagster's UI."""
    of_stages: dict[str, float] = {}
    for name, stage in sorted(build.stages.items()):
        of_stages[f"seconds {name}"] = round(stage.seconds, 3)
        if stage.bytes:
            of_stages[f"bytes {name}"] = stage.bytes
    return {
        "rows": build.rows,
        "bytes": build.bytes,
        "data files": build.files,
        "seconds": round(build.seconds, 3),
        "rejected or incomplete": sum(build.rejected.values()),
        **of_stages,
    }


def materialization_metadata(
    warehouse: Warehouse, table: PlateTable | NotApplicable, build: PlateBuild
) -> dict[str, Any]:
    """Metadata of a plate's materialization, for Dagster's UI."""
    metadata: dict[str, Any] = {
        "state": build.state,
        "dagster/partition_row_count": build.rows,
    }
    shown = preview(warehouse, build.table, table.plate) if build.state != "skipped" else None
    if shown:
        metadata[shown.title] = dg.MetadataValue.md(shown.markdown)
    metadata |= figures(build)
    if build.reason:
        metadata["reason"] = build.reason
    if build.snapshot_id is not None:
        metadata["snapshot id"] = str(build.snapshot_id)
    if build.rejected:
        metadata["rejected by reason"] = dg.MetadataValue.json(dict(build.rejected))
    columns = build.columns or _columns_there(warehouse, table, build)
    if columns:
        metadata["dagster/column_schema"] = _column_schema(table, columns)
    if columns and build.table == JOINED_PROFILES.name:
        metadata["dagster/column_lineage"] = _column_lineage(columns)
    return metadata


def _columns_there(
    warehouse: Warehouse, table: PlateTable | NotApplicable, build: PlateBuild
) -> Mapping[str, str]:
    """Columns of rows that were there already: the UI shows those of the newest materialization."""
    if build.state == "skipped":
        return {}
    schemas = PartitionRows(warehouse, build.table, table.plate.columns()).schemas()
    return {field.name: str(field.type) for schema in schemas for field in schema}


def _column_schema(table: PlateTable | NotApplicable, columns: Mapping[str, str]) -> dg.TableSchema:
    # The open-source UI draws no column lineage: the description says where a column comes from.
    sources = raw_columns_of(columns) if table.spec.name == JOINED_PROFILES.name else {}
    docs = {name: f"raw_measurements: {source}" for name, source in sources.items()}
    docs |= {f.name: (f.metadata or {}).get(b"doc", b"").decode() for f in table.spec.schema}
    required = {field.name for field in table.spec.schema if not field.nullable}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type="OME-Arrow image" if name.startswith(_PAYLOAD) else kind,
                description=docs.get(name) or None,
                constraints=dg.TableColumnConstraints(nullable=name not in required),
            )
            for name, kind in columns.items()
        ]
    )


def _column_lineage(columns: Mapping[str, str]) -> dg.TableColumnLineage:
    raw = dg.AssetKey("raw_measurements")
    return dg.TableColumnLineage(
        deps_by_column={
            name: [dg.TableColumnDep(asset_key=raw, column_name=source)]
            for name, source in raw_columns_of(columns).items()
        }
    )
