"""Mutated model files of every format: an error or an answer, no traceback, no crash that the trial does not catch, no file written."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.artefacts import export
from tests.fuzz.model_files import KINDS, mutated_file

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    export(folder, "classes", list(KINDS))
    return folder


def fuzz(seeds: Path, count: int, *kinds: str, first: int = 0) -> tuple[int, str]:
    options = [each for kind in kinds for each in ("--kind", kind)]
    command = [sys.executable, "-m", "tests.fuzz.model_files", str(count), "--seeds", str(seeds), "--first", str(first), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_mutated_files_give_answers_or_plain_errors(seeds: Path) -> None:
    status, told = fuzz(seeds, 80, *KINDS)
    assert status == 0, told
    assert "80 files, 0 faults" in told
    assert all(f"{kind}: refused" in told for kind in KINDS)
    assert "onnx: read" in told


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("kinds", "count"), [(("onnx", "litert"), 500), (("openvino", "saved_model"), 200)])
def test_hundreds_of_mutated_files_give_answers_or_plain_errors(seeds: Path, kinds: tuple[str, ...], count: int) -> None:
    status, told = fuzz(seeds, count, *kinds, first=1000)
    assert status == 0, told
    assert f"{count} files, 0 faults" in told


def test_every_way_of_mutating_is_used_and_changes_the_file() -> None:
    content, other = bytes(range(256)) * 4, b"\xff" * 500
    mutated = [mutated_file(content, other, number) for number in range(100)]
    assert sum(each != content for each in mutated) > 90
    assert any(len(each) < 1024 and content.startswith(each) for each in mutated)
    assert any(b"\xff" * 8 in each for each in mutated)
    assert any(len(each) == 1024 and sum(a != b for a, b in zip(each, content, strict=True)) == 1 for each in mutated)


def test_a_crash_in_a_fork_is_told() -> None:
    code = "import os; from tests.fuzz.model_files import in_fork; print(in_fork(os.abort), in_fork(lambda: 'fine'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "crash fine\n"
