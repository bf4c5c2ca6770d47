"""Predictions as a table in a terminal, and as plain lines in a pipe."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cnnkit.console.text import new_table, output, print_line
from cnnkit.errors import escape_unprintable

if TYPE_CHECKING:
    from pathlib import Path

    from cnnkit.config.task import Task
    from cnnkit.prediction.predict import Prediction

MOST_ROWS = 40  # predictions that a terminal shows; of more, also the counts by class or label
MOST_COUNTED = 20  # classes that are counted by name
NO_LABEL = "no label"
BAR = 10  # characters of a probability of 1


class Tally:
    """Yields predictions, stores the first ones and counts the predicted classes; memory does not grow with their number.

    Attributes:
        count: Number of inputs so far.
        errors: Number of inputs that could not be read.
        first: The first `MOST_ROWS` predictions.
        predicted: How often each class or label was predicted.
    """

    def __init__(self, predictions: "Iterable[Prediction]", task: "Task") -> None:
        self._predictions, self._task = predictions, task
        self.count = 0
        self.errors = 0
        self.first: list[Prediction] = []
        self.predicted: Counter[str] = Counter()

    def __iter__(self) -> "Iterator[Prediction]":
        for each in self._predictions:
            self.count += 1
            if len(self.first) < MOST_ROWS:
                self.first.append(each)
            if each.error:
                self.errors += 1
            elif not self._task.is_regression:
                self.predicted.update((each.names or (NO_LABEL,)) if self._task.is_multilabel else each.names[:1])
            yield each


def print_lines(predictions: "Iterable[Prediction]", task: "Task") -> None:
    """In a pipe, print one line per prediction as it comes; in a terminal, `print_tables` prints a table at the end."""
    to_pipe = not output().is_terminal
    for each in predictions:
        if to_pipe:
            print(_line(each, task))  # noqa: T201 - data for programs


def print_tables(tally: Tally, task: "Task", written: "Path | None") -> None:
    """In a terminal, print the predictions unless they are written to a file; and counts by class where not all are shown."""
    console = output()
    if console.is_terminal and written is None:
        console.print(_table(tally.first, task))
        if tally.count > MOST_ROWS:
            console.print(f"The first {MOST_ROWS} of {tally.count:,}; `--output FILE.csv` writes all.")
    if console.is_terminal and tally.predicted and (written is not None or tally.count > MOST_ROWS):
        table = new_table("predicted", "inputs", "share")
        for name, count in tally.predicted.most_common(MOST_COUNTED):
            table.add_row(Text(escape_unprintable(name)), f"{count:,}", f"{count / (tally.count - tally.errors):.1%}")
        console.print(table)
        if len(tally.predicted) > MOST_COUNTED:
            console.print(f"… and {len(tally.predicted) - MOST_COUNTED} more {task.noun}")
    if written is not None:
        print_line(f"Wrote {written}: {tally.count:,} inputs.")


def _line(prediction: "Prediction", task: "Task") -> str:
    """The input's name and the prediction, separated by tabs: classes each with a probability, or targets each with a value."""
    if prediction.error:
        return escape_unprintable(f"{prediction.name}\terror: {prediction.error}").replace("\\t", "\t", 1)
    pairs = zip(prediction.names, prediction.values, strict=True)
    fields = [f"{escape_unprintable(name)}\t{_value_text(value, task)}" for name, value in pairs]
    return "\t".join([escape_unprintable(prediction.name), *(fields or [NO_LABEL])])


def _value_text(value: float, task: "Task") -> str:
    return f"{value:.6g}" if task.is_regression else f"{value:.4f}"


def _table(predictions: "list[Prediction]", task: "Task") -> Table:
    """A row per example: the most probable class with a bar, then the others where there are any."""
    if task.is_regression:
        table = new_table("input", *map(escape_unprintable, task.names))
        for each in predictions:
            cells = [Text(f"{value:.4g}") for value in each.values] or [Text(escape_unprintable(each.error), style="red")]
            table.add_row(Text(escape_unprintable(each.name)), *cells)
        return table
    table = new_table("input", "class" if task.is_classification else "label", left=2)
    table.add_column("probability", min_width=BAR + 7, no_wrap=True)
    rows = [_cells(each, task) for each in predictions]
    width = 3 if any(rest.plain for *_, rest in rows) else 2
    if width == 3:
        table.add_column("then" if task.is_classification else "and")
    for each, cells in zip(predictions, rows, strict=True):
        table.add_row(Text(escape_unprintable(each.name)), *cells[:width])
    return table


def _cells(prediction: "Prediction", task: "Task") -> list[Text]:
    if prediction.error:
        return [Text("—", style="dim"), Text(), Text(escape_unprintable(prediction.error), style="red")]
    if not prediction.names:
        return [Text(NO_LABEL, style="dim"), Text(), Text()]
    predicted = [(escape_unprintable(name), value) for name, value in zip(prediction.names, prediction.values, strict=True)]
    (name, value), rest = predicted[0], predicted[1:]
    bar = Text(f"{value:6.1%} ").append("━" * max(1, round(value * BAR)), style="cyan")
    others = Text(" · ".join(f"{name} {value:.1%}" for name, value in rest), style="dim" if task.is_classification else "")
    return [Text(name, style="bold"), bar, others]
