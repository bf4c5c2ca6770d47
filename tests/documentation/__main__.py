"""Runs pages and writes what their commands print into them, where that is no longer what the page says; and copies the
pictures that they make. A translated page gets the blocks of the English one.

    python -m tests.documentation docs/first-run.md
    python -m tests.documentation docs/first-run.md --keep /tmp/first-run       the scratch folder stays, to look at
"""

import argparse
import tempfile
from pathlib import Path

from tests.documentation.blocks import Block, pictures, read_page
from tests.documentation.pages import run_page, twin
from tests.documentation.pictures import save_small
from tests.documentation.terminal import ROOT, Printed, Terminal


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Run pages and write what their commands print.")
    parser.add_argument("pages", nargs="+")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with Terminal() as terminal, tempfile.TemporaryDirectory() as scratch:
        for page in options.pages:
            if page != twin(page):
                _copy_blocks(ROOT / twin(page), ROOT / page)
                continue
            folder = options.keep or Path(scratch) / page.replace("/", "-")
            folder.mkdir(parents=True, exist_ok=True)
            changes = []
            for fault, block, line, printed, expected in run_page(page, terminal, folder):
                if fault:
                    print(fault, flush=True)
                    changes.append((block, line, printed, expected))
            _write(ROOT / page, changes)
            for made, shown in pictures(ROOT / page):
                if (folder / made).is_file():
                    save_small(folder / made, shown)
                else:
                    print(f"{page}: no picture {made} was made")


def _write(path: Path, changes: list[tuple[Block, int, Printed, str]]) -> None:
    """Replace the outputs, from the last to the first, so that line numbers stay true."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for block, line, printed, expected in reversed(changes):
        start = line
        while block.language == "console" and lines[start - 1].endswith("\\"):
            start += 1
        text = [each.rstrip() for each in printed.text.strip("\n").splitlines()]
        lines[start : start + len(expected.splitlines())] = text
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _copy_blocks(english: Path, translated: Path) -> None:
    lines = translated.read_text(encoding="utf-8").splitlines()
    for source, block in reversed(list(zip(read_page(english), read_page(translated), strict=True))):
        lines[block.line : block.line + len(block.text.splitlines())] = source.text.splitlines()
    translated.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
