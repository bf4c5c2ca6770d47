"""Whatever stands in a file: what reads it gives a value or a `CnnkitError`, in time, in little memory, and writes nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def fuzz(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.slow
def test_hostile_inputs_give_values_or_plain_errors(tmp_path: Path) -> None:
    status, told = fuzz("400", "--keep", str(tmp_path))
    assert status == 0, told
    assert "400 inputs, 0 faults" in told


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_hostile_inputs_give_values_or_plain_errors(tmp_path: Path) -> None:
    status, told = fuzz("10000", "--keep", str(tmp_path))
    assert status == 0, told
    assert "10,000 inputs, 0 faults" in told


def test_the_fuzzer_finds_what_it_looks_for(tmp_path: Path) -> None:
    """A traceback, a hang, a file outside and a gigabyte are told, where a reader that has them is put in."""
    code = """
import sys
from pathlib import Path
from tests.fuzz import worker

def bad(folder):
    if folder.name == "nonexistent":
        return
    if sys.argv[2] == "traceback":
        raise KeyError("x")
    if sys.argv[2] == "outside":
        (folder.parent / "outside").write_text("x")
    if sys.argv[2] == "memory":
        bytearray(2**31)

worker.READERS["json"] = bad
sys.argv[1:] = ["json", sys.argv[1]]
worker.main()
"""
    folder = tmp_path / "in" / "one"
    folder.mkdir(parents=True)
    for fault, outcome in (("traceback", "traceback"), ("outside", "outside"), ("memory", "traceback"), ("none", "read")):
        done = subprocess.run(
            [sys.executable, "-c", code, fault], input=f"{folder}\n", cwd=ROOT, capture_output=True, text=True, check=True, env=None
        )
        assert f'"outcome": "{outcome}"' in done.stdout.splitlines()[1], done.stdout
