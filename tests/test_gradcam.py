"""Grad-CAM against formulas that need no gradient, on networks of every form that a config can make."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnkit.config.task import Task
from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.interpret.gradcam import GradCam, upsample
from cnnkit.model.builder import build_network
from cnnkit.model.unfold import unfold

THREE = Task("classification", ("a", "b", "c"))
TWO = Task("classification", ("no", "yes"))
RANDOM = np.random.default_rng(7)
PICTURES = RANDOM.integers(0, 256, (5, 9, 8, 2)).astype(np.uint8)


def small(units: int = 3, activation: str | None = "softmax", pooling: str = "GlobalAveragePooling2D") -> keras.Model:
    """One convolution, something that takes away the places, one dense layer."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((9, 8, 2))
    tensor = keras.layers.Rescaling(1 / 255)(inputs)
    tensor = keras.layers.Conv2D(4, 3, activation="relu", name="seen")(tensor)
    tensor = getattr(keras.layers, pooling)()(tensor)
    return keras.Model(inputs, keras.layers.Dense(units, activation, name="answer")(tensor))


def convolved(model: keras.Model, pictures: Any) -> Any:
    """The ReLU of the one convolution, written out in NumPy: `(n, 7, 6, 4)`."""
    kernel, bias = model.get_layer("seen").get_weights()
    scaled = pictures.astype(np.float64) / 255
    windows = np.lib.stride_tricks.sliding_window_view(scaled, (3, 3), axis=(1, 2))  # (n, 7, 6, channels, 3, 3)
    return np.maximum(np.einsum("nrkcij,ijcf->nrkf", windows, kernel) + bias, 0)


def test_behind_a_global_average_it_is_the_class_activation_map_by_hand() -> None:
    model = small()
    heatmap = GradCam(model, THREE)(PICTURES)
    maps, (kernel, bias) = convolved(model, PICTURES), model.get_layer("answer").get_weights()
    scores = maps.mean(axis=(1, 2)) @ kernel + bias
    chosen = scores.argmax(axis=1)
    by_hand = np.maximum(np.einsum("nrkf,fn->nrk", maps, kernel[:, chosen]), 0) / (7 * 6)  # Zhou et al. 2016, over the places
    assert heatmap.layer == "seen"
    np.testing.assert_array_equal(heatmap.outputs, chosen)
    np.testing.assert_allclose(heatmap.maps, by_hand, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(heatmap.predictions, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(heatmap.predictions, model.predict(PICTURES, verbose=0), rtol=1e-6)


def test_behind_flatten_a_channel_weighs_the_mean_of_its_dense_weights() -> None:
    model = small(pooling="Flatten")
    heatmap = GradCam(model, THREE)(PICTURES, np.array([2, 0, 1, 1, 2]))
    kernel = model.get_layer("answer").get_weights()[0].reshape(7, 6, 4, 3)
    weights = kernel.mean(axis=(0, 1))[:, [2, 0, 1, 1, 2]]  # (channels, n)
    by_hand = np.maximum(np.einsum("nrkf,fn->nrk", convolved(model, PICTURES), weights), 0)
    np.testing.assert_allclose(heatmap.maps, by_hand, rtol=1e-5, atol=1e-7)


def test_one_sigmoid_unit_explains_both_classes_with_opposite_signs() -> None:
    model = small(1, "sigmoid")
    kernel = model.get_layer("answer").get_weights()[0][:, 0]
    signed = np.einsum("nrkf,f->nrk", convolved(model, PICTURES), kernel) / 42
    cam = GradCam(model, TWO)
    np.testing.assert_allclose(cam(PICTURES, [1] * 5).maps, np.maximum(signed, 0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(cam(PICTURES, [0] * 5).maps, np.maximum(-signed, 0), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(cam(PICTURES).outputs, (model.predict(PICTURES, verbose=0)[:, 0] > 0.5).astype(int))


def test_a_number_is_explained_by_the_gradient_of_the_output() -> None:
    model = small(1, None)
    scaled = keras.Model(model.input, keras.layers.Rescaling(20.0, 5.0, name="in_user_units")(model.output))
    kernel = model.get_layer("answer").get_weights()[0][:, 0]
    by_hand = np.maximum(np.einsum("nrkf,f->nrk", convolved(model, PICTURES), kernel), 0) / 42 * 20
    np.testing.assert_allclose(GradCam(scaled, Task("regression", ("size",)))(PICTURES).maps, by_hand, rtol=1e-5, atol=1e-6)


def test_signals_are_explained_over_time() -> None:
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Conv1D(4, 3, padding="same", name="seen"),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential([keras.Input((12, 2)), *layers])
    signals = RANDOM.normal(size=(4, 12, 2)).astype(np.float32)
    kernel, bias = layers[0].get_weights()
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(signals, ((0, 0), (1, 1), (0, 0))), 3, axis=1)  # (n, 12, 2, 3)
    maps = np.einsum("nsci,icf->nsf", windows, kernel) + bias
    dense = layers[2].get_weights()[0]
    heatmap = GradCam(model, THREE)(signals, [0, 1, 2, 0])
    by_hand = np.maximum(np.einsum("nsf,fn->ns", maps, dense[:, [0, 1, 2, 0]]), 0) / 12
    np.testing.assert_allclose(heatmap.maps, by_hand, rtol=1e-4, atol=1e-6)
    assert heatmap.over((24,)).shape == (4, 24)


def test_a_nested_frozen_base_gives_what_the_same_layers_give_unnested() -> None:
    keras.utils.set_random_seed(2)
    deep = [
        keras.layers.Conv2D(6, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(5, 2, name="deep"),
        keras.layers.ReLU(name="last"),
    ]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")]
    inside = keras.Sequential([keras.Input((9, 8, 2)), *deep])
    base = keras.Model(inside.inputs, inside.outputs[0], name="base")
    base.trainable = False
    inputs = keras.Input((9, 8, 2))
    tensor = base(keras.layers.Rescaling(1 / 255)(inputs))
    for layer in head:
        tensor = layer(tensor)
    nested, flat = keras.Model(inputs, tensor), keras.Sequential([keras.Input((9, 8, 2)), keras.layers.Rescaling(1 / 255), *deep, *head])
    ours, plain = GradCam(nested, THREE)(PICTURES), GradCam(flat, THREE)(PICTURES)
    assert ours.layer == plain.layer == "last"
    assert ours.maps.max() > 0
    np.testing.assert_allclose(ours.maps, plain.maps, rtol=1e-5, atol=1e-8)
    assert GradCam(nested, THREE, "deep")(PICTURES).maps.shape == (5, 6, 5)


BLOCKS = """
data: {dataset: digits}
model:
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, padding: same, name: first}
    - residual: {activation: relu, layers: [{Conv2D: {filters: 8, kernel_size: 3, padding: same}}, BatchNormalization]}
    - branches: {paths: [[{Conv2D: {filters: 4, kernel_size: 1}}], [{Conv2D: {filters: 4, kernel_size: 3, padding: same}}]]}
    - MaxPooling2D
    - Flatten
    - Dense: {units: 10}
    - Softmax
"""


def test_with_blocks_the_last_maps_are_those_in_which_all_branches_meet(tmp_path: Path) -> None:
    (tmp_path / "blocks.yaml").write_text(BLOCKS)
    loaded = load([tmp_path / "blocks.yaml"])
    task, shape = loaded.source.spec.task, loaded.source.spec.input_shape
    model = build_network(loaded.config.model, shape, task).model
    pictures = RANDOM.integers(0, 256, (3, *shape)).astype(np.uint8)
    network = unfold(model)
    assert type(network.last_feature_maps().layer).__name__ == "Concatenate"
    assert GradCam(model, task)(pictures).maps.shape == (3, *shape[:2])
    np.testing.assert_allclose(keras.ops.softmax(keras.Model(network.input, network.scores)(pictures)), model(pictures), rtol=1e-5)


def test_a_misspelt_layer_and_one_without_places_are_told() -> None:
    model = small()
    with pytest.raises(CnnkitError) as misspelt:
        GradCam(model, THREE, "sene")
    assert str(misspelt.value) == "the network has no layer 'sene'. Did you mean 'seen'?\n    See its layers: `cnnkit summary RUN`."
    with pytest.raises(CnnkitError) as flat:
        GradCam(model, THREE, "answer")
    assert str(flat.value) == "layer 'answer' gives (3,), which has no spatial axes\n    Name a layer before it, such as 'seen'."


def test_a_network_without_a_convolution_is_told() -> None:
    model = keras.Sequential([keras.Input((9, 8, 2)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    with pytest.raises(CnnkitError) as error:
        GradCam(model, THREE)
    assert str(error.value) == "the network has no convolution to explain\n    Explain a run whose layers have Conv1D or Conv2D."


def test_a_map_is_spread_as_bilinear_resizing_does() -> None:
    heatmap = RANDOM.random((4, 5)).astype(np.float32)
    resized = keras.ops.image.resize(heatmap[None, ..., None], (16, 15), "bilinear")
    np.testing.assert_allclose(upsample(heatmap, (16, 15)), np.asarray(resized)[0, ..., 0], atol=1e-5)
