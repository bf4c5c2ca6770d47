"""`train.precision` and `train.jit_compile`: the network of float32 up to 16 bits, float32 in the saved file, and an exact resume."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.model.compile import build_and_compile
from cnnkit.model.loading.load import load_model
from cnnkit.model.precision import dtype_policy, in_float32
from cnnkit.training.checkpoint.store import CheckpointStore
from cnnkit.training.distribution.opening import device_notices
from cnnkit.training.phases import base_of
from cnnkit.training.prepare import Prepared, prepare
from cnnkit.training.resume import open_interrupted
from cnnkit.training.run import train

CONFIG = """
name: small
data: {dataset: digits, limit: 300, validation: 0.2, batch_size: 32}
model:
  preprocess: [{Rescaling: {scale: 1/16}}]
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, activation: relu}
    - BatchNormalization
    - Flatten
    - Dropout: {rate: 0.2}
    - Dense: {units: outputs, activation: softmax}
train: {epochs: 4, optimizer: {SGD: {learning_rate: 0.05, momentum: 0.9}}}
"""
POLICIES = ["mixed_bfloat16", "mixed_float16"]


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def prepared(folder: Path, name: str, *overrides: str) -> Prepared:
    folder.mkdir(exist_ok=True)
    (folder / "c.yaml").write_text(CONFIG)
    return prepare(load([folder / "c.yaml"], overrides), folder / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("precision")
    train(prepared(folder, "float32"), Silent())
    for policy in POLICIES:
        train(prepared(folder, policy, f"train.precision={policy}"), Silent())
    return folder


@pytest.mark.parametrize("policy", POLICIES)
def test_layers_compute_in_16_bits_but_pixels_and_probabilities_in_32(tmp_path: Path, policy: str) -> None:
    made = prepared(tmp_path, "run", f"train.precision={policy}")
    dtypes = [layer.compute_dtype for layer in made.network.model.layers[1:]]
    half = policy.removeprefix("mixed_")
    assert dtypes == ["float32", half, half, half, half, "float32"]
    assert {weight.dtype for weight in made.network.model.weights} == {"float32"}


def test_a_base_computes_in_16_bits_below_an_answer_in_32(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "data: {dataset: digits, limit: 60}\nmodel: {base: {MobileNetV2: {alpha: 0.35, weights: none}}, image_size: 32}\n"
    )
    model = build_and_compile(load([tmp_path / "c.yaml"], ["train.precision=mixed_bfloat16"])).model
    base = base_of(model)
    assert base is not None
    assert {layer.compute_dtype for layer in base.layers if layer.weights} == {"bfloat16"}
    assert model.layers[-1].compute_dtype == "float32"


@pytest.mark.parametrize("policy", POLICIES)
def test_training_learns_what_float32_learns(tmp_path: Path, policy: str) -> None:
    """Without dropout, which draws other values in 16 bits; the rounding of 16 bits grows with each step."""
    losses = []
    for name in ("float32", policy):
        train(prepared(tmp_path, name, "model.layers[3].Dropout.rate=0.0", f"train.precision={name}"), Silent())
        losses.append([row["loss"] for row in train_rows(tmp_path / name)])
    one, other = losses
    assert other[:2] == pytest.approx(one[:2], rel=0.03)
    assert other == pytest.approx(one, rel=0.25)
    assert other != one


def train_rows(run: Path) -> list[dict[str, float]]:
    checkpoint, _ = CheckpointStore(run / "checkpoints").newest()
    assert checkpoint is not None
    return checkpoint.state.history


@pytest.mark.parametrize("policy", POLICIES)
def test_the_saved_model_computes_in_float32_with_the_trained_weights(folder: Path, policy: str) -> None:
    model = load_model(folder / policy / "model.keras")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    checkpoint, _ = CheckpointStore(folder / policy / "checkpoints").newest()
    assert checkpoint is not None
    assert np.array_equal(model.layers[2].get_weights()[0], checkpoint.arrays["model.0"])


def test_the_saved_model_computes_in_float32_also_after_a_schedule_that_plain_keras_has_not(tmp_path: Path) -> None:
    schedule = "train.optimizer={SGD: {learning_rate: {PiecewiseLinearDecay: {boundaries: [0, 4], values: [0.1, 0]}}}}"
    run = prepared(tmp_path, "run", "train.precision=mixed_bfloat16", schedule)
    train(run, Silent())
    saved = load_model(tmp_path / "run" / "model.keras")
    assert {layer.compute_dtype for layer in saved.layers} == {"float32"}
    assert all(np.array_equal(a, b) for a, b in zip(saved.get_weights(), run.network.model.get_weights(), strict=True))


def test_the_saved_model_keeps_its_precision_where_the_config_says_so(tmp_path: Path) -> None:
    train(prepared(tmp_path, "run", "train.precision=mixed_bfloat16", "train.saved_precision=as_trained", "train.epochs=1"), Silent())
    assert load_model(tmp_path / "run" / "model.keras").layers[2].compute_dtype == "bfloat16"


def test_the_loss_scale_of_float16_is_part_of_the_checkpoint(folder: Path) -> None:
    checkpoint, _ = CheckpointStore(folder / "mixed_float16" / "checkpoints").newest()
    assert checkpoint is not None
    scalars = [float(array) for name, array in checkpoint.arrays.items() if name.startswith("optimizer.") and array.shape == ()]
    assert 2.0**15 in scalars  # Keras's initial scale, which nothing made overflow here


@pytest.mark.parametrize("policy", POLICIES)
def test_a_resumed_run_equals_one_that_was_never_stopped(folder: Path, tmp_path: Path, policy: str) -> None:
    train(prepared(tmp_path, "run", f"train.precision={policy}", "train.epochs=2"), Silent())
    resumed = open_interrupted(tmp_path / "run", [], [], 4, force=False)
    train(prepare(resumed.loaded, None, resumed=resumed), Silent())
    first, second = (CheckpointStore(run / "checkpoints").newest()[0] for run in (folder / policy, tmp_path / "run"))
    assert first is not None
    assert second is not None
    assert [name for name, array in first.arrays.items() if not np.array_equal(array, second.arrays[name])] == []


def test_a_run_is_not_resumed_in_another_precision(folder: Path) -> None:
    with pytest.raises(CnnkitError, match=r"train\.precision: 'mixed_bfloat16' -> 'float32'"):
        open_interrupted(folder / "mixed_bfloat16", [], ["train.precision=float32"], None, force=False)


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        (
            "activation: relu}",
            "activation: relu, activity_regularizer: {L2: {l2: 0.1}}}",
            "7:62: model.layers[0].Conv2D.activity_regularizer",
        ),
        (
            "- Flatten",
            "- repeat: {times: 2, layers: [{ActivityRegularization: {l1: 0.1}}]}\n    - Flatten",
            "model.layers[2].repeat.layers[0]",
        ),
    ],
)
def test_a_penalty_of_activities_is_refused_in_16_bits(tmp_path: Path, before: str, after: str, place: str) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace(before, after))
    load([tmp_path / "c.yaml"])
    with pytest.raises(CnnkitError) as raised:
        load([tmp_path / "c.yaml"], ["train.precision=mixed_float16"])
    assert place in raised.value.location
    assert raised.value.message == "does not go with `train: {precision: mixed_float16}`: Keras cannot add its penalty to the loss"


def test_a_model_of_float32_is_not_copied() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert in_float32(model) is model


def test_the_policy_before_is_in_force_again_after_an_error() -> None:
    with pytest.raises(KeyError), dtype_policy("mixed_float16"):
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(("override", "compiled"), [("auto", False), ("false", False), ("true", True)])
def test_the_config_decides_whether_xla_compiles_the_step(tmp_path: Path, override: str, compiled: bool) -> None:
    assert prepared(tmp_path, "run", f"train.jit_compile={override}").network.model.jit_compile == compiled


@pytest.mark.parametrize(
    ("precision", "bfloat16_instructions", "helps"),
    [("mixed_bfloat16", False, False), ("mixed_bfloat16", True, True), ("mixed_float16", True, False), ("float32", False, True)],
)
def test_what_makes_training_no_faster_without_a_gpu_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, bfloat16_instructions: bool, helps: bool
) -> None:
    monkeypatch.setattr("cnnkit.training.distribution.opening.has_bfloat16_instructions", lambda: bfloat16_instructions)
    (tmp_path / "c.yaml").write_text(CONFIG)
    overrides = [f"train.precision={precision}", "train.jit_compile=true"]
    slow = f"train.precision: {precision} makes training no faster on this processor, and this machine has no GPU."
    xla = "train.jit_compile: true makes small networks 2 to 3 times slower on a processor, and this machine has no GPU."
    assert device_notices(load([tmp_path / "c.yaml"], overrides).config.train) == ([xla] if helps else [slow, xla])
    assert device_notices(load([tmp_path / "c.yaml"]).config.train) == []
