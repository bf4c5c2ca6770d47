"""`train.learning_rate_factors`: the steps of the weights that a key selects, against SGD written in NumPy and against plain Keras."""

from pathlib import Path

import keras
import numpy as np
import pytest
from test_run import Silent

from cnnkit.config.load import load_config
from cnnkit.data.binding import load
from cnnkit.errors import BuildError, ConfigError
from cnnkit.model.compile import build_and_compile
from cnnkit.model.learning_rate_factors import apply_learning_rate_factors, check_learning_rate_factors
from cnnkit.training.phases import apply_layer_decay
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train
from cnnkit.training.trial import try_training

INPUTS = np.random.default_rng(1).normal(size=(16, 3)).astype(np.float32)
CONFIG = """
name: factors
data: {dataset: digits, limit: 64, validation: 0.2, batch_size: 32}
model:
  layers:
    - whiten: {kernel_size: 2, bias_epochs: 1}
    - Conv2D: {filters: 4, kernel_size: 3, name: low}
    - BatchNormalization
    - ReLU
    - Flatten
    - Dense: {units: outputs, activation: softmax}
train: {epochs: 2, optimizer: {SGD: {learning_rate: 0.01, momentum: 0.9}}, learning_rate_factors: FACTORS}
"""


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(4, name="low"), keras.layers.BatchNormalization(), keras.layers.Dense(2, name="high")]
    return keras.Sequential(layers)


def stepped(optimizer: keras.optimizers.Optimizer, factors: dict[str, float], steps: int = 1) -> list[np.ndarray]:
    """How far each trained weight moves."""
    model = network()
    model.compile(optimizer, "mse")
    apply_learning_rate_factors(model.optimizer, model, factors)
    before = [np.array(weight) for weight in model.trainable_variables]
    for _ in range(steps):
        model.train_on_batch(INPUTS, INPUTS[:, :2])
    return [np.array(after) - b for after, b in zip(model.trainable_variables, before, strict=True)]


# In this order: low.kernel, low.bias, gamma, beta, high.kernel, high.bias.
@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ({"BatchNormalization.beta": 64}, [1, 1, 1, 64, 1, 1]),
        ({"BatchNormalization": 0.5}, [1, 1, 0.5, 0.5, 1, 1]),
        ({"low": 3}, [3, 3, 1, 1, 1, 1]),
        ({"*.bias": 2}, [1, 2, 1, 1, 1, 2]),
        ({"Dense": 2, "high.kernel": 5}, [2, 2, 1, 1, 5, 2]),
        ({"high.kernel": 5, "Dense": 2}, [2, 2, 1, 1, 5, 2]),
        ({"high.bias": 7, "high": 3, "*.bias": 2}, [1, 2, 1, 1, 3, 7]),
        ({"*.bias": 8, "high.bias": 5, "Dense": 2, "low.bias": 8}, [2, 8, 1, 1, 2, 5]),
    ],
)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_first_step_is_as_many_times_as_long(name: str, factors: dict[str, float], expected: list[float]) -> None:
    plain = stepped(getattr(keras.optimizers, name)(0.01), {})
    scaled = stepped(getattr(keras.optimizers, name)(0.01), factors)
    for full, moved, factor in zip(plain, scaled, expected, strict=True):
        assert np.allclose(moved, full * factor, rtol=1e-4, atol=1e-7)


def test_weight_decay_keeps_the_rate_of_the_optimizer() -> None:
    decayed = stepped(keras.optimizers.SGD(0.1, weight_decay=0.5), {"high.kernel": 10.0})
    plain = stepped(keras.optimizers.SGD(0.1), {"high.kernel": 10.0})
    kernel = np.array(network().trainable_variables[4])
    # Keras takes the decay off first, and the gradient is that before it.
    assert np.allclose(decayed[4] - plain[4], -0.1 * 0.5 * kernel, atol=1e-6)


def test_nesterov_momentum_with_a_factor_is_sgd_at_that_rate_for_that_weight() -> None:
    """A linear layer trained for some steps, in NumPy: v = m v - f r g, w += m v - f r g."""
    rate, momentum, factors = 0.05, 0.85, {"kernel": 1.0, "bias": 8.0}
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    kernel, bias = (np.array(weight, dtype=np.float64) for weight in model.trainable_variables)
    model.compile(keras.optimizers.SGD(rate, momentum=momentum, nesterov=True), "mse")
    apply_learning_rate_factors(model.optimizer, model, {"Dense.bias": factors["bias"]})
    velocity = {"kernel": np.zeros_like(kernel), "bias": np.zeros_like(bias)}
    for _ in range(7):
        error = 2 * (INPUTS @ kernel + bias - INPUTS[:, :2]) / (16 * 2)
        gradients = {"kernel": INPUTS.T @ error, "bias": error.sum(axis=0)}
        for name, weight in (("kernel", kernel), ("bias", bias)):
            step = factors[name] * rate * gradients[name]
            velocity[name] = momentum * velocity[name] - step
            np.add(weight, momentum * velocity[name] - step, out=weight)
        model.train_on_batch(INPUTS, INPUTS[:, :2])
    assert np.allclose(model.trainable_variables[0], kernel, atol=1e-5)
    assert np.allclose(model.trainable_variables[1], bias, atol=1e-5)


def test_layer_decay_and_factors_multiply() -> None:
    model = network()
    model.compile(keras.optimizers.SGD(0.01), "mse")
    apply_learning_rate_factors(model.optimizer, model, {"low.bias": 8.0})
    apply_layer_decay(model.optimizer, model, 0.5)
    before = np.array(model.trainable_variables[1])
    model.train_on_batch(INPUTS, INPUTS[:, :2])
    assert np.allclose(np.array(model.trainable_variables[1]) - before, stepped(keras.optimizers.SGD(0.01), {})[1] * 2, atol=1e-7)


def trained(folder: Path, factors: str, overrides: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The weights after a run of the config, by layer and name."""
    config = folder / "c.yaml"
    config.write_text(CONFIG.replace("FACTORS", factors))
    prepared = prepare(load([config], overrides), folder / str(len(list(folder.iterdir()))))
    train(prepared, Silent())
    model = prepared.network.model
    return {f"{layer.name}.{weight.name}": np.array(weight) for layer in model.layers for weight in layer.weights}


@pytest.mark.parametrize("overrides", [(), ("train.devices=2",), ("train.precision=mixed_float16",)], ids=["one", "two", "float16"])
def test_a_config_trains_the_selected_weights_at_their_own_rate(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """With a factor of nearly nothing they stay; the convolution `whiten` is frozen on the way, which traces the steps anew."""
    still = trained(tmp_path, "{low.kernel: 1e-12, BatchNormalization.beta: 1e-12}", overrides)
    moved = trained(tmp_path, "{}", overrides)
    keras.utils.set_random_seed(42)
    initial = build_and_compile(load([tmp_path / "c.yaml"], overrides)).model
    assert np.allclose(still["low.kernel"], initial.get_layer("low").kernel, atol=1e-8)
    assert np.allclose(still["batch_normalization.beta"], 0, atol=1e-8)
    assert not np.allclose(moved["low.kernel"], initial.get_layer("low").kernel, atol=1e-4)
    assert not np.allclose(moved["batch_normalization.beta"], 0, atol=1e-4)
    assert not np.allclose(still["dense.kernel"], initial.get_layer("dense").kernel, atol=1e-4)


@pytest.mark.parametrize(
    ("factors", "message", "remedy"),
    [
        ("{BatchNormalization.betta: 2}", "BatchNormalization has no weight called 'betta'. Did you mean 'beta'?", "It has: beta, gamma."),
        ("{BatchNormalization.moving_mean: 2}", "BatchNormalization has no weight called 'moving_mean'.", "It has: beta, gamma."),
        ("{Conv3D: 2}", "no layer with weights is called 'Conv3D'. Did you mean 'Conv2D'?", "Write the class of layers"),
        ("{ReLU: 2}", "no layer with weights is called 'ReLU'.", "Write the class of layers"),
        ("{BatchNormalization.: 2}", "BatchNormalization has no weight called ''.", "It has: beta, gamma."),
    ],
)
def test_a_key_that_selects_nothing_is_an_error_with_its_line(tmp_path: Path, factors: str, message: str, remedy: str) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("FACTORS", factors))
    with pytest.raises(ConfigError) as error:
        build_and_compile(load([tmp_path / "c.yaml"]))
    assert f"{tmp_path / 'c.yaml'}:12:" in str(error.value)
    assert message in str(error.value)
    assert remedy in str(error.value)


@pytest.mark.parametrize(
    ("factors", "key", "label", "first"),
    [
        ("{Dense: 2, '*.bias': 8}", "*.bias", "dense.bias", "Dense"),
        ("{Conv2D: 2, low: 3}", "low", "low.kernel and 1 other weight", "Conv2D"),
    ],
)
def test_two_keys_with_different_factors_of_one_weight_are_an_error(tmp_path: Path, factors: str, key: str, label: str, first: str) -> None:
    """Which of them held would depend on the order in which a mapping is written."""
    (tmp_path / "c.yaml").write_text(CONFIG.replace("FACTORS", factors).replace("    - whiten: {kernel_size: 2, bias_epochs: 1}\n", ""))
    with pytest.raises(ConfigError) as error:
        build_and_compile(load([tmp_path / "c.yaml"]))
    assert f"train.learning_rate_factors.{key}: selects {label} as {first} does, with another factor" in str(error.value)
    assert f"`{label.split(maxsplit=1)[0]}: " in str(error.value)


def test_a_whole_layer_that_two_keys_select_is_named_as_such() -> None:
    layers = [keras.Input((3,)), keras.layers.Dense(4, name="low_1"), keras.layers.Dense(4, name="low_2"), keras.layers.Dense(4, name="up")]
    model = keras.Sequential([*layers, keras.layers.BatchNormalization(name="low_3")])
    with pytest.raises(BuildError, match=r"selects low_1\.kernel and 3 other weights as low_\* does") as error:
        check_learning_rate_factors(model, {"low_*": 2, "Dense": 3})
    assert "`low_1: 3`" in str(error.value.fault.remedy)
    check_learning_rate_factors(model, {"low_*": 2, "Dense": 3, "low_1": 3, "low_2": 2})


def test_a_key_of_its_own_decides_between_two(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("FACTORS", "{Dense: 2, '*.bias': 8, dense.bias: 5}"))
    assert build_and_compile(load([tmp_path / "c.yaml"])).model.optimizer is not None


def test_a_layer_whose_name_has_a_dot_is_selected_with_and_without_a_weight() -> None:
    def steps(factors: dict[str, float]) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="low.1"), keras.layers.Dense(2, name="low")])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        apply_learning_rate_factors(model.optimizer, model, factors)
        before = [np.array(weight) for weight in model.trainable_variables]
        model.train_on_batch(INPUTS, INPUTS[:, :2])
        return [np.array(after) - b for after, b in zip(model.trainable_variables, before, strict=True)]

    plain = steps({})
    for key, expected in {"low.1": [3, 3, 1, 1], "low.1.bias": [1, 3, 1, 1], "low.bias": [1, 1, 1, 3]}.items():
        for full, moved, factor in zip(plain, steps({key: 3.0}), expected, strict=True):
            assert np.allclose(moved, full * factor, rtol=1e-4, atol=1e-7), key


OVER_A_BASE = """
name: factors
data: {dataset: digits, limit: 60, batch_size: 16}
model:
  base: {MobileNetV2: {alpha: 0.35, weights: none}}
  image_size: 32
  head: [GlobalAveragePooling2D, {Dense: {units: outputs, activation: softmax}}]
train:
  phases: [{train: head, epochs: 1}, {train: all, epochs: 1, batch_norm: BATCH_NORM}]
  learning_rate_factors: {Dense: 2, KEY: 2}
"""


@pytest.mark.parametrize("key", ["bn_Conv1", "BatchNormalization.moving_mean"])
def test_a_factor_of_weights_that_no_phase_trains_is_an_error_with_its_line(tmp_path: Path, key: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(OVER_A_BASE.replace("BATCH_NORM", "frozen").replace("KEY", key))
    loaded = load([path])
    network = build_and_compile(loaded)
    with pytest.raises(ConfigError) as error:
        try_training(loaded, network)
    assert str(error.value) == (
        f"{path}:10:37: train.learning_rate_factors.{key}: has no effect, for every weight that it selects is frozen\n    Leave it out, or train "
        "those layers in a phase: `train: all`, and `batch_norm: train` for BatchNormalization in a base."
    )


@pytest.mark.parametrize(("key", "batch_norm"), [("BatchNormalization.beta", "train"), ("Conv1.kernel", "frozen")])
def test_a_factor_of_weights_that_one_phase_trains_is_accepted(tmp_path: Path, key: str, batch_norm: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(OVER_A_BASE.replace("BATCH_NORM", batch_norm).replace("KEY", key))
    loaded = load([path])
    assert len(try_training(loaded, build_and_compile(loaded))) == 2


def test_a_factor_of_the_whitening_biases_that_are_never_trained_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("FACTORS", "{whiten.bias: 2}"))
    trained, never = (load([tmp_path / "c.yaml"], [f"model.layers[0].whiten.bias_epochs={epochs}"]) for epochs in (1, 0))
    assert try_training(trained, build_and_compile(trained))
    with pytest.raises(ConfigError, match=r"train\.learning_rate_factors\.whiten\.bias: has no effect"):
        try_training(never, build_and_compile(never))


def test_over_a_frozen_base_factors_and_layer_decay_are_those_of_the_whole_network(tmp_path: Path) -> None:
    """`top.beta` is narrower than `BatchNormalization.beta`, though not among the weights of the head; the head is not decayed at all."""
    text = OVER_A_BASE.replace("{Dense: 2, KEY: 2}", "{top.beta: 8, BatchNormalization.beta: 1e-12}")
    text = text.replace(
        "{Dense: {units: outputs", "{BatchNormalization: {name: top}}, {Dense: {units: 4, name: middle}}, {Dense: {units: outputs"
    )
    text = text.replace(
        "[{train: head, epochs: 1}, {train: all, epochs: 1, batch_norm: BATCH_NORM}]", "[{train: head, epochs: 1, layer_decay: 1e-12}]"
    )
    (tmp_path / "c.yaml").write_text(f"{text}  optimizer: {{SGD: {{learning_rate: 0.1}}}}\n")
    prepared = prepare(load([tmp_path / "c.yaml"]), tmp_path / "run")
    train(prepared, Silent())
    model = prepared.network.model
    assert not np.allclose(model.get_layer("top").beta, 0, atol=1e-4)
    assert not np.allclose(model.get_layer("middle").bias, 0, atol=1e-4)


@pytest.mark.parametrize("factor", ["0", "-1", ".inf", ".nan", "fast"])
def test_a_factor_is_a_finite_number_above_zero(tmp_path: Path, factor: str) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("FACTORS", f"{{Dense: {factor}}}"))
    with pytest.raises(ConfigError, match=r"train\.learning_rate_factors\.Dense"):
        load_config([tmp_path / "c.yaml"])
