"""Runs side by side in one table, and what a paired test says of them."""

import math
from typing import TYPE_CHECKING, Any

from rich.text import Text

from cnnkit.console.evaluation import ABSENT, quantity, share
from cnnkit.console.text import new_table, output, print_notice, printable
from cnnkit.errors import format_value

if TYPE_CHECKING:
    from cnnkit.experiments.compare_runs import RunComparison, Versus

WIDEST_KEY = 34  # characters of a config's entry that stand in one line

_FALLING = ("log loss", "calibration error", "loss", "MAE", "RMSE")  # figures that improve by falling
_IN_UNITS = ("MAE", "RMSE", "loss")


def print_comparison(comparison: "RunComparison") -> None:
    """Metrics, costs and differing config entries, a column a run; below it each pair's test."""
    console, runs = output(), comparison.runs
    for note in dict.fromkeys(f"{run.name}: {run.note}" for run in runs if run.note):
        print_notice(note, title="What these figures are")
    table = new_table("", *(printable(run.name) for run in runs))
    table.title, table.title_justify, table.title_style = _measured_on(comparison), "left", "bold"
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].min_width = min(max(map(len, comparison.differences), default=0), WIDEST_KEY)
    for name in dict.fromkeys(name for run in runs for name in run.figures):
        values = [run.figures.get(name, math.nan) for run in runs]
        table.add_row(name, *_marked(name, values))
    table.add_section()
    table.add_row("epochs", *(f"{run.epochs:,}" for run in runs))
    table.add_row("seconds", *(f"{run.seconds:,.1f}" for run in runs))
    table.add_row("parameters", *(f"{run.parameters:,}" for run in runs))
    if comparison.differences:
        table.add_section()
    for key, entries in comparison.differences.items():
        table.add_row(Text(printable(key), style="dim"), *(Text(_told(entry)) for entry in entries))
    console.print(table)
    if not comparison.differences:
        console.print("The configs are the same.")
    for each in comparison.versus:
        console.print(_sentence(comparison, each))


def _measured_on(comparison: "RunComparison") -> Text:
    told = dict.fromkeys(f"{run.measured_on} · {run.examples:,} examples" for run in comparison.runs)
    return Text(printable("; ".join(told)))


def _marked(name: str, values: list[float]) -> list[Text]:
    """The values as texts, the best one in green."""
    known = [value for value in values if not math.isnan(value)]
    best = (min if name in _FALLING else max)(known) if len(known) > 1 else math.nan
    tell = quantity if name in _IN_UNITS else share
    return [Text(tell(value), style="bold green" if value == best else "") for value in values]


def _told(value: Any) -> str:
    return ABSENT if value is None else printable(value if isinstance(value, str) else format_value(value))


def _sentence(comparison: "RunComparison", versus: "Versus") -> Text:
    first, other, test = printable(comparison.runs[0].name), printable(versus.other), versus.test
    if test is None:
        return Text.assemble((f"{first} against {other}: ", "bold"), f"no paired test, for {printable(versus.why_not)}.")
    word = "nearer" if test.name.startswith("Wilcoxon") else "right where the other is wrong"
    several = sum(each.test is not None for each in comparison.versus) > 1
    verdict = ("more than chance", "bold green") if versus.more_than_chance else ("may be chance", "bold yellow")
    return Text.assemble(
        (f"{first} against {other}: ", "bold"),
        f"{word} on {test.first_better:,} and {test.second_better:,} of {comparison.runs[0].examples:,} examples. {test.name}: "
        f"p = {versus.corrected:.2g}{', corrected by Holm for the number of tests' if several else ''}: ",
        verdict,
        ".",
    )
