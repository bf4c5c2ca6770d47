"""The reference of the commands: usage, arguments and options of each, from Typer."""

from collections.abc import Iterator
from typing import Any

import typer.main

from cnnkit.cli import app
from cnnkit.exit_status import EXIT_STATUSES

HEAD = """# Commands

Generated from the program; `cnnkit COMMAND --help` prints the same.
"""


def command_reference() -> str:
    """The page, as Markdown."""
    group = typer.main.get_command(app)
    context = group.make_context("cnnkit", ["schema"])
    parts = [HEAD, *(text for name, command in _leaves(group, "cnnkit") for text in _command(name, command, context))]
    statuses = "\n".join(
        f"| {number} | {each.meaning} | {'yes' if each.is_restarted else 'no'} |" for number, each in EXIT_STATUSES.items()
    )
    return "\n".join([*parts, f"## Exit statuses\n\n| status | meaning | restarted by `cnnkit launch` |\n|---|---|---|\n{statuses}\n"])


def _leaves(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for each, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, f"{name} {each}")
        else:
            yield f"{name} {each}", command


def _command(name: str, command: Any, parent: Any) -> Iterator[str]:
    context = type(parent)(command, info_name=name.rpartition(" ")[2], parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {name}\n\n{command.help.strip()}\n\n    {name} {usage}\n"
    for kind, title in (("argument", "argument"), ("option", "option")):
        records = [each.get_help_record(context) for each in command.params if each.param_type_name == kind]
        rows = "\n".join(f"| `{_cell(names)}` | {_cell(text).replace('|', chr(92) + '|')} |" for names, text in filter(None, records))
        if rows:
            yield f"| {title} | |\n|---|---|\n{rows}\n"


def _cell(text: str) -> str:
    return " ".join(text.split())
