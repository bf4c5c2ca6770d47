"""The runs in a folder as a table."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from cnnkit.console.text import duration_text, new_table, output
from cnnkit.errors import escape_unprintable
from cnnkit.metrics import ABSENT

if TYPE_CHECKING:
    from cnnkit.runs.listing import ListedRun

_STATE_STYLES = {"finished": "green", "running": "cyan", "interrupted": "yellow", "pruned": "blue", "failed": "red", "unknown": "red"}


NARROW = 100  # terminal width below which the data is printed below the run's name, without the time of day


def print_runs(runs: "Sequence[ListedRun]") -> None:
    """Print a row per run; below the table, damaged files."""
    console = output()
    narrow = console.width < NARROW
    table = new_table(*(("run",) if narrow else ("run", "data")), "metric", "epochs", "time", "when", "state", left=1 if narrow else 2)
    for column in table.columns[-5:]:
        column.no_wrap = True
    table.columns[0].overflow = "fold"
    table.columns[-1].justify = "left"
    for run in runs:
        name = Text(escape_unprintable(run.name), style="bold")
        if run.runs > 1:
            name.append(f" ×{run.runs}", style="not bold dim")
        table.add_row(
            *([Text("\n").join([name, _data(run)])] if narrow else [name, _data(run)]),
            _metric(run, before_spread="\n" if narrow else " "),
            f"{run.epochs:,}",
            duration_text(run.seconds),
            _when(run.started, "%y-%m-%d" if narrow else "%y-%m-%d %H:%M"),
            Text(run.state, style=_STATE_STYLES[run.state]),
        )
    console.print(table)
    for run in runs:
        if run.faults:
            console.print(Text(f"{escape_unprintable(run.name)}: {', '.join(run.faults)}", style="red"))


def _data(run: "ListedRun") -> Text:
    text = Text(escape_unprintable(run.data))
    return text.append(" (stand-in)", style="yellow") if run.stand_in_for else text


def _metric(run: "ListedRun", before_spread: str) -> Text:
    if run.metric is None or run.value is None:
        return Text(ABSENT, style="dim")
    spread = "" if run.deviation is None else f"{before_spread}± {run.metric.text(run.deviation)}"
    return Text.assemble((f"{escape_unprintable(run.metric.label)} ", "dim"), (run.metric.text(run.value), "bold"), (spread, "dim"))


def _when(started: str, form: str) -> str:
    """The start time of a run in its own time zone; empty where unknown."""
    try:
        return datetime.fromisoformat(started).strftime(form)
    except ValueError:
        return ""
