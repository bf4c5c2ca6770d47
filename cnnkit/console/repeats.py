"""A group of runs in the terminal: the progress of its workers, and mean, spread and interval of every metric at the end."""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.live import Live
from rich.text import Text

from cnnkit.console.text import new_table, output, print_line, print_notice
from cnnkit.errors import escape_unprintable
from cnnkit.metrics import ABSENT, Metric, headline_column, metric_columns, number_text

if TYPE_CHECKING:
    from rich.table import Table

    from cnnkit.experiments.repeat_summary import RepeatSummary
    from cnnkit.experiments.worker import RunTask, Task

WIDE = 100  # terminal width from which a table with pooled metrics has the lowest and highest values, too
BAR_WIDTH = 20
REFRESHES_PER_SECOND = 4.0
LINES_AROUND = 4  # of the table: blank lines, its header and rule
MOST_NAMED_RUNS = 20  # in the line below the table

_STYLES = {"waiting": "dim", "finished": "green", "starting": "cyan", "running": "cyan", "locked": "yellow", "interrupted": "yellow"}


class _Progress:
    """Where a run stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "waiting"
        self.epochs = self.steps = self.step = 0
        self.row: Mapping[str, float] = {}

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return int(self.row.get("epoch", 0))

    def take(self, event: Any) -> str:
        """Change with an event; the line that a log gets for it, empty for none."""
        from cnnkit.experiments.worker import EpochDone, RunBegan, RunEnded, RunIsLocked, RunNotice, StepsDone
        from cnnkit.experiments.worker_pool import RunAssigned, WorkerDied

        match event:
            case RunAssigned():
                self.state = "starting"
            case RunBegan():
                self.state, self.epochs, self.steps, self.step = "running", event.epochs, event.steps, 0
                self.row = event.rows[-1] if event.rows else {}
                return f"resumed after epoch {len(event.rows)}" if event.rows else ""
            case StepsDone():
                self.step = event.step
            case EpochDone():
                self.row, self.step = event.row, 0
                return f"epoch {self.epoch}/{self.epochs}  {_row_text(event.row)}"
            case RunEnded():
                self.state = "finished" if event.is_finished else "interrupted"
                return self.state
            case RunIsLocked():
                self.state = "locked"
                return "another process is writing this run; it is tried again"
            case WorkerDied():
                self.state = "waiting"
                return f"its worker died ({event.cause}); another resumes it"
            case RunNotice():
                return event.text
        return ""


class RepeatsDisplay(AbstractContextManager["RepeatsDisplay"]):
    """The progress of a group: a live table in a terminal; elsewhere a line for each epoch and each change.

    Args:
        tasks: The runs.
    """

    def __init__(self, tasks: "Sequence[RunTask]") -> None:
        self._runs = {task.name: _Progress(task.name) for task in tasks}
        self._width = max(map(len, self._runs))
        self._console = output()
        is_terminal = self._console.is_terminal
        self._live = (
            Live(console=self._console, refresh_per_second=REFRESHES_PER_SECOND, get_renderable=self._render) if is_terminal else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the table on the screen."""
        if self._live is not None:
            self._live.stop()

    def on_event(self, task: "Task", event: Any) -> None:
        """Show an event of a run."""
        from cnnkit.experiments.worker import RunNotice

        line = self._runs[task.name].take(event)
        if isinstance(event, RunNotice):
            print_notice(line, console=self._console if self._live is not None else None)
        elif line and self._live is None:
            print_line(f"{task.name:{self._width}}  {line}")
            sys.stdout.flush()

    def _render(self) -> "Table":
        runs = list(self._runs.values())
        room = max(3, self._console.height - LINES_AROUND)
        if len(runs) > room:  # the runs under way, the newest finished ones before them and the next ones
            done = sum(run.state == "finished" for run in runs)
            first = min(max(0, done - room // 3), len(runs) - room)
            runs = runs[first : first + room]
        column = next((headline_column(run.row) for run in self._runs.values() if run.row), "")
        table = new_table("run", "state", "", "epoch", column, left=3)
        for run in runs:
            value = number_text(run.row[column]) if column in run.row else ""
            epoch = f"{run.epoch}/{run.epochs}" if run.epochs else ""
            table.add_row(escape_unprintable(run.name), Text(run.state, style=_STYLES[run.state]), _bar(run), epoch, value)
        return table


def _bar(run: _Progress) -> Text:
    """The share of a run that is done."""
    total = run.epochs * run.steps
    done = min(1.0, (run.epoch * run.steps + run.step) / total) if total else 0.0
    filled = BAR_WIDTH if run.state == "finished" else round(BAR_WIDTH * done)
    return Text.assemble(("━" * filled, "cyan"), ("━" * (BAR_WIDTH - filled), "bright_black"))


def _row_text(row: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {number_text(row[name])}" for name in metric_columns([row]))


def print_repeats(summary: "RepeatSummary") -> None:
    """Print mean, standard deviation and interval of every metric of a group, a row per metric."""
    console = output()
    for note in summary.notes:
        print_notice(note, title="About these results")
    pooled = {each.metric.name: each for each in summary.pooled}
    with_ends = not pooled or console.width >= WIDE
    columns = ["mean ± std", "95 % interval", *(["lowest", "highest"] if with_ends else []), *(["pooled"] if pooled else [])]
    table = new_table("", *columns)
    for column in table.columns:
        column.no_wrap = True
    console.print(Text(escape_unprintable(f"{summary.title} · {summary.measured_on}"), style="bold"))
    for metric, estimate in summary.metrics.items():
        values = [run.value(metric) for run in summary.runs if not math.isnan(run.value(metric))]
        mean = f"{metric.text(estimate.mean)} ± {metric.text(estimate.deviation)}"
        low_high = ABSENT if math.isnan(estimate.low) else f"{metric.text(estimate.low)} – {metric.text(estimate.high)}"
        ends = [metric.text(end(values)) if values else ABSENT for end in (min, max)] if with_ends else []
        last = [pooled[metric.name].text if metric.name in pooled else ""] if pooled else []
        table.add_row(metric.label, Text(mean, style="bold"), low_high, *ends, *last)
    console.print(table)
    headline = next(iter(summary.metrics))
    console.print(Text(_runs_text(summary, headline)))
    console.print(Text(summary.interval_note))
    if pooled:
        console.print(Text("Pooled: the held-out predictions of all folds together. Validation examples come from the other folds."))


def _runs_text(summary: "RepeatSummary", metric: Metric) -> str:
    shown = [f"{run.number}: {metric.text(run.value(metric))}" for run in summary.runs[:MOST_NAMED_RUNS]]
    more = [f"{len(summary.runs) - MOST_NAMED_RUNS} more"] if len(summary.runs) > MOST_NAMED_RUNS else []
    word = "seed" if summary.plan.kind == "seeds" else "fold"
    return f"{metric.label[0].upper()}{metric.label[1:]} by {word}: {', '.join([*shown, *more])}"
