"""Tasks side by side: each result once, a death costs one task, Ctrl-C ends all in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from cp_assets.running.processes import Died, SideBySide


@contextmanager
def worker(folder: Path) -> Iterator[Callable[[int], tuple[int, int]]]:
    """Gives a task and its process; dies of 4, and says when it ends."""

    def work(task: int) -> tuple[int, int]:
        if task == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return task, os.getpid()

    yield work
    (folder / str(os.getpid())).touch()


@pytest.mark.slow
def test_each_task_is_done_once_and_a_death_costs_its_own_task(tmp_path: Path) -> None:
    crew: SideBySide[int, tuple[int, int]] = SideBySide(partial(worker, tmp_path), 2)
    results = list(crew.run(range(12)))
    died = [result for result in results if isinstance(result, Died)]
    done = [result for result in results if not isinstance(result, Died)]
    assert [(one.task, one.exit_code) for one in died] == [(4, -signal.SIGKILL)]
    assert sorted(task for task, _ in done) == [task for task in range(12) if task != 4]
    processes = {pid for _, pid in done}
    # Kept from task to task; one more in place of the one that died.
    assert 2 <= len(processes) <= 3
    assert os.getpid() not in processes
    ended = {int(path.name) for path in tmp_path.iterdir()}
    assert len(ended) == 2
    assert ended <= processes


@pytest.mark.slow
def test_stopped_crew_begins_no_further_task(tmp_path: Path) -> None:
    crew: SideBySide[int, tuple[int, int]] = SideBySide(partial(worker, tmp_path), 1)
    results = crew.run(range(3))
    assert next(results) == (0, next(iter([*crew._idle])).process.pid)
    crew.stop()
    assert list(results) == []


PROGRAM = """
import os, sys, time
from functools import partial
from contextlib import contextmanager
from cp_assets.running.processes import SideBySide

@contextmanager
def enter():
    def work(task):
        try:
            print("begun", task, flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(0.2)
            return f"put away {task}"
    yield work

if __name__ == "__main__":
    try:
        for result in SideBySide(enter, 2).run(range(9)):
            print(result, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.slow
def test_interrupt_is_heard_once_by_each_process(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    begun = {process.stdout.readline(), process.stdout.readline()}
    assert begun == {"begun 0\n", "begun 1\n"}
    # As a terminal sends it for Ctrl-C.
    os.killpg(process.pid, signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert sorted(said.splitlines()[:2]) == ["put away 0", "put away 1"]
    assert said.splitlines()[2:] == ["interrupted"]
    assert errors == ""
    assert process.returncode == 0
