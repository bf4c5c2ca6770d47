"""Text to the terminal, with nothing from a file or a user in force as markup or control characters."""

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
    """Standard output, as it is now (tests and pipes may have replaced it)."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def printable(text: str) -> str:
    """Text in one line with all that has no picture made visible, so that no name from a file can move the cursor or colour the screen.

    That is control characters, ends of lines, marks that turn the direction of writing, and halves of characters.
    """
    return escape_unprintable(text)


def printable_lines(text: str) -> str:
    """The same of a text that has lines of its own."""
    return "\n".join(map(printable, text.split("\n")))


def safe(text: str) -> str:
    """Text from a user or a file, with neither control characters nor Rich markup in force."""
    return escape(printable(text))


def print_error(text: str) -> None:
    """An error that the user can fix, on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    head = Text("Error: ", style="bold red" if console.is_terminal else "", end="")
    console.print(head, Text(printable_lines(text)), sep="", end="")
    console.print()


def print_notice(text: str, title: str = "Notice", console: Console | None = None) -> None:
    """Something that must not be overlooked, on standard error or above a live display."""
    console = console or Console(stderr=True, highlight=False)
    console.print(
        Panel(Text(printable_lines(text)), title=title, border_style="yellow", box=box.ROUNDED, expand=False, width=min(console.width, 100))
    )


def print_line(text: str) -> None:
    """One line of text on standard output."""
    output().print(safe(text), soft_wrap=True)


def new_table(*columns: str, left: int = 1) -> Table:
    """A table in the one style of cnnkit: its first `left` columns read from the left, the others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(Text(printable(column)), justify="left" if index < left else "right")
    return table


def print_json(value: Any) -> None:
    """A value as JSON for programs, on standard output, without markup."""
    from cnnkit.io.atomic import without_nan

    text = json.dumps(without_nan(value), indent=2, ensure_ascii=False)
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))  # noqa: T201 - data for programs
