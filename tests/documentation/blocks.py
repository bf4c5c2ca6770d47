"""The code blocks of a Markdown page, with what the comments before them say."""

import re
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^( *)(`{3,})(\S*)(.*)$")
_COMMENT = re.compile(r"^ *<!-- (.*) -->$")
_PICTURE = re.compile(r"<!-- made: (\S+) -->\s+!\[[^]]*\]\(([^)]+)\)")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: The first word after the fence; empty where there is none.
        title: The name of the file that it shows; empty where it has none.
        text: Its lines, without the indentation of the fence.
        line: The line of its fence in the page, from 1.
        notes: What the comments before it, and those of the page, say.
        follows: The language of the block before it, where only blank lines and comments stand between them.
    """

    language: str
    title: str
    text: str
    line: int
    notes: "Notes"
    follows: str


@dataclass(frozen=True)
class Notes:
    """What may vary in a block, and whether it is run.

    Attributes:
        within: The largest difference of decimal numbers.
        counts_within: That of whole numbers.
        varies: Headings and units of numbers that may be anything.
        exit_status: That of the last command.
        not_run: Why the block is not run; empty where it is.
    """

    within: float = 0.0
    counts_within: int = 0
    varies: tuple[str, ...] = ()
    exit_status: int = 0
    not_run: str = ""


@dataclass(frozen=True)
class Command:
    """A command of a console block.

    Attributes:
        line: What is typed, continued lines included.
        expected: What the page says that it prints.
        at: Its line in the page, from 1.
    """

    line: str
    expected: str
    at: int


@dataclass
class _Open:
    fence: str
    indent: int
    language: str
    title: str
    line: int
    follows: str
    lines: list[str] = field(default_factory=list)


def read_page(path: Path) -> list[Block]:
    """All blocks of a page in order.

    Raises:
        ValueError: A comment says something unknown, or a block is not closed.
    """
    blocks: list[Block] = []
    page = Notes()
    notes, follows = page, ""
    current: _Open | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if current is not None:
            if line.strip() == current.fence:
                text = "\n".join(current.lines).rstrip("\n")
                blocks.append(Block(current.language, current.title, text, current.line, notes, current.follows))
                notes, follows, current = page, current.language, None
            else:
                current.lines.append(line[current.indent :] if line[: current.indent].isspace() else line)
        elif fence := _FENCE.match(line):
            title = _TITLE.search(fence[4])
            current = _Open(fence[2], len(fence[1]), fence[3], title[1] if title else "", number, follows)
        elif comment := _COMMENT.match(line):
            text, is_of_page = comment[1].removeprefix("page: "), comment[1].startswith("page: ")
            notes = _notes(text, notes, f"{path}:{number}")
            page = notes if is_of_page else page
        elif line.strip():
            notes, follows = page, ""
    if current is not None:
        raise ValueError(f"{path}:{current.line}: the block is not closed")
    return blocks


def pictures(path: Path) -> list[tuple[str, Path]]:
    """The pictures of a page that its commands make: each as it is named in the scratch folder, and the file that the page shows."""
    found = _PICTURE.findall(path.read_text(encoding="utf-8"))
    return [(made, (path.parent / shown).resolve()) for made, shown in found]


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    found: list[tuple[list[str], list[str], int]] = []
    is_continued = False
    for offset, line in enumerate(block.text.splitlines(), start=1):
        if is_continued:
            found[-1][0].append(line)
        elif line.startswith("$ "):
            found.append(([line.removeprefix("$ ")], [], block.line + offset))
        else:
            found[-1][1].append(line)
            continue
        is_continued = line.endswith("\\")
    return [Command("\n".join(typed), "\n".join(printed), at) for typed, printed, at in found]


def _notes(text: str, before: Notes, where: str) -> Notes:
    changed = dict(vars(before))
    for part in text.split("; "):
        if part.startswith("within "):
            changed["within"] = float(part.removeprefix("within "))
        elif part.startswith("counts within "):
            changed["counts_within"] = int(part.removeprefix("counts within "))
        elif part.startswith("varies: "):
            changed["varies"] = (*before.varies, *part.removeprefix("varies: ").split(", "))
        elif part.startswith("exit status "):
            changed["exit_status"] = int(part.removeprefix("exit status "))
        elif part.startswith("not run: "):
            changed["not_run"] = part.removeprefix("not run: ")
        elif not part.startswith(("made: ", "mutants: ", "/mutants")):  # of pictures, and of `make mutants`
            raise ValueError(f"{where}: unknown note '{part}'")
    return Notes(**changed)
