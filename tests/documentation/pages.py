"""Runs the blocks of one page in its scratch folder, and says where the page is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cnnkit.config.load import load_config
from cnnkit.config.packaged import packaged_config
from cnnkit.config.schema import SOURCES
from cnnkit.config.yaml_loader import read_file
from cnnkit.config.yaml_writer import write_yaml
from cnnkit.errors import CnnkitError
from tests.documentation.blocks import Block, commands, read_page
from tests.documentation.comparison import difference
from tests.documentation.terminal import ROOT, Printed, Terminal
from tests.documentation.usage import usage_faults

RUN = ("console", "python")  # languages of blocks that are run
_BELOW = ("digits", "transfer")  # packaged configs that a part of a config is checked on top of: one of them has to take it


@dataclass(frozen=True)
class Reason:
    """Why blocks of a page are not run: those that have no note of their own."""

    blocks: int
    reason: str


def all_pages() -> list[str]:
    """The README and every page of the documentation, as paths from the top of the repository."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def twin(page: str) -> str:
    """The English page of a translated one, whose blocks are the same; the page itself where it is English."""
    return page.replace("docs/ko/", "docs/")


def reasons() -> dict[str, Reason]:
    """By page, from `not_run.yaml`."""
    listed = yaml.safe_load((Path(__file__).parent / "not_run.yaml").read_text(encoding="utf-8"))
    return {page: Reason(**each) for page, each in listed.items()}


def not_run(page: str) -> list[Block]:
    """The blocks of a page that could be run, and have no note that says why they are not: for these `not_run.yaml` has to."""
    listed = page in reasons()
    return [
        block
        for block in read_page(ROOT / page)
        if not block.notes.not_run
        and (
            block.language == "sh"
            or (block.language == "text" and (block.follows != "python" or listed))
            or (block.language in RUN and listed)
        )
    ]


def static_faults(page: str, folder: Path) -> Iterator[str]:
    """What is wrong with the configs and command lines of a page, as far as that is seen without running it."""
    for block in read_page(ROOT / page):
        where = f"{page}:{block.line}"
        if block.language == "yaml" and not block.notes.exit_status:
            yield from (f"{where}: {fault}" for fault in _config_faults(block.text, folder))
        elif block.language == "sh":
            yield from (f"{where}: {fault}" for fault in usage_faults(block.text))
        elif block.language == "console":
            yield from (f"{page}:{each.at}: {fault}" for each in commands(block) for fault in usage_faults(each.line))


def run_page(page: str, terminal: Terminal, folder: Path) -> Iterator[tuple[str, Block, int, Printed, str]]:
    """Run the blocks of a page in order.

    Yields:
        Of each command or program: what is wrong (empty where nothing is), its block, the line in the page from which on the output
        stands, what it printed, and what the page says that it prints.
    """
    listed = page in reasons()
    before: list[str] = []
    blocks = read_page(ROOT / page)
    for index, block in enumerate(blocks):
        if block.title:
            (folder / block.title).write_text(block.text + "\n", encoding="utf-8")
        if block.notes.not_run or listed:
            continue
        if block.language == "console":
            typed = commands(block)
            for each in typed:
                status = block.notes.exit_status if each is typed[-1] else 0
                printed = terminal.command(each.line, folder)
                yield _fault(page, each.at, block, printed, each.expected, status), block, each.at, printed, each.expected
        elif block.language == "python":
            printed = terminal.python(_program(before, block.text), folder)
            before.append(block.text)
            after = blocks[index + 1] if index + 1 < len(blocks) else None
            shown = after if after is not None and after.language == "text" and after.follows == "python" else None
            expected, told = (shown.text, shown) if shown else ("", block)
            yield _fault(page, block.line, told, printed, expected, block.notes.exit_status), told, told.line, printed, expected


def _fault(page: str, line: int, block: Block, printed: Printed, expected: str, status: int) -> str:
    if printed.exit_status != status:
        return f"{page}:{line}: exit status {printed.exit_status} in place of {status}\n{printed.text[-2000:]}"
    compared = difference(expected, printed.text, block.notes) if expected.strip() or block.language == "text" else ""
    return f"{page}:{line}:\n{compared}\n--- all of it:\n{printed.text}" if compared else ""


def _program(before: list[str], text: str) -> str:
    """A block of Python after those above it, whose output is left out."""
    earlier = "\n".join(before)
    silent = f"import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n    exec({earlier!r})\n" if before else ""
    return silent + text


def _config_faults(text: str, folder: Path) -> list[str]:
    """What is wrong with a config; a part of one is put on top of packaged configs, one of which has to take it."""
    file = folder / "block.yaml"
    file.write_text(text.replace("…", "0"), encoding="utf-8")
    part = read_file(file).value
    if not {"name", "seed", "data", "model", "train", "sweep"} & set(part):
        return [f"no section of a config in it, but {', '.join(part)}"]
    faults = []
    for name in _BELOW:
        try:
            load_config([_below(name, part, folder), file] if not {"data", "model"} <= set(part) else [file])
        except CnnkitError as error:
            faults.append(str(error))
        else:
            return []
    return faults[-1:]


def _below(name: str, part: Mapping[str, Any], folder: Path) -> Path:
    """A copy of a packaged config without what a part replaces as a whole: its data source, its network."""
    config = read_file(packaged_config(name)).value
    if set(SOURCES) & set(part.get("data", {})):
        del config["data"]
    if {"layers", "base"} & set(part.get("model", {})):
        del config["model"]
    file = folder / f"{name}.yaml"
    file.write_text(write_yaml(config), encoding="utf-8")
    return file
