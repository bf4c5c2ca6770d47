"""Disturbances against formulas of their own, and a probe against `cnnkit evaluate`.

Over 300 lines: one command, with a claim for each kind of disturbance.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cnnkit import cli
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.task import Task
from cnnkit.data.binding import load
from cnnkit.data.rows import ArrayRows
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.metrics import compute_metrics
from cnnkit.io.atomic import write_json
from cnnkit.metrics import ACCURACY
from cnnkit.prediction.evaluate_run import evaluate_run
from cnnkit.robustness import corruptions as disturb
from cnnkit.robustness.corruptions import FOR_IMAGES, FOR_SIGNALS, FOR_VOLUMES, CorruptedRows, Setting, corruptions_for
from cnnkit.robustness.probe import headline, probe_runs, relative_area
from cnnkit.robustness.results import Curve, Probe
from cnnkit.runs.directory import RunDirectory
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

RANDOM = np.random.default_rng(11)
PICTURES = RANDOM.integers(0, 256, (4, 12, 10, 3)).astype(np.float32)
SETTING = Setting(255.0, np.arange(4), 5)

DIGITS = """
name: digits
data: {dataset: digits, validation: 0.2}
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers: [{Conv2D: {filters: 4, kernel_size: 3, activation: relu}}, Flatten, {Dense: {units: 10, activation: softmax}}]
train: {epochs: 1}
"""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def trained(folder: Path, text: str = DIGITS, name: str = "run", overrides: tuple[str, ...] = ()) -> Path:
    config = folder / f"{name}.yaml"
    config.write_text(text)
    train(prepare(load([config], overrides), folder / name), Silent())
    return folder / name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("probe"))


@pytest.mark.parametrize("corruption", [*FOR_IMAGES, *FOR_SIGNALS], ids=lambda each: each.name)
def test_at_its_clean_strength_a_disturbance_changes_nothing(corruption: disturb.Corruption) -> None:
    inputs = PICTURES if corruption in FOR_IMAGES else RANDOM.normal(size=(4, 40, 3)).astype(np.float32)
    assert corruption.clean in corruption.strengths
    for change in corruption.variants:
        np.testing.assert_allclose(change(inputs, corruption.clean, SETTING), inputs, atol=1e-4)


def test_volumes_have_corruptions_of_their_own() -> None:
    assert [each.name for each in corruptions_for((5, 12, 10, 1))] == ["shift", "brightness", "contrast", "blur", "noise"]
    volumes = RANDOM.integers(0, 256, (4, 5, 6, 7, 2)).astype(np.float32)
    for each in FOR_VOLUMES:
        for change in each.variants:
            np.testing.assert_allclose(change(volumes, each.clean, SETTING), volumes, atol=1e-4)
            assert change(volumes, each.strengths[-1], SETTING).shape == volumes.shape
    moved = [change(volumes, 1, SETTING) for change in FOR_VOLUMES[0].variants]
    moves = [sign * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)]
    expected = [ndimage.shift(volumes, (0, *move, 0), order=0, mode="reflect") for move in moves]
    for found, wanted in zip(moved, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    blurred = FOR_VOLUMES[3].variants[0](volumes, 1.5, SETTING)
    np.testing.assert_allclose(blurred[1, ..., 1], ndimage.gaussian_filter(volumes[1, ..., 1], 1.5, mode="reflect"), rtol=1e-4)


@pytest.mark.parametrize(("variant", "move"), [(0, (0, -1)), (1, (0, 1)), (2, (-1, 0)), (3, (1, 0))])
@pytest.mark.parametrize("distance", [1, 5, 8])
def test_a_shift_is_that_of_scipy_with_reflection(variant: int, move: tuple[int, int], distance: int) -> None:
    moved = FOR_IMAGES[0].variants[variant](PICTURES, distance, SETTING)
    wanted = ndimage.shift(PICTURES, (0, move[0] * distance, move[1] * distance, 0), order=0, mode="reflect")
    np.testing.assert_array_equal(moved, wanted)


@pytest.mark.parametrize(("degrees", "clockwise"), [(30, True), (30, False), (45, True)])
def test_a_rotation_is_that_of_scipy(degrees: float, clockwise: bool) -> None:
    turned = disturb.rotated(PICTURES, degrees, SETTING, clockwise=clockwise)
    wanted = ndimage.rotate(PICTURES, -degrees if clockwise else degrees, axes=(1, 2), reshape=False, order=1, mode="reflect")
    np.testing.assert_allclose(turned, wanted, atol=0.05)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_scaling_keeps_the_middle_and_is_that_of_scipy(factor: float) -> None:
    middle = (np.array([12, 10]) - 1) / 2
    wanted = [
        ndimage.affine_transform(
            picture, np.diag([1 / factor, 1 / factor, 1]), np.array([*(middle - middle / factor), 0]), order=1, mode="reflect"
        )
        for picture in PICTURES
    ]
    np.testing.assert_allclose(disturb.scaled(PICTURES, factor, SETTING), wanted, atol=0.05)


def test_light_contrast_and_amplitude_are_their_formulas() -> None:
    np.testing.assert_allclose(disturb.brightened(PICTURES, -0.2, SETTING), PICTURES - 51, rtol=1e-6)
    contrasted = disturb.contrasted(PICTURES, 0.5, SETTING)
    np.testing.assert_allclose(contrasted.mean(axis=(1, 2, 3)), PICTURES.mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(contrasted.std(axis=(1, 2, 3)), PICTURES.std(axis=(1, 2, 3)) / 2, rtol=1e-4)
    np.testing.assert_array_equal(disturb.amplified(PICTURES, 2, SETTING), PICTURES * 2)


def test_a_blur_keeps_channels_and_pictures_apart() -> None:
    smooth = disturb.blurred(PICTURES, 1.5, SETTING)
    for picture, channel in ((0, 0), (3, 2)):
        np.testing.assert_allclose(smooth[picture, ..., channel], ndimage.gaussian_filter(PICTURES[picture, ..., channel], 1.5), rtol=1e-4)


def test_noise_has_the_deviation_asked_for_and_follows_the_example_not_the_batch() -> None:
    inputs = np.full((4, 60, 50, 3), 128, np.float32)
    noise = disturb.noised(inputs, 0.1, SETTING) - 128
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), 25.5, rtol=0.03)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05
    alone = disturb.noised(inputs[:1], 0.2, Setting(255.0, np.array([2]), 5)) - 128
    np.testing.assert_allclose(alone[0], 2 * noise[2], atol=1e-3)
    signals = RANDOM.normal(size=(4, 4000, 2)).astype(np.float32) * [1, 10]
    added = disturb.noised_by_deviation(signals.astype(np.float32), 0.5, SETTING) - signals
    np.testing.assert_allclose(added.std(axis=1), 0.5 * signals.std(axis=1), rtol=0.05)


def test_disturbed_bytes_are_rounded_and_cut_as_a_camera_would() -> None:
    rows = CorruptedRows(ArrayRows(np.array([[[[10], [250]]]], np.uint8)), disturb.brightened, 0.1, 255.0, 0)
    assert rows.read(np.array([0])).tolist() == [[[[36], [255]]]]
    assert rows.read(np.array([0])).dtype == np.uint8


def test_the_area_is_the_mean_of_the_curve_relative_to_clean() -> None:
    assert relative_area([0, 1, 3], [0.8, 0.6, 0.2], 0.8) == pytest.approx((0.7 * 1 + 0.4 * 2) / 3 / 0.8)
    assert relative_area([0.5, 1, 2], [0.4, 0.8, 0.6], 0.8, in_ratios=True) == pytest.approx((0.6 + 0.7) / 2 / 0.8)
    assert relative_area([0, 8], [0.5, 0.5], 0.5) == 1
    assert np.isnan(relative_area([0, 8], [0.0, 0.0], 0.0))


def test_at_no_disturbance_a_probe_is_evaluate_exactly(run: Path) -> None:
    (probed,), picture = probe_runs(run)
    evaluation, _ = evaluate_run(run, None)
    assert probed.clean == evaluation.metrics.accuracy  # type: ignore[union-attr]
    assert probed.examples == evaluation.metrics.examples
    for curve in probed.curves:
        assert curve.values[curve.strengths.index(curve.clean)] == probed.clean
    stored = json.loads((run / "probe.json").read_text())
    assert stored["curves"][0]["values"] == list(probed.curves[0].values)
    assert [curve["name"] for curve in stored["curves"]] == ["shift", "rotation", "scale", "brightness", "contrast", "blur", "noise"]
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 1500


@pytest.mark.parametrize(
    ("kind", "targets", "predictions", "figure"),
    [
        ("classification", RANDOM.integers(0, 2, 60), RANDOM.random((60, 1)), "accuracy"),
        ("multilabel", RANDOM.integers(0, 2, (60, 2)).astype(np.float32), RANDOM.random((60, 2)), "accuracy"),
        ("regression", RANDOM.normal(size=(60, 2)).astype(np.float32), RANDOM.normal(size=(60, 2)), "mae"),
    ],
)
def test_the_figure_is_that_of_evaluate_for_every_task(kind: Any, targets: Any, predictions: Any, figure: str) -> None:
    task = Task(kind, ("one", "two"))
    figures: Any = compute_metrics(targets, predictions, task)
    assert headline(targets, predictions, task)[1] == getattr(figures.overall if kind == "regression" else figures, figure)


def test_a_shifted_accuracy_is_that_of_plain_keras_on_shifted_pictures(run: Path) -> None:
    (probed,), _ = probe_runs(run, only=["shift"])
    dataset = load([run / "config.yaml"]).source.load(_request(run))
    assert dataset.test is not None
    model = keras.models.load_model(run / "model.keras")
    pictures, targets = dataset.test.rows.read(dataset.test.index), dataset.test.targets
    right = []
    for rows, columns in ((0, -2), (0, 2), (-2, 0), (2, 0)):
        padded = np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
        moved = padded[:, 2 - rows : 10 - rows, 2 - columns : 10 - columns]
        right.append((model.predict(moved, verbose=0).argmax(axis=1) == targets).mean())
    assert probed.curves[0].values[2] == pytest.approx(np.mean(right), abs=1e-12)


def _request(run: Path) -> Any:
    from cnnkit.data.source import Request

    return Request(42, run, ())


def test_a_limit_draws_the_same_examples_each_time(run: Path) -> None:
    first, second = (probe_runs(run, only=["noise"], limit=50)[0][0] for _ in range(2))
    assert first == second
    assert first.examples == 50


def test_a_regression_is_probed_by_its_error_and_signals_by_what_makes_sense_for_them(tmp_path: Path) -> None:
    text = """
name: waves
data: {dataset: waves, target: frequency, limit: 200}
model: {layers: [{Conv1D: {filters: 4, kernel_size: 5}}, GlobalAveragePooling1D, {Dense: {units: 1}}]}
train: {epochs: 1}
"""
    run = trained(tmp_path, text)
    (probed,), _ = probe_runs(run, limit=40)
    assert (probed.metric.label, probed.metric.higher_is_better) == ("MAE", False)
    assert [curve.name for curve in probed.curves] == ["shift", "amplitude", "blur", "noise"]
    assert probed.not_applicable == ("rotation", "scale", "brightness", "contrast")


def test_two_runs_stand_on_one_picture_and_in_one_table(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = trained(tmp_path, DIGITS.replace("Flatten", "MaxPooling2D, Flatten"), "pooled")
    monkeypatch.setattr("sys.argv", ["cnnkit", "probe", str(run), "--against", str(other), "--only", "shift", "--limit", "30"])
    with pytest.raises(SystemExit):
        cli.main()
    told = capsys.readouterr().out
    assert "Strengths: shift in pixels." in told
    assert (run / "probe-against-pooled.png").exists()
    assert [line.split()[0] for line in told.splitlines() if line.startswith(("run ", "pooled "))] == ["run", "pooled"]


def test_runs_on_other_examples_are_not_compared(tmp_path: Path) -> None:
    labels = np.arange(80) % 2
    runs = []
    for name in ("one", "two"):
        np.savez(tmp_path / f"{name}.npz", x=RANDOM.integers(0, 256, (80, 8, 8, 1)).astype(np.uint8), y=labels)
        text = DIGITS.replace("dataset: digits", f"npz: {name}.npz").replace("units: 10", "units: 2")
        runs.append(trained(tmp_path, text, f"run-{name}"))
    with pytest.raises(CnnkitError) as error:
        probe_runs(runs[0], [runs[1]])
    assert str(error.value) == (
        f"{runs[1]}: its test examples (two, 12 of (8, 8, 1)) are not those of {runs[0]} (one, 12 of (8, 8, 1))\n"
        "    Compare runs on the same data with the same seed, size and division."
    )


def stored_probe(folder: Path, examples: int, names: list[str]) -> str:
    curves = tuple(Curve(each.name, each.unit, each.strengths, (0.5,) * len(each.strengths), each.clean, each.in_ratios, 1.0)
                   for each in FOR_IMAGES if each.name in names)  # fmt: skip
    write_json(folder / "probe.json", Probe("run", "test set of digits", examples, ACCURACY, 0.5, curves).as_dict())
    return (folder / "probe.json").read_text()


def test_a_probe_of_less_leaves_the_stored_one_and_one_of_more_takes_its_place(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    full = stored_probe(folder, 360, [each.name for each in FOR_IMAGES])
    probe_runs(folder, only=["shift"], limit=20)
    assert (folder / "probe.json").read_text() == full
    for fewer in ((10, ["shift"]), (20, []), (360, ["blur"])):
        stored_probe(folder, *fewer)
        (found,), _ = probe_runs(folder, only=["shift"], limit=20)
        assert json.loads((folder / "probe.json").read_text()) == json.loads(json.dumps(found.as_dict()))


def test_what_was_measured_of_a_model_goes_with_it(tmp_path: Path) -> None:
    names = ["probe.json", "probe.png", "benchmark.json", "benchmark.png", "calibration.json"]
    for name in [*names, "metrics.json"]:
        (tmp_path / name).write_text("{}")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    RunDirectory(tmp_path).save_model(model, ModelMetadata("data", Task("regression", ("size",))), recalibrated=True)
    assert {path.name for path in tmp_path.iterdir()} == {"model.keras", "model.json", "metrics.json", *names} - {"calibration.json"}
    RunDirectory(tmp_path).save_model(model, ModelMetadata("data", Task("regression", ("size",))))
    assert {path.name for path in tmp_path.iterdir()} == {"model.keras", "model.json", "metrics.json"}


def test_what_is_not_there_is_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CnnkitError) as misspelt:
        probe_runs(run, only=["shfit"])
    assert str(misspelt.value) == (
        "no corruption 'shfit' for such inputs. Did you mean 'shift'?\n"
        "    There are shift, rotation, scale, brightness, contrast, blur, noise."
    )
    with pytest.raises(CnnkitError) as nowhere:
        probe_runs(tmp_path / "none")
    assert str(nowhere.value) == f"{tmp_path / 'none'}: no such run\n    See which there are: `cnnkit runs`."
    with pytest.raises(CnnkitError) as unfinished:
        probe_runs(tmp_path)
    assert str(unfinished.value) == (
        f"{tmp_path}: has no model.keras, so it is not a run that got to its end\n    Train it again, or name another run."
    )


def test_data_without_held_out_examples_is_told(tmp_path: Path) -> None:
    pictures, labels = RANDOM.integers(0, 256, (40, 8, 8, 1)).astype(np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "all.npz", x=pictures, y=labels)
    text = DIGITS.replace("{dataset: digits, validation: 0.2}", "{npz: all.npz, validation: 0, test: 0}").replace("units: 10", "units: 2")
    run = trained(tmp_path, text)
    with pytest.raises(CnnkitError) as error:
        probe_runs(run)
    assert str(error.value) == "all: has no test examples to measure on\n    Set `data.test`, or name another config with --config."
