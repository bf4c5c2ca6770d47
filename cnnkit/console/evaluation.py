"""A model's figures as tables."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnkit.console.text import new_table, output, print_notice, safe

if TYPE_CHECKING:
    from cnnkit.evaluation.bootstrap import Interval
    from cnnkit.evaluation.metrics import ClassificationMetrics, MultilabelMetrics, RegressionMetrics
    from cnnkit.prediction.evaluate import Evaluation

MOST_CONFUSION_COLUMNS = 12  # classes up to which the confusion matrix fits a terminal
MOST_ROWS = 24  # classes or labels that are shown; of more, the weakest
MOST_PAIRS = 8  # pairs of classes taken for each other that are shown where the matrix does not fit
BOOTSTRAP = "bootstrap of 1,000 resamples"
ABSENT = "–"  # for a figure that is 0/0


def print_evaluation(evaluation: "Evaluation") -> None:
    """A model's figures: the headline with its intervals, a table by class or number, and what is confused with what."""
    from cnnkit.evaluation.metrics import ClassificationMetrics, MultilabelMetrics

    console = output()
    figures = evaluation.figures
    if evaluation.metadata.note:
        print_notice(evaluation.metadata.note, title="What these figures are")
    console.print(f"\n[bold]{safe(evaluation.as_dict()['measured_on'])}[/bold] · {figures.examples:,} examples")
    console.print("  ".join(f"{safe(name)} [bold]{value:.4f}[/bold]" for name, value in evaluation.measured.items()))
    if isinstance(figures, ClassificationMetrics):
        _print_classification(console, figures, evaluation.metadata.task.names)
    elif isinstance(figures, MultilabelMetrics):
        _print_labels(console, figures)
    else:
        console.print(_number_table(figures))


def share(value: float) -> str:
    """A figure from 0 to 1, or a loss; a dash where it is 0/0."""
    return ABSENT if math.isnan(value) else f"{value:.4f}"


def quantity(value: float) -> str:
    """A figure in some unit, of any size, in four digits or whole."""
    return ABSENT if math.isnan(value) else f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:#.4g}"


def _print_classification(console: Console, figures: "ClassificationMetrics", names: Sequence[str]) -> None:
    areas = "mean, class against the rest" if len(names) > 2 else f"of {names[1]}"
    top = {f"top-{k} accuracy": (value, "") for k, value in figures.top_k_accuracy.items()}
    _print_headline(
        console,
        {
            "accuracy": (figures.accuracy, BOOTSTRAP),
            "balanced accuracy": (figures.balanced_accuracy, "mean of the classes' recalls"),
            **top,
            "ROC-AUC": (figures.roc_auc, areas),
            "average precision": (figures.average_precision, areas),
            "log loss": (figures.log_loss, ""),
            "calibration error": (figures.expected_calibration_error, "probability against share right"),
        },
        figures.intervals,
    )
    table = _rows_table("class", figures.classes, ("precision", "recall", "f1", "roc_auc", "average_precision"))
    _add_averages(table, figures)
    console.print(table)
    if len(names) <= MOST_CONFUSION_COLUMNS:
        console.print(_confusion_table(figures.confusion, names))
    else:
        console.print(_pairs_table(figures.confusion, names))


def _print_labels(console: Console, figures: "MultilabelMetrics") -> None:
    _print_headline(
        console,
        {
            "exact": (figures.exact, "every label right"),
            "accuracy": (figures.accuracy, "of single labels"),
            "macro F1": (figures.macro_f1, ""),
            "ROC-AUC": (figures.roc_auc, "mean of the labels"),
            "average precision": (figures.average_precision, "mean of the labels"),
            "log loss": (figures.log_loss, ""),
        },
        figures.intervals,
    )
    table = _rows_table("label", figures.labels, ("precision", "recall", "f1", "roc_auc", "average_precision"))
    _add_averages(table, figures)
    console.print(table)


def _print_headline(console: Console, rows: Mapping[str, tuple[float, str]], intervals: Mapping[str, "Interval"]) -> None:
    """A row a figure: name -> value and remark; the intervals stand under the names in lower case with underscores."""
    table = new_table("figure", "value", "95 % interval", "", left=1)
    table.columns[3].justify = "left"
    for name, (value, remark) in rows.items():
        table.add_row(
            name, f"[bold]{share(value)}[/bold]", _range(intervals.get(name.lower().replace(" ", "_"))), f"[dim]{safe(remark)}[/dim]"
        )
    console.print(table)


def _range(interval: "Interval | None", number: Any = share) -> str:
    return "" if interval is None or math.isnan(interval.low) else f"{number(interval.low)} … {number(interval.high)}"


_HEADERS = {"roc_auc": "ROC-AUC", "average_precision": "AP", "f1": "F1"}


def _rows_table(noun: str, rows: Sequence[Any], columns: Sequence[str]) -> Table:
    """A row a class or label; of many, the weakest by F1."""
    table = new_table(noun, *(_HEADERS.get(column, column) for column in columns), "examples")
    table.columns[0].max_width, table.columns[0].no_wrap = 20, True
    shown = sorted(rows, key=lambda row: math.inf if math.isnan(row.f1) else row.f1)[:MOST_ROWS] if len(rows) > MOST_ROWS else rows
    if len(shown) < len(rows):
        plural = f"{noun}es" if noun == "class" else f"{noun}s"
        table.title = f"the {len(shown)} {plural} of lowest F1, of {len(rows)}; all stand in metrics.json and in --json"
        table.title_justify, table.title_style = "left", "dim"
    for row in shown:
        table.add_row(safe(row.name), *(share(getattr(row, column)) for column in columns), f"{row.support:,}")
    return table


def _add_averages(table: Table, figures: "ClassificationMetrics | MultilabelMetrics") -> None:
    table.add_section()
    for name, mean in (("mean (macro)", figures.macro), ("mean by examples", figures.weighted)):
        table.add_row(name, share(mean.precision), share(mean.recall), share(mean.f1), style="dim")


def _number_table(figures: "RegressionMetrics") -> Table:
    """A row a number, each figure with its interval below it."""
    table = new_table("target", "MAE", "RMSE", "R²")
    rows = [*figures.targets, figures.overall] if len(figures.targets) > 1 else figures.targets
    for index, row in enumerate(rows):
        if index == len(figures.targets):
            table.add_section()
        cells = []
        for name, number in (("mae", quantity), ("rmse", quantity), ("r2", share)):
            cells.append(f"[bold]{number(getattr(row, name))}[/bold]\n[dim]{_range(row.intervals.get(name), number)}[/dim]")
        table.add_row(f"{safe(row.name) if index < len(figures.targets) else 'mean of the targets'}\n[dim]95 % interval[/dim]", *cells)
    return table


def _pairs_table(confusion: Any, names: Sequence[str]) -> Table:
    """The pairs of classes of which most examples of the one are taken for the other."""
    table = new_table("class", "taken for", "examples", "share of the class", left=2)
    table.title, table.title_justify, table.title_style = "most often confused", "left", "dim"
    table.columns[0].max_width = table.columns[1].max_width = 24
    wrong = [(int(confusion[i, j]), i, j) for i, j in zip(*confusion.nonzero(), strict=True) if i != j]
    for count, i, j in sorted(wrong, key=lambda pair: -pair[0])[:MOST_PAIRS]:
        table.add_row(safe(names[i]), safe(names[j]), f"{count:,}", f"{count / confusion[i].sum():.0%}")
    return table


def _confusion_table(confusion: Any, names: Sequence[str]) -> Table:
    """Counts `(classes, classes)`, rows true, columns predicted; columns are numbered so that ten classes fit 80 characters."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left", title_style="dim")
    table.title = "confusion: rows true, columns predicted"
    table.add_column("", justify="right", style="dim")
    table.add_column("class", max_width=20, no_wrap=True)
    for index in range(len(names)):
        table.add_column(str(index), justify="right")
    for index, name in enumerate(names):
        counts = confusion[index]
        most = max((int(count) for other, count in enumerate(counts) if other != index), default=0)
        cells = []
        for other, count in enumerate(counts):
            style = "bold green" if other == index else "red" if count and count == most else "dim" if count == 0 else ""
            cells.append(Text(str(int(count)), style=style))
        table.add_row(str(index), safe(name), *cells)
    return table
