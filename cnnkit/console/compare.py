"""Runs side by side in one table, and the result of each paired test."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnkit.config.yaml_writer import write_yaml
from cnnkit.console.text import new_table, output, print_notice
from cnnkit.errors import escape_unprintable
from cnnkit.metrics import ABSENT, Metric

if TYPE_CHECKING:
    from cnnkit.experiments.compare_runs import RunComparison, Versus

MOST_OF_AN_ENTRY = 120  # characters of a config entry that are shown
LEAST_P = 1e-300  # p-value that is printed as a number: below, float64 soon has none but 0
WIDEST_KEY = 34  # characters of a config key that are not wrapped


def print_comparison(comparison: "RunComparison") -> None:
    """Print metrics, costs and differing config entries, a column per run; then the paired tests."""
    console, runs = output(), comparison.runs
    for note in dict.fromkeys(f"{run.name}: {run.note}" for run in runs if run.note):
        print_notice(note, title="About these results")
    table = new_table("", *(escape_unprintable(run.name) for run in runs))
    table.title, table.title_justify, table.title_style = _measured_on(comparison), "left", "bold"
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].min_width = min(max(map(len, comparison.differences), default=0), WIDEST_KEY)
    for label, metric in {label: each.metric for run in runs for label, each in run.metrics.items()}.items():
        values = [run.metrics[label].value if label in run.metrics else math.nan for run in runs]
        table.add_row(label, *marked(metric, values))
    table.add_section()
    table.add_row("epochs", *(f"{run.epochs:,}" for run in runs))
    table.add_row("seconds", *(f"{run.seconds:,.1f}" for run in runs))
    table.add_row("parameters", *("" if run.parameters is None else f"{run.parameters:,}" for run in runs))
    print_with_differences(console, table, comparison.differences)
    for each in comparison.versus:
        console.print(_sentence(comparison, each))


def print_with_differences(console: Console, table: Table, differences: Mapping[str, Sequence[Any]]) -> None:
    """Print a table of comparison, with the entries in which the configs differ as its last rows.

    Args:
        console: Where to.
        table: A column for each of what is compared, after that of the labels.
        differences: Config key -> its entry on each side.
    """
    if differences:
        table.add_section()
    for key, entries in differences.items():
        table.add_row(Text(escape_unprintable(key), style="dim"), *(Text(entry_text(entry)) for entry in entries))
    console.print(table)
    if not differences:
        console.print("The configs are the same.")


def _measured_on(comparison: "RunComparison") -> Text:
    distinct = dict.fromkeys(f"{run.measured_on} · {run.examples:,} examples" for run in comparison.runs)
    return Text(escape_unprintable("; ".join(distinct)))


def marked(metric: Metric, values: list[float]) -> list[Text]:
    """The values as texts, the best of several in green."""
    several = sum(not math.isnan(value) for value in values) > 1
    best = metric.best(values) if several else math.nan
    return [Text(metric.text(value), style="bold green" if value == best else "") for value in values]


def entry_text(value: Any) -> str:
    """A config entry as one line of text; a dash where a config does not have it."""
    return ABSENT if value is None else escape_unprintable(value if isinstance(value, str) else _as_yaml(value))


def _as_yaml(value: Any) -> str:
    """A config entry on one line as the config writes it."""
    text = write_yaml(value, flow=True, width=10_000).removesuffix("...\n").strip()
    return text if len(text) <= MOST_OF_AN_ENTRY else f"{text[: MOST_OF_AN_ENTRY - 1]}…"


def p_value_text(p: float) -> str:
    """A p-value in 0..1 as text: `p = 0.012`; never `p = 0`, to which very small ones underflow in float64."""
    return f"p < {LEAST_P:.0e}" if p < LEAST_P else f"p = {p:.2g}"


def _sentence(comparison: "RunComparison", versus: "Versus") -> Text:
    first, other, test = escape_unprintable(comparison.runs[0].name), escape_unprintable(versus.other), versus.test
    if test is None:
        return Text.assemble((f"{first} against {other}: ", "bold"), f"no paired test, for {escape_unprintable(versus.why_not)}.")
    word = "nearer" if test.name.startswith("Wilcoxon") else "right where the other is wrong"
    several = sum(each.test is not None for each in comparison.versus) > 1
    verdict = ("more than chance", "bold green") if versus.more_than_chance else ("may be chance", "bold yellow")
    return Text.assemble(
        (f"{first} against {other}: ", "bold"),
        f"{word} on {test.first_better:,} and {test.second_better:,} of {comparison.runs[0].examples:,} examples. {test.name}: "
        f"{p_value_text(versus.corrected)}{', corrected by Holm for the number of tests' if several else ''}, ",
        verdict,
        ".",
    )
