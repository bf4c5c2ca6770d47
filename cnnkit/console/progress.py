"""Progress displays: a live one in a terminal, one plain line per epoch elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn

from cnnkit.console.text import clock_text, error_output, escape_markup, new_table, output, print_line, print_notice
from cnnkit.console.training import frozen_text, print_phase, resume_text
from cnnkit.metrics import metric_columns, number_text

if TYPE_CHECKING:
    from cnnkit.training.phases import LayerState

Row = dict[str, float]

BAR_WIDTH = 24
NARROWEST_BAR = 8  # below it, the speed is left out instead
MOST_EPOCHS = 20  # rows of the table
LINES_AROUND = 6  # besides those rows: blank lines, a header of up to two lines and its rule, the progress bar


def progress_listener(epochs: int, steps: int) -> "TerminalProgress | PlainProgress":
    """A live display in a terminal, one plain line per epoch elsewhere."""
    return TerminalProgress(epochs, steps) if output().is_terminal else PlainProgress(epochs)


class PlainProgress(AbstractContextManager["PlainProgress"]):
    """One line per epoch, for logs and pipes."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing to close."""

    def on_phase(self, number: int, count: int, train: str, layers: "Sequence[LayerState]") -> None:
        """Print a table of the layers."""
        print_phase(output(), number, count, train, layers)

    def on_resume(self, rows: Sequence[Row], step: int) -> None:
        """Print one line."""
        print_line(resume_text(rows, step))

    def on_notice(self, text: str) -> None:
        """Print a panel."""
        print_notice(text)

    def on_frozen(self, parameters: int, checksum: str) -> None:
        """Print one line."""
        print_line(frozen_text(parameters, checksum))

    def on_features(self, done: int, total: int) -> None:
        """Print one line at the end."""
        if done == total:
            print_line(f"features of {total:,} examples computed once: the base is frozen")

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """Prints nothing: a log needs no progress within an epoch."""

    def on_epoch(self, row: Row) -> None:
        """Print one line."""
        speed = f"{row['images_per_second']:.0f} images/s  {row['seconds']:.1f} s"
        print_line(f"epoch {int(row['epoch'])}/{self._epochs}  {_metrics_text(row)}  {speed}")
        sys.stdout.flush()


class TerminalProgress(AbstractContextManager["TerminalProgress"]):
    """A growing table of epochs with a progress bar for the current one."""

    def __init__(self, epochs: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        self._rows: list[Row] = []
        self._done_before = 0
        self._started = time.perf_counter()
        self._bar = BarColumn(bar_width=BAR_WIDTH, complete_style="cyan", finished_style="cyan")
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            self._bar,
            TextColumn("step {task.completed}/{task.total}"),
            TextColumn("{task.fields[metrics]}", style="bold"),
            TextColumn("{task.fields[speed]}", style="dim"),
        )
        self._task = self._progress.add_task("", total=steps, epoch=1, metrics="", speed="starting …")
        self._live = Live(self._progress, console=output(), refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the finished table on the screen."""
        self._progress.update(self._task, visible=False)
        self._live.update(self._render(MOST_EPOCHS), refresh=True)
        self._live.stop()

    def on_phase(self, number: int, count: int, train: str, layers: "Sequence[LayerState]") -> None:
        """Print a table of the layers above the live display."""
        print_phase(self._live.console, number, count, train, layers)

    def on_resume(self, rows: Sequence[Row], step: int) -> None:
        """Start with the rows of the interrupted run."""
        self._rows = list(rows)
        self._done_before = len(rows) * self._steps + step
        self._live.console.print(resume_text(rows, step), style="dim")
        self._live.update(self._render(self._rows_that_fit()))

    def on_notice(self, text: str) -> None:
        """Print a panel above the live display; after a rollback, `on_epoch` removes the rows that are repeated."""
        print_notice(text, console=self._live.console)

    def on_frozen(self, parameters: int, checksum: str) -> None:
        """Print one line above the live display."""
        self._live.console.print(frozen_text(parameters, checksum), style="dim")

    def on_features(self, done: int, total: int) -> None:
        """Update the progress bar."""
        self._progress.update(self._task, completed=done, total=total, speed="features, computed once")
        if done == total:
            self._progress.update(self._task, completed=0, total=self._steps, speed="")
            self._started = time.perf_counter()

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """Update the progress bar."""
        done = (epoch - 1) * self._steps + step
        done_here = max(1, done - self._done_before)
        left = (time.perf_counter() - self._started) / done_here * (self._epochs * self._steps - done)
        metrics, time_left = _metrics_text(logs), f"{clock_text(left)} left"
        speed = f"{images_per_second:,.0f} images/s · {time_left}"
        rest = f"epoch {epoch}/{self._epochs}  step {self._steps}/{self._steps} {metrics} "
        if len(rest) + NARROWEST_BAR + len(speed) > self._live.console.width:
            speed = time_left
        self._bar.bar_width = max(1, min(BAR_WIDTH, self._live.console.width - len(rest) - len(speed)))
        self._progress.update(self._task, completed=step, epoch=epoch, metrics=escape_markup(metrics), speed=speed)

    def on_epoch(self, row: Row) -> None:
        """Add a row to the table."""
        self._rows = [*(each for each in self._rows if each["epoch"] < row["epoch"]), row]
        if row["epoch"] < self._epochs:
            self._progress.update(self._task, completed=0, epoch=int(row["epoch"]) + 1)
        self._live.update(self._render(self._rows_that_fit()))

    def _rows_that_fit(self) -> int:
        """Rich shows a live display only down to the terminal's last line, which would hide the progress bar."""
        return max(1, min(MOST_EPOCHS, self._live.console.height - LINES_AROUND))

    def _render(self, most_rows: int) -> Group:
        if not self._rows:
            return Group(self._progress)
        names = metric_columns(self._rows)
        table = new_table("epoch", *names, "images/s", "seconds", left=0)
        for column in table.columns[-2:]:
            column.style = "dim"
        for row in self._rows[-most_rows:]:
            cells = [number_text(row.get(name, float("nan"))) for name in names]
            table.add_row(str(int(row["epoch"])), *cells, f"{row['images_per_second']:,.0f}", f"{row['seconds']:.1f}")
        return Group(table, self._progress)


def _metrics_text(row: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {number_text(row[name])}" for name in metric_columns([row]))


@contextmanager
def counting(noun: str, verb: str = "scanning") -> Iterator[Callable[[int, int | None], None]]:
    """Context manager: a progress bar on standard error for a number of items; nothing in a pipe.

    Args:
        noun: The items, in the plural.
        verb: The activity.

    Yields:
        A function to be called with the number of items done, and the total number (None where unknown).
    """
    console = error_output()
    columns = (
        TextColumn(f"{verb} {noun}"),
        BarColumn(bar_width=30, complete_style="cyan"),
        TextColumn("{task.completed:,}{task.fields[of]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None, of="", visible=False)
        yield lambda done, total: progress.update(
            task, completed=done, total=total, of="" if total is None else f"/{total:,}", visible=True
        )


class comparing:  # noqa: N801 - used as a function
    """Context manager that gives each run of a comparison its own display with a heading."""

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close."""

    def run(self, title: str, epochs: int, steps: int) -> "TerminalProgress | PlainProgress":
        """The display of one run."""
        output().rule(escape_markup(title), align="left", style="dim")
        return progress_listener(epochs, steps)
