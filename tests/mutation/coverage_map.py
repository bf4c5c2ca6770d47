"""Which tests run which functions, and how long they take: each test file once, without a mutant, and again when it changes.

Tests that start Python anew are left out: they would import TensorFlow for every mutant, and what they show is mostly how
processes end.
"""

import ast
import hashlib
import json
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.forking import run_pytest

BASELINE_SECONDS = 3600.0  # of processor time for one test file


@dataclass(frozen=True)
class Test:
    """A test that passes without a mutant.

    Attributes:
        name: Its node id.
        seconds: Processor time.
        functions: The functions it runs, as `cnnkit/data/pipeline.py BatchSource.order`.
    """

    name: str
    seconds: float
    functions: frozenset[str]


def recorded(tree: Path, folder: Path, deadline: float) -> Iterator[Test]:
    """All tests; a test file that has not been recorded as it is now is run first, which is told.

    Raises:
        SystemExit: The deadline, of the monotonic clock, has passed; what is recorded stays so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((tree / "tests").glob("test_*.py")):
        mark = hashlib.sha256(file.read_bytes()).hexdigest()
        record = folder / f"{file.stem}.json"
        known = json.loads(record.read_text()) if record.exists() else {}
        if known.get("sha256") != mark:
            if time.monotonic() > deadline:
                raise SystemExit("The time is over before all tests were run without a mutant: the next call goes on there.")
            print(f"without a mutant: {file.name}", end=" ", flush=True)
            begun = time.monotonic()
            run_pytest(tree, [str(file)], folder / f"{file.stem}.log", BASELINE_SECONDS, [_Recorder(tree, record, mark)], stop=False)
            known = json.loads(record.read_text()) if record.exists() else {"tests": {}, "failed": [file.name]}
            failed = f"; fails, and is left out: {', '.join(known['failed'])}" if known["failed"] else ""
            print(f"{len(known['tests'])} tests, {time.monotonic() - begun:.0f} s{failed}", flush=True)
        for name, test in known["tests"].items():
            yield Test(name, test["seconds"], frozenset(test["functions"]))


def chosen(tests: Sequence[Test], path: str, function: str, seconds: float) -> list[Test]:
    """The tests that run a function (where none is known to, those that run any of its module), the cheapest files first.

    Args:
        tests: All tests.
        path: The module's file.
        function: The function.
        seconds: Processor time that all of them may take; the dearest are left out.
    """
    reaching = [test for test in tests if f"{path} {function}" in test.functions]
    if not reaching:  # run by a thread of TensorFlow's, which is not traced
        reaching = [test for test in tests if any(each.startswith(f"{path} ") for each in test.functions)]
    cost: dict[str, float] = {}
    for test in reaching:
        file = test.name.partition("::")[0]
        cost[file] = cost.get(file, 0.0) + test.seconds
    result, total = [], 0.0
    for test in sorted(reaching, key=lambda test: (cost[test.name.partition("::")[0]], test.seconds)):
        total += test.seconds
        if total <= seconds or not result:
            result.append(test)
    return result


class _Recorder:
    """A pytest plugin that writes which functions each test ran."""

    def __init__(self, tree: Path, record: Path, mark: str) -> None:
        self._tree, self._record, self._mark = tree, record, mark
        self._seconds: dict[str, float] = {}
        self._failed: list[str] = []
        self._begun_python = False

    def pytest_sessionstart(self) -> None:
        import coverage

        self._coverage = coverage.Coverage(data_file=None, source=[str(self._tree / "cnnkit")], config_file=False, messages=False)
        self._coverage.start()
        sys.addaudithook(self._look_for_python)

    def _look_for_python(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and sys.executable in (arguments[0], *map(str, arguments[1][:1])):
            self._begun_python = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Generator[None, Any, Any]:
        self._coverage.switch_context(item.nodeid)
        begun, self._begun_python = time.process_time(), False
        result = yield
        if not self._begun_python:
            self._seconds[item.nodeid] = time.process_time() - begun
        return result

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        functions: dict[str, set[str]] = {}
        for file in data.measured_files():
            if not file.endswith(".py"):
                continue  # a Jinja template, which its compiled code names as its file
            name = Path(file).relative_to(self._tree).as_posix()
            inside = _functions_by_line(Path(file))
            for line, contexts in data.contexts_by_lineno(file).items():
                for test in contexts:
                    if line in inside:
                        functions.setdefault(test, set()).add(f"{name} {inside[line]}")
        tests = {
            name: {"seconds": round(seconds, 2), "functions": sorted(functions.get(name, ()))}
            for name, seconds in self._seconds.items()
            if name not in self._failed
        }
        self._record.write_text(json.dumps({"sha256": self._mark, "failed": sorted(set(self._failed)), "tests": tests}, indent=1))


def _functions_by_line(file: Path) -> dict[int, str]:
    """The function, with its class, that each line of a body belongs to; the line of `def` runs on import and belongs to none."""
    found = {}

    def visit(parent: Any, prefix: str) -> None:
        for node in parent.body:
            if isinstance(node, ast.FunctionDef):
                for line in range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1):
                    found[line] = prefix + node.name
            elif isinstance(node, ast.ClassDef):
                visit(node, f"{prefix}{node.name}.")

    visit(ast.parse(file.read_text("utf-8")), "")
    return found
