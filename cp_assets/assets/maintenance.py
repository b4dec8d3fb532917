"""The assets ``maintenance/<table>``: each maintains one table, and the UI draws how it stands.

They are of no plate and have no inputs. The schedule is stopped until somebody starts it.
"""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import OWNERS, WAREHOUSE_WRITES
from cp_assets.building.maintaining import maintain_warehouse
from cp_assets.building.tables import TABLES
from cp_assets.datasets.durations import duration
from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plain_failures
from cp_assets.warehouse.maintenance import TableMaintenance
from cp_assets.warehouse.spec import TableSpec

GROUP = "maintenance"


class MaintenanceConfig(dg.Config):
    """Of one run; what is left out is as ``maintenance`` of ``cp_assets.yaml`` says.

    Attributes
    ----------
    older_than, grace
        Spans such as ``7d`` or ``12h``.
    dry_run
        Only say what would be done.
    """

    older_than: str | None = None
    keep_snapshots: int | None = None
    grace: str | None = None
    dry_run: bool = False

    def options(self, configured: MaintenanceOptions) -> MaintenanceOptions:
        """The options of this run."""
        keep = self.keep_snapshots
        return MaintenanceOptions(
            older_than=duration(self.older_than) if self.older_than else configured.older_than,
            keep_snapshots=configured.keep_snapshots if keep is None else keep,
            grace=duration(self.grace) if self.grace else configured.grace,
        )


def _maintenance_of(spec: TableSpec) -> dg.AssetsDefinition:
    @dg.asset(
        name=spec.identifier[1],
        key_prefix=GROUP,
        group_name=GROUP,
        kinds={"iceberg"},
        owners=list(OWNERS),
        pool=WAREHOUSE_WRITES,
        metadata={"table": spec.name},
        description=f"Small files, manifests, snapshots, orphans and health of {spec.name}.",
    )
    def maintenance(
        context: dg.AssetExecutionContext,
        config: MaintenanceConfig,
        datasets: DatasetsResource,
        warehouse: WarehouseResource,
    ) -> Any:
        attempts = context.get_step_execution_context().previous_attempt_count
        with plain_failures(attempts):
            there = warehouse.open()
            if not there.has_table(spec.name):
                return dg.MaterializeResult(
                    metadata={"state": "the warehouse has no such table yet"}
                )
            options = config.options(datasets.configuration().maintenance)
            (done,) = maintain_warehouse(there, [spec.name], options, dry_run=config.dry_run)
        return dg.MaterializeResult(metadata=_metadata(done))

    return maintenance


def _metadata(done: TableMaintenance) -> dict[str, Any]:
    oldest = done.health.oldest_snapshot
    return {
        "state": "dry run: nothing was done" if done.dry_run else "maintained",
        **done.figures(),
        "oldest snapshot": dg.MetadataValue.timestamp(oldest) if oldest else "none",
    }


MAINTENANCE = [_maintenance_of(spec) for spec in TABLES.values()]

maintain_tables = dg.define_asset_job(
    "maintain_tables",
    selection=dg.AssetSelection.groups(GROUP),
    description="Rewrites small files, merges manifests, expires snapshots and removes orphans.",
)

weekly_maintenance = dg.ScheduleDefinition(
    name="weekly_maintenance",
    job=maintain_tables,
    cron_schedule="0 3 * * 0",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Maintains all tables on Sundays at 3:00 UTC; stopped until somebody starts it.",
)
