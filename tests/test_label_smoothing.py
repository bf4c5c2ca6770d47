"""Label smoothing of class indices, which Keras has for one-hot targets only: trained, measured and used as in plain Keras."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_run import Silent

from cnnkit.data.binding import load
from cnnkit.data.source import Request
from cnnkit.errors import ConfigError
from cnnkit.model.compile import build_and_compile
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

SEED, CLASSES, EPOCHS = 42, 3, 2
CONFIG = """
name: smoothed
data: {npz: data.npz, validation: 0.25, batch_size: 8}
model: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}
train: {epochs: 2, keep: last, optimizer: {SGD: {learning_rate: 0.1}}, loss: LOSS}
"""
ONE_OUTPUT = CONFIG.replace("units: outputs, activation: softmax", "units: 1, activation: sigmoid")


def write(folder: Path, loss: str, classes: int = CLASSES, text: str = CONFIG) -> Path:
    random = np.random.default_rng(1)
    targets = random.integers(0, classes, 90)
    targets[:30] = 0  # so that balanced weights differ
    inputs = random.normal(size=(90, 2, 2, 1)).astype(np.float32) + targets[:, None, None, None]
    np.savez(folder / "data.npz", x=inputs, y=targets)
    (folder / "smoothed.yaml").write_text(text.replace("LOSS", loss))
    return folder / "smoothed.yaml"


def smoothed_crossentropy(predictions: Any, targets: Any, smoothing: float) -> float:
    """The mean over examples of -sum(((1 - s) t + s / n) log p), Szegedy et al. 2016, section 7."""
    one_hot = np.eye(predictions.shape[1])[targets]
    soft = (1 - smoothing) * one_hot + smoothing / predictions.shape[1]
    return float(np.mean(-np.sum(soft * np.log(predictions), axis=1)))


@pytest.mark.parametrize("weighted", [False, True], ids=["equal classes", "weighted classes"])
@pytest.mark.parametrize(
    ("loss", "theirs", "classes", "text"),
    [
        ("{CategoricalCrossentropy: {label_smoothing: 0.1}}", lambda: keras.losses.CategoricalCrossentropy(label_smoothing=0.1), 3, CONFIG),
        (
            "{CategoricalFocalCrossentropy: {label_smoothing: 0.2}}",
            lambda: keras.losses.CategoricalFocalCrossentropy(label_smoothing=0.2), 3, CONFIG,
        ),
        ("{CategoricalCrossentropy: {label_smoothing: 0.3}}", lambda: keras.losses.CategoricalCrossentropy(label_smoothing=0.3), 2, CONFIG),
        ("{BinaryCrossentropy: {label_smoothing: 0.1}}", lambda: keras.losses.BinaryCrossentropy(label_smoothing=0.1), 2, ONE_OUTPUT),
        (
            "{BinaryFocalCrossentropy: {label_smoothing: 0.1}}",
            lambda: keras.losses.BinaryFocalCrossentropy(label_smoothing=0.1), 2, ONE_OUTPUT,
        ),
    ],
    ids=["crossentropy", "focal", "two classes", "binary", "binary focal"],
)  # fmt: skip
def test_training_is_that_of_plain_keras_on_one_hot_targets(
    tmp_path: Path, loss: str, theirs: Any, classes: int, text: str, weighted: bool
) -> None:
    path = write(tmp_path, loss, classes, text)
    overrides = ["train.class_weight=balanced"] if weighted else []
    prepared = prepare(load([path], overrides), tmp_path / "run")
    rows = train(prepared, Silent()).history.rows

    plain = build_and_compile(load([path])).model
    plain.compile(keras.optimizers.SGD(0.1), theirs(), metrics=["accuracy"])
    targets = prepared.dataset.train.targets
    weights = len(targets) / (classes * np.bincount(targets)) if weighted else np.ones(classes)
    codes = np.eye(classes, dtype=np.float32) if text is CONFIG else np.arange(2, dtype=np.float32)[:, None]
    batches = prepared.train.shuffled(SEED, 0).concatenate(prepared.train.shuffled(SEED, 1))
    batches = batches.map(lambda inputs, index: (inputs, tf.gather(codes, index), tf.gather(weights.astype(np.float32), index)))
    history = plain.fit(batches, epochs=EPOCHS, steps_per_epoch=prepared.train.steps, shuffle=False, verbose=0).history
    for column in ("loss", "accuracy"):
        assert [row[column] for row in rows] == pytest.approx(history[column], abs=1e-6)
    for ours, expected in zip(prepared.network.model.get_weights(), plain.get_weights(), strict=True):
        assert np.allclose(ours, expected, atol=1e-6)


def test_the_smoothing_of_the_config_changes_what_is_trained(tmp_path: Path) -> None:
    def weights(smoothing: float) -> list[np.ndarray]:
        path = write(tmp_path, f"{{CategoricalCrossentropy: {{label_smoothing: {smoothing}}}}}")
        prepared = prepare(load([path]), tmp_path / f"run-{smoothing}")
        train(prepared, Silent())
        return prepared.network.model.get_weights()

    assert not np.allclose(weights(0.0)[0], weights(0.2)[0], atol=1e-3)


def test_the_evaluation_has_the_smoothed_loss_and_the_metrics_of_the_true_classes(tmp_path: Path) -> None:
    path = write(tmp_path, "{CategoricalCrossentropy: {label_smoothing: 0.1}}")
    finished = train(prepare(load([path]), tmp_path / "run"), Silent())
    assert finished.evaluation is not None
    dataset = load([path]).source.load(Request(SEED, tmp_path, ()))
    assert dataset.test is not None
    inputs, targets = dataset.test.rows.read(dataset.test.index), dataset.test.targets
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    predictions = model.predict(inputs, verbose=0).astype(np.float64)
    stored = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert stored["loss"] == pytest.approx(smoothed_crossentropy(predictions, targets, 0.1), abs=1e-5)
    assert stored["log_loss"] == pytest.approx(smoothed_crossentropy(predictions, targets, 0.0), abs=1e-5)
    assert stored["accuracy"] == pytest.approx(np.mean(predictions.argmax(axis=1) == targets))
    one_hot = np.eye(CLASSES, dtype=np.float32)[targets]
    assert model.evaluate(inputs, one_hot, verbose=0, return_dict=True)["loss"] == pytest.approx(stored["loss"], abs=1e-5)


def test_smoothing_goes_with_mixup(tmp_path: Path) -> None:
    path = write(tmp_path, "{CategoricalCrossentropy: {label_smoothing: 0.1}}")
    prepared = prepare(load([path], ["data.augment=[{MixUp: {alpha: 0.4}}]"]), tmp_path / "run")
    prepared.lock.release()
    inputs, indices = next(iter(prepared.train.shuffled(SEED, 0)))
    _, soft = prepared.preparation(inputs, indices)
    assert np.allclose(np.sum(soft, axis=1), 1.0, atol=1e-6)
    assert ((np.array(soft) > 0.01) & (np.array(soft) < 0.99)).any()
    model = prepared.network.model
    predictions = np.asarray(model(inputs), np.float64)
    expected = np.mean(-np.sum((0.9 * np.array(soft) + 0.1 / CLASSES) * np.log(predictions), axis=1))
    assert float(model.compute_loss(inputs, soft, model(inputs))) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("override", "path", "message", "remedy"),
    [
        (
            "train.metrics=[sparse_categorical_accuracy]",
            "train.metrics[0]",
            "sparse_categorical_accuracy wants class indices, but others of the loss and the metrics want one-hot labels",
            "Write `categorical_accuracy`.",
        ),
        (
            "train.metrics=[accuracy, {SparseTopKCategoricalAccuracy: {k: 2}}]",
            "train.metrics[1]",
            "SparseTopKCategoricalAccuracy wants class indices, but others of the loss and the metrics want one-hot labels",
            "Write `TopKCategoricalAccuracy`.",
        ),
        (
            "train.loss={SparseCategoricalCrossentropy: {label_smoothing: 0.1}}",
            "train.loss.SparseCategoricalCrossentropy.label_smoothing",
            "unknown argument.",
            "Write `CategoricalCrossentropy: {label_smoothing: …}`; class indices are encoded one-hot for it.",
        ),
        (
            "train.loss={CategoricalCrossentropy: {label_smoothing: 1.5}}",
            "train.loss.CategoricalCrossentropy.label_smoothing",
            "wants a number from 0 to 1, got 1.5",
            "",
        ),
        (
            "train.loss={BinaryCrossentropy: {label_smoothing: -0.1}}",
            "train.loss.BinaryCrossentropy.label_smoothing",
            "wants a number from 0 to 1, got -0.1",
            "",
        ),
    ],
)
def test_what_does_not_go_with_it_is_told(tmp_path: Path, override: str, path: str, message: str, remedy: str) -> None:
    config = write(tmp_path, "{CategoricalCrossentropy: {label_smoothing: 0.1}}")
    with pytest.raises(ConfigError) as caught:
        load([config], [override])
    assert [(each.path, each.message, each.remedy) for each in caught.value.problems] == [(path, message, remedy)]
