"""Training runs: the same steps as plain Keras, the same weights for the same seed, and what a run leaves behind."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow
from sklearn import metrics as sklearn_metrics

from cnnkit import cli
from cnnkit.config.target_encoding import decide
from cnnkit.config.task import Task
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.binding import load
from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource
from cnnkit.data.rows import ArrayRows
from cnnkit.data.source import Request
from cnnkit.errors import CnnkitError
from cnnkit.training.environment import describe_environment
from cnnkit.training.fit import Fit
from cnnkit.training.history import History
from cnnkit.training.memory import OutOfMemoryError
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

THREE = Task("classification", ("a", "b", "c"))

CONFIG = """
name: small
data: {dataset: digits, limit: 300, validation: 0.2}
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers: [{Conv2D: {filters: 4, kernel_size: 3, activation: relu}}, Flatten, {Dropout: {rate: 0.2}}, {Dense: {units: 10, activation: softmax}}]
train: {epochs: 2}
"""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def network(batch_norm: bool) -> keras.Model:
    keras.utils.set_random_seed(5)
    middle = [keras.layers.BatchNormalization()] if batch_norm else []
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3), *middle, keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def source() -> BatchSource:
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(50, 6, 6, 1)).astype(np.float32), random.integers(0, 3, 50).astype(np.int32)
    return BatchSource(Examples(ArrayRows(inputs), np.arange(50), targets), 8)


def run_fit(model: keras.Model, epochs: int, **options: Any) -> History:
    history = History()
    defaults: dict[str, Any] = {"callbacks": [], "listener": Silent(), "should_stop": lambda: False}
    batches = source()
    preparation = BatchPreparation([], 0, THREE, None, decide(THREE)[0])
    Fit(model, batches, batches, preparation, until=epochs, history=history, seed=3, **{**defaults, **options}).run()
    return history


@pytest.mark.parametrize("batch_norm", [False, True])
def test_fit_takes_the_same_steps_as_train_on_batch(batch_norm: bool) -> None:
    model, plain = network(batch_norm), network(batch_norm)
    history = run_fit(model, 2)
    batches = source()
    for epoch in range(2):
        for x, y in batches.shuffled(3, epoch).as_numpy_iterator():
            plain.train_on_batch(x, y)
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    inputs, targets = batches.examples.rows.read(np.arange(50)), batches.examples.targets
    expected = plain.evaluate(inputs, targets, batch_size=8, verbose=0, return_dict=True)
    assert history.rows[-1]["val_loss"] == pytest.approx(expected["loss"], abs=1e-6)
    assert history.rows[-1]["val_accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)


def test_callbacks_of_keras_act() -> None:
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=10.0, restore_best_weights=True)
    assert len(run_fit(network(False), 9, callbacks=[stopping]).rows) == 2
    slowing = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=1, min_delta=10.0, factor=0.5)
    rates = [row["learning_rate"] for row in run_fit(network(False), 4, callbacks=[slowing]).rows]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[-1] < rates[0] / 2


def test_a_diverged_loss_stops_with_the_place_and_a_remedy() -> None:
    model = network(False)
    model.layers[0].bias.assign([np.nan] * 4)
    with pytest.raises(CnnkitError) as caught:
        run_fit(model, 1)
    assert str(caught.value) == (
        "the loss became nan in epoch 1, step 1, with a learning rate of 0.001\n"
        "    Try a learning rate of 0.0001, `clipnorm: 1.0` in the optimizer, or look for extreme values in the data; "
        "`train: {on_nan: restore}` rolls back to the last checkpoint and resumes with half the rate."
    )


def test_a_batch_that_cannot_fit_into_memory_is_refused_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.training.memory.available_memory", lambda: 1)
    model = network(False)
    before = model.get_weights()
    with pytest.raises(OutOfMemoryError, match="a batch of 8 takes"):
        run_fit(model, 1)
    assert all(np.array_equal(now, old) for now, old in zip(model.get_weights(), before, strict=True))


def test_a_request_to_stop_ends_after_the_steps_under_way() -> None:
    history = run_fit(network(False), 5, should_stop=lambda: True)
    assert history.interrupted
    assert history.rows == []


def train_config(folder: Path, text: str = CONFIG, name: str = "run") -> Path:
    (folder / "small.yaml").write_text(text)
    train(prepare(load([folder / "small.yaml"]), folder / name), Silent())
    return folder / name


def test_the_same_config_and_seed_give_the_same_weights(tmp_path: Path) -> None:
    first, second = (keras.saving.load_model(train_config(tmp_path, name=name) / "model.keras") for name in ("one", "two"))
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


def test_a_run_directory_holds_what_the_readme_says(tmp_path: Path) -> None:
    run = train_config(tmp_path)
    assert {path.name for path in run.iterdir()} == {
        "config.yaml", "model.keras", "model.json", "history.csv", "metrics.json", "curves.png", "confusion.png", "reliability.png",
        "environment.json",
        "checkpoints", ".lock",
    }  # fmt: skip
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds", "images_per_second"} <= set(rows[0])
    environment = json.loads((run / "environment.json").read_text())
    assert environment["state"] == "finished"
    for row in rows:  # without the seconds of validation
        assert environment["data"]["train"] <= float(row["images_per_second"]) * float(row["seconds"]) + 1
    assert environment["data"]["train"] + environment["data"]["validation"] == 300
    assert environment["tensorflow"] == tensorflow.__version__
    assert environment["training_seconds"] == pytest.approx(sum(float(row["seconds"]) for row in rows), rel=0.5)
    again = load([run / "config.yaml"]).config
    assert again == load([tmp_path / "small.yaml"]).config


def test_metrics_are_those_of_the_saved_model_on_raw_pixels(tmp_path: Path) -> None:
    run = train_config(tmp_path)
    told = json.loads((run / "metrics.json").read_text())
    test = load([run / "config.yaml"]).source.load(Request(42, tmp_path, ())).test
    assert test is not None
    pixels = test.rows.read(test.index)
    assert pixels.max() == 255
    predicted = keras.saving.load_model(run / "model.keras").predict(pixels, verbose=0).argmax(axis=1)
    assert told["accuracy"] == sklearn_metrics.accuracy_score(test.targets, predicted)
    assert told["confusion"] == sklearn_metrics.confusion_matrix(test.targets, predicted).tolist()
    assert told["measured_on"] == "test set of digits"


def test_the_loss_and_metrics_are_those_of_keras_evaluate(tmp_path: Path) -> None:
    text = CONFIG.replace("kernel_size: 3,", "kernel_size: 3, kernel_regularizer: {L2: {l2: 0.01}},")
    run = train_config(tmp_path, text.replace("epochs: 2", "epochs: 1, metrics: [accuracy, {SparseTopKCategoricalAccuracy: {k: 3}}]"))
    told = json.loads((run / "metrics.json").read_text())
    test = load([run / "config.yaml"]).source.load(Request(42, tmp_path, ())).test
    assert test is not None
    model = keras.saving.load_model(run / "model.keras")
    expected = model.evaluate(test.rows.read(test.index), test.targets, verbose=0, return_dict=True)
    assert {name: told[name] for name in expected} == pytest.approx(expected, abs=1e-5)


def test_a_second_run_gets_a_folder_of_its_own_and_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(CONFIG.replace("epochs: 2", "epochs: 1"))
    for folder in ("small", "small-2"):
        monkeypatch.setattr(sys, "argv", ["cnnkit", "train", "small.yaml"])
        with pytest.raises(SystemExit) as exit_status:
            cli.main()
        assert exit_status.value.code == 0
        out = capsys.readouterr().out
        assert out.endswith(f"Run: runs/{folder}\n")
        assert "\x1b" not in out
        assert len([line for line in out.splitlines() if line.startswith("epoch ")]) == 1
    monkeypatch.setattr(sys, "argv", ["cnnkit", "train", "small.yaml", "--run-dir", "runs/small"])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    assert exit_status.value.code == 1
    assert capsys.readouterr().err == (
        "Error: runs/small: is not empty, and a run is never overwritten\n    Name another --run-dir, or remove it yourself.\n"
    )
    monkeypatch.setattr(sys, "argv", ["cnnkit", "evaluate", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["accuracy"] == json.loads(Path("runs/small-2/metrics.json").read_text())["accuracy"]


def test_a_stand_in_is_never_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cnnkit.data.sources.shapes.TRAIN_EXAMPLES", 200)
    monkeypatch.setattr("cnnkit.data.sources.shapes.TEST_EXAMPLES", 100)
    text = CONFIG.replace("dataset: digits, limit: 300", "dataset: cifar10, fallback: shapes").replace("epochs: 2", "epochs: 1")
    Path("small.yaml").write_text(text)
    for command in (["train", "small.yaml"], ["evaluate"]):
        monkeypatch.setattr(sys, "argv", ["cnnkit", *command])
        with pytest.raises(SystemExit) as exit_status:
            cli.main()
        assert exit_status.value.code == 0
        told = " ".join(capsys.readouterr().err.replace("│", " ").split())
        assert "Measured on shapes, a stand-in: cifar10 could not be had." in told
    assert json.loads(Path("runs/small/metrics.json").read_text())["stand_in_for"] == "cifar10"
    trained_on_the_data = json.loads(Path("runs/small/model.json").read_text()) | {"stand_in_for": ""}
    Path("runs/small/model.json").write_text(json.dumps(trained_on_the_data))
    monkeypatch.setattr(sys, "argv", ["cnnkit", "evaluate"])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    assert exit_status.value.code == 1
    assert "as Keras's mnist.npz has them: the run was trained on it.\n" in capsys.readouterr().err
    Path("small.yaml").write_text(text.replace(", fallback: shapes", ""))
    monkeypatch.setattr(sys, "argv", ["cnnkit", "train", "small.yaml"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "as an npz file of x_train, y_train, x_test and y_test" in capsys.readouterr().err
    assert not Path("runs/small-2").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interrupting_saves_what_was_learned(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(CONFIG.replace("epochs: 2", "epochs: 100000"))
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnkit", "train", "small.yaml", "--run-dir", "run"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    history = tmp_path / "run" / "history.csv"
    deadline = time.time() + 900
    while not history.exists() and time.time() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(600) == 130
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["state"] == "interrupted"
    assert keras.saving.load_model(tmp_path / "run" / "model.keras").count_params() > 0


def test_transfer_works_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cnnkit.data.sources.shapes.TRAIN_EXAMPLES", 60)
    monkeypatch.setattr("cnnkit.data.sources.shapes.TEST_EXAMPLES", 40)
    monkeypatch.setattr(sys, "argv", ["cnnkit", "transfer", "--base", "mobilenet_v2", "--epochs", "1", "--set", "model.image_size=64"])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    assert exit_status.value.code == 0
    captured = capsys.readouterr()
    assert "12,810 of 423,018 parameters are trained" in captured.out
    assert "could be had neither from" in captured.err
    monkeypatch.setattr(sys, "argv", ["cnnkit", "transfer", "--base", "mobilnetv2"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "Did you mean 'MobileNetV2'?" in capsys.readouterr().err


def test_choosing_an_epoch_on_the_test_examples_is_told(tmp_path: Path) -> None:
    text = CONFIG.replace("validation: 0.2", "validation: test").replace("epochs: 2", "epochs: 1, callbacks: [EarlyStopping]")
    told = json.loads((train_config(tmp_path, text) / "metrics.json").read_text())["notices"]
    (notice,) = told
    assert notice == (
        "EarlyStopping watch the test examples (data.validation: test), so the test metrics are biased: "
        "the model was selected on the same examples. Hold out a share instead: `data: {validation: 0.1}`."
    )


def test_the_commit_of_the_folder_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert describe_environment()["git_commit"] is None
    author = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert describe_environment()["git_commit"] == head
