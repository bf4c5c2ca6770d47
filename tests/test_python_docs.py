"""The examples of the Python interface, in its docstrings and in docs/python.md, print what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

import cnnkit

ROOT = Path(__file__).parent.parent
MODULES = ["cnnkit.api.inspection", "cnnkit.api.run", "cnnkit.api.training"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_are_true(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.attempted > 3
    assert results.failed == 0


def test_the_page_on_python_is_true() -> None:
    results = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
    assert results.attempted > 15
    assert results.failed == 0


def test_every_function_has_an_example_or_stands_on_the_page() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    functions = [name for name in cnnkit.__all__ if name[0].islower() and name != "errors"]
    assert [name for name in functions if f"cnnkit.{name}(" not in page] == []
    methods = [name for name in vars(cnnkit.Run) if not name.startswith("_") and callable(getattr(cnnkit.Run, name))]
    assert [name for name in methods if f"run.{name}(" not in page] == []
