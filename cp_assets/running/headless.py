"""Building many plates without Dagster's UI: resumed, side by side, each with its own run."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial

import dagster as dg

from cp_assets.building import STEPS, is_finished
from cp_assets.datasets import PlateKey, find_plate
from cp_assets.datasets.config import Configuration, read_configuration
from cp_assets.errors import ConfigurationError, CpAssetsError, NoSuchTableError
from cp_assets.partitions import register_plates
from cp_assets.running.jobs import RunOptions, dagster_instance, run_plate
from cp_assets.running.lost_runs import end_lost_runs
from cp_assets.running.plate_run import PlateRun
from cp_assets.running.processes import Died, SideBySide
from cp_assets.warehouse.catalog import hold_configured
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

_PARTITION_TAG = "dagster/partition"


def selected_assets(selections: Iterable[str]) -> tuple[str, ...] | None:
    """Names of the assets that Dagster's selection syntax means; None where none is given.

    Parameters
    ----------
    selections
        Such as ``joined_profiles`` or ``key:joined_profiles+``; together, not one within the other.

    Raises
    ------
    ConfigurationError
        If a selection is not understood, or means no asset of a plate.
    """
    from cp_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    chosen: set[str] = set()
    for selection in selections:
        try:
            keys = dg.AssetSelection.from_string(selection).resolve(graph)
        except (dg.DagsterError, ValueError) as error:
            keys, reason = set(), f" ({error})"
        else:
            reason = ""
        named = {key.to_user_string() for key in keys} & set(STEPS)
        if not named:
            msg = (
                f"--select {selection!r} means no asset of a plate{reason}; "
                f"there are: {', '.join(STEPS)}"
            )
            raise ConfigurationError(msg)
        chosen |= named
    return tuple(name for name in STEPS if name in chosen) or None


class PlateBuilder:
    """Builds plates one after the other, and passes over those that are finished.

    Parameters
    ----------
    instance
        Where the runs are recorded.
    """

    def __init__(self, instance: dg.DagsterInstance, options: RunOptions) -> None:
        self._instance = instance
        self._options = options
        self._tables = options.assets or tuple(STEPS)
        self._opened: Warehouse | None = None

    def build(self, plate: PlateKey) -> PlateRun:
        """Build a plate, unless it is finished."""
        try:
            if self.is_finished(plate):
                return PlateRun(plate, states=dict.fromkeys(self._tables, "unchanged"))
            return run_plate(self._instance, plate, self._options)
        except KeyboardInterrupt:
            return PlateRun(plate, error="interrupted", interrupted=True)

    def is_finished(self, plate: PlateKey) -> bool:
        """Whether a run of the plate would find nothing to do.

        Its tables hold what its inputs give, and, where runs are remembered, its newest run
        succeeded: a check that failed is not forgotten, and a plate that Dagster knows nothing of
        is shown to it.
        """
        if self._options.force:
            return False
        if self._instance.is_persistent and not self._succeeded_last(plate):
            return False
        try:
            sources = find_plate(self._configuration.dataset_of(plate), plate)
        except CpAssetsError:
            # A run of it says what is wrong.
            return False
        warehouse = self.warehouse()
        return warehouse is not None and is_finished(sources, warehouse, self._tables)

    def _succeeded_last(self, plate: PlateKey) -> bool:
        runs = self._instance.get_runs(
            dg.RunsFilter(tags={_PARTITION_TAG: plate.partition_key}), limit=1
        )
        return bool(runs) and runs[0].status is dg.DagsterRunStatus.SUCCESS

    @cached_property
    def _configuration(self) -> Configuration:
        return read_configuration()

    def warehouse(self) -> Warehouse | None:
        """Where the tables are; None where no run has made it yet.

        Raises
        ------
        ConfigurationError, WarehouseUnavailableError
            As `cp_assets.warehouse.warehouse.open_warehouse`.
        """
        if self._opened is None:
            named = self._options.warehouse or hold_configured(self._configuration.warehouse)
            with suppress(NoSuchTableError):
                self._opened = open_warehouse(named)
        return self._opened


def build_many(
    plates: Sequence[PlateKey],
    options: RunOptions,
    *,
    workers: int = 1,
    fail_fast: bool = False,
) -> Generator[PlateRun, None, None]:
    """Build plates; what became of each, as it is done.

    A plate that fails does not stop the others, nor does one whose process is killed.

    Parameters
    ----------
    workers
        Plates at a time, each in a process of its own; 1 builds them here.
    fail_fast
        Begin no further plate when one has failed.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when the plates in work have been put away and given.
    """
    with dagster_instance() as instance:
        end_lost_runs(instance)
        register_plates(instance, plates)
        if workers == 1:
            yield from _here(PlateBuilder(instance, options), plates, fail_fast)
        else:
            yield from _side_by_side(plates, options, workers, fail_fast)


def _here(
    builder: PlateBuilder, plates: Iterable[PlateKey], fail_fast: bool
) -> Generator[PlateRun, None, None]:
    for plate in plates:
        run = builder.build(plate)
        yield run
        if run.interrupted:
            raise KeyboardInterrupt
        if fail_fast and not run.succeeded:
            return


def _side_by_side(
    plates: Iterable[PlateKey], options: RunOptions, workers: int, fail_fast: bool
) -> Generator[PlateRun, None, None]:
    crew: SideBySide[PlateKey, PlateRun] = SideBySide(partial(_builder, options), workers)
    for result in crew.run(plates):
        run = _lost(result) if isinstance(result, Died) else result
        if fail_fast and not run.succeeded:
            crew.stop()
        yield run


@contextmanager
def _builder(options: RunOptions) -> Iterator[Callable[[PlateKey], PlateRun]]:
    """A worker process's builder, with an instance of its own."""
    with dagster_instance() as instance:
        yield PlateBuilder(instance, options).build


def _lost(died: Died[PlateKey]) -> PlateRun:
    said = (
        "was killed (is there memory for so many workers?)"
        if died.exit_code == -9  # noqa: PLR2004 - SIGKILL
        else f"ended with {died.exit_code}"
    )
    return PlateRun(died.task, error=f"its worker process {said}; its tables are as before")
