"""TensorFlow's own log lines are on no command's standard error; an import that fails shows them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOISE = "import os\nos.write(2, b'oneDNN custom operations are on\\n')\n"
CONFIG = """\
name: tiny
data: {dataset: digits, limit: 60}
model: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}
train: {epochs: 1}
"""


def python(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(folder), *(path for path in sys.path if path)])
    given = {**os.environ, "PYTHONPATH": paths, **environment}
    given.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=given, capture_output=True, text=True, check=False)


def fake(folder: Path, package: str, text: str) -> None:
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(text)


def test_lines_of_an_import_are_held_back_and_later_ones_are_not(tmp_path: Path) -> None:
    fake(tmp_path, "tensorflow", NOISE)
    fake(tmp_path, "keras", NOISE + "import tensorflow\n")
    code = "from cnnkit.keras_api import quiet_import as q; q.install(); q.install(); import keras, os; os.write(2, b'later')"
    assert python(tmp_path, "-c", code).stderr == "later"
    assert python(tmp_path, "-c", "import keras").stderr.count("oneDNN") == 2


def test_an_import_that_fails_shows_the_lines_and_the_traceback(tmp_path: Path) -> None:
    fake(tmp_path, "tensorflow", NOISE + "raise ImportError('libcudart.so.12: cannot open shared object file')\n")
    ended = python(tmp_path, "-c", "from cnnkit.keras_api import quiet_import as q; q.install(); import tensorflow")
    assert ended.stderr.startswith("oneDNN custom operations are on\nTraceback (most recent call last):\n")
    assert ended.stderr.endswith("\nImportError: libcudart.so.12: cannot open shared object file\n")
    assert ended.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["check", "tiny.yaml"], ["data", "check", "tiny.yaml"], ["train", "tiny.yaml"]])
def test_a_command_on_a_new_machine_writes_nothing_of_tensorflows(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    ended = python(tmp_path, "-m", "cnnkit", *arguments, XDG_CACHE_HOME=str(tmp_path / "cache"))  # so that Keras's table is made anew
    assert ended.stderr == ""
    assert ended.returncode == 0
