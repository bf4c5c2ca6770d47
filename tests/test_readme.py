"""The README's tree is what is on the disk, and its commands are those of the program."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_tree_matches_the_disk() -> None:
    tree = (ROOT / "README.md").read_text().split("```text\nconfigs/")[1].split("```")[0]
    folders: list[str] = []
    told = set()
    for line in tree.splitlines()[1:]:
        indent, name = re.match(r"( *)(\S+)", line).groups()  # type: ignore[union-attr]
        folders = folders[: len(indent) // 2]
        if name.endswith("/"):
            folders.append(name)
        else:
            told.add("".join(folders) + name)
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "cnnkit").rglob("*.py") if not path.name.startswith("__")}
    assert told == there


def test_every_command_is_told() -> None:
    import typer.main

    from cnnkit.cli import app

    text = (ROOT / "README.md").read_text()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in commands if f"`cnnkit {name}" not in text] == []
