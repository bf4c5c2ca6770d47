"""Wiring: that a key of the config changes what is trained, shown on a network of which one step can be worked out by hand.

Over 300 lines: a key of the config after another, all on the one network and its formula.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.utils.class_weight import compute_class_weight

from cnnkit.data.binding import load
from cnnkit.data.rows import ComputedRows
from cnnkit.errors import CnnkitError
from cnnkit.runs.reopen import reopened
from cnnkit.training.fit import Fit
from cnnkit.training.prepare import Prepared, prepare
from cnnkit.training.run import TrainingResult, train
from cnnkit.training.target_scaler import TargetScaler

TARGETS = np.array([0] * 9 + [1] * 2 + [2], np.int64)  # an input is the one-hot code of its class

CONFIG = """
data: {npz: data.npz, validation: 0, test: 0, batch_size: 12}
model:
  layers: [Flatten, {Dense: {units: outputs, activation: softmax, kernel_initializer: zeros}}]
train: {epochs: 1, optimizer: {SGD: {learning_rate: 1.0}}}
"""

TWO_LAYERS = "model.layers=[Flatten, {Dense: {units: 4, name: low}}, {Dense: {units: outputs, activation: softmax, name: high}}]"


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class Noting(Silent):
    """Notes epoch and step after each of the loop's executions."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    def on_steps(self, epoch: int, step: int, *rest: Any) -> None:
        self.steps.append((epoch, step))


pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config")  # functions of tf.data stay graphs, which is well


@pytest.fixture(autouse=True)
def quickly() -> Iterator[None]:
    with without_graphs_and_pictures():
        yield


@contextlib.contextmanager
def without_graphs_and_pictures() -> Iterator[None]:
    """Within: steps are run one by one, as tracing a graph takes longer than the few that these tests take."""
    tf.config.run_functions_eagerly(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnkit.training.run.plot_curves", lambda *arguments: None)
        patch.setattr("cnnkit.prediction.evaluate.plot_confusion", lambda *arguments: None)
        patch.setattr("cnnkit.prediction.evaluate.plot_reliability", lambda *arguments: None)
        yield
    tf.config.run_functions_eagerly(False)


def prepared(folder: Path, *overrides: str, name: str = "run") -> Prepared:
    inputs = np.eye(3, dtype=np.float32)[TARGETS].reshape(-1, 1, 3, 1)
    np.savez(folder / "data.npz", x=inputs, y=TARGETS, class_names=np.array(["a", "b", "c"]), half=TARGETS / 2)
    (folder / "c.yaml").write_text(CONFIG)
    return prepare(load([folder / "c.yaml"], overrides), folder / name)


def trained(folder: Path, *overrides: str, name: str = "run", listener: Any = None) -> tuple[keras.Model, TrainingResult]:
    made = prepared(folder, *overrides, name=name)
    return made.network.model, train(made, listener or Silent())


def one_step(counts: Any, weights: Any = 1.0, rate: float = 1.0) -> np.ndarray:
    """The kernel after a step of gradient descent from zero, where every class has the probability 1/3: `(class, unit)`."""
    return rate / np.sum(counts) * (np.asarray(counts) * weights)[:, None] * (np.eye(3) - 1 / 3)


def kernel(model: keras.Model) -> np.ndarray:
    return model.layers[-1].kernel.numpy()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.class_weight=null", one_step([9, 2, 1])),
        ("train.class_weight=balanced", one_step([9, 2, 1], compute_class_weight("balanced", classes=np.arange(3), y=TARGETS))),
        ("train.class_weight={b: 5}", one_step([9, 2, 1], [1, 5, 1])),
        ("data.sampling=balanced", one_step([4, 4, 4])),
        ("data.augment=[{Rescaling: {scale: 2}}]", 2 * one_step([9, 2, 1])),
        ("model.preprocess=[{Rescaling: {scale: 3}}]", 3 * one_step([9, 2, 1])),
        ("train.optimizer={SGD: {learning_rate: 0.25}}", one_step([9, 2, 1], rate=0.25)),
        ("train.optimizer={Adam: {learning_rate: 0.01}}", 0.01 * np.sign(np.eye(3) - 1 / 3)),  # Adam's first step is the rate itself
        ("train.phases=[{train: all, optimizer: {SGD: {learning_rate: 0.5}}}]", one_step([9, 2, 1], rate=0.5)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_step_is_the_one_worked_out_by_hand(tmp_path: Path, override: str, expected: np.ndarray) -> None:
    model, _ = trained(tmp_path, override)
    assert kernel(model) == pytest.approx(expected, abs=1e-5)


def test_augmentation_is_no_part_of_the_saved_model_and_preprocessing_is(tmp_path: Path) -> None:
    model, _ = trained(tmp_path, "data.augment=[{Rescaling: {scale: 2}}]", "model.preprocess=[{Rescaling: {scale: 3}}]")
    saved = keras.saving.load_model(tmp_path / "run" / "model.keras")
    scores = np.exp(3 * kernel(model) + model.layers[-1].bias.numpy())
    inputs = np.eye(3, dtype=np.float32).reshape(3, 1, 3, 1)
    assert saved.predict(inputs, verbose=0) == pytest.approx(scores / scores.sum(axis=1, keepdims=True), abs=1e-5)


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (["data.batch_size=5"], 3),
        (["train.epochs=2"], 2),
        (["data.limit=6", "data.batch_size=2"], 3),
        (["data.validation=0.25", "data.batch_size=3"], 3),
        (["data.test=0.5", "data.batch_size=2"], 3),
        (["train.phases=[{train: all, epochs: 3}]"], 3),
        (["train.epochs=2", "train.phases=[{train: all}]"], 2),
    ],
    ids=str,
)
def test_so_many_steps_are_taken_as_batches_and_epochs_make(tmp_path: Path, overrides: list[str], steps: int) -> None:
    listener = Noting()
    trained(tmp_path, *overrides, listener=listener)
    assert sum(dict(listener.steps).values()) == steps


def test_loss_and_metrics_are_those_of_the_config(tmp_path: Path) -> None:
    _, finished = trained(tmp_path, "train.metrics=[{SparseTopKCategoricalAccuracy: {k: 3, name: top}}]")
    (row,) = finished.history.rows
    assert row["loss"] == pytest.approx(np.log(3))
    assert row["top"] == 1.0
    assert "accuracy" not in row
    _, finished = trained(tmp_path, "train.class_weight={a: 0, b: 0}", name="weighted")
    assert finished.history.rows[0]["loss"] == pytest.approx(np.log(3) / 12)


@pytest.mark.parametrize(
    ("loss", "expected"), [("null", 1.0), ("mean_absolute_error", np.abs(TARGETS - TARGETS.mean()).mean() / TARGETS.std())]
)
def test_numbers_are_learned_standardized_with_the_loss_of_the_config(tmp_path: Path, loss: str, expected: float) -> None:
    layers = "model.layers=[Flatten, {Dense: {units: 1, kernel_initializer: zeros}}]"
    made = prepared(tmp_path, "data.target=half", "data.task=regression", f"train.loss={loss}", layers)
    assert made.dataset.task.is_regression
    assert train(made, Silent()).history.rows[0]["loss"] == pytest.approx(expected, abs=1e-5)


def test_the_task_and_the_names_of_classes_follow_the_config(tmp_path: Path) -> None:
    assert prepared(tmp_path, name="given").dataset.task.names == ("a", "b", "c")
    assert prepared(tmp_path, "data.classes=[x, y, z]", name="named").dataset.task.names == ("x", "y", "z")
    numbers = prepared(tmp_path, "data.task=regression", "model.layers=[Flatten, {Dense: {units: outputs}}]", name="numbers")
    assert numbers.dataset.task.is_regression
    assert numbers.network.model.output_shape == (None, 1)


def test_the_seed_reaches_weights_order_augmentation_and_division(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[np.ndarray] = []

    class Recorded(Fit):
        def run(self) -> None:
            orders.append(np.concatenate([targets for _, targets in self.train.shuffled(self.seed, 0).as_numpy_iterator()]))

    monkeypatch.setattr("cnnkit.training.run.Fit", Recorded)
    noise = "data.augment=[{GaussianNoise: {stddev: 1.0}}]"
    seen = []
    for number, seed in enumerate((1, 1, 2)):
        made = prepared(tmp_path, f"seed={seed}", "data.validation=0.5", TWO_LAYERS, noise, name=str(number))
        augmented = made.preparation(np.zeros((1, 1, 3, 1), np.float32), np.zeros(1, np.int64))[0]
        weights = made.network.model.get_layer("low").kernel.numpy()
        train(made, Silent())
        seen.append((made.dataset.train.index, weights, np.asarray(augmented), orders[-1]))
    for first, again, other in zip(*seen, strict=True):
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_callbacks_are_called_with_their_arguments(tmp_path: Path) -> None:
    for patience in (1, 3):
        stopping = f"train.callbacks=[{{EarlyStopping: {{monitor: loss, min_delta: 100, patience: {patience}}}}}]"
        _, finished = trained(tmp_path, "train.epochs=9", stopping, name=str(patience))
        assert len(finished.history.rows) == 1 + patience


def test_every_phase_gets_its_layers_epochs_and_optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    class Recorded(Fit):
        def run(self) -> None:
            open_layers = [layer.name for layer in self.model.layers if layer.trainable_variables]
            optimizer = self.model.optimizer
            given.append((open_layers, self.until, type(optimizer).__name__, round(float(optimizer.learning_rate), 6), len(self.callbacks)))

    monkeypatch.setattr("cnnkit.training.run.Fit", Recorded)
    phases = "[{train: last 1, epochs: 2}, {train: all, optimizer: {Adam: {learning_rate: 0.002}}}]"
    trained(tmp_path, TWO_LAYERS, "train.epochs=4", f"train.phases={phases}", "train.callbacks=[TerminateOnNaN]")
    assert given == [(["high"], 2, "SGD", 1.0, 1), (["low", "high"], 4, "Adam", 0.002, 1)]


def test_layer_decay_makes_the_steps_of_the_lower_layer_smaller(tmp_path: Path) -> None:
    def moved(decay: str) -> list[np.ndarray]:
        made = prepared(tmp_path, TWO_LAYERS, f"train.phases=[{{train: all, layer_decay: {decay}}}]", name=decay)
        before = [made.network.model.get_layer(name).kernel.numpy() for name in ("low", "high")]
        train(made, Silent())
        return [made.network.model.get_layer(name).kernel.numpy() - old for name, old in zip(("low", "high"), before, strict=True)]

    (low, high), (low_decayed, high_decayed) = moved("null"), moved("0.25")
    assert np.abs(low).max() > 0.01
    assert low_decayed == pytest.approx(0.25 * low, abs=1e-6)
    assert high_decayed == pytest.approx(high, abs=1e-6)


def test_checkpoints_inside_an_epoch_come_as_often_as_the_config_says(tmp_path: Path) -> None:
    seldom, often = Noting(), Noting()
    trained(tmp_path, "data.batch_size=4", listener=seldom, name="seldom")
    trained(tmp_path, "data.batch_size=4", "train.checkpoint_every=1", listener=often, name="often")
    assert seldom.steps == [(1, 3)]
    assert often.steps == [(1, 1), (1, 2), (1, 3)]  # no step goes past a checkpoint


@pytest.mark.parametrize(("shares", "split", "count"), [(("0.25", "0"), "validation", 3), (("0.25", "0.5"), "test", 6)])
def test_figures_are_measured_on_the_examples_held_out(tmp_path: Path, shares: tuple[str, str], split: str, count: int) -> None:
    made = prepared(tmp_path, f"data.validation={shares[0]}", f"data.test={shares[1]}")
    train(made, Silent())
    measured = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert measured["measured_on"] == f"{split} set of data"
    assert np.sum(measured["confusion"]) == count
    with reopened(tmp_path / "run") as again:
        assert again.held_out[0] == split
        for part in ("train", "validation", "test"):
            ours, theirs = getattr(made.dataset, part), getattr(again.dataset, part)
            assert (ours is None and theirs is None) or np.array_equal(ours.index, theirs.index)
        assert again.own_data
    with reopened(tmp_path / "run", None, ["seed=7", "data.test=0.25"]) as other:
        assert not other.own_data
        assert other.dataset.test is not None
        assert len(other.dataset.test) == 3


def test_the_division_of_a_run_is_that_of_its_manifest(tmp_path: Path) -> None:
    made = prepared(tmp_path, "data.test=0.5")
    train(made, Silent())
    manifest = tmp_path / "run" / "manifest.csv"
    moved = manifest.read_text().replace(",train", ",other").replace(",test", ",train").replace(",other", ",test")
    manifest.write_text(moved)
    with reopened(tmp_path / "run") as again:
        assert again.dataset.test is not None
        assert np.array_equal(again.dataset.test.index, made.dataset.train.index)


def test_a_run_on_a_stand_in_is_opened_with_it_though_the_real_data_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.data.sources.shapes.TRAIN_EXAMPLES", 40)
    monkeypatch.setattr("cnnkit.data.sources.shapes.TEST_EXAMPLES", 20)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "s.yaml").write_text(CONFIG.replace("npz: data.npz", "dataset: cifar10, fallback: shapes").replace(" test: 0,", ""))
    train(prepare(load([tmp_path / "s.yaml"]), tmp_path / "run"), Silent())
    arrays = {
        f"{letter}_{split}": np.zeros((10, *shape), np.uint8)
        for split in ("train", "test")
        for letter, shape in (("x", (32, 32, 3)), ("y", ()))
    }
    (tmp_path / "home" / "datasets").mkdir(parents=True)
    np.savez(tmp_path / "home" / "datasets" / "cifar10.npz", **arrays)
    with reopened(tmp_path / "run") as again:
        assert (again.dataset.name, again.metadata.stand_in_for) == ("shapes", "cifar10")
    with reopened(tmp_path / "run", None, ["data.batch_size=3"]) as other:
        assert (other.dataset.name, other.metadata.stand_in_for) == ("cifar10", "")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network multiplies its input by one number before its last layer."""
    folder = tmp_path_factory.mktemp("base")
    layers = "model.layers=[{Conv2D: {filters: 1, kernel_size: 1, use_bias: false, name: factor}}, Flatten, {Dense: {units: outputs, activation: softmax}}]"
    with without_graphs_and_pictures():
        trained(folder, layers)
    return folder / "run"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], one_step([9, 2, 1])),
        (["train.class_weight={b: 5}"], one_step([9, 2, 1], [1, 5, 1])),
        (["data.sampling=balanced"], one_step([4, 4, 4])),
        (["data.augment=[{Rescaling: {scale: 2}}]"], 2 * one_step([9, 2, 1])),
        (["data.augment=[{Rescaling: {scale: 2}}]", "data.augment_passes=1"], 2 * one_step([9, 2, 1])),
        (["data.augment=[{Rescaling: {scale: 2}}]", "data.augment_passes=1", "train.class_weight={b: 5}", "data.sampling=balanced"], 2 * one_step([4, 4, 4], [1, 5, 1])),
        (["data.augment=[{Rescaling: {scale: 2}}]", "train.class_weight={b: 5}"], 2 * one_step([9, 2, 1], [1, 5, 1])),
        (["model.preprocess=[{Rescaling: {scale: 3}}]"], 3 * one_step([9, 2, 1])),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_one_step_over_a_frozen_base_is_the_one_worked_out_by_hand(
    base: Path, tmp_path: Path, overrides: list[str], expected: np.ndarray
) -> None:
    head = "model.head=[Flatten, {Dense: {units: outputs, activation: softmax, kernel_initializer: zeros}}]"
    model, _ = trained(tmp_path, f"model.base={{run: {base}}}", "model.layers=null", head, *overrides)
    (factor,) = [weight.numpy().item() for weight in model.non_trainable_variables if "factor" in weight.path]
    assert kernel(model) == pytest.approx(factor * expected, abs=1e-5)


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """Two classes of pictures 16 wide and 8 high, red at both sides and black between."""
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :4, 0] = pixels[:, 12:, 0] = 200
    for name in ("one", "two"):
        for number in range(4):
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels + np.uint8(number)).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "f.yaml").write_text(CONFIG.replace("npz: data.npz", "folder: photos"))
    return tmp_path / "f.yaml"


def test_how_pictures_are_read_follows_the_config(stripes: Path, tmp_path: Path) -> None:
    def pixels(*overrides: str) -> np.ndarray:
        made = prepare(load([stripes], overrides), tmp_path / f"run{len(list(tmp_path.iterdir()))}")
        assert made.network.model.input_shape[1:] == made.dataset.train.input_shape
        read = made.dataset.train.rows.read(made.dataset.train.index[:1])[0]
        assert read.shape == made.dataset.train.input_shape
        return np.asarray(read, int)

    assert pixels().shape == (8, 16, 3)
    assert pixels("data.image_size=[4, 8]").shape == (4, 8, 3)
    grey = pixels("data.color=grey")
    assert grey.shape == (8, 16, 1)
    assert grey[0, 0, 0] == pytest.approx(0.299 * 200, abs=6)  # ITU-R 601-2 luma
    stretched, cropped, boxed = (pixels("data.image_size=8", f"data.resize={way}") for way in ("stretch", "crop", "letterbox"))
    assert stretched[:, 0, 0].min() > 150
    assert stretched[:, 4, 0].max() < 30
    assert cropped[..., 0].max() < 60  # the red sides are cut off, but for what the resampling takes from their edges
    assert boxed[0].max() == boxed[7].max() == 0
    assert boxed[4, 0, 0] > 150


def test_which_pictures_are_used_and_kept_follows_the_config(stripes: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("one/0.png\ntwo/3.png\n")
    left = prepare(load([stripes], [f"data.exclude={tmp_path / 'bad.txt'}"]), tmp_path / "left")
    assert len(left.dataset.train) == 6
    assert any("2 files are left out" in notice for notice in left.metadata.notices)
    with pytest.raises(CnnkitError, match="photos"):
        prepare(load([stripes], ["data.max_pixels=127", "data.image_size=8"]), tmp_path / "small")
    assert not (tmp_path / "small").exists() or not list((tmp_path / "small").iterdir())


def test_where_decoded_pictures_are_kept_follows_the_config(stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []

    class Recorded(ComputedRows):
        def __init__(self, *arguments: Any) -> None:
            kept.append(arguments[-1])
            super().__init__(*arguments)

    monkeypatch.setattr("cnnkit.data.sources.image_files.ComputedRows", Recorded)
    for number, (override, place) in enumerate(
        [("cache=memory", "memory"), ("cache=none", None), ("cache=disk", "folder"), ("cache=auto", "memory"), ("cache_memory=0", "folder")]
    ):
        made = prepare(load([stripes], [f"data.{override}"]), tmp_path / str(number))
        assert kept[-1] == (made.directory.cache if place == "folder" else place)


def test_a_base_gets_the_head_size_and_preprocessing_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "data: {dataset: digits, limit: 40, validation: 0}\n"
        "model:\n"
        "  base: {MobileNetV2: {alpha: 0.35, weights: none}}\n"
        "  image_size: 32\n"
        "  preprocess: [{Rescaling: {scale: 0.5, name: half}}]\n"
        "  head: [Flatten, {Dense: {units: outputs, activation: softmax, name: answer}}]\n"
    )
    model = prepare(load([tmp_path / "t.yaml"], ["model.image_size=64"]), tmp_path / "run").network.model
    names = [layer.name for layer in model.layers]
    assert names[1] == "half"
    assert names[-1] == "answer"
    (base,) = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    assert base.input_shape[1:3] == (64, 64)
    assert model.layers[-1].kernel.shape == (2 * 2 * 1280, 10)


def test_the_scale_of_numbers_follows_the_config_and_a_number_without_a_logarithm_is_located(tmp_path: Path) -> None:
    regression = ("data.target=half", "data.task=regression", "model.layers=[Flatten, {Dense: {units: outputs}}]")
    scaler = prepared(tmp_path, *regression).target_scaler
    assert isinstance(scaler, TargetScaler)
    assert (scaler.scale, scaler.mean.tolist()) == ("linear", [pytest.approx(TARGETS.mean() / 2)])
    with pytest.raises(CnnkitError) as caught:
        prepared(tmp_path, *regression, "train.target_scale=log", name="log")
    assert str(caught.value) == (
        "--set train.target_scale=log: train.target_scale: 9 training examples have a target without a logarithm, the least is 0\n"
        "    Write `target_scale: linear`, or give positive targets."
    )
    with pytest.raises(CnnkitError, match=r"train\.target_scale: log is a scale for numbers, but data has classes"):
        prepared(tmp_path, "train.target_scale=log", name="classes")
