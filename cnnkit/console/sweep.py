"""A sweep in the terminal: a live table of trials, or a plain line per trial in a pipe; then its results, and those of the winner."""

import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cnnkit.console.text import clock_text, new_table, output, print_line, print_notice
from cnnkit.errors import count, escape_unprintable
from cnnkit.experiments.sweep.status import value_text
from cnnkit.metrics import ABSENT

if TYPE_CHECKING:
    from cnnkit.experiments.sweep.results import SweepResults
    from cnnkit.experiments.sweep.status import SweepStatus, TrialRow
    from cnnkit.experiments.sweep.winner import Best, Winner
    from cnnkit.experiments.worker import Task
    from cnnkit.experiments.worker_pool import OnEvent
    from cnnkit.metrics import Metric

STATE_STYLES = {"finished": "green", "pruned": "blue", "failed": "red", "running": "cyan", "interrupted": "yellow"}
LINES_AROUND = 6  # besides the rows of the live table: header, rule, blank lines, and the line below
MOST_LIVE_ROWS = 25
MOST_RESULTS = 10  # trials in the table at the end
COLUMN_GAP = 3  # spaces between two columns of a table
BAR_WIDTH = 24  # characters of an importance of 1
STARTING = "starting the workers …"


def sweep_display() -> "TerminalSweep | PlainSweep":
    """A live display in a terminal, one plain line per finished trial elsewhere."""
    return TerminalSweep() if output().is_terminal else PlainSweep()


class PlainSweep(AbstractContextManager["PlainSweep"]):
    """One line per trial that has ended, for logs and pipes."""

    def __init__(self) -> None:
        self._told: set[int] | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing to close."""

    def on_notice(self, text: str) -> None:
        """Print a panel."""
        print_notice(text)

    def on_status(self, status: "SweepStatus") -> None:
        """Print a line for each trial that has ended since; at first, where the sweep stands."""
        if self._told is None:
            self._told = {row.number for row in status.ended}
            print_line(_counts(status))
            return
        for row in status.ended:
            if row.number not in self._told:
                self._told.add(row.number)
                print_line(_line(status, row))
        sys.stdout.flush()


class TerminalSweep(AbstractContextManager["TerminalSweep"]):
    """A table of the newest trials and the best one, kept up to date."""

    def __init__(self) -> None:
        self._live = Live(Text(STARTING, style="dim"), console=output(), refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the table: the results are printed instead."""
        self._live.update(Text(""), refresh=True)
        self._live.stop()

    def on_notice(self, text: str) -> None:
        """Print a panel above the table."""
        print_notice(text, console=self._live.console)

    def on_status(self, status: "SweepStatus") -> None:
        """Draw the table anew."""
        self._live.update(live_view(status, self._live.console))


def live_view(status: "SweepStatus", console: Console) -> RenderableType:
    """The table while trials are trained: the best trial, and the newest ones that fit on the screen."""
    if not status.rows:
        return Group(Text(STARTING, style="dim"), Text(_counts(status), style="dim"))
    best, lines = status.best, console.height - LINES_AROUND
    most = max(2, min(MOST_LIVE_ROWS, lines // _lines_of_a_row(status, console.width)))
    rows = list(status.rows[-most:])
    if best is not None and best not in rows:
        rows = [best, *rows[1:]]
    return Group(trial_table(status, rows, console.width), Text(_counts(status), style="dim"))


def trial_table(status: "SweepStatus", rows: "Sequence[TrialRow]", width: int) -> Table:
    """A row per trial; parameters in columns of their own where these fit into a width in characters, else together in one."""
    names, apart = status.names, _fits_apart(status, width)
    table = new_table("trial", "state", status.objective.name, *(names.values() if apart else ["values"]), "epochs", "time", left=2)
    for column in table.columns:
        column.no_wrap = True
    if not apart:
        table.columns[3].justify, table.columns[3].no_wrap = "left", False
    for row in rows:
        is_best = status.best is not None and row.number == status.best.number
        value = Text(status.objective.text(row.value), style="bold green" if is_best else "" if row.state == "finished" else "dim")
        cells = [value_text(row.values.get(key)) for key in names] if apart else [_values(status, row)]
        table.add_row(
            Text(f"{row.number}{' best' if is_best else ''}", style="bold green" if is_best else ""),
            Text(row.state, style=STATE_STYLES[row.state]),
            value,
            *map(Text, cells),
            f"{row.epochs:,}",
            clock_text(row.seconds),
        )
    return table


def _values(status: "SweepStatus", row: "TrialRow") -> str:
    """The values of a trial as one text, which breaks only between two of them."""
    return " ".join(f"{name}={value_text(row.values.get(key))}" for key, name in status.names.items())


def _other_columns(status: "SweepStatus") -> int:
    """Characters of all columns but those of the parameters, with the spaces between them."""
    widths = ("12 best", "interrupted", max(status.objective.name, "0.0000", key=len), "epochs", "0:00:00")
    return sum(map(len, widths)) + (len(widths) + 1) * COLUMN_GAP


def _fits_apart(status: "SweepStatus", width: int) -> bool:
    """Whether each parameter has a column of its own: the same for all trials, so that the table does not change while they come."""
    cells = [[name, *(value_text(row.values.get(key)) for row in status.rows)] for key, name in status.names.items()]
    return _other_columns(status) + sum(max(map(len, column)) + COLUMN_GAP for column in cells) <= width


def _lines_of_a_row(status: "SweepStatus", width: int) -> int:
    """The most lines that a trial takes in the table."""
    if _fits_apart(status, width):
        return 1
    room = max(10, width - _other_columns(status))
    return max((len(textwrap.wrap(_values(status, row), room)) for row in status.rows), default=1) or 1


def print_results(results: "SweepResults") -> None:
    """Print the best trials, the importance of each parameter, failures, and what was written."""
    console, status = output(), results.status
    if status.best is None:
        print_line(f"{_counts(status)}. No trial is finished, so there is no best one yet.")
        return
    rows = sorted(status.finished, key=lambda row: status.objective.sort_key(row.value))[:MOST_RESULTS]
    table = trial_table(status, rows, console.width)
    table.title, table.title_justify, table.title_style = _title(status, len(rows)), "left", "bold"
    console.print(table)
    if results.importances:
        console.print(_importance_table(results.importances))
    for row in status.rows:
        if row.error:
            console.print(Text(f"trial {row.number} failed: {escape_unprintable(row.error.splitlines()[0])}", style="red"))
    print_line(f"{_counts(status)}. Written: {', '.join(map(str, results.written))}")
    console.print(Text("The best of many trials is partly luck. Measure it with fresh seeds, on the test examples: add --best --seeds 5"))


def print_best(best: "Best", objective: "Metric") -> None:
    """Print which trial won, with which values, and where its config is."""
    print_line(f"Best: trial {best.trial.number}, {objective.name} {objective.text(best.trial.value)}")
    for name, value in best.trial.values.items():
        print_line(f"  {name}: {value_text(value)}")
    print_line(f"Its config: {best.path}. Train it: cnnkit train {best.path}")


class retraining_display:  # noqa: N801 - used as a function
    """Context manager: a plain line for each run of the winner that has ended."""

    def __enter__(self) -> "OnEvent":
        return self._on_event

    def __exit__(self, *error: object) -> None:
        """Nothing to close."""

    def _on_event(self, task: "Task", event: object) -> None:
        from cnnkit.experiments.worker import EpochDone, RunEnded, RunNotice
        from cnnkit.experiments.worker_pool import WorkerDied

        match event:
            case RunEnded(is_finished=True):
                print_line(f"{task.name}: finished, {task.folder}")
            case RunNotice(text):
                print_notice(text)
            case WorkerDied(cause):
                print_notice(f"The worker of {task.name} ended ({cause}); its run is resumed.")
            case EpochDone():
                sys.stdout.flush()


def print_winner(winner: "Winner") -> None:
    """Print the winner's metrics with fresh seeds beside those of its trial, and how much of the trial's was luck."""
    console, metric = output(), winner.objective
    table = new_table("", metric.label.removeprefix("val_"), "", left=1)
    table.columns[2].justify = "left"
    table.add_row(f"trial {winner.trial}, validation", metric.text(winner.trial_value), Text("the best of the sweep", style="dim"))
    seeds = f"{count(len(winner.seeds), 'fresh seed')}: {', '.join(map(str, winner.seeds))}"
    table.add_row("retrained, validation", _with_deviation(winner, winner.validation), Text(seeds, style="dim"))
    if winner.test:
        table.add_row("retrained, test", _with_deviation(winner, winner.test), Text("each tested once", style="dim"))
    console.print(table)
    console.print(Text(winner.sentence))


def print_interrupted(status: "SweepStatus") -> None:
    """Print that a sweep was stopped, and how it is resumed."""
    print_notice(f"Stopped; everything is saved. {_counts(status)}. The same command resumes the sweep.", title="Interrupted")


def _line(status: "SweepStatus", row: "TrialRow") -> str:
    best = "  best so far" if status.best is not None and row.number == status.best.number else ""
    value = f"{status.objective.name} {status.objective.text(row.value)}"
    reason = f"  {row.error.splitlines()[0]}" if row.error else ""
    cost = f"{count(row.epochs, 'epoch')}  {clock_text(row.seconds)}"
    return f"trial {row.number} {row.state}  {value}  {_values(status, row)}  {cost}{best}{reason}"


def _counts(status: "SweepStatus") -> str:
    states = {state: status.count(state) for state in STATE_STYLES}  # type: ignore[arg-type]
    told = ", ".join(f"{number:,} {state}" for state, number in states.items() if number) or "none begun"
    return f"{status.name}: {told}, of {count(status.wanted, 'trial')}"


def _title(status: "SweepStatus", shown: int) -> Text:
    finished = len(status.finished)
    which = (
        f"The best {shown} of {finished:,} finished trials" if finished > shown else f"The {count(finished, 'finished trial')}, best first"
    )
    return Text(f"{which} · {status.objective.name}, {'high' if status.objective.higher_is_better else 'low'} is better")


def _importance_table(importances: Mapping[str, float]) -> Table:
    table = new_table("parameter", "importance", "", left=1)
    table.columns[0].overflow = "fold"
    table.columns[2].justify = "left"
    for name, share in sorted(importances.items(), key=lambda pair: -pair[1]):
        table.add_row(Text(escape_unprintable(name)), f"{share:.2f}", Text("█" * round(share * BAR_WIDTH), style="cyan"))
    return table


def _with_deviation(winner: "Winner", values: Sequence[float]) -> str:
    mean, deviation = winner.mean(values), winner.deviation(values)
    return f"{winner.objective.text(mean)} ± {ABSENT if deviation is None else winner.objective.text(deviation)}"
