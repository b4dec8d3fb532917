"""How far many plates are: a bar on a terminal, lines elsewhere, a table at the end."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from cp_assets.running.plate_run import PlateRun

_VERDICTS = ("built", "unchanged", "FAILED")


class Progress:
    """Says on standard error what becomes of each plate, and how many are left.

    Parameters
    ----------
    total
        How many plates there are.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._verdicts: Counter[str] = Counter()
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        self._bar = Bar(
            TextColumn("plates"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[told]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("plates", total=total, told="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def done(self, run: "PlateRun") -> None:
        """Count a plate, and say what became of it."""
        self._verdicts[run.verdict] += 1
        number = self._verdicts.total()
        told = ", ".join(f"{self._verdicts[v]} {v}" for v in _VERDICTS if self._verdicts[v])
        if run.run_id or run.error:
            self._say(f"plate {number} of {self._total}: {run.plate}", *run.lines())
        elif not self._console.is_terminal:
            self._say(f"plate {number} of {self._total}: {run.plate}: unchanged")
        self._bar.update(self._task, advance=1, told=told)

    def _say(self, *lines: str) -> None:
        for line in lines:
            if self._console.is_terminal:
                # Above the bar.
                self._console.print(line)
            else:
                click.echo(line, err=True)


def print_summary(runs: "Iterable[PlateRun]", total: int, seconds: float) -> None:
    """Print how many plates ended how, and what they brought; then each that failed, and why."""
    all_runs = list(runs)
    click.echo(
        f"{'result':<10} {'plates':>7} {'rows written':>14} {'size':>12} "
        f"{'rejected':>10} {'time':>10}"
    )
    for verdict in _VERDICTS:
        these = [run for run in all_runs if run.verdict == verdict]
        click.echo(
            f"{verdict:<10} {len(these):>7,} {sum(run.rows for run in these):>14,} "
            f"{sum(run.bytes for run in these) / 1e6:>9,.1f} MB "
            f"{sum(run.rejected for run in these):>10,} "
            f"{sum(run.seconds for run in these):>8,.1f} s"
        )
    if total > len(all_runs):
        click.echo(f"{'not begun':<10} {total - len(all_runs):>7,}")
    for run in all_runs:
        if not run.succeeded:
            click.echo(f"{run.plate}: {run.reason}")
    succeeded = sum(run.succeeded for run in all_runs)
    click.echo(f"{succeeded} of {total} plates succeeded in {seconds:,.1f} s", err=True)
