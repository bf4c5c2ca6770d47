"""A model's metrics as tables."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnkit.console.text import escape_markup, new_table, output, print_notice
from cnnkit.metrics import RESULT_KEYS, TASK_METRICS, MetricValue, TaskMetrics, number_text

if TYPE_CHECKING:
    from cnnkit.prediction.evaluate import Evaluation

MOST_CONFUSION_COLUMNS = 12  # classes up to which the confusion matrix fits a terminal
MOST_ROWS = 24  # classes or labels that are shown; of more, those of lowest F1
MOST_PAIRS = 8  # confused pairs of classes that are shown where the matrix does not fit


def print_evaluation(evaluation: "Evaluation") -> None:
    """Print a model's metrics: overall with intervals, by class, label or target, and the confusion matrix."""
    console, task = output(), evaluation.metadata.task
    known, results = TASK_METRICS[task.kind], evaluation.as_dict()
    if evaluation.metadata.note:
        print_notice(evaluation.metadata.note, title="About these results")
    console.print(f"\n[bold]{escape_markup(results['measured_on'])}[/bold] · {evaluation.metrics.examples:,} examples")
    if evaluation.metadata.epoch is not None:
        console.print(f"[dim]weights of {escape_markup(evaluation.metadata.epoch.text)}[/dim]")
    values = {name: value if name in RESULT_KEYS else results[name] for name, value in evaluation.measured.items()}
    console.print("  ".join(f"{escape_markup(name)} [bold]{number_text(value)}[/bold]" for name, value in values.items()))
    if task.is_regression:
        console.print(_number_table(known, results))
        return
    _print_overall(console, known.measured(results), task.names)
    table = _rows_table("class" if task.is_classification else "label", known, results[known.rows])
    _add_averages(table, known, results)
    console.print(table)
    if task.is_classification:
        draw = _confusion_table if len(task.names) <= MOST_CONFUSION_COLUMNS else _pairs_table
        console.print(draw(results["confusion"], task.names))


def _print_overall(console: Console, measured: Sequence[MetricValue], names: Sequence[str]) -> None:
    """A row per metric, with its interval and a remark."""
    table = new_table("metric", "value", "95 % interval", "", left=1)
    table.columns[3].justify = "left"
    for each in measured:
        remark = f"of {names[1]}" if each.metric.one_of_two and len(names) == 2 else each.metric.remark
        table.add_row(each.metric.label, f"[bold]{each.text}[/bold]", each.interval_text(" … "), f"[dim]{escape_markup(remark)}[/dim]")
    console.print(table)


def _rows_table(noun: str, known: TaskMetrics, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row per class or label; of many, those of lowest F1."""
    table = new_table(noun, *(metric.abbreviation or metric.label for metric in known.by_row), "examples")
    table.columns[0].max_width, table.columns[0].overflow = 20, "ellipsis"
    for column in table.columns[1:]:  # where there is no room, the names get less of it, not the numbers
        column.no_wrap = True
    shown = sorted(rows, key=lambda row: math.inf if math.isnan(row["f1"]) else row["f1"])[:MOST_ROWS] if len(rows) > MOST_ROWS else rows
    if len(shown) < len(rows):
        plural = f"{noun}es" if noun == "class" else f"{noun}s"
        table.title = f"the {len(shown)} {plural} of lowest F1, of {len(rows)}; all are in metrics.json and in --json"
        table.title_justify, table.title_style = "left", "dim"
    for row in shown:
        table.add_row(escape_markup(row["name"]), *(each.text for each in known.measured_in(row)), f"{row['support']:,}")
    return table


def _add_averages(table: Table, known: TaskMetrics, results: Mapping[str, Any]) -> None:
    table.add_section()
    for name, key in (("mean (macro)", "macro"), ("mean by examples", "weighted")):
        averages = [metric.measured(results[key]) for metric in known.by_row]
        table.add_row(name, *("" if each is None else each.text for each in averages), style="dim")


def _number_table(known: TaskMetrics, results: Mapping[str, Any]) -> Table:
    """A row per target, each metric with its interval below it, and the baseline that always predicts the mean."""
    table = new_table("target", *(metric.label for metric in known.by_row))
    targets = results[known.rows]
    for row, baseline in zip(targets, results["baseline"], strict=True):
        _add_number(table, escape_markup(row["name"]), known, row)
        values = (metric.measured(baseline) for metric in known.by_row)
        table.add_row("always its mean", *("" if value is None else value.text for value in values), style="dim")
    if len(targets) > 1:
        table.add_section()
        _add_number(table, "mean of the targets", known, results[known.container])
    return table


def _add_number(table: Table, name: str, known: TaskMetrics, row: Mapping[str, Any]) -> None:
    cells = [f"[bold]{each.text}[/bold]\n[dim]{each.interval_text(' … ')}[/dim]" for each in known.measured_in(row)]
    table.add_row(f"{name}\n[dim]95 % interval[/dim]", *cells)


def _pairs_table(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Table:
    """The most frequently confused pairs of classes."""
    table = new_table("class", "predicted as", "examples", "share of the class", left=2)
    table.title, table.title_justify, table.title_style = "most often confused", "left", "dim"
    table.columns[0].max_width = table.columns[1].max_width = 24
    wrong = [(count, i, j) for i, row in enumerate(confusion) for j, count in enumerate(row) if count and i != j]
    for count, i, j in sorted(wrong, key=lambda pair: -pair[0])[:MOST_PAIRS]:
        table.add_row(escape_markup(names[i]), escape_markup(names[j]), f"{count:,}", f"{count / sum(confusion[i]):.0%}")
    return table


def _confusion_table(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Table:
    """Counts `(classes, classes)`, rows true, columns predicted; columns are numbered so that ten classes fit 80 characters."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left", title_style="dim")
    table.title = "confusion: rows true, columns predicted" if len(names) > 6 else "confusion: rows true,\ncolumns predicted"
    table.add_column("", justify="right", style="dim")
    table.add_column("class", max_width=20, no_wrap=True)
    for index in range(len(names)):
        table.add_column(str(index), justify="right")
    for index, name in enumerate(names):
        counts = confusion[index]
        most = max((count for other, count in enumerate(counts) if other != index), default=0)
        cells = []
        for other, count in enumerate(counts):
            style = "bold green" if other == index else "red" if count and count == most else "dim" if count == 0 else ""
            cells.append(Text(str(count), style=style))
        table.add_row(str(index), escape_markup(name), *cells)
    return table
