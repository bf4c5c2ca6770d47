"""`benchmarks/recipes.py --runs`: which runs are trained again, with commands that write what a training would."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark_scripts import load_script

recipes = load_script("recipes")

CONFIG = (
    "# A config.\n#\n#   cnnkit train configs/small.yaml\n#   cnnkit evaluate runs/small --tta flip\n\nname: small\ntrain: {epochs: 1}\n"
)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run. A training refuses a folder that is not empty, as `cnnkit train --run-dir` does."""
    done: list[list[str]] = []

    def run(arguments: list[str]) -> None:
        done.append(arguments)
        metrics: dict[str, Any] = {"stand_in_for": None, "accuracy": 0.5, "measured_on": "test set"}
        if arguments[0] == "evaluate":
            Path(arguments[1], "metrics-tta-flip.json").write_text(json.dumps({**metrics, "accuracy": 0.75}))
            return
        target = Path(arguments[arguments.index("--run-dir") + 1])
        target.mkdir(parents=True)
        (target / "metrics.json").write_text(json.dumps(metrics))
        (target / "environment.json").write_text("{}")
        (target / "history.csv").write_text("epoch,loss\n1,0.5\n")

    monkeypatch.setattr(recipes, "_run", run)
    return done


def train(folder: Path, config: str = CONFIG) -> Any:
    path = folder / "small.yaml"
    path.write_text(config)
    return recipes.train(path, 42, folder / "runs" / "seed-42")


def trainings(commands: list[list[str]]) -> int:
    return sum(command[0] == "train" for command in commands)


def test_a_finished_run_is_not_trained_again_and_is_evaluated_as_its_comment_says(tmp_path: Path, commands: list[list[str]]) -> None:
    first, again = train(tmp_path), train(tmp_path)
    assert trainings(commands) == 1
    assert commands[0][-4:] == ["--set", "seed=42", "--run-dir", str(tmp_path / "runs" / "seed-42")]
    assert again == first
    assert first.metrics["accuracy"] == 0.75
    assert train(tmp_path, f"# Another comment.\n{CONFIG}").seconds == first.seconds
    assert trainings(commands) == 1


def test_a_run_of_another_config_command_or_version_is_trained_anew(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path)
    train(tmp_path, CONFIG.replace("epochs: 1", "epochs: 2"))
    assert trainings(commands) == 2
    train(tmp_path, CONFIG.replace("configs/small.yaml", "configs/small.yaml --set train.precision=mixed_bfloat16"))
    assert trainings(commands) == 3
    monkeypatch.setattr(recipes, "__version__", "9.0.0")
    train(tmp_path)
    assert trainings(commands) == 4


def test_an_interrupted_run_is_trained_anew(tmp_path: Path, commands: list[list[str]]) -> None:
    (tmp_path / "runs" / "seed-42" / "checkpoints").mkdir(parents=True)
    train(tmp_path)
    assert trainings(commands) == 1
    assert not (tmp_path / "runs" / "seed-42" / "checkpoints").exists()


def test_figures_of_stand_in_data_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]) -> None:
    train(tmp_path)
    metrics = tmp_path / "runs" / "seed-42" / "metrics.json"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "stand_in_for": "cifar10"}))
    with pytest.raises(SystemExit, match="trained on a stand-in for cifar10"):
        train(tmp_path)
