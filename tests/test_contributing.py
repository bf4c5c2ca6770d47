"""Every addition that CONTRIBUTING.md shows as a diff applies to the package as it is, touches two files, and works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DIFFS = re.findall(r"^### (.+?)\n.*?^```diff\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)

TRY_ALL = """
import json
import numpy as np
from pathlib import Path
from PIL import Image
from cnnkit.cli import app
from cnnkit.config.load import load_config
from cnnkit.config.schema import Data, Train
from cnnkit.config.task import Task
from cnnkit.data.source import Request, endings, open_inputs, open_source
from cnnkit.evaluation.regression import regression_metrics
from cnnkit.metrics import TASK_METRICS
from cnnkit.model.builder import build_network
from cnnkit.runs.directory import RunDirectory
from cnnkit.training.loggers import open_loggers
import typer.main

request = Request(0, Path(), ())
for colour in ("red", "blue"):
    for number in range(4):
        Image.new("RGB", (8, 8), colour).save(f"{colour}{number}.png")
rows = [{"path": f"{colour}{number}.png", "label": colour} for colour in ("red", "blue") for number in range(4)]
Path("list.jsonl").write_text("\\n".join(map(json.dumps, rows)))
Path("c.yaml").write_text("data: {jsonl: list.jsonl}\\nmodel: {layers: [{grow: {layers: [{Dense: {units: 2}}]}}]}\\ntrain: {log: [json]}\\n")
config = load_config([Path("c.yaml")]).config
assert config.data.jsonl == str(Path("list.jsonl").resolve())
dataset = open_source(config.data).load(request)
assert dataset.task == Task("classification", ("blue", "red")), dataset.task
assert sum(len(part) for part in (dataset.train, dataset.validation, dataset.test) if part is not None) == 8
assert open_inputs(Path("list.jsonl"), None).count == 8
assert ".jsonl" in endings()

stripes = open_source(Data(dataset="stripes", validation=0.0)).load(request)
images = stripes.train.rows.read(stripes.train.index[:50])
assert [bool((image == image[:, :1]).all()) for image in images] == (stripes.train.targets[:50] == 0).tolist()

(logger,) = open_loggers(Train(log=["json"]).log, RunDirectory(Path()), {})
logger.on_epoch({"epoch": 1, "loss": 0.5})
assert json.loads(Path("log.jsonl").read_text()) == {"epoch": 1, "loss": 0.5}

model = build_network(config.model, (3,), Task("multilabel", tuple("abcde"))).model
assert model.output_shape == (None, 5)

results = regression_metrics(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.5, 2.0]), ("length",)).as_dict()
(largest,) = [each for each in TASK_METRICS["regression"].measured(results) if each.metric.label == "largest error"]
assert (largest.value, largest.metric.best([1.0, 3.0])) == (2.0, 1.0)

assert "versions" in typer.main.get_command(app).commands
app(["versions"], standalone_mode=False)
"""


def apply(diff: str, folder: Path) -> None:
    """Apply a diff to the copy of the package below a folder, as its reader would."""
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    subprocess.run(["git", "apply", "-"], input=diff.encode(), cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "cnnkit", tmp_path / "cnnkit", ignore=shutil.ignore_patterns("__pycache__", "weights"))
    return tmp_path


def test_each_addition_touches_two_files_and_applies_by_itself(package: Path) -> None:
    assert [name for name, _ in DIFFS] == ["A data source", "A built-in data set", "A logger", "A block", "A command", "A metric"]
    for name, diff in DIFFS:
        touched = set(re.findall(r"^\+\+\+ b/(\S+)", diff, re.MULTILINE))
        assert len(touched) == 2, name
        before = {path: (package / path).read_bytes() if (package / path).exists() else None for path in touched}
        apply(diff, package)
        assert all((package / path).read_bytes() != content for path, content in before.items()), name
        for path, content in before.items():
            (package / path).unlink() if content is None else (package / path).write_bytes(content)


def test_all_additions_together_work(package: Path) -> None:
    for _, diff in DIFFS:
        apply(diff, package)
    home = {"HOME": str(package / "home"), "XDG_CACHE_HOME": str(package / "home"), "PYTHONPATH": str(package), "PATH": os.environ["PATH"]}
    tried = subprocess.run(
        [sys.executable, "-c", TRY_ALL], cwd=package, env={**home, "TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, text=True, check=False
    )
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.startswith("keras 3")
