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

MOST_ROWS = 40  # predictions that a terminal shows; of more, it counts the answers
MOST_COUNTED = 20  # classes that are counted by name
NO_LABEL = "no label"
BAR = 10  # characters of a probability of 1


class Tally:
    """Hands predictions on, keeps the first ones and counts the answers: memory does not grow with their number.

    Attributes:
        count: Inputs so far.
        errors: Those of them that could not be read.
        first: The first predictions.
        answers: How often each class, or each label, was the answer.
    """

    def __init__(self, predictions: "Iterable[Prediction]", task: "Task") -> None:
        self._predictions, self._task = predictions, task
        self.count = 0
        self.errors = 0
        self.first: list[Prediction] = []
        self.answers: Counter[str] = Counter()

    def __iter__(self) -> "Iterator[Prediction]":
        for each in self._predictions:
            self.count += 1
            if len(self.first) < MOST_ROWS:
                self.first.append(each)
            if each.error:
                self.errors += 1
            elif not self._task.is_regression:
                self.answers.update((each.names or (NO_LABEL,)) if self._task.is_multilabel else each.names[:1])
            yield each


def print_lines(predictions: "Iterable[Prediction]", task: "Task") -> None:
    """In a pipe a line each, as it comes; a terminal gets its table when all are done."""
    to_pipe = not output().is_terminal
    for each in predictions:
        if to_pipe:
            print(_line(each, task))  # noqa: T201 - data for programs


def print_tables(tally: Tally, task: "Task", written: "Path | None") -> None:
    """In a terminal: the predictions, where they are not in a file; how often each answer came, where a table cannot show all."""
    console = output()
    if console.is_terminal and written is None:
        console.print(_table(tally.first, task))
        if tally.count > MOST_ROWS:
            console.print(f"The first {MOST_ROWS} of {tally.count:,}; `--output FILE.csv` keeps all.")
    if console.is_terminal and tally.answers and (written is not None or tally.count > MOST_ROWS):
        table = new_table("answer", "inputs", "share")
        for name, count in tally.answers.most_common(MOST_COUNTED):
            table.add_row(Text(escape_unprintable(name)), f"{count:,}", f"{count / (tally.count - tally.errors):.1%}")
        console.print(table)
        if len(tally.answers) > MOST_COUNTED:
            console.print(f"… and {len(tally.answers) - MOST_COUNTED} more answers")
    if written is not None:
        print_line(f"Wrote {written}: {tally.count:,} inputs.")


def _line(prediction: "Prediction", task: "Task") -> str:
    """The input's name and the prediction between tabs: classes each with a probability, or names each with a number."""
    if prediction.error:
        return escape_unprintable(f"{prediction.name}\terror: {prediction.error}").replace("\\t", "\t", 1)
    pairs = zip(prediction.names, prediction.values, strict=True)
    answers = [f"{escape_unprintable(name)}\t{_value_text(value, task)}" for name, value in pairs]
    return "\t".join([escape_unprintable(prediction.name), *(answers or [NO_LABEL])])


def _value_text(value: float, task: "Task") -> str:
    return f"{value:.6g}" if task.is_regression else f"{value:.4f}"


def _table(predictions: "list[Prediction]", task: "Task") -> Table:
    """A row an example: with a bar for the first answer, the others dim behind it."""
    if task.is_regression:
        table = new_table("input", *map(escape_unprintable, task.names))
        for each in predictions:
            cells = [Text(f"{value:.4g}") for value in each.values] or [Text(escape_unprintable(each.error), style="red")]
            table.add_row(Text(escape_unprintable(each.name)), *cells)
        return table
    table = new_table("input", "class" if task.is_classification else "label", left=2)
    table.add_column("probability", min_width=BAR + 7, no_wrap=True)
    table.add_column("then" if task.is_classification else "and")
    for each in predictions:
        table.add_row(Text(escape_unprintable(each.name)), *_answers(each, task))
    return table


def _answers(prediction: "Prediction", task: "Task") -> list[Text]:
    if prediction.error:
        return [Text("—", style="dim"), Text(), Text(escape_unprintable(prediction.error), style="red")]
    if not prediction.names:
        return [Text(NO_LABEL, style="dim"), Text(), Text()]
    answers = [(escape_unprintable(name), value) for name, value in zip(prediction.names, prediction.values, strict=True)]
    (name, value), rest = answers[0], answers[1:]
    bar = Text(f"{value:6.1%} ").append("━" * max(1, round(value * BAR)), style="cyan")
    others = Text(" · ".join(f"{name} {value:.1%}" for name, value in rest), style="dim" if task.is_classification else "")
    return [Text(name, style="bold"), bar, others]
