"""Test-time augmentation: predictions are means over views, worked out by hand in NumPy, and named wherever they stand."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from cnnkit import cli
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.prediction.evaluate_run import evaluate_run
from cnnkit.prediction.inputs import find_inputs
from cnnkit.prediction.predict import Predictor, predict
from cnnkit.prediction.tta import Tta
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.listing import read_run

SHAPE = (6, 5, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, *SHAPE), np.uint8)
TASKS = {
    "classification": (Task("classification", ("a", "b", "c")), "softmax", "sparse_categorical_crossentropy"),
    "two-classes": (Task("classification", ("a", "b")), "sigmoid", "binary_crossentropy"),
    "multilabel": (Task("multilabel", ("y[0]", "y[1]")), "sigmoid", "binary_crossentropy"),
    "regression": (Task("regression", ("height", "width")), None, "mean_squared_error"),
}


def targets_of(task: Task) -> np.ndarray:
    random = np.random.default_rng(1)
    if task.is_classification:
        return np.arange(len(IMAGES)) % task.outputs
    return random.integers(0, 2, (30, 2)) if task.is_multilabel else random.normal(size=(30, 2))


def save_run(folder: Path, kind: str, shape: tuple[int, ...] = SHAPE) -> tuple[Path, np.ndarray]:
    """A run whose network weighs every pixel differently; and its weights `(pixels, outputs)`."""
    task, activation, loss = TASKS[kind]
    outputs = 1 if kind == "two-classes" else task.outputs
    dense = keras.layers.Dense(outputs, activation=activation, use_bias=False)
    model = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), dense])
    weights = np.random.default_rng(2).normal(0, 0.3 / np.prod(shape), (int(np.prod(shape)), outputs))
    dense.set_weights([weights])
    model.compile("sgd", loss)
    folder.mkdir(parents=True)
    x = IMAGES if shape == SHAPE else np.zeros((30, *shape), np.float32)
    np.savez(folder / "data.npz", x=x, y=targets_of(task), split=np.array(["train", "test"] * 15))
    run = RunDirectory(folder)
    activation_text = f", activation: {activation}" if activation else ""
    kind_text = "" if task.is_classification else f", task: {task.kind}"
    run.write_config(
        f"data: {{npz: {folder}/data.npz, split: split{kind_text}}}\n"
        f"model: {{layers: [Flatten, {{Dense: {{units: {outputs}{activation_text}}}}}]}}\n"
    )
    run.save_model(model, ModelMetadata("data", task))
    return folder, weights


def by_hand(images: np.ndarray, weights: np.ndarray, kind: str, tta: Tta | None) -> np.ndarray:
    """Mean outputs over the views `(n, outputs)`."""

    def outputs(view: np.ndarray) -> np.ndarray:
        scores = view.reshape(len(view), -1) @ weights
        if kind == "classification":
            return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return scores if kind == "regression" else 1 / (1 + np.exp(-scores))

    def both(view: np.ndarray) -> np.ndarray:
        return (outputs(view) + outputs(view[:, :, ::-1])) / 2

    images = images.astype(np.float64)
    if tta is None:
        return outputs(images)
    if tta == "flip":
        return both(images)
    down_right, up_left = np.empty_like(images), np.empty_like(images)
    down_right[:, 1:, 1:], up_left[:, :-1, :-1] = images[:, :-1, :-1], images[:, 1:, 1:]
    down_right[:, 0, 1:], up_left[:, -1, :-1] = images[:, 1, :-1], images[:, -2, 1:]  # reflected: the edge itself is not repeated
    down_right[:, 1:, 0], up_left[:, :-1, -1] = images[:, :-1, 1], images[:, 1:, -2]
    down_right[:, 0, 0], up_left[:, -1, -1] = images[:, 1, 1], images[:, -2, -2]
    return both(images) / 2 + (both(down_right) + both(up_left)) / 4


@pytest.mark.parametrize("tta", [None, "flip", "shift"])
@pytest.mark.parametrize("kind", TASKS)
def test_predictions_are_the_mean_over_the_views(tmp_path: Path, kind: str, tta: Tta | None) -> None:
    folder, weights = save_run(tmp_path / "run", kind)
    expected = by_hand(IMAGES, weights, kind, tta)
    predictor = Predictor(folder / "model.keras", top=3, tta=tta)
    outputs = predictor.outputs(IMAGES)
    assert np.allclose(outputs[:, -expected.shape[1] :], expected, atol=2e-5)
    assert not np.allclose(expected, by_hand(IMAGES, weights, kind, "flip" if tta != "flip" else None), atol=1e-2)
    (first, *_) = predict(predictor, find_inputs([str(folder / "data.npz")], None, []))
    if kind == "classification":
        assert first.values == pytest.approx(sorted(expected[0], reverse=True), abs=2e-5)


@pytest.mark.parametrize("tta", ["flip", "shift"])
@pytest.mark.parametrize("kind", TASKS)
def test_an_evaluation_is_that_of_the_mean_predictions_and_says_so(tmp_path: Path, kind: str, tta: Tta) -> None:
    folder, weights = save_run(tmp_path / "run", kind)
    evaluation, plots = evaluate_run(folder, None, tta=tta)
    expected = by_hand(IMAGES[1::2], weights, kind, tta)
    assert np.allclose(evaluation.predictions, expected, atol=2e-5)
    assert plots == []
    told = {"flip": "mean of 2 views (--tta flip)", "shift": "weighted mean of 6 views (--tta shift)"}[tta]
    stored = json.loads((folder / f"metrics-tta-{tta}.json").read_text())
    assert (stored["measured_on"], stored["tta"]) == (f"test set of data, {told}", tta)
    if kind == "classification":
        assert stored["accuracy"] == pytest.approx((expected.argmax(axis=1) == targets_of(TASKS[kind][0])[1::2]).mean())
        assert stored["loss"] == pytest.approx(-np.log(expected[np.arange(15), targets_of(TASKS[kind][0])[1::2]]).mean(), abs=1e-4)


def test_metrics_with_and_without_are_never_in_one_file(tmp_path: Path) -> None:
    folder, _ = save_run(tmp_path / "run", "classification")
    evaluate_run(folder, None)
    plain = (folder / "metrics.json").read_text()
    assert json.loads(plain)["tta"] is None
    evaluate_run(folder, None, tta="shift")
    assert (folder / "metrics.json").read_text() == plain
    assert read_run(folder, tmp_path).value == json.loads(plain)["accuracy"]  # the list of runs is without
    directory = RunDirectory(folder)
    directory.save_model(keras.saving.load_model(directory.model), ModelMetadata("data", TASKS["classification"][0]))
    assert directory.all_tta_metrics == []  # they were those of the model before


def run_cnnkit(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["cnnkit", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_names_it_on_the_screen_in_json_and_on_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, weights = save_run(tmp_path / "run", "classification")
    assert run_cnnkit(monkeypatch, "evaluate", folder, "--tta", "flip") == 0
    assert "test set of data, mean of 2 views (--tta flip) · 15 examples" in " ".join(capsys.readouterr().out.split())
    np.savez(tmp_path / "other.npz", x=IMAGES, y=targets_of(TASKS["classification"][0]))
    assert run_cnnkit(monkeypatch, "evaluate", folder, "--data", tmp_path / "other.npz", "--tta", "shift", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measured_on"] == "whole set of other, weighted mean of 6 views (--tta shift)"
    right = by_hand(IMAGES, weights, "classification", "shift").argmax(axis=1) == targets_of(TASKS["classification"][0])
    assert told["accuracy"] == pytest.approx(right.mean())


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_files_of_predictions_name_it_in_every_row_and_have_no_such_column_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    folder, _ = save_run(tmp_path / "run", "classification")

    def rows(*options: str) -> list[dict[str, object]]:
        output = tmp_path / f"out.{ending}"
        assert run_cnnkit(monkeypatch, "predict", folder, folder / "data.npz", "-o", output, *options) == 0
        text = output.read_text().splitlines()
        return list(csv.DictReader(text)) if ending == "csv" else [json.loads(line) for line in text]

    assert {row["tta"] for row in rows("--tta", "shift")} == {"shift"}
    assert "Each prediction is the weighted mean of 6 views (--tta shift) of an image." in " ".join(capsys.readouterr().err.split())
    assert all("tta" not in row for row in rows())
    assert "views" not in capsys.readouterr().err


def test_the_report_shows_both_each_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = save_run(tmp_path / "run", "classification")
    evaluation, _ = evaluate_run(folder, None, tta="flip")
    assert run_cnnkit(monkeypatch, "report", folder) == 0
    page = (folder / "report.html").read_text()
    accuracy = f"{evaluation.metrics.as_dict()['accuracy']:.4f}"
    assert f"<small>{accuracy} on the test set of data, mean of 2 views (--tta flip)</small>" in page
    (folder / "metrics-tta-flip.json").write_text("{")
    assert run_cnnkit(monkeypatch, "report", folder) == 0
    assert "metrics-tta-flip.json is damaged: evaluate again with --tta." in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("shape", "tta", "message", "remedy"),
    [
        (
            (20, 3),
            "flip",
            "--tta flip shows the model other views of an image, but it takes inputs of (20, 3)",
            "Leave --tta out for signals.",
        ),
        ((1, 8, 3), "shift", "--tta shift moves an image by 1 pixel, but the model takes inputs of (1, 8, 3)", "Use --tta flip."),
    ],
)
def test_inputs_without_such_views_are_refused(tmp_path: Path, shape: tuple[int, ...], tta: Tta, message: str, remedy: str) -> None:
    folder, _ = save_run(tmp_path / "run", "classification", shape)
    for call in (lambda: Predictor(folder / "model.keras", tta=tta), lambda: evaluate_run(folder, None, tta=tta)):
        with pytest.raises(CnnkitError) as caught:
            call()
        assert (caught.value.message, caught.value.remedy) == (message, remedy)


def test_the_mean_of_numbers_over_mirror_images_comes_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warning = "Numbers that say where something is change with a mirror image, and their mean says nothing: then leave --tta out."
    folder, _ = save_run(tmp_path / "run", "regression")
    assert evaluate_run(folder, None, tta="flip")[0].as_dict()["notices"] == [warning]
    assert evaluate_run(folder, None)[0].as_dict()["notices"] == []
    np.savez(tmp_path / "x.npz", x=IMAGES)
    run_cnnkit(monkeypatch, "predict", folder, tmp_path / "x.npz", "--tta", "flip")
    assert warning in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_another_word_is_a_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cnnkit(monkeypatch, "evaluate", "--tta", "rotate") == 2
    assert "'rotate'" in capsys.readouterr().err
