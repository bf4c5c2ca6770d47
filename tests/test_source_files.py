"""Source files: one job each, and one of more than 300 lines says why in its docstring."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "cnnkit", "tests", "website")


def test_a_file_of_more_than_300_lines_says_why_in_its_docstring() -> None:
    texts = {path: path.read_text(encoding="utf-8") for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    long = {path: ast.get_docstring(ast.parse(text)) or "" for path, text in texts.items() if text.count("\n") > 300}
    assert len(long) > 10
    assert [str(path.relative_to(ROOT)) for path, docstring in sorted(long.items()) if "Over 300 lines" not in docstring] == []


def test_no_file_is_a_collection_of_leftovers() -> None:
    names = {path.stem for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "common", "misc"}
