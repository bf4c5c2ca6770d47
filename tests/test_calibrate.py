"""Calibration: the temperature is where scipy finds the least loss, and the saved model gives those probabilities itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from scipy import optimize, special
from sklearn import metrics

from cnnkit import cli
from cnnkit.artifacts.model_metadata import read_metadata
from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.model.loading.load import load_model
from cnnkit.model.temperature import logits_model, with_temperature
from cnnkit.prediction.calibrate import ON_TEST, calibrate_run, fit_temperature
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.lock import RunLock
from cnnkit.runs.reopen import reopened
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

CONFIG = """
name: small
data: {dataset: digits, limit: 900, validation: 0.4, test: 0.2}
model: {preprocess: [{Rescaling: {scale: 1/255}}], layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}
train: {epochs: 4}
"""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def train_config(folder: Path, text: str = CONFIG) -> Path:
    (folder / "small.yaml").write_text(text)
    train(prepare(load([folder / "small.yaml"]), folder / "run"), Silent())
    return folder / "run"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_config(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def least_loss(logits: Any, targets: Any, activation: str) -> float:
    """Where a general minimizer finds the least negative log likelihood, over the temperature's logarithm."""

    def loss(log_temperature: Any) -> float:
        scaled = logits / np.exp(log_temperature[0])
        if activation == "softmax":
            return float(-special.log_softmax(scaled, axis=1)[np.arange(len(targets)), targets].mean())
        return float(-(targets * special.log_expit(scaled) + (1 - targets) * special.log_expit(-scaled)).mean())

    return float(np.exp(optimize.minimize(loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14}).x[0]))


@pytest.mark.parametrize("stretch", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(("activation", "outputs"), [("softmax", 5), ("sigmoid", 3), ("sigmoid", 1)])
def test_the_temperature_is_where_the_loss_is_least(stretch: float, activation: Any, outputs: int) -> None:
    random = np.random.default_rng(1)
    true_logits = random.normal(0, 2, (4000, outputs))
    if activation == "softmax":
        targets: Any = (special.softmax(true_logits, axis=1).cumsum(axis=1) > random.random((4000, 1))).argmax(axis=1)
    else:
        targets = (special.expit(true_logits) > random.random((4000, outputs))).astype(float)
    temperature = fit_temperature(stretch * true_logits, targets, activation)
    assert temperature == pytest.approx(least_loss(stretch * true_logits, targets, activation), rel=1e-6)
    assert temperature == pytest.approx(stretch, rel=0.1)  # by which the logits were made too large


def test_the_saved_model_gives_the_calibrated_probabilities_and_still_evaluates(run: Path) -> None:
    raw = keras.saving.load_model(run / "model.keras")
    with reopened(run) as opened:
        splits = {"validation": opened.dataset.validation, "test": opened.dataset.test}
    data = {name: (part.rows.read(part.index), part.targets) for name, part in splits.items()}  # type: ignore[union-attr]
    plain = {name: raw.predict(inputs, verbose=0).astype(float) for name, (inputs, _) in data.items()}
    plain = {name: given / given.sum(axis=1, keepdims=True) for name, given in plain.items()}  # float32 adds up to nearly 1
    result = calibrate_run(run)
    assert result.before["test"].accuracy > 0.4
    assert result.temperature == pytest.approx(least_loss(np.log(plain["validation"]), data["validation"][1], "softmax"), rel=1e-4)
    calibrated = keras.saving.load_model(run / "model.keras")
    for name, (inputs, targets) in data.items():
        expected = special.softmax(np.log(plain[name]) / result.temperature, axis=1)
        given = calibrated.predict(inputs, verbose=0)
        assert np.abs(given - expected).max() < 1e-6
        assert (given.argmax(axis=1) == plain[name].argmax(axis=1)).all()
        told = calibrated.evaluate(inputs, targets, verbose=0, return_dict=True)
        assert told["loss"] == pytest.approx(metrics.log_loss(targets, expected), abs=1e-5)
        assert told["accuracy"] == pytest.approx(metrics.accuracy_score(targets, expected.argmax(axis=1)), abs=1e-6)
        assert result.before[name].log_loss == pytest.approx(metrics.log_loss(targets, plain[name]), abs=1e-6)
        assert result.after[name].log_loss == pytest.approx(metrics.log_loss(targets, expected), abs=1e-6)
        assert result.before[name].accuracy == result.after[name].accuracy
    assert result.after["validation"].log_loss < result.before["validation"].log_loss
    assert json.loads((run / "calibration.json").read_text()) == result.as_dict()
    assert json.loads((run / "metrics.json").read_text())["log_loss"] == pytest.approx(result.after["test"].log_loss, abs=1e-6)


def test_calibrating_again_starts_from_the_original_logits(run: Path) -> None:
    first = calibrate_run(run)
    second = calibrate_run(run)
    assert abs(first.temperature - 1) > 0.05
    assert second.temperature == pytest.approx(first.temperature, rel=1e-5)
    assert second.before["test"].log_loss == pytest.approx(first.before["test"].log_loss, abs=1e-6)
    model = keras.saving.load_model(run / "model.keras")
    assert [layer.name for layer in model.layers].count("temperature") == 1


def test_a_run_that_is_being_written_is_left_alone_and_a_new_model_is_not_called_calibrated(run: Path) -> None:
    lock = RunLock(run)
    with pytest.raises(CnnkitError) as caught:
        calibrate_run(run)
    assert str(caught.value) == f"{run}: another process is writing this run\n    Wait for it, or name another --run-dir."
    lock.release()
    directory = RunDirectory(run)
    directory.calibration.write_text("{}")
    metadata = read_metadata(directory.model)
    assert metadata is not None
    directory.save_model(ends("dense"), metadata)
    assert not directory.calibration.exists()


def ends(kind: str) -> keras.Model:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6,))
    dense = [keras.layers.Dense(3, name=f"dense{i}") for i in range(2)]
    match kind:
        case "dense":
            outputs = keras.layers.Dense(3, "softmax")(inputs)
        case "softmax layer":
            outputs = keras.layers.Softmax()(dense[0](inputs))
        case "activation layer":
            outputs = keras.layers.Activation("softmax")(dense[0](inputs))
        case "mean":
            outputs = keras.layers.average([keras.layers.Softmax()(each(inputs)) for each in dense])
        case "sigmoid":
            outputs = keras.layers.Dense(1, "sigmoid")(inputs)
        case "mean of sigmoids":
            outputs = keras.layers.average([keras.layers.Activation("sigmoid")(each(inputs)) for each in dense])
        case _:
            outputs = keras.layers.Dense(3, "sigmoid")(inputs)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("kind", ["dense", "softmax layer", "activation layer", "mean", "sigmoid", "labels", "mean of sigmoids"])
def test_every_ending_of_a_classifier_is_divided_by_the_temperature(kind: str, tmp_path: Path) -> None:
    model = ends(kind)
    inputs = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    plain = model.predict(inputs, verbose=0).astype(float)
    activation: Any = "sigmoid" if kind in ("sigmoid", "labels", "mean of sigmoids") else "softmax"
    with_temperature(logits_model(model, activation), 2.5, activation).save(tmp_path / "m.keras")
    given = load_model(tmp_path / "m.keras").predict(inputs, verbose=0)
    expected = special.softmax(np.log(plain) / 2.5, axis=1) if activation == "softmax" else special.expit(special.logit(plain) / 2.5)
    assert np.abs(given - expected).max() < 2e-6
    again = logits_model(keras.saving.load_model(tmp_path / "m.keras"), activation)
    given = with_temperature(again, 1.0, activation).predict(inputs, verbose=0)
    assert np.abs(given - plain).max() < 2e-6


def test_a_temperature_fitted_on_the_test_examples_says_so_wherever_figures_stand(tmp_path: Path) -> None:
    run = train_config(tmp_path, CONFIG.replace("validation: 0.4", "validation: test"))
    result = calibrate_run(run)
    assert (result.note, list(result.before)) == (ON_TEST, ["test"])
    assert json.loads((run / "metrics.json").read_text())["notices"] == [ON_TEST]


def test_the_command_shows_both_sides(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["cnnkit", "calibrate", str(run), "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["before"]) == set(told["after"]) == {"validation", "test"}
    monkeypatch.setattr("sys.argv", ["cnnkit", "calibrate", str(run)])
    (run / "model-int8.onnx").touch()
    with pytest.raises(SystemExit):
        cli.main()
    printed = capsys.readouterr()
    assert "Exported before, without this temperature: model-int8.onnx." in " ".join(printed.err.split())
    lines = " ".join(printed.out.split())
    figures = " ".join(f"{told[side]['test']['expected_calibration_error']:.4f}" for side in ("before", "after"))
    assert f"expected calibration error {figures}" in lines
    assert f"the model was {'overconfident' if told['temperature'] > 1 else 'underconfident'}" in lines


def test_what_cannot_be_calibrated_is_told(run: Path, tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        with pytest.raises(CnnkitError) as caught:
            calibrate_run(folder)
        return str(caught.value).replace(str(folder), "RUN")

    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("validation: 0.4", "validation: 0.0"))
    assert refused(run) == "RUN: has no validation examples to fit a temperature on\n    Train with some: `data: {validation: 0.1}`."
    metadata = json.loads((run / "model.json").read_text())
    metadata["task"]["kind"] = "regression"
    (run / "model.json").write_text(json.dumps(metadata))
    assert refused(run) == "RUN: predicts numbers, and a temperature is for probabilities\n    Name a run of a classifier."
    (run / "model.json").unlink()
    assert refused(run) == "RUN: has no model.json that names its classes\n    Train the run again."
    assert refused(tmp_path / "none") == "RUN: no such run\n    See which there are: `cnnkit runs`."
    with pytest.raises(CnnkitError) as caught:
        fit_temperature(np.eye(3) * 5, np.arange(3), "softmax")
    assert str(caught.value) == (
        "no temperature from 0.01 to 100 is best for the 3 validation examples\n"
        "    That is so where all of them are predicted right, or no better than by chance: hold out more with `data.validation`."
    )
