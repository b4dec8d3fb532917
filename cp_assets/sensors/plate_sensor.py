"""A dataset's sensor: what a tick found, as Dagster's requests and events."""

from collections.abc import Iterator, Sequence

import dagster as dg

from cp_assets import observations
from cp_assets.datasets import PlateKey
from cp_assets.datasets.plate_files import dataset_files
from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.errors import ConfigurationError, PlateNotFoundError
from cp_assets.partitions import PLATES
from cp_assets.resources import DatasetsResource
from cp_assets.running.jobs import build_plates
from cp_assets.sensors.dagster_records import DagsterRecords, run_request
from cp_assets.watching.cursor import Cursor
from cp_assets.watching.tick import Tick, TickResult

_MAX_NEW = 1000
"""Partitions that are added in one tick, at most: Dagster asks for each whether it is there."""

_SHOWN = 5


def plate_sensor(name: str, dataset_id: str, options: SensorOptions) -> dg.SensorDefinition:
    """The sensor of a dataset; name, interval and status are those of when the code was loaded."""

    @dg.sensor(
        name=name,
        job=build_plates,
        minimum_interval_seconds=options.interval,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if options.enabled else dg.DefaultSensorStatus.STOPPED
        ),
        description=(
            f"Plates of {dataset_id}: adds the partitions of new ones, and builds those that are "
            "new or changed once they are uploaded."
        ),
    )
    def sensor(
        context: dg.SensorEvaluationContext, datasets: DatasetsResource
    ) -> dg.SensorResult | dg.SkipReason:
        configuration = datasets.configuration()
        try:
            dataset = configuration.dataset_named(dataset_id)
        except PlateNotFoundError as error:
            return dg.SkipReason(f"{error}; reload the code location")
        records = DagsterRecords(context.instance, dataset_id)
        try:
            files = dataset_files(dataset)
        except PlateNotFoundError as error:
            # A folder that is not mounted looks the same: nobody's plates are called gone for it.
            known = len(records.plates())
            return dg.SkipReason(f"no plate is there, {known:,} are known: {error}")
        tick = Tick(files, records, configuration.sensor_of(dataset_id))
        result = tick.run(_cursor(context))
        _log(context, result)
        return _sensor_result(result)

    return sensor


def _cursor(context: dg.SensorEvaluationContext) -> Cursor:
    try:
        return Cursor.from_text(context.cursor)
    except ConfigurationError as error:
        context.log.warning("%s: all plates are looked at again, and none is built twice", error)
        return Cursor()


def _sensor_result(result: TickResult) -> dg.SensorResult:
    partitions = _partitions(result)
    request = dg.AddDynamicPartitionsRequest(
        partitions_def_name=str(PLATES.name), partition_keys=partitions
    )
    return dg.SensorResult(
        run_requests=[run_request(one) for one in result.requests],
        skip_reason=None if result.requests else _summary(result),
        cursor=result.cursor.to_text(),
        dynamic_partitions_requests=[request] if partitions else [],
        asset_events=[*_events(result)],
    )


def _partitions(result: TickResult) -> list[str]:
    """Partitions to be added: of new plates, and in any case of those with a run or an event."""
    new = set(result.new)
    needed = {key for key, _ in result.observed if key in new}
    return [key.partition_key for key in sorted({*needed, *result.new[:_MAX_NEW]})]


def _events(result: TickResult) -> Iterator[dg.AssetObservation]:
    for key, state in result.observed:
        yield from observations.there(key, state)
    for key, observed in result.gone:
        yield from observations.gone(key, observed)


def _log(context: dg.SensorEvaluationContext, result: TickResult) -> None:
    context.log.info("%s", _summary(result))
    for key, why in result.faults:
        context.log.warning("plate %s could not be looked at: %s", key, why)
    gone = _gone(result)
    if gone:
        context.log.warning(
            "%d plates are no longer there: %s. Their partitions and tables are kept",
            len(gone),
            _named(gone),
        )


def _summary(result: TickResult) -> str:
    """A tick in one line."""
    parts = [f"{result.plates:,} plates"]
    told: list[tuple[str, Sequence[PlateKey]]] = [
        ("new", result.new),
        ("still uploading, or just changed", result.uploading),
        ("to be built", [one.key for one in result.requests]),
        ("changed again while they are built", result.building),
        ("gone", _gone(result)),
        ("could not be looked at (see the log)", [key for key, _ in result.faults]),
    ]
    parts += [f"{len(keys):,} {what}: {_named(keys)}" for what, keys in told if keys]
    if result.cursor.pending:
        parts.append(f"{len(result.cursor.pending):,} are waited for")
    if result.is_full:
        parts.append("more wait for their turn")
    return "; ".join(parts)


def _gone(result: TickResult) -> list[PlateKey]:
    return sorted((*(key for key, _ in result.gone), *result.gone_unseen))


def _named(keys: Sequence[PlateKey]) -> str:
    named = ", ".join(str(key) for key in keys[:_SHOWN])
    return f"{named}, ..." if len(keys) > _SHOWN else named
