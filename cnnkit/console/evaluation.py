"""A model's figures as tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnkit.console.text import new_table, output, print_notice, safe

if TYPE_CHECKING:
    from cnnkit.evaluation.evaluate import Evaluation

MOST_CONFUSION_COLUMNS = 12  # classes up to which the confusion matrix fits a terminal
MOST_CLASS_ROWS = 30


def print_evaluation(evaluation: "Evaluation") -> None:
    """A model's figures: the headline, a table by class or number, and the confusion matrix where it fits."""
    from cnnkit.evaluation.metrics import ClassificationFigures, MultilabelFigures

    console = output()
    figures = evaluation.figures
    if evaluation.meaning.note:
        print_notice(evaluation.meaning.note, title="What these figures are")
    console.print(f"\n[bold]{safe(evaluation.as_dict()['measured_on'])}[/bold] · {figures.examples:,} examples")
    console.print("  ".join(f"{safe(name)} [bold]{value:.4f}[/bold]" for name, value in evaluation.measured.items()))
    if isinstance(figures, ClassificationFigures):
        _print_classes(console, evaluation)
    elif isinstance(figures, MultilabelFigures):
        table = new_table("label", "accuracy", "precision", "recall", "f1", "examples")
        for label in figures.labels[:MOST_CLASS_ROWS]:
            table.add_row(
                safe(label.name),
                *(f"{value:.4f}" for value in (label.accuracy, label.precision, label.recall, label.f1)),
                f"{label.support:,}",
            )
        console.print(table)
        console.print(f"all labels right [bold]{figures.exact:.4f}[/bold]  macro F1 [bold]{figures.macro_f1:.4f}[/bold]")
    else:
        table = new_table("target", "MAE", "RMSE", "R²")
        for target in figures.targets:
            table.add_row(safe(target.name), f"{target.mae:.4f}", f"{target.rmse:.4f}", f"{target.r2:.4f}")
        console.print(table)


def _print_classes(console: Console, evaluation: "Evaluation") -> None:
    from cnnkit.evaluation.metrics import ClassificationFigures

    figures = evaluation.figures
    assert isinstance(figures, ClassificationFigures)
    table = new_table("class", "accuracy", "precision", "f1", "examples")
    for row in figures.classes[:MOST_CLASS_ROWS]:
        table.add_row(safe(row.name), f"{row.accuracy:.4f}", f"{row.precision:.4f}", f"{row.f1:.4f}", f"{row.support:,}")
    console.print(table)
    if len(figures.classes) > MOST_CLASS_ROWS:
        console.print(f"… and {len(figures.classes) - MOST_CLASS_ROWS} more classes: see metrics.json or --json")
    if len(figures.classes) <= MOST_CONFUSION_COLUMNS:
        console.print(_confusion_table(figures.confusion, evaluation.meaning.task.names))


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
