"""Everything a person sees: panels, tables, progress, and the rendering of errors."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cnnkit.data.check import DataReport
    from cnnkit.evaluation.evaluate import Evaluation
    from cnnkit.run_directory import Meaning
    from cnnkit.training.compare import Comparison
    from cnnkit.training.phases import LayerState

Row = dict[str, float]

MOST_CONFUSION_COLUMNS = 12  # classes up to which the confusion matrix fits a terminal
MOST_CLASS_ROWS = 30
MOST_SENTENCES = 40


def output() -> Console:
    """Standard output, as it is now (tests and pipes may have replaced it)."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def printable(text: str) -> str:
    """Text with control characters made visible, so that no name from a file can move the cursor or colour the screen."""
    return "".join(character if character.isprintable() or character == "\n" else repr(character)[1:-1] for character in text)


def safe(text: str) -> str:
    """Text from a user or a file, with neither control characters nor Rich markup in force."""
    return escape(printable(text))


def print_error(text: str) -> None:
    """An error that the user can fix, on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(
        Text("Error: ", style="bold red", end="") if console.is_terminal else Text("Error: ", end=""), Text(printable(text)), sep="", end=""
    )
    console.print()


def print_notice(text: str, title: str = "Notice") -> None:
    """Something that must not be overlooked, on standard error."""
    console = Console(stderr=True, highlight=False)
    console.print(
        Panel(Text(printable(text)), title=title, border_style="yellow", box=box.ROUNDED, expand=False, width=min(console.width, 100))
    )


def print_line(text: str) -> None:
    """One line of text on standard output."""
    output().print(safe(text), soft_wrap=True)


def stand_in_text(meaning: "Meaning", fallback_place: str) -> str:
    """What is said before a run on stand-in data."""
    return (
        f"{meaning.stand_in_for} could be had neither from {fallback_place} nor from the network. "
        f"This run uses {meaning.data} in its place: its figures say nothing about {meaning.stand_in_for}."
    )


def progress_listener(epochs: int, steps: int) -> "TerminalProgress | PlainProgress":
    """A live display in a terminal, one plain line an epoch anywhere else."""
    return TerminalProgress(epochs, steps) if output().is_terminal else PlainProgress(epochs)


class PlainProgress(AbstractContextManager["PlainProgress"]):
    """One line an epoch, for logs and pipes."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing to put back."""

    def on_phase(self, number: int, count: int, words: str, layers: "Sequence[LayerState]") -> None:
        """A table of what trains."""
        print_phase(output(), number, count, words, layers)

    def on_features(self, done: int, total: int) -> None:
        """One line when they are done."""
        if done == total:
            print_line(f"features of {total:,} examples computed once: the base is frozen")

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """Nothing: a log has no use for it."""

    def on_epoch(self, row: Row) -> None:
        """One line."""
        print_line(
            f"epoch {int(row['epoch'])}/{self._epochs}  {_figures(row)}  {row['images_per_second']:.0f} images/s  {row['seconds']:.1f} s"
        )
        sys.stdout.flush()


class TerminalProgress(AbstractContextManager["TerminalProgress"]):
    """A growing table of epochs with a bar for the one that runs."""

    def __init__(self, epochs: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        self._rows: list[Row] = []
        self._started = time.perf_counter()
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(bar_width=24, complete_style="cyan", finished_style="cyan"),
            TextColumn("step {task.completed}/{task.total}"),
            TextColumn("{task.fields[figures]}", style="bold"),
            TextColumn("{task.fields[speed]}", style="dim"),
        )
        self._task = self._progress.add_task("", total=steps, epoch=1, figures="", speed="starting …")
        self._live = Live(self._render(), console=output(), refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the finished table on the screen."""
        self._progress.update(self._task, visible=False)
        self._live.update(self._render(), refresh=True)
        self._live.stop()

    def on_phase(self, number: int, count: int, words: str, layers: "Sequence[LayerState]") -> None:
        """A table of what trains, above the running one."""
        print_phase(self._live.console, number, count, words, layers)

    def on_features(self, done: int, total: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, total=total, speed="features, computed once")
        if done == total:
            self._progress.update(self._task, completed=0, total=self._steps, speed="")
            self._started = time.perf_counter()

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """Move the bar."""
        done = (epoch - 1) * self._steps + step
        left = (time.perf_counter() - self._started) / done * (self._epochs * self._steps - done)
        speed = f"{images_per_second:,.0f} images/s · {_duration(left)} left"
        self._progress.update(self._task, completed=step, epoch=epoch, figures=_figures(logs), speed=speed)

    def on_epoch(self, row: Row) -> None:
        """Add a row to the table."""
        self._rows.append(row)
        if row["epoch"] < self._epochs:
            self._progress.update(self._task, completed=0, epoch=int(row["epoch"]) + 1)
        self._live.update(self._render())

    def _render(self) -> Group:
        if not self._rows:
            return Group(self._progress)
        names = [name for name in self._rows[0] if name not in ("epoch", "seconds", "images_per_second", "learning_rate")]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("epoch", justify="right")
        for name in names:
            table.add_column(safe(name), justify="right")
        table.add_column("images/s", justify="right", style="dim")
        table.add_column("seconds", justify="right", style="dim")
        for row in self._rows[-20:]:
            cells = [f"{row.get(name, float('nan')):.4f}" for name in names]
            table.add_row(str(int(row["epoch"])), *cells, f"{row['images_per_second']:,.0f}", f"{row['seconds']:.1f}")
        return Group(table, self._progress)


def _figures(row: Mapping[str, float]) -> str:
    hidden = ("epoch", "seconds", "images_per_second", "learning_rate")
    return "  ".join(f"{safe(name)} {value:.4f}" for name, value in row.items() if name not in hidden)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


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
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("label", "accuracy", "precision", "recall", "f1", "examples"):
            table.add_column(column, justify="left" if column == "label" else "right")
        for label in figures.labels[:MOST_CLASS_ROWS]:
            table.add_row(
                safe(label.name),
                *(f"{value:.4f}" for value in (label.accuracy, label.precision, label.recall, label.f1)),
                f"{label.support:,}",
            )
        console.print(table)
        console.print(f"all labels right [bold]{figures.exact:.4f}[/bold]  macro F1 [bold]{figures.macro_f1:.4f}[/bold]")
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("target", "MAE", "RMSE", "R²"):
            table.add_column(column, justify="left" if column == "target" else "right")
        for target in figures.targets:
            table.add_row(safe(target.name), f"{target.mae:.4f}", f"{target.rmse:.4f}", f"{target.r2:.4f}")
        console.print(table)


def _print_classes(console: Console, evaluation: "Evaluation") -> None:
    from cnnkit.evaluation.metrics import ClassificationFigures

    figures = evaluation.figures
    assert isinstance(figures, ClassificationFigures)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("class", "accuracy", "precision", "f1", "examples"):
        table.add_column(column, justify="left" if column == "class" else "right")
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


@contextmanager
def counting(noun: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error while something is counted through; nothing in a pipe."""
    console = Console(stderr=True)
    columns = (
        TextColumn("looking at {task.fields[noun]}"),
        BarColumn(bar_width=30, complete_style="cyan"),
        TextColumn("{task.completed:,}/{task.total:,}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=0, noun=noun, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)


def print_data_report(report: "DataReport", name: str) -> None:
    """What a look at all examples found: the numbers first, then what would spoil training, then what is worth knowing."""
    console = output()
    console.print(f"\n[bold]{safe(name)}[/bold] · {report.files:,} examples looked at")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for words, counts in (("splits", report.splits), ("classes", report.classes), ("formats", report.formats), ("modes", report.modes)):
        if counts:
            shown = ", ".join(f"{safe(key)} {count:,}" for key, count in list(counts.items())[:MOST_CLASS_ROWS])
            table.add_row(Text(words, style="dim"), shown + (" …" if len(counts) > MOST_CLASS_ROWS else ""))
    if report.sizes:
        small, middle, large = (f"{width}x{height}" for width, height in report.sizes)
        table.add_row(Text("sizes", style="dim"), f"{small} to {large}, median {middle}")
    console.print(table)
    for title, style, sentences in (("would spoil training", "bold red", report.errors), ("worth knowing", "yellow", report.warnings)):
        if sentences:
            console.print(f"\n[{style}]{len(sentences)} {title}[/{style}]")
            for sentence in sentences[:MOST_SENTENCES]:
                console.print(Text(f"  {printable(sentence)}"), soft_wrap=not console.is_terminal)
            if len(sentences) > MOST_SENTENCES:
                console.print(f"  … and {len(sentences) - MOST_SENTENCES} more: see --json")
    if not report.errors:
        console.print("\n[green]Nothing that would spoil training.[/green]")


def print_configs(descriptions: Mapping[str, str]) -> None:
    """The packaged configs with their first words."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("config", style="bold")
    table.add_column("what it trains")
    for name, description in descriptions.items():
        table.add_row(safe(name), safe(description))
    output().print(table)


class comparing:  # noqa: N801 - used as a function
    """Gives each run of a comparison a headed display of its own."""

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to put back."""

    def run(self, title: str, epochs: int, steps: int) -> "TerminalProgress | PlainProgress":
        """The display of one run."""
        output().rule(safe(title), align="left", style="dim")
        return progress_listener(epochs, steps)


def print_comparison(comparison: "Comparison") -> None:
    """Transfer and scratch side by side, a pair of columns a share of the data."""
    console = output()
    if comparison.note:
        print_notice(comparison.note, title="What these figures are")
    for pair in comparison.pairs:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(f"{pair.examples:,} training examples")
        table.add_column("pretrained base", justify="right")
        table.add_column("from scratch", justify="right")
        sides = (pair.transfer, pair.scratch)
        table.add_row(f"test {safe(comparison.figure)}", *(f"[bold]{side.test:.4f}[/bold]" for side in sides))
        table.add_row(f"best validation {safe(comparison.figure)}", *(f"{side.best:.4f}" for side in sides))
        table.add_row(
            "epochs to the smaller best", *("never" if side.epochs_to_reach is None else str(side.epochs_to_reach) for side in sides)
        )
        table.add_row(
            "seconds to the smaller best", *("never" if side.seconds_to_reach is None else f"{side.seconds_to_reach:.1f}" for side in sides)
        )
        table.add_row("trained parameters", *(f"{side.trained_parameters:,}" for side in sides))
        console.print(table)
    console.print(f"Written: {safe(str(comparison.folder))}/comparison.json and comparison.png", soft_wrap=True)


def print_phase(console: Console, number: int, count: int, words: str, layers: "Sequence[LayerState]") -> None:
    """Which layers are frozen and which train in a phase, and how many parameters that leaves."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("layer", "type", "parameters", "trained"):
        table.add_column(column, justify="left" if column in ("layer", "type") else "right")
    for layer in layers:
        trained = "[blue]frozen[/blue]" if not layer.trained else f"[green]{layer.trained:,}[/green]"
        table.add_row(safe(layer.name), safe(layer.type), f"{layer.parameters:,}", trained)
    title = f"Phase {number} of {count}, training {words}" if count > 1 else f"Training {words}"
    console.print(f"\n[bold]{safe(title)}[/bold]")
    console.print(table)
    opened, total = sum(layer.trained for layer in layers), sum(layer.parameters for layer in layers)
    console.print(f"{opened:,} of {total:,} parameters are trained; what is frozen is checked byte by byte afterwards.\n")
