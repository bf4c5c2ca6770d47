"""Transfer in phases: what opens and what stays to the byte, slower steps below, and features computed once."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnkit.config.load import load_config, with_epochs
from cnnkit.config.schema import Phase
from cnnkit.data.binding import load
from cnnkit.errors import BuildError, CnnkitError
from cnnkit.keras_api.signatures import REFUSED
from cnnkit.model.compile import build_and_compile
from cnnkit.training.phases import (
    apply_layer_decay,
    base_of,
    count_parameters,
    frozen_checksum,
    frozen_weights,
    require_unchanged,
    set_trainable,
)
from cnnkit.training.prepare import prepare
from cnnkit.training.run import TrainingResult, train

CONFIG = """
name: small
data: {dataset: digits, limit: 60, validation: 0.2, batch_size: 16}
model:
  base: {MobileNetV2: {alpha: 0.35, weights: none}}
  image_size: 32
  head: [GlobalAveragePooling2D, {Dropout: {rate: 0.3}}, {Dense: {units: outputs, activation: softmax}}]
train:
  phases: PHASES
"""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def write(folder: Path, phases: str) -> Path:
    (folder / "c.yaml").write_text(CONFIG.replace("PHASES", phases))
    return folder / "c.yaml"


def run(folder: Path, phases: str, name: str = "run") -> tuple[keras.Model, TrainingResult]:
    prepared = prepare(load([write(folder, phases)]), folder / name)
    return prepared.network.model, train(prepared, Silent())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> keras.Model:
    return build_and_compile(load([write(tmp_path_factory.mktemp("model"), "[{train: head}]")])).model


def names_open(model: keras.Model) -> list[str]:
    base = base_of(model)
    assert base is not None
    return [layer.name for layer in base.layers if layer.trainable_variables]


def test_a_phase_opens_what_it_names_and_never_batch_normalization(model: keras.Model) -> None:
    base = base_of(model)
    assert base is not None
    weighted = [layer.name for layer in base.layers if layer.weights and not isinstance(layer, keras.layers.BatchNormalization)]
    for words, expected in (
        ("head", []),
        ("all", weighted),
        ("from block_16_depthwise", weighted[weighted.index("block_16_depthwise") :]),
        ("last 3", ["Conv_1"]),
        ("block_3_*", ["block_3_expand", "block_3_depthwise", "block_3_project"]),
    ):
        set_trainable(model, Phase(train=words), ())
        assert names_open(model) == expected, words
        assert model.get_layer("dense").trainable_variables
    set_trainable(model, Phase(train="all", batch_norm="train"), ())
    assert "bn_Conv1" in names_open(model)


def test_a_misspelt_layer_is_told(model: keras.Model) -> None:
    with pytest.raises(BuildError) as caught:
        set_trainable(model, Phase(train="from block_16_expnd"), ("train", "phases", 1))
    assert str(caught.value) == (
        "train.phases[1].train: no layer is called 'block_16_expnd'. Did you mean 'block_16_expand'?\n"
        "    The layers go from input_layer to out_relu."
    )
    with pytest.raises(BuildError, match=r"no layer's name matches 'blok_\*'"):
        set_trainable(model, Phase(train="blok_*"), ("train", "phases", 0))


def test_frozen_weights_and_statistics_stay_to_the_byte_and_open_ones_move(tmp_path: Path) -> None:
    phases = "[{train: from block_16_project, epochs: 1}]"
    config = load([write(tmp_path, phases)])
    before = {v.path: v.numpy() for v in build_and_compile(config).model.variables}
    model, _ = run(tmp_path, phases)
    base = base_of(model)
    assert base is not None
    for layer in base.layers:
        for variable in layer.weights:
            same = np.array_equal(before[variable.path], variable.numpy())
            assert same != (layer.name in ("block_16_project", "Conv_1")), variable.path


@pytest.mark.parametrize(
    "wrapper",
    [
        lambda: keras.layers.Bidirectional(keras.layers.SimpleRNN(4)),
        lambda: keras.layers.TimeDistributed(keras.layers.Dense(2)),
        lambda: keras.Sequential([keras.layers.Dense(2), keras.layers.BatchNormalization()]),
    ],
    ids=["Bidirectional", "TimeDistributed", "Sequential"],
)
def test_frozen_weights_of_a_layer_around_others_count_once(wrapper: Callable[[], keras.Layer]) -> None:
    model = keras.Sequential([keras.Input((5, 3)), wrapper(), keras.layers.Dense(2)])
    model.layers[0].trainable = False
    assert count_parameters(frozen_weights(model)) == model.layers[0].count_params()


def test_a_frozen_weight_that_changed_fails_the_run(model: keras.Model) -> None:
    set_trainable(model, Phase(train="head"), ())
    before = frozen_checksum(model)
    require_unchanged(before, frozen_checksum(model), 1)
    base = base_of(model)
    assert base is not None
    statistic = base.get_layer("bn_Conv1").moving_mean
    statistic.assign(statistic + 1e-3)
    with pytest.raises(CnnkitError, match="frozen weights changed in phase 1"):
        require_unchanged(before, frozen_checksum(model), 1)


@pytest.mark.slow
def test_features_computed_once_give_the_plain_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once, finished = run(tmp_path, "[{train: head, epochs: 2}]", "once")
    assert finished.history.feature_seconds > 0
    monkeypatch.setattr("cnnkit.training.phase_batches.split_model", lambda model: None)
    plain, expected = run(tmp_path, "[{train: head, epochs: 2}]", "plain")
    for ours, theirs in zip(once.get_weights(), plain.get_weights(), strict=True):
        assert np.allclose(ours, theirs, atol=1e-5)
    for row, reference in zip(finished.history.rows, expected.history.rows, strict=True):
        assert {k: row[k] for k in ("epoch", "accuracy", "val_accuracy")} == {
            k: reference[k] for k in ("epoch", "accuracy", "val_accuracy")
        }
        assert row["val_loss"] == pytest.approx(reference["val_loss"], abs=1e-4)


@pytest.mark.parametrize("optimizer", [{"name": "Adam"}, {"name": "SGD", "momentum": 0.9}], ids=lambda options: options["name"])
def test_layer_decay_scales_the_update_not_the_gradient(optimizer: dict[str, Any]) -> None:
    def stepped(decay: float | None) -> tuple[list[np.ndarray], dict[str, float]]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="low"), keras.layers.Dense(2, name="high")])
        options = {key: value for key, value in optimizer.items() if key != "name"}
        model.compile(getattr(keras.optimizers, optimizer["name"])(0.1, **options), "mse")
        factors = dict(apply_layer_decay(model.optimizer, model, decay)) if decay else {}
        before = [v.numpy() for v in model.trainable_variables]
        inputs = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
        model.train_on_batch(inputs, inputs[:, :2])
        moved = [after.numpy() - b for after, b in zip(model.trainable_variables, before, strict=True)]
        return moved, {v.path: factors.get(v.path, 1.0) for v in model.trainable_variables}

    plain, _ = stepped(None)
    decayed, factors = stepped(0.5)
    assert list(factors.values()) == [0.5, 0.5, 1.0, 1.0]
    for full, less, factor in zip(plain, decayed, factors.values(), strict=True):
        assert np.allclose(less, full * factor, atol=1e-7)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, member in sorted(vars(keras.optimizers).items())
        if inspect.isclass(member) and issubclass(member, keras.optimizers.Optimizer) and name not in REFUSED
    ],
)
def test_layer_decay_of_one_changes_no_step_of_any_optimizer_and_a_smaller_one_does(name: str) -> None:
    inputs = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)

    def stepped(decay: float | None) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)])
        options = {"use_ema": True, "ema_overwrite_frequency": 3, "gradient_accumulation_steps": 2, "loss_scale_factor": 8.0}
        model.compile(getattr(keras.optimizers, name)(learning_rate=0.1, **options), "mse", run_eagerly=True)
        if decay is not None:
            apply_layer_decay(model.optimizer, model, decay)
        for _ in range(4):
            model.train_on_batch(inputs, inputs[:, :2])
        return [np.array(variable.value) for variable in (*model.variables, *model.optimizer.variables)]

    plain, decayed, smaller = stepped(None), stepped(1.0), stepped(0.5)
    assert all(np.array_equal(one, other) for one, other in zip(plain, decayed, strict=True))
    assert not np.array_equal(plain[0], smaller[0])


def test_one_history_goes_over_the_phases_and_the_best_epoch_is_kept(tmp_path: Path) -> None:
    phases = "[{train: head, epochs: 2}, {train: all, epochs: 1, optimizer: {SGD: {learning_rate: 3.0}}}]"
    model, finished = run(tmp_path, f"{phases}\n  keep: val_loss")
    rows = finished.history.rows
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[2]["learning_rate"] == 3.0
    best = min(rows, key=lambda row: row["val_loss"])
    validation = prepare(load([tmp_path / "c.yaml"]), tmp_path / "again").dataset.validation
    assert validation is not None
    measured = model.evaluate(validation.rows.read(validation.index), validation.targets, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(best["val_loss"], abs=1e-4)


def test_another_number_of_epochs_lengthens_the_last_phase_only(tmp_path: Path) -> None:
    path = write(tmp_path, "[{train: head, epochs: 2}, {train: all, epochs: 3}]")
    changed = with_epochs([path], [], load_config([path]), 9)
    assert [phase.epochs for phase in changed.config.train.phases or ()] == [2, 7]


def test_another_number_of_epochs_leaves_faults_of_phases_where_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "[{train: head, epochs: 2}, {train: all}]\n  epochs: 3")
    loaded = with_epochs([path], [], load_config([path]), 9)
    assert str(loaded.document.mark(("train", "phases", 0, "train"))) == f"{path}:9:20"
    assert str(loaded.document.mark(("train", "phases", 1, "epochs"))) == "--set train.phases[1].epochs=7"
    assert loaded.config.train.total_epochs == 9


@pytest.mark.parametrize(
    ("phases", "begun", "epochs", "message"),
    [
        ("[{train: head, epochs: 2}, {train: all, epochs: 3}]", 0, 2, "the phases before the last one take 2\n    Name 3 or more."),
        (
            "[{train: head, epochs: 2}, {train: all, epochs: 3}]", 2, 3,
            "the phases before the last one take 2, and 2 of the last one are done or begun already\n    Name 4 or more.",
        ),
        ("[{train: head}]\n  epochs: 3", 2, 1, "2 are done or begun already\n    Name 2 or more."),
    ],
)  # fmt: skip
def test_epochs_of_which_too_many_are_done_are_refused(tmp_path: Path, phases: str, begun: int, epochs: int, message: str) -> None:
    path = write(tmp_path, phases)
    loaded = load_config([path])
    with pytest.raises(CnnkitError) as caught:
        with_epochs([path], [], loaded, epochs, begun)
    assert str(caught.value) == f"--epochs: {epochs} epochs in all are too few: {message}"
    assert with_epochs([path], [], loaded, epochs + 1, begun).config.train.total_epochs == epochs + 1


def test_a_base_without_a_head_gets_pooling_dropout_and_the_outputs_of_the_task(tmp_path: Path) -> None:
    path = write(tmp_path, "[{train: head, epochs: 1}]")
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "head: [" not in line))
    layers = build_and_compile(load([path])).model.layers[-3:]
    assert [type(layer).__name__ for layer in layers] == ["GlobalAveragePooling2D", "Dropout", "Dense"]
    assert (layers[2].units, layers[2].activation.__name__) == (10, "softmax")
