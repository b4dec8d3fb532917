"""The checks as Dagster asset checks, one partition a plate."""

import warnings
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster_duckdb import DuckDBResource

from cp_assets.building.links import PROFILE_WITH_IMAGES
from cp_assets.checks.annotation_checks import ANNOTATION_AGREES, WELLS_OF_PLATE_MAP
from cp_assets.checks.batch_checks import COLUMNS_OF_BATCH, LOAD_DATA_PLACE, PLATES_OF_BATCH
from cp_assets.checks.file_checks import FILES_HAVE_ROWS, FILES_HAVE_SAME_COLUMNS, FILES_OF_ONE_AGE
from cp_assets.checks.image_asset_checks import (
    ARRAYS_UNIQUE,
    CHUNKS_HAVE_IMAGES,
    CHUNKS_UNIQUE,
    IMAGE_BOOKS,
    PROFILES_HAVE_IMAGES,
)
from cp_assets.checks.image_table_checks import (
    CHANNELS_DIFFER,
    COUNTS_AGREE,
    NO_NAN_TEXT,
)
from cp_assets.checks.naming_checks import PLATES_AGREE, WELLS_AGREE
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck
from cp_assets.checks.plate_checks import (
    BOXES_INSIDE_IMAGES,
    CROP_BOOKS,
    CROPS_HAVE_PROFILES,
    ETAGS_MATCH,
    OBJECT_BOOKS,
)
from cp_assets.checks.row_checks import (
    JOIN_CONTRACT,
    RECOMMENDED_COLUMNS,
    TYPES_AS_DECLARED,
    keys_unique,
)
from cp_assets.images import IMAGE_CROPS, SOURCE_IMAGES
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.partitions import PLATES
from cp_assets.provenance.manifest import MANIFEST
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step
from cp_assets.scanning.tables import CHUNK_INDEX, IMAGE_ASSETS
from cp_assets.warehouse.spec import TableSpec

_CONTRACT = (JOIN_CONTRACT, RECOMMENDED_COLUMNS, TYPES_AS_DECLARED)

CHECKS: dict[TableSpec, tuple[TableCheck, ...]] = {
    RAW_MEASUREMENTS: (
        *_CONTRACT,
        # Measured twice is as measured: the join leaves such objects out and says so.
        keys_unique("compartment", "image_id", "ObjectNumber", blocking=False),
        *(FILES_HAVE_ROWS, FILES_HAVE_SAME_COLUMNS, FILES_OF_ONE_AGE),
        *(NO_NAN_TEXT, COUNTS_AGREE, PLATES_AGREE, WELLS_AGREE, CHANNELS_DIFFER),
        *(WELLS_OF_PLATE_MAP, PLATES_OF_BATCH, LOAD_DATA_PLACE),
    ),
    JOINED_PROFILES: (
        *_CONTRACT,
        keys_unique("Metadata_ObjectID"),
        OBJECT_BOOKS,
        COLUMNS_OF_BATCH,
        ANNOTATION_AGREES,
    ),
    IMAGE_ASSETS: (*_CONTRACT, ARRAYS_UNIQUE, IMAGE_BOOKS),
    CHUNK_INDEX: (*_CONTRACT, CHUNKS_UNIQUE, CHUNKS_HAVE_IMAGES),
    IMAGE_CROPS: (
        *_CONTRACT,
        keys_unique("Metadata_ImageCropID"),
        BOXES_INSIDE_IMAGES,
        CROPS_HAVE_PROFILES,
        CROP_BOOKS,
    ),
    SOURCE_IMAGES: (*_CONTRACT, keys_unique("Metadata_ImageID")),
    PROFILE_WITH_IMAGES: (
        *_CONTRACT,
        keys_unique("Metadata_ImageCropID"),
        CROPS_HAVE_PROFILES,
        PROFILES_HAVE_IMAGES,
    ),
    MANIFEST: (TYPES_AS_DECLARED, keys_unique("table_name"), ETAGS_MATCH),
}
"""Table -> its checks."""


def asset_checks() -> list[dg.AssetChecksDefinition]:
    """All checks, gathered to one step an asset."""
    return [_checks_of(spec, checks) for spec, checks in CHECKS.items()]


def _checks_of(spec: TableSpec, checks: Sequence[TableCheck]) -> dg.AssetChecksDefinition:
    asset = dg.AssetKey(spec.identifier[1])

    @dg.multi_asset_check(name=f"{spec.identifier[1]}_checks", specs=_specs(asset, checks))
    def run_checks(
        context: dg.AssetCheckExecutionContext,
        datasets: DatasetsResource,
        warehouse: WarehouseResource,
        duckdb: DuckDBResource,
    ) -> Iterator[dg.AssetCheckResult]:
        with duckdb.get_connection() as connection, plate_step(context):
            plate = datasets.plate(context.partition_key)
            tables = PlateTables(warehouse.open(), plate, connection)
            for check in checks:
                yield _result(asset, check, _outcome(check, tables, spec))

    return run_checks


def _specs(asset: dg.AssetKey, checks: Sequence[TableCheck]) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Partitioned checks are a preview feature of Dagster 1.13; without them a check would look
        # at the table's newest plate, whichever that is.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name=check.name,
                asset=asset,
                description=check.description,
                blocking=check.blocking,
                partitions_def=PLATES,
            )
            for check in checks
        ]


def _outcome(check: TableCheck, tables: PlateTables, spec: TableSpec) -> Outcome:
    if not tables.rows(spec.name).exists:
        return Outcome(passed=True, summary="the plate has no rows in this table: nothing to check")
    return check.run(tables, spec)


def _result(asset: dg.AssetKey, check: TableCheck, outcome: Outcome) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        passed=outcome.passed,
        asset_key=asset,
        check_name=check.name,
        severity=severity,
        description=outcome.summary,
        metadata=dict(outcome.figures),
    )
