"""Processes that write plates at the same moment, each with a warehouse of its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

from cp_assets.conversion import build_plate
from cp_assets.datasets import dataset_from_folder, find_plates
from cp_assets.warehouse.warehouse import open_warehouse

_SECONDS = 900


def write_at_once(processes: int, root: Path, warehouse: str, home: Path) -> Sequence[int | None]:
    """Build a prefix's plates, dealt to so many processes; their exit codes.

    Parameters
    ----------
    warehouse
        A folder, or the name of a catalog that ``home`` configures.
    home
        Folder of `.pyiceberg.yaml`.
    """
    # One process imports the library; the writers are forked from it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ready = context.Barrier(processes)
    arguments = [(number, processes, root, warehouse, home, ready) for number in range(processes)]
    writers = [context.Process(target=_write_share, args=one) for one in arguments]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(_SECONDS)
        if writer.is_alive():
            writer.kill()
    return [writer.exitcode for writer in writers]


def _write_share(
    number: int, processes: int, root: Path, warehouse: str, home: Path, ready: Barrier
) -> None:
    os.environ["PYICEBERG_HOME"] = str(home)
    plates = list(find_plates(dataset_from_folder(root, dataset_id="sample")).values())
    ready.wait(_SECONDS)
    # Each opens, and the first of all makes, the catalog's tables, the namespaces and the tables.
    opened = open_warehouse(warehouse, create=True)
    for sources in plates[number::processes]:
        build_plate(opened, sources)
