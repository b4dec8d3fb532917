"""What every asset of the house has: group, kinds, owners, table, partitions."""

from typing import Any

import dagster as dg

from cp_assets.partitions import PLATES
from cp_assets.warehouse.spec import TableSpec

IO_MANAGER = "iceberg"
OWNERS = ("team:data-stewards",)

IMAGE_WORK = "image_work"
WAREHOUSE_WRITES = "warehouse_writes"
"""Concurrency pools: steps that decode and cut images, which fill memory and cores, and all other
steps that write tables. They have no limit until one is set (`dagster.yaml` says how)."""


def table_asset(
    spec: TableSpec,
    *,
    kinds: set[str],
    deps: tuple[str, ...] = (),
    group: str | None = None,
    pool: str = WAREHOUSE_WRITES,
) -> dict[str, Any]:
    """Arguments of ``dg.asset`` for the asset that fills a table.

    ``group`` is where the graph draws it, by default the table's namespace.
    """
    return {
        "name": spec.identifier[1],
        "deps": [dg.AssetKey(name) for name in deps],
        "partitions_def": PLATES,
        "pool": pool,
        "group_name": group or spec.identifier[0],
        "kinds": kinds,
        "owners": list(OWNERS),
        "io_manager_key": IO_MANAGER,
        "code_version": spec.code_version,
        # Of use when the user switches on Dagster's automation condition sensor. A plate's tables
        # wait until its files were observed, so that nothing is built from half an upload.
        "automation_condition": dg.AutomationCondition.eager(),
        "metadata": {
            "table": spec.name,
            "one row is": spec.doc,
            "partitioned by": ", ".join(spec.partition_columns),
        },
    }
