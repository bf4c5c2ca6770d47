"""A model measured on other data than its own: read as in training, told in its own classes, refused where that cannot be."""

import json
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from cnnkit import cli
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.prediction.evaluate_run import evaluate_run
from cnnkit.prediction.other_data import read_other_data
from cnnkit.runs.directory import RunDirectory

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
CONFIG = """
name: colours
data: {folder: gone, image_size: 8, resize: letterbox}
model: {layers: [GlobalAveragePooling2D, {Dense: {units: 3, activation: softmax}}]}
"""


def save_run(folder: Path, task: Task, weights: np.ndarray, activation: str | None, loss: str, config: str = CONFIG) -> Path:
    """A run whose network multiplies the mean colour of 8x8 pixels by some weights `(3, outputs)`; its own data is gone."""
    folder.mkdir(parents=True)
    dense = keras.layers.Dense(weights.shape[1], activation=activation, use_bias=False)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), dense])
    dense.set_weights([weights])
    model.compile("sgd", loss)
    run = RunDirectory(folder)
    run.write_config(config)
    run.save_model(model, ModelMetadata("colours", task))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tells red, green and blue."""
    task = Task("classification", tuple(COLOURS))
    folder = tmp_path_factory.mktemp("runs") / "colours"
    return save_run(folder, task, np.eye(3) / 50, "softmax", "sparse_categorical_crossentropy")


def paint(path: Path, colour: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[colour]).convert(mode).save(path)


def test_every_example_of_a_folder_counts_and_classes_go_by_name(run: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):  # blue comes first here, and there is no green
        paint(tmp_path / "new" / split / "blue" / "1.png", "blue", (20, 8))
        paint(tmp_path / "new" / split / "red" / "1.png", "red", mode="P")
        paint(tmp_path / "new" / split / "red" / "2.png", "blue", mode="RGBA")
    evaluation, pictures = evaluate_run(run, None, data=tmp_path / "new")
    assert pictures == []
    assert evaluation.as_dict()["measured_on"] == "whole set of new"
    assert evaluation.metrics.confusion.tolist() == [[2, 0, 2], [0, 0, 0], [0, 0, 2]]
    assert np.isnan(evaluation.metrics.classes[1].recall)
    assert sorted(file.name for file in run.iterdir()) == ["config.yaml", "model.json", "model.keras"]


def test_one_class_alone_can_be_measured(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "greens" / "green" / "1.png", "green")
    assert evaluate_run(run, None, data=tmp_path / "greens")[0].metrics.accuracy == 1
    (tmp_path / "greens.csv").write_text("path,label\ngreens/green/1.png,green\n")
    assert evaluate_run(run, None, data=tmp_path / "greens.csv")[0].metrics.accuracy == 1


def test_a_picture_of_another_size_is_fitted_as_in_training(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "wide" / "red" / "1.png", "red", (80, 20))  # letterbox: three quarters of the square are black
    (prediction,) = evaluate_run(run, None, data=tmp_path / "wide")[0].predictions
    scores = np.array([200, 30, 30]) / 4 / 50
    np.testing.assert_allclose(prediction, np.exp(scores) / np.exp(scores).sum(), atol=1e-6)


def test_whole_numbers_of_an_array_are_the_models_classes_in_their_order(run: Path, tmp_path: Path) -> None:
    images = np.array([np.full((8, 8, 3), COLOURS[name]) for name in ("blue", "green")], np.uint8)
    np.savez(tmp_path / "new.npz", x=images, y=np.array([2, 1]))
    assert evaluate_run(run, None, data=tmp_path / "new.npz")[0].metrics.accuracy == 1
    np.savez(tmp_path / "new.npz", x=images, y=np.array([0, 1]), class_names=np.array(["blue", "green"]))
    assert evaluate_run(run, None, data=tmp_path / "new.npz")[0].metrics.accuracy == 1
    np.savez(tmp_path / "new.npz", x_train=images, y_train=np.array([2, 1]), x_test=images, y_test=np.array([2, 1]))
    assert evaluate_run(run, None, data=tmp_path / "new.npz")[0].metrics.examples == 4


def test_boolean_targets_fit_a_run_of_an_earlier_version_which_named_them_0_and_1(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.zeros((3, 4, 4, 1), np.uint8), y=np.array([True, False, True]))
    for names in (("0", "1"), ("False", "True")):
        other = read_other_data(tmp_path / "new.npz", (4, 4, 1), None, Task("classification", names), None, tmp_path)
        assert np.concatenate([part.targets for part in other.parts]).tolist() == [1, 0, 1]


def test_a_config_names_data_of_which_all_is_measured(run: Path, tmp_path: Path) -> None:
    for index in range(10):
        for name in COLOURS:
            paint(tmp_path / "new" / name / f"{index}.png", name)
    (tmp_path / "other.yaml").write_text(CONFIG.replace("gone", "new").replace("image_size: 8", "image_size: 16, limit: 5"))
    assert evaluate_run(run, None, data=tmp_path / "other.yaml")[0].metrics.examples == 30


def test_labels_of_which_some_are_nowhere_stand_in_the_models_columns(tmp_path: Path) -> None:
    task = Task("multilabel", ("red", "green", "blue"))
    config = "data: {csv: gone.csv, image_size: 8, separator: '+', target: colours}\nmodel: {layers: [Flatten]}\n"
    run = save_run(tmp_path / "run", task, np.eye(3) / 50, "sigmoid", "binary_crossentropy", config)
    paint(tmp_path / "1.png", "blue")
    (tmp_path / "new.csv").write_text("path,colours\n1.png,blue+red\n1.png,blue\n")
    figures = evaluate_run(run, None, data=tmp_path / "new.csv")[0].metrics
    assert [(row.name, row.support) for row in figures.labels] == [("red", 1), ("green", 0), ("blue", 2)]


def test_numbers_are_measured_in_their_unit_and_must_be_numbers(tmp_path: Path) -> None:
    task = Task("regression", ("redness",))
    config = "data: {csv: gone.csv, image_size: 8, target: redness}\nmodel: {layers: [Flatten]}\n"
    run = save_run(tmp_path / "run", task, np.array([[1.0], [0], [0]]), None, "mse", config)
    paint(tmp_path / "1.png", "red")
    (tmp_path / "new.csv").write_text("path,redness\n1.png,190\n1.png,230\n")
    assert evaluate_run(run, None, data=tmp_path / "new.csv")[0].metrics.overall.mae == pytest.approx(20, abs=1e-4)
    (tmp_path / "new.csv").write_text("path,redness\n1.png,190\n1.png,nan\n")
    refused(
        run, tmp_path / "new.csv", f"{tmp_path}/new.csv:3: 'nan' is not a finite number\n    For classes name one `target` column only."
    )
    np.savez(tmp_path / "new.npz", x=np.zeros((2, 8, 8, 3), np.uint8), y=np.array([1.0, np.nan]))
    refused(
        run, tmp_path / "new.npz",
        f"{tmp_path}/new.npz: 1 targets in 'y' are NaN or infinite, the first at index 1\n    Take those examples out.",
    )  # fmt: skip


def test_the_target_of_a_run_is_no_option_of_a_file_with_training_and_test_arrays(tmp_path: Path) -> None:
    x, y = np.zeros((3, 4, 4, 1), np.uint8), np.array([0, 1, 0])
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x, y_test=1 - y)
    trained = Data(npz="own.npz", target="digit")
    other = read_other_data(tmp_path / "mnist.npz", (4, 4, 1), None, Task("classification", ("0", "1")), trained, tmp_path)
    assert [part.targets.tolist() for part in other.parts] == [[0, 1, 0], [1, 0, 1]]


def refused(run: Path, data: Path, message: str) -> None:
    with pytest.raises(CnnkitError, match=f"^{re.escape(message)}$"):
        evaluate_run(run, None, data=data)


def test_a_label_that_the_model_does_not_know_is_told_with_those_that_it_knows(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "new" / "red" / "1.png", "red")
    paint(tmp_path / "new" / "gren" / "1.png", "green")
    message = (
        f"{tmp_path}/new: has the label 'gren', which the model does not know. Did you mean 'green'?\n    Its classes: red, green, blue."
    )
    refused(run, tmp_path / "new", message)
    np.savez(tmp_path / "new.npz", x=np.zeros((1, 8, 8, 3), np.uint8), y=np.array([3]))
    refused(
        run,
        tmp_path / "new.npz",
        f"{tmp_path}/new.npz: has the label '3', which the model does not know.\n    Its classes: red, green, blue.",
    )


def test_data_that_cannot_be_measured_is_refused(run: Path, tmp_path: Path) -> None:
    wanted = "\n    Images end in .jpg, .jpeg, .jpe, .jfif, .png, .gif, .bmp, .webp, .tif, .tiff."
    (tmp_path / "empty").mkdir()
    refused(
        run, tmp_path / "empty", f"{tmp_path}/empty: one or more folders with images are wanted, a folder a class; there is none{wanted}"
    )
    refused(
        run, tmp_path / "no", f"{tmp_path}/no: there is no such file or folder\n    Name a folder, a .csv, .npz or .npy file, or a config."
    )
    (tmp_path / "a.txt").write_text("")
    refused(run, tmp_path / "a.txt", f"{tmp_path}/a.txt: is neither a folder nor a .csv, .npz, .npy or .yaml file")
    np.savez(tmp_path / "n.npz", x=np.zeros((2, 8, 8, 3), np.uint8), y=np.array([[0.5, 1], [1, 2]]))
    refused(
        run,
        tmp_path / "n.npz",
        f"{tmp_path}/n.npz: 'y': several columns of numbers other than 0 and 1 are no classes\n"
        "    To predict numbers write `data: {task: regression}`.",
    )
    np.savez(tmp_path / "s.npz", x=np.zeros((2, 9, 9, 3), np.uint8), y=np.array([0, 1]))
    refused(run, tmp_path / "s.npz", f"{run}/model.keras: takes inputs of (8, 8, 3), but s has (9, 9, 3)\n    Name the config of its data.")


def test_no_run_and_a_run_without_a_model_are_told(tmp_path: Path) -> None:
    refused(tmp_path / "no", tmp_path, f"{tmp_path}/no: no such run\n    See which there are: `cnnkit runs`.")
    message = f"{tmp_path}: has no model.keras, so it is not a run that got to its end\n    Train it again, or name another run."
    refused(tmp_path, tmp_path, message)


def test_the_command_prints_all_figures(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in COLOURS:
        paint(tmp_path / "[red]new" / name / "1.png", name)
    for json_too in (False, True):
        arguments = ["cnnkit", "evaluate", str(run), "--data", str(tmp_path / "[red]new")] + ["--json"] * json_too
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as exit_status:
            cli.main()
        assert exit_status.value.code == 0
        out = capsys.readouterr().out
        if json_too:
            told = json.loads(out)
            assert told["intervals"]["accuracy"] == {"low": 1.0, "high": 1.0}
            assert told["confusion_normalized"] == np.eye(3).tolist()
        else:
            assert "whole set of [red]new · 3 examples" in out
            assert [
                word for word in ("accuracy", "ROC-AUC", "average precision", "calibration error", "mean (macro)") if word not in out
            ] == []
