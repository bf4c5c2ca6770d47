"""Checks what the text of a page names in `code`: commands, options and keys of the config that are there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from cnnkit.cli import app
from cnnkit.config.schema import Config

FOREIGN = {"--ntasks-per-node", "--gpus-per-task", "--distribution", "--signal", "--token", "--kind", "--save", "--measured"}
"""Options of Slurm, the tests and the benchmarks, and one that a page names because there is none."""

_FENCE = re.compile(r"^ *`{3,}.*?^ *`{3,} *$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_FILE = re.compile(r"^\S+\.(h5|json|keras|onnx|sbatch)$|\(\)$")
_KEY = re.compile(r"^(data|model|train|sweep)\.([a-z_]+)")


def prose_faults(path: Path) -> Iterator[str]:
    """What a page names in its text that cnnkit has not, with the line.

    Yields:
        `PAGE:LINE: CODE: what is not there`.
    """
    text = path.read_text(encoding="utf-8")
    text = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), start=1):
        for code in _CODE.findall(line):
            yield from (f"{path.name}:{number}: {code}: {fault}" for fault in _faults(code))


def _faults(code: str) -> Iterator[str]:
    commands = _commands()
    options: set[str] = set().union(*commands.values()) | FOREIGN
    if code.startswith("cnnkit "):
        name = next((each for each in commands if f"{code} ".startswith(f"cnnkit {each} ")), None)
        if name is None and not re.match(r"cnnkit [A-Z-]", code):
            yield "no such command"
        options = commands.get(name or "", options)
    if code.startswith(("cnnkit ", "--")):
        yield from (f"{each} is no option" for each in _OPTION.findall(code.partition(" -- ")[0]) if each not in options)
    if (key := _KEY.match(code)) and not _FILE.search(code) and key[2] not in _keys(key[1]):
        yield "no such key of a config"


def _commands() -> dict[str, set[str]]:
    """The options of each command by its name, `data check` among them; of `cnnkit` itself by an empty one."""
    group: Any = typer.main.get_command(app)
    found = {"": _options(group)}
    for name, command in group.commands.items():
        leaves = {f"{name} {each}": leaf for each, leaf in getattr(command, "commands", {}).items()} or {name: command}
        found |= {leaf: _options(inner) for leaf, inner in leaves.items()}
    return found


def _options(command: Any) -> set[str]:
    return {"--help"} | {option for each in command.params for option in (*each.opts, *each.secondary_opts)}


def _keys(section: str) -> set[str]:
    annotation: Any = Config.model_fields[section].annotation
    models = [annotation, *getattr(annotation, "__args__", ())]
    return {key for each in models if hasattr(each, "model_fields") for key in each.model_fields}
