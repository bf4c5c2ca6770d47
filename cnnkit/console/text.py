"""Text output to the terminal; markup and control characters from files or users are escaped."""

import codecs
import json
import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cnnkit.errors import escape_unprintable


def output() -> Console:
    """A console on the current standard output, which tests and pipes may have replaced."""
    return _console(soft_wrap=not sys.stdout.isatty())


def error_output(*, soft_wrap: bool = False) -> Console:
    """A console on the current standard error."""
    return _console(stderr=True, soft_wrap=soft_wrap)


def _console(*, stderr: bool = False, soft_wrap: bool) -> Console:
    """A console that prints texts as they are: Rich makes a picture of a name such as `:dog:`, and colors numbers."""
    return Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=soft_wrap)


def escape_markup(text: str) -> str:
    """Escape control characters and Rich markup in a text from a user or a file."""
    return escape(escape_unprintable(text))


def _literal(text: str) -> Text:
    """A text of several lines with its control characters escaped, without markup."""
    return Text("\n".join(map(escape_unprintable, text.split("\n"))))


def print_error(text: str) -> None:
    """Print the text of a CnnkitError on standard error."""
    console = error_output(soft_wrap=True)
    head = Text("Error: ", style="bold red" if console.is_terminal else "", end="")
    console.print(head, _literal(text), sep="", end="")
    console.print()


def print_notice(text: str, title: str = "Notice", console: Console | None = None) -> None:
    """Print a warning in a box, on standard error or above a live display."""
    console = console or error_output()
    panel = Panel(_literal(text), title=title, border_style="yellow", box=box.ROUNDED, expand=False, width=min(console.width, 100))
    console.print(panel)


def print_line(text: str) -> None:
    """Print one line of text on standard output."""
    output().print(escape_markup(text), soft_wrap=True)


def new_table(*columns: str, left: int = 1) -> Table:
    """A table in the common style: the first `left` columns are aligned left, the others right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(Text(escape_unprintable(column)), justify="left" if index < left else "right")
    return table


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output; NaN becomes null, and characters that its encoding may lack are escaped."""
    from cnnkit.io.atomic import without_nan

    encoding = getattr(sys.stdout, "encoding", None)  # of a stream of text, such as a notebook's, None
    text = json.dumps(without_nan(value), indent=2, ensure_ascii=encoding is not None and codecs.lookup(encoding).name != "utf-8")
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))  # noqa: T201 - data for programs


def duration_text(seconds: float) -> str:
    """A duration for people: `83 s`, `27 min`, `1 h 40 min`."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def clock_text(seconds: float) -> str:
    """A duration as a clock shows it, for counters that run: `0:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
