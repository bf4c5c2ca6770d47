"""That the parts of training are connected: what each of them decides reaches the saved model and the record of the run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from test_run import Silent, network, run_fit, source

from cnnkit.config.task import Task
from cnnkit.data.binding import load
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.rows import ArrayRows
from cnnkit.data.source import Request
from cnnkit.errors import ConfigError
from cnnkit.training.environment import fingerprint
from cnnkit.training.phases import apply_layer_decay
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train


def test_a_phase_ends_with_the_moving_average_of_its_weights() -> None:
    model, plain = network(False), network(False)
    model.compile(keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9), "sparse_categorical_crossentropy")
    plain.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    run_fit(model, 2)
    average: list[Any] = []
    for epoch in range(2):
        for x, y in source().shuffled(3, epoch).as_numpy_iterator():
            plain.train_on_batch(x, y)
            average = [0.9 * a + 0.1 * w for a, w in zip(average, plain.get_weights(), strict=True)] if average else plain.get_weights()
    for ours, expected, last in zip(model.get_weights(), average, plain.get_weights(), strict=True):
        assert np.allclose(ours, expected, atol=1e-6)
        assert not np.allclose(ours, last, atol=1e-4)


def test_early_stopping_restores_the_weights_of_the_best_epoch() -> None:
    model, one_epoch = network(False), network(False)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0, restore_best_weights=True)  # the first is best
    assert len(run_fit(model, 9, callbacks=[stopping]).rows) == 2
    run_fit(one_epoch, 1)
    for ours, best in zip(model.get_weights(), one_epoch.get_weights(), strict=True):
        assert np.array_equal(ours, best)


def test_the_saved_model_of_a_regression_predicts_in_the_unit_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnkit.data.sources.shapes.TRAIN_EXAMPLES", 60)
    monkeypatch.setattr("cnnkit.data.sources.shapes.TEST_EXAMPLES", 20)
    (tmp_path / "c.yaml").write_text(
        "name: size\ndata: {dataset: shapes, target: size, validation: 0.2}\n"
        "model: {input_shape: [32, 32, 3], preprocess: [{Rescaling: {scale: 1/255}}], layers: [Flatten, {Dense: {units: 1}}]}\n"
        "train: {epochs: 1}\n"
    )
    prepared = prepare(load([tmp_path / "c.yaml"]), tmp_path / "run")
    train(prepared, Silent())
    raw = load([tmp_path / "c.yaml"]).source.load(Request(42, tmp_path, ()))
    assert raw.test is not None
    pixels, targets = raw.test.rows.read(raw.test.index), np.asarray(raw.train.targets, np.float64)
    standardized = prepared.network.model.predict(pixels, verbose=0)
    saved = keras.saving.load_model(tmp_path / "run" / "model.keras").predict(pixels, verbose=0)
    assert np.allclose(saved, standardized * targets.std() + targets.mean(), atol=1e-3)
    assert targets.mean() > 10  # pixels across, so that standard deviations would not pass


def test_a_regression_without_test_examples_is_measured_in_the_unit_of_the_data(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    targets = random.normal(1000.0, 50.0, 40)
    np.savez(tmp_path / "d.npz", x=random.normal(size=(40, 4, 4, 1)), y=targets)
    (tmp_path / "c.yaml").write_text(
        "data: {npz: d.npz, test: 0, validation: 0.25}\nmodel: {layers: [Flatten, {Dense: {units: 1}}]}\ntrain: {epochs: 1}\n"
    )
    prepared = prepare(load([tmp_path / "c.yaml"]), tmp_path / "run")
    finished = train(prepared, Silent())
    assert finished.evaluation is not None
    assert finished.evaluation.split == "validation"
    assert finished.evaluation.targets.min() > 800
    assert finished.evaluation.as_dict()["overall"]["mae"] < 500  # in standard deviations it would be about 1000


def test_a_callback_that_monitors_validation_examples_wants_some_in_the_data(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=random.normal(size=(40, 4, 4, 1)), y=np.arange(40) % 2)
    (tmp_path / "c.yaml").write_text(
        "data: {npz: d.npz, validation: 0}\nmodel: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}\n"
        "train: {epochs: 1, callbacks: [EarlyStopping]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        prepare(load([tmp_path / "c.yaml"]), tmp_path / "run")
    assert caught.value.message == "EarlyStopping monitors val_loss, but there are no validation examples"
    assert caught.value.location == f"{tmp_path / 'c.yaml'}:3:32: train.callbacks[0]"
    prepare(load([tmp_path / "c.yaml"], ["data.validation=0.2"]), tmp_path / "other").lock.release()


def test_layer_decay_over_a_base_begins_below_the_head() -> None:
    def moved(decay: float | None) -> tuple[dict[str, np.ndarray], list[float]]:
        keras.utils.set_random_seed(0)
        inner = keras.Input((3,))
        base = keras.Model(inner, keras.layers.Dense(4, name="high")(keras.layers.Dense(4, name="low")(inner)))
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2, name="head")(base(inputs)))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        factors = list(apply_layer_decay(model.optimizer, model, decay).values()) if decay else []
        layers = {layer.name: layer for layer in (*base.layers, *model.layers) if layer.name in ("low", "high", "head")}
        before = {name: layer.kernel.numpy() for name, layer in layers.items()}
        data = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
        model.train_on_batch(data, data[:, :2])
        return {name: layer.kernel.numpy() - before[name] for name, layer in layers.items()}, factors

    whole, _ = moved(None)
    decayed, factors = moved(0.5)
    for name, factor in (("head", 1.0), ("high", 0.5), ("low", 0.25)):
        assert np.allclose(decayed[name], factor * whole[name], atol=1e-7), name
    assert sorted(factors) == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("what", ["input", "target", "order"])
def test_the_fingerprint_covers_every_split(part: str, what: str) -> None:
    def examples(first: int) -> Examples:
        inputs = np.arange(first, first + 24, dtype=np.float32).reshape(6, 2, 2, 1)
        return Examples(ArrayRows(inputs), np.arange(6), np.arange(6, dtype=np.int32) % 3)

    dataset = Dataset("d", Task("classification", ("a", "b", "c")), examples(0), examples(100), examples(200))
    changed = getattr(dataset, part)
    if what == "input":
        inputs = changed.rows.read(np.arange(6)).copy()
        inputs[-1, 0, 0, 0] += 1
        changed = replace(changed, rows=ArrayRows(inputs))
    elif what == "target":
        changed = replace(changed, targets=changed.targets[::-1].copy())
    else:
        changed = replace(changed, index=changed.index[::-1].copy())
    assert fingerprint(dataset) == fingerprint(replace(dataset))
    assert fingerprint(replace(dataset, **{part: changed})) != fingerprint(dataset)
