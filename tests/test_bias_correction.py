"""Bias correction for int8: what rounding a kernel shifts a channel by is taken back, whichever layer can take it."""

import keras
import numpy as np
import pytest

from cnnkit.artifacts.formats import LITERT, ONNX
from cnnkit.artifacts.runtimes import load_runtime
from cnnkit.export.bias_correction import corrected_biases, rounded
from cnnkit.export.export import export_model
from tests.exporting import make_run

LAYERS = keras.layers


def _mean_shift(model: keras.Model, kernels: list, axes: list, inputs: np.ndarray) -> np.ndarray:
    """How much the mean of each output channel changes when kernels are rounded, by running the model with and without."""
    positions = tuple(range(len(model.output.shape) - 1))
    before = [np.array(kernel) for kernel in kernels]
    for kernel, axis in zip(kernels, axes, strict=True):
        value = np.array(kernel)
        step = np.abs(value).max(axis=axis, keepdims=True) / 127
        kernel.assign(np.round(value / step) * step)
    changed = np.asarray(model(inputs)).mean(axis=positions)
    for kernel, value in zip(kernels, before, strict=True):
        kernel.assign(value)
    return changed


def _expected_mean(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    return np.asarray(model(inputs)).mean(axis=tuple(range(len(model.output.shape) - 1)))


def _conv_with_bias():
    inputs = keras.Input((9, 9, 3))
    layer = LAYERS.Conv2D(4, 3, strides=2, padding="same", dilation_rate=1)
    return keras.Model(inputs, layer(inputs)), [layer.kernel], [(0, 1, 2)], (9, 9, 3)


def _dilated_conv():
    inputs = keras.Input((11, 11, 2))
    layer = LAYERS.Conv2D(3, 3, dilation_rate=2)
    return keras.Model(inputs, layer(inputs)), [layer.kernel], [(0, 1, 2)], (11, 11, 2)


def _grouped_conv():
    inputs = keras.Input((8, 8, 4))
    layer = LAYERS.Conv2D(6, 3, groups=2)
    return keras.Model(inputs, layer(inputs)), [layer.kernel], [(0, 1, 2)], (8, 8, 4)


def _causal_signal():
    inputs = keras.Input((20, 2))
    layer = LAYERS.Conv1D(3, 4, padding="causal", dilation_rate=2)
    return keras.Model(inputs, layer(inputs)), [layer.kernel], [(0, 1)], (20, 2)


def _depthwise_and_batch_normalization():
    inputs = keras.Input((9, 9, 3))
    layer, norm = LAYERS.DepthwiseConv2D(3, use_bias=False, depth_multiplier=2), LAYERS.BatchNormalization()
    model = keras.Model(inputs, norm(layer(inputs)))
    random = np.random.default_rng(2)
    norm.set_weights([random.uniform(0.5, 2, 6), random.normal(size=6), random.normal(size=6), random.uniform(0.1, 2, 6)])
    return model, [layer.kernel], [(0, 1)], (9, 9, 3)


def _inside_a_base():
    base_input = keras.Input((9, 9, 3))
    layer = LAYERS.Conv2D(4, 3, use_bias=False)
    base = keras.Model(base_input, LAYERS.BatchNormalization()(layer(base_input)))
    inputs = keras.Input((9, 9, 3))
    return keras.Model(inputs, base(LAYERS.Rescaling(2.0, 1.0)(inputs))), [layer.kernel], [(0, 1, 2)], (9, 9, 3)


CASES = [_conv_with_bias, _dilated_conv, _grouped_conv, _causal_signal, _depthwise_and_batch_normalization, _inside_a_base]


@pytest.mark.parametrize("case", CASES, ids=[each.__name__.strip("_") for each in CASES])
def test_the_mean_of_each_channel_is_as_before_rounding(case):
    keras.utils.set_random_seed(1)
    model, kernels, axes, shape = case()
    inputs = np.random.default_rng(0).uniform(0, 255, (40, *shape)).astype(np.float32)
    expected = _expected_mean(model, inputs)
    uncorrected = np.abs(_mean_shift(model, kernels, axes, inputs) - expected).max()
    with corrected_biases(model, inputs):
        corrected = np.abs(_mean_shift(model, kernels, axes, inputs) - expected).max()
    assert uncorrected > 0.01
    assert corrected < 1e-3 * uncorrected


def test_afterwards_every_weight_is_as_before():
    model, _, _, shape = _inside_a_base()
    before = [np.array(weight) for weight in model.weights]
    inputs = np.random.default_rng(0).uniform(0, 255, (4, *shape))
    with corrected_biases(model, inputs):
        assert any((np.array(weight) != value).any() for weight, value in zip(model.weights, before, strict=True))
    assert all((np.array(weight) == value).all() for weight, value in zip(model.weights, before, strict=True))


def test_a_convolution_without_a_place_for_it_is_left_alone():
    inputs = keras.Input((9, 9, 3))
    branch = LAYERS.Conv2D(3, 3, use_bias=False)(inputs)
    model = keras.Model(inputs, LAYERS.Add()([LAYERS.BatchNormalization()(branch), branch]))
    before = [np.array(weight) for weight in model.weights]
    with corrected_biases(model, np.ones((2, 9, 9, 3))):
        assert all((np.array(weight) == value).all() for weight, value in zip(model.weights, before, strict=True))


def test_rounding_is_symmetric_and_per_channel():
    kernel = np.array([[1.27, -254.0], [0.014, 3.0]], np.float32)  # (inputs, channels): steps of 0.01 and 2
    np.testing.assert_allclose(rounded(kernel, (0,)), [[1.27, -254.0], [0.01, 4.0]], rtol=1e-6)
    assert not rounded(np.zeros((3, 2), np.float32), (0,)).any()


@pytest.mark.parametrize("target", [ONNX, LITERT], ids=lambda target: target.name)
def test_an_int8_file_answers_with_the_mean_of_the_float_model(tmp_path, target):
    """A kernel whose weights cancel but whose roundings do not: rounding takes the whole signal away."""
    shades = np.random.default_rng(0).integers(100, 256, 80, np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    kernel = "{Conv2D: {filters: 1, kernel_size: 3}}"
    run = make_run(
        tmp_path / "run", shades, shades.mean(axis=(1, 2, 3)), layers=f"[{kernel}, GlobalAveragePooling2D]", task=", task: regression"
    )
    model = keras.saving.load_model(run / "model.keras", compile=False)
    values = np.array([127, -127, 64.49, -63.51, 64.49, -63.51, 64.49, -63.51, 0]) / 127
    model.layers[-2].set_weights([values.reshape(3, 3, 1, 1).astype(np.float32), np.zeros(1, np.float32)])
    model.save(run / "model.keras")
    (result,) = export_model(run, [target], "int8", output=tmp_path / "exported", keep=True).results
    inputs = shades[:40].astype(np.float32)
    expected = np.asarray(model(inputs)).mean()
    assert 0.01 < expected < 0.03  # 0.023 of the mean brightness, which is all that rounding would lose
    assert abs(load_runtime(result.destination.path)(inputs).mean() / expected - 1) < 0.1
