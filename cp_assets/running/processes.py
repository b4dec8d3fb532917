"""Tasks side by side in processes of their own; one that dies costs its own task only."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_END_SECONDS = 60.0
"""How long a process may take to put away what it was doing, once it is asked to end."""

Worker = AbstractContextManager[Callable[[Task], Result]]
"""Entered once in each process; what it gives is called for each task."""


@dataclass(frozen=True)
class Died(Generic[Task]):
    """Stands for the result of a task whose process ended under it.

    Attributes
    ----------
    exit_code
        As the system gave it; negative for a signal: -9 is what a machine out of memory sends.
    """

    task: Task
    exit_code: int | None


@dataclass(eq=False)
class _Process(Generic[Task]):
    process: Any
    connection: Connection
    task: Task | None = None


@dataclass(eq=False)
class SideBySide(Generic[Task, Result]):
    """Runs tasks in up to so many processes, which are kept from task to task.

    Attributes
    ----------
    enter
        Makes a process's worker: a function that a new interpreter can import, or a partial of one.
    """

    enter: Callable[[], Worker[Task, Result]]
    processes: int
    _idle: list[_Process[Task]] = field(default_factory=list)
    _busy: list[_Process[Task]] = field(default_factory=list)
    _stopped: bool = False

    def stop(self) -> None:
        """Begin no further task."""
        self._stopped = True

    def run(self, tasks: Iterable[Task]) -> Generator[Result | Died[Task], None, None]:
        """The tasks' results, as they come.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C: each process was asked once to end its task, and what they had to say of
            it has been given.
        """
        waiting = deque(tasks)
        try:
            while (waiting and not self._stopped) or self._busy:
                self._begin(waiting)
                ready = wait([one.connection for one in self._busy])
                for one in [one for one in self._busy if one.connection in ready]:
                    yield self._collect(one)
        except KeyboardInterrupt:
            yield from self._interrupted()
            raise
        finally:
            for one in self._busy:
                os.kill(one.process.pid, signal.SIGINT)
            for one in (*self._idle, *self._busy):
                one.connection.close()
            for one in (*self._idle, *self._busy):
                one.process.join(_END_SECONDS)
                one.process.kill()

    def _begin(self, waiting: deque[Task]) -> None:
        while waiting and not self._stopped and len(self._busy) < self.processes:
            one = self._idle.pop() if self._idle else self._start()
            self._busy.append(one)
            one.task = waiting.popleft()
            one.connection.send(one.task)

    def _start(self) -> _Process[Task]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.enter), daemon=True)
        with _deaf_to_interrupts():
            process.start()
        theirs.close()
        return _Process(process, ours)

    def _collect(self, one: _Process[Task]) -> Result | Died[Task]:
        self._busy.remove(one)
        try:
            result: Result = one.connection.recv()
        except (EOFError, ConnectionError):
            one.process.join(_END_SECONDS)
            one.connection.close()
            return Died(one.task, one.process.exitcode)  # type: ignore[arg-type]  # it was given one
        self._idle.append(one)
        return result

    def _interrupted(self) -> Iterator[Result | Died[Task]]:
        """Ask each task to end, and hear what it says."""
        for one in self._busy:
            os.kill(one.process.pid, signal.SIGINT)
        while self._busy:
            ready = wait([one.connection for one in self._busy], _END_SECONDS)
            if not ready:
                return
            for one in [one for one in self._busy if one.connection in ready]:
                yield self._collect(one)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """A program that is started meanwhile ignores Ctrl-C until it says otherwise."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(connection: Connection, enter: Callable[[], Worker[Any, Any]]) -> None:
    """A process's life: tasks, until nobody sends any."""
    # Ctrl-C in a terminal goes to all processes of a group: only the parent says who is to end.
    os.setpgid(0, 0)
    with enter() as work:
        while True:
            try:
                task = connection.recv()
            except (EOFError, ConnectionError):
                return
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                result = work(task)
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            with suppress(ConnectionError):
                connection.send(result)
