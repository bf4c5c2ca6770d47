"""Layers that converters do not take as they are: made fit while a file is written, and afterwards as before."""

from pathlib import Path

import keras
import numpy as np
import pytest

from cnnkit.artifacts.formats import FORMATS, LITERT, ONNX
from cnnkit.artifacts.runtimes import load_runtime
from cnnkit.export.export import export_model
from cnnkit.export.writers.conversion import NotExportableError, conversion
from cnnkit.export.writers.exportable import MOST_STEPS, exportable
from cnnkit.export.writers.writer import write_float
from tests.exporting import images, make_run

LAYERS = keras.layers


def _normalized() -> keras.Model:
    inputs = keras.Input((5, 4, 3))
    layer = LAYERS.Normalization(mean=[120.0, 110.0, 100.0], variance=[50.0, 60.0, 70.0])
    return keras.Model(inputs, LAYERS.Flatten()(layer(inputs)))


def _recurrent() -> keras.Model:
    inputs = keras.Input((9, 3))
    return keras.Model(inputs, LAYERS.LSTM(4)(LAYERS.GRU(5, return_sequences=True)(inputs)))


def _bidirectional() -> keras.Model:
    inputs = keras.Input((9, 3))
    inner = keras.Model(inputs, LAYERS.Bidirectional(LAYERS.LSTM(4))(inputs))
    outer = keras.Input((9, 3))
    return keras.Model(outer, LAYERS.Dense(2)(inner(outer)))


def _gelu() -> keras.Model:
    inputs = keras.Input((5, 4, 3))
    inner = keras.Model(inputs, LAYERS.Conv2D(4, 2, activation="gelu")(inputs))
    outer = keras.Input((5, 4, 3))
    return keras.Model(outer, LAYERS.Activation("gelu")(LAYERS.Dense(2)(LAYERS.Flatten()(inner(LAYERS.Rescaling(4.0, -6.0)(outer))))))


def _resized_base_with_dropout() -> keras.Model:
    """Resizing is in training mode by default, which Keras's exporters to ONNX and OpenVINO hand on to a base that follows."""
    inside = keras.Input((8, 8, 3))
    dropped = LAYERS.Dropout(0.5, noise_shape=(None, 1, 1, 1))(LAYERS.Conv2D(4, 3)(inside))
    base = keras.Model(inside, LAYERS.GlobalAveragePooling2D()(dropped))
    inputs = keras.Input((5, 4, 3))
    return keras.Model(inputs, base(LAYERS.Resizing(8, 8)(inputs)))


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (_normalized, "onnx"),
        (_gelu, "onnx"),
        (_gelu, "litert"),
        (_gelu, "openvino"),
        (_resized_base_with_dropout, "onnx"),
        (_resized_base_with_dropout, "openvino"),
        (_recurrent, "litert"),
        (_recurrent, "openvino"),
        (_bidirectional, "litert"),
    ],
    ids=lambda each: getattr(each, "__name__", each).strip("_"),
)
def test_the_file_answers_as_keras_does(build, name, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model, target = build(), FORMATS[name]
    path = tmp_path / f"model{target.suffix}"
    with conversion(model, target):
        write_float(model, target, path)
    inputs = np.random.default_rng(0).uniform(0, 3, (4, *model.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(load_runtime(path)(inputs), np.asarray(model(inputs, training=False)), atol=1e-5)


@pytest.mark.parametrize("build", [_normalized, _recurrent, _bidirectional], ids=lambda each: each.__name__.strip("_"))
def test_afterwards_layers_are_as_before(build) -> None:
    model = build()

    def state() -> list:
        layers = [each for each in model._flatten_layers(recursive=True) if isinstance(each, LAYERS.RNN | LAYERS.Normalization)]
        return [(layer, getattr(layer, "unroll", None), type(getattr(layer, "mean", None))) for layer in layers]

    before = state()
    with exportable(model, LITERT):
        assert state() != before
    assert state() == before
    assert before


def test_gelu_is_another_function_for_onnx_only_and_afterwards_keras_own() -> None:
    model = _gelu()

    def activations() -> list:
        layers = model._flatten_layers(recursive=True)
        return [each.activation for each in layers if isinstance(each, LAYERS.Conv2D | LAYERS.Activation)]

    assert activations() == [keras.activations.gelu] * 2
    with exportable(model, ONNX):
        assert keras.activations.gelu not in activations()
    with exportable(model, LITERT):
        assert activations() == [keras.activations.gelu] * 2
    assert activations() == [keras.activations.gelu] * 2


def test_a_signal_too_long_to_unroll_is_an_error_that_names_the_layer(tmp_path: Path) -> None:
    inputs = keras.Input((MOST_STEPS + 1, 2))
    model = keras.Model(inputs, LAYERS.GRU(2, name="long")(inputs))
    with pytest.raises(NotExportableError, match=r"LiteRT cannot express layer 'long' \(GRU\)"), conversion(model, LITERT):
        write_float(model, LITERT, tmp_path / "model.tflite")


def test_a_network_that_normalizes_is_exported_in_int8(tmp_path: Path) -> None:
    preprocess = "[{Normalization: {mean: [120, 110, 100], variance: [5000, 4000, 3000]}}]"
    run = make_run(tmp_path / "run", images(), np.arange(60) % 3, preprocess=preprocess)
    (result,) = export_model(run, [ONNX], "int8", output=tmp_path / "exported", tolerance=0.1).results
    assert result.error is None
