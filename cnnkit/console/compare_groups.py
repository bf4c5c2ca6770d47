"""Groups of runs side by side in one table, and the result of each test."""

import math
from typing import TYPE_CHECKING

from rich.text import Text

from cnnkit.console.compare import WIDEST_KEY, marked, p_value_text, print_with_differences
from cnnkit.console.text import new_table, output, print_notice
from cnnkit.errors import count, escape_unprintable
from cnnkit.metrics import ABSENT

if TYPE_CHECKING:
    from cnnkit.evaluation.repeated_runs import MeanDifference
    from cnnkit.experiments.compare_groups import GroupComparison, GroupVersus
    from cnnkit.metrics import Metric

GROUP_WIDTH, NARROWEST_KEY = 19, 18  # characters of a column of a group, and of the column of config keys and metrics at least
FEW_RUNS = 10  # below it, a sentence says what so few runs can tell


def print_group_comparison(comparison: "GroupComparison") -> None:
    """Print mean ± standard deviation of every metric, a column per group, differing config entries, and the tests."""
    console, groups = output(), comparison.groups
    for note in dict.fromkeys(f"{name}: {note}" for name, each in groups.items() for note in each.notes):
        print_notice(note, title="About these results")
    table = new_table("", *map(escape_unprintable, groups))
    on = dict.fromkeys(each.measured_on for each in groups.values())
    console.print(Text(escape_unprintable("; ".join(on)), style="bold"))
    for column in table.columns:
        column.overflow = "fold"
    room = max(NARROWEST_KEY, console.width - len(groups) * GROUP_WIDTH)
    table.columns[0].min_width = min(max(map(len, comparison.differences), default=0), WIDEST_KEY, room)
    table.add_row("runs", *(str(len(each.runs)) for each in groups.values()))
    table.add_section()
    for metric in dict.fromkeys(metric for each in groups.values() for metric in each.metrics):
        estimates = [each.metrics.get(metric) for each in groups.values()]
        means = marked(metric, [math.nan if estimate is None else estimate.mean for estimate in estimates])
        deviations = ["" if estimate is None else f" ± {metric.text(estimate.deviation)}" for estimate in estimates]
        table.add_row(metric.label, *(Text.assemble(mean, text) for mean, text in zip(means, deviations, strict=True)))
    print_with_differences(console, table, comparison.differences)
    for versus in comparison.versus:
        console.print(_sentence(comparison, versus))


def _sentence(comparison: "GroupComparison", versus: "GroupVersus") -> Text:
    first, other, metric = escape_unprintable(next(iter(comparison.groups))), escape_unprintable(versus.other), comparison.headline
    head = (f"{first} against {other}: ", "bold")
    if versus.why_not or metric not in versus.differences:
        return Text.assemble(head, f"no test, for {escape_unprintable(versus.why_not or 'the metric is undefined')}.")
    found = versus.differences[metric]
    runs = [len(each.runs) for name, each in comparison.groups.items() if name in {next(iter(comparison.groups)), versus.other}]
    how = f"{count(found.pairs, 'pair')} of runs" if found.pairs else f"{runs[0]} and {runs[-1]} runs, not paired"
    interval = f"{_signed(metric, found.low)} to {_signed(metric, found.high)}"
    text: list[str | tuple[str, str]] = [
        head,
        f"{metric.label} {_signed(metric, found.difference)} (95 % interval {interval}) over {how}. ",
        f"{found.test[0].upper()}{found.test[1:]}: {_p_text(comparison, versus)}",
    ]
    if found.wilcoxon_p is not None:
        text.append(f" (Wilcoxon's signed-rank test: {p_value_text(found.wilcoxon_p)})")
    if not math.isnan(versus.corrected):
        text += [", ", ("more than chance", "bold green") if versus.more_than_chance else ("may be chance", "bold yellow")]
    text.append(".")
    if (found.pairs or min(runs)) < FEW_RUNS and found.high > found.low:
        text.append(f" So few runs tell little: differences below about {_half_width(metric, found)} cannot be told from chance.")
    return Text.assemble(*text)


def _p_text(comparison: "GroupComparison", versus: "GroupVersus") -> str:
    if math.isnan(versus.corrected):
        return "no p-value, for the runs do not vary"
    several = sum(not math.isnan(each.corrected) for each in comparison.versus) > 1
    return f"{p_value_text(versus.corrected)}{', corrected by Holm for the number of tests' if several else ''}"


def _half_width(metric: "Metric", found: "MeanDifference") -> str:
    return metric.text(max(found.high - found.difference, found.difference - found.low))  # one end may be cut off


def _signed(metric: "Metric", value: float) -> str:
    text = metric.text(value)
    return text if value < 0 or text == ABSENT else f"+{text}"
