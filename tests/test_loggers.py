"""What TensorBoard and MLflow get is what the history says; a logger that is missing is told, and one that fails ends no run."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.runs.directory import RunDirectory
from cnnkit.training import loggers
from cnnkit.training.prepare import prepare
from cnnkit.training.resume import open_interrupted
from cnnkit.training.run import train

CONFIG = """
name: logged
data: {dataset: digits, limit: 60, validation: 0.2}
model: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}
train: {epochs: 2, log: LOG}
"""


class Listener:
    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.told.append(arguments[0]) if name == "on_notice" else None


def run(folder: Path, log: str, listener: Listener | None = None) -> Path:
    (folder / "c.yaml").write_text(CONFIG.replace("LOG", log))
    train(prepare(load([folder / "c.yaml"]), folder / "run"), listener or Listener())
    return folder / "run"


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_every_figure_of_the_history(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    finished = run(tmp_path, "[tensorboard]")
    for part, prefix in (("train", ""), ("validation", "val_")):
        events = EventAccumulator(str(finished / "tensorboard" / part))
        events.Reload()
        for name in ("loss", "accuracy"):
            read = [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]
            assert read == [(row["epoch"], pytest.approx(row[f"{prefix}{name}"], rel=1e-6)) for row in history(finished)]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_gets_parameters_metrics_files_and_model_and_goes_on_when_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.chdir(tmp_path)
    finished = run(tmp_path, "[mlflow]")
    client = MlflowClient()
    run_id = json.loads((finished / "mlflow.json").read_text())["run_id"]
    told = client.get_run(run_id)
    assert told.info.status == "FINISHED"
    assert told.info.run_name == "run"
    assert {"data.dataset": "digits", "train.epochs": "2", "model.layers.1.Dense.units": "10"}.items() <= told.data.params.items()
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        assert [(each.step, each.value) for each in client.get_metric_history(run_id, name)] == [
            (row["epoch"], row[name]) for row in history(finished)
        ]
    assert {"config.yaml", "history.csv", "metrics.json", "model"} <= {each.path for each in client.list_artifacts(run_id)}
    assert {"model/model.keras", "model/model.json"} == {each.path for each in client.list_artifacts(run_id, "model")}

    resumed = open_interrupted(finished, [], [], 3, force=False)
    train(prepare(resumed.loaded, None, resumed=resumed), Listener())
    assert [each.step for each in client.get_metric_history(run_id, "loss")] == [1, 2, 3]


@pytest.mark.filterwarnings("ignore")
def test_a_logger_that_fails_is_left_out_with_a_notice_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.training.loggers import TensorBoardLogger

    def fail(self: Any, row: Any) -> None:
        raise ConnectionError("the server has gone")

    monkeypatch.setattr(TensorBoardLogger, "on_epoch", fail)
    listener = Listener()
    assert len(history(run(tmp_path, "[tensorboard]", listener))) == 2
    assert listener.told == ["TensorBoardLogger failed and is left out from now on: the server has gone"]


def test_a_missing_logger_is_told_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "c.yaml").write_text(CONFIG.replace("LOG", "[mlflow]"))
    with pytest.raises(CnnkitError) as caught:
        load([tmp_path / "c.yaml"])
    assert str(caught.value) == (
        f"{tmp_path}/c.yaml:5:26: train.log[0]: mlflow is not installed\n    Install it: `pip install 'cnnkit[mlflow]'`."
    )


def test_a_logger_that_cannot_be_opened_ends_the_start_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directory: RunDirectory, config: object) -> None:
        raise ConnectionError("no answer from localhost")

    monkeypatch.setattr(loggers, "MlflowLogger", fail)
    with pytest.raises(CnnkitError) as caught:
        loggers.open_loggers(["mlflow"], RunDirectory(tmp_path), {})
    assert str(caught.value) == "train.log: mlflow cannot be opened: no answer from localhost\n    Fix it, or leave it out."
