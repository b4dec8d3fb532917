"""Dagster resources: the warehouse, the configured datasets, and the Iceberg I/O manager."""

import dagster as dg

from cp_assets.assets.metadata import figures, materialization_metadata
from cp_assets.building import NotApplicable, PlateTable, build_table
from cp_assets.datasets import PlateKey, PlateSources, find_plate
from cp_assets.datasets.config import Configuration, read_configuration
from cp_assets.running.steps import plate_step
from cp_assets.warehouse.catalog import hold_configured
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

FORCE_TAG = "cp_assets/force"
"""Run tag: ``true`` writes partitions even if their inputs are unchanged."""


class DatasetsResource(dg.ConfigurableResource):
    """The datasets of ``cp_assets.yaml``.

    Attributes
    ----------
    config
        The file; by default ``CP_ASSETS_CONFIG``, else ``./cp_assets.yaml``.
    """

    config: str | None = None

    def configuration(self) -> Configuration:
        """What the file says now."""
        return read_configuration(self.config)

    def plate(self, partition_key: str) -> PlateSources:
        """All that lies on disk of a partition's plate."""
        key = PlateKey.parse(partition_key)
        return find_plate(self.configuration().dataset_of(key), key)


class WarehouseResource(dg.ConfigurableResource):
    """The warehouse that the assets write to.

    Attributes
    ----------
    location
        A folder or the name of a configured PyIceberg catalog; by default what ``cp_assets.yaml``
        says, else the catalog ``cp_assets``, else ``CP_ASSETS_WAREHOUSE``, else ``./warehouse``.
    """

    location: str | None = None
    datasets: DatasetsResource

    def open(self) -> Warehouse:
        """The warehouse, made if it does not exist."""
        location = self.location or hold_configured(self.datasets.configuration().warehouse)
        return open_warehouse(location, create=True)


class IcebergIOManager(dg.ConfigurableIOManager):
    """Writes what an asset returns as the plate's partition of its Iceberg table.

    An asset returns what its rows are made of (`PlateTable`), and they stream from there into the
    partition writer; nothing is held in memory. An asset that loads an upstream one gets its
    `PartitionRows`.
    """

    warehouse: WarehouseResource

    def handle_output(self, context: dg.OutputContext, obj: PlateTable | NotApplicable) -> None:
        """Write the partition and record what was done as the materialization's metadata."""
        force = context.step_context.run_tags.get(FORCE_TAG) == "true"
        with plate_step(context):
            warehouse = self.warehouse.open()
            build = build_table(warehouse, obj, force=force)
            context.log.info(
                "%s %s: %s, %d rows",
                *(obj.plate, build.table, build.state, build.rows),
                extra={"figures": figures(build)},
            )
            context.add_output_metadata(materialization_metadata(warehouse, obj, build))
            # Equal versions mean equal rows: what is downstream of an unchanged table is not stale.
            version = obj.fingerprint if isinstance(obj, PlateTable) else "no rows"
            context.step_context.set_data_version(context.asset_key, dg.DataVersion(version))

    def load_input(self, context: dg.InputContext) -> PartitionRows:
        """The plate's rows of the upstream table, as a stream."""
        plate = PlateKey.parse(context.partition_key)
        upstream = context.upstream_output
        metadata = (upstream.definition_metadata if upstream else None) or {}
        return PartitionRows(self.warehouse.open(), str(metadata["table"]), plate.columns())
