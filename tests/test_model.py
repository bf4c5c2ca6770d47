"""Networks from entries: equal to the same network in plain Keras; bases prepared as Keras prepares them; faults in words."""

import socket
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest

from cnnkit.config.schema import Model
from cnnkit.config.task import Task
from cnnkit.errors import BuildError, CnnkitError
from cnnkit.keras_api.checking import parse_entry
from cnnkit.keras_api.signatures import signature_table
from cnnkit.model.base import PACKAGED_WEIGHTS, apply_base, apply_preprocessing, load_base, preferred_size
from cnnkit.model.builder import build_network
from cnnkit.model.loading.load import load_model

TEN = Task("classification", tuple("0123456789"))
SOFTMAX = {"Dense": {"units": "outputs", "activation": "softmax"}}


def build(layers: list[Any], shape: tuple[int, ...] = (8, 8, 3)) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_network(Model(layers=layers), shape, TEN).model


def assert_same(model: keras.Model, plain: keras.Model, shape: tuple[int, ...] = (8, 8, 3)) -> None:
    plain.set_weights(model.get_weights())
    inputs = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    assert np.allclose(model(inputs), plain(inputs), atol=1e-6)


def test_repeat_gives_each_time_weights_of_its_own() -> None:
    model = build([{"repeat": {"times": 3, "layers": [{"Conv2D": {"filters": 4, "kernel_size": 3}}]}}, "Flatten", SOFTMAX])
    layers = [keras.layers.Conv2D(4, 3) for _ in range(3)]
    assert_same(model, keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]))


def test_residual_adds_its_input_or_a_projection_of_it() -> None:
    convolution = {"Conv2D": {"filters": 3, "kernel_size": 3, "padding": "same"}}
    wider = {"Conv2D": {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same"}}
    model = build([{"residual": {"layers": [convolution], "activation": "relu"}}, {"residual": {"layers": [wider]}}, "Flatten", SOFTMAX])
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Activation("relu")(keras.layers.Add()([x, keras.layers.Conv2D(3, 3, padding="same")(x)]))
    long_way = keras.layers.Conv2D(6, 3, strides=2, padding="same")(x)
    x = keras.layers.Add()([keras.layers.Conv2D(6, 1, strides=2)(x), long_way])
    plain = keras.Model(inputs, keras.layers.Dense(10, "softmax")(keras.layers.Flatten()(x)))
    weights = model.get_weights()
    shapes = [weight.shape for weight in weights]
    assert sorted(shapes) == sorted(weight.shape for weight in plain.get_weights())
    by_shape = {weight.shape: weight for weight in weights}
    plain.set_weights([by_shape[weight.shape] for weight in plain.get_weights()])
    batch = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    assert np.allclose(model(batch), plain(batch), atol=1e-6)


@pytest.mark.parametrize("merge", ["concatenate", "add", "average", "maximum", "multiply"])
def test_branches_merge_paths_and_an_empty_path_hands_the_input_through(merge: str) -> None:
    path = [{"Conv2D": {"filters": 3, "kernel_size": 1}}]
    model = build([{"branches": {"merge": merge, "paths": [[], path]}}, "Flatten", SOFTMAX])
    x = inputs = keras.Input((8, 8, 3))
    x = getattr(keras.layers, merge.capitalize())()([x, keras.layers.Conv2D(3, 1)(x)])
    assert_same(model, keras.Model(inputs, keras.layers.Dense(10, "softmax")(keras.layers.Flatten()(x))))


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([{"Conv1D": {"filters": 4, "kernel_size": 3}}, {"Bidirectional": {"layer": {"LSTM": {"units": 3}}}}, SOFTMAX], (16, 2)),
        ([{"MultiHeadAttention": {"num_heads": 2, "key_dim": 3}}, "GlobalAveragePooling1D", SOFTMAX], (6, 4)),
        ([{"Conv3D": {"filters": 2, "kernel_size": 2}}, "GlobalMaxPooling3D", SOFTMAX], (4, 5, 6, 1)),
        ([{"TimeDistributed": {"layer": {"Dense": {"units": 2}}}}, "Flatten", SOFTMAX], (4, 3)),
        (
            [
                {"SeparableConv2D": {"filters": 4, "kernel_size": 3}},
                {"DepthwiseConv2D": {"kernel_size": 3}},
                "GlobalAveragePooling2D",
                SOFTMAX,
            ],
            (8, 8, 3),
        ),
        ([{"SpectralNormalization": {"layer": {"Conv2D": {"filters": 2, "kernel_size": 3}}}}, "Flatten", SOFTMAX], (8, 8, 3)),
    ],
)
def test_any_layer_of_keras_by_its_own_name(layers: list[Any], shape: tuple[int, ...]) -> None:
    assert build(layers, shape).output_shape == (None, 10)


def test_blocks_whose_ends_do_not_fit_are_told() -> None:
    with pytest.raises(BuildError) as caught:
        build([{"branches": {"paths": [[], [{"Conv2D": {"filters": 3, "kernel_size": 3}}]]}}, "Flatten", SOFTMAX])
    assert str(caught.value) == (
        "model.layers[0].branches: the paths end in (8, 8, 3), (6, 6, 3), which do not concatenate\n"
        "    All paths have to end in the same height and width; `padding: same` keeps it."
    )
    with pytest.raises(BuildError) as caught:
        build([{"residual": {"layers": [{"Conv2D": {"filters": 3, "kernel_size": 3}}]}}, "Flatten", SOFTMAX])
    assert str(caught.value) == (
        "model.layers[0].residual: no projection leads from (8, 8, 3) to (6, 6, 3)\n"
        "    Use `padding: same` inside the block, or write the `shortcut` layers yourself."
    )


@pytest.mark.parametrize("name", sorted(signature_table().objects["applications"]))
def test_every_base_gets_its_pixels_as_keras_prepares_them(name: str) -> None:
    pixels = np.random.default_rng(3).uniform(0, 255, (2, 5, 4, 3)).astype(np.float32)
    inputs = keras.Input((5, 4, 3))
    output = apply_preprocessing(name, inputs)
    ours = keras.Model(inputs, output)(pixels) if output is not inputs else pixels
    module = sys.modules[getattr(keras.applications, name).__module__]
    assert np.allclose(ours, module.preprocess_input(pixels.copy()), atol=1e-3)


def test_the_packaged_weights_give_keras_own_features() -> None:
    base, notices = load_base(parse_entry({"MobileNetV2": {"alpha": 0.35, "weights": str(PACKAGED_WEIGHTS)}}), (64, 64, 3))
    assert notices == ()
    plain = keras.applications.MobileNetV2(input_shape=(64, 64, 3), alpha=0.35, include_top=False, weights=str(PACKAGED_WEIGHTS))
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    assert np.allclose(base(images), plain(images), atol=1e-6)


@pytest.mark.parametrize(("name", "size"), [("MobileNetV2", 224), ("InceptionV3", 299), ("EfficientNetB1", 240), ("NASNetMobile", 224)])
def test_the_preferred_size_is_the_one_keras_builds_with(name: str, size: int) -> None:
    assert preferred_size(name) == size
    if name in ("MobileNetV2", "EfficientNetB1"):
        assert getattr(keras.applications, name)(weights=None).input_shape == (None, size, size, 3)


def test_too_small_an_input_is_refused_with_the_smallest() -> None:
    with pytest.raises(BuildError) as caught:
        load_base(parse_entry({"Xception": {"weights": "none"}}), (70, 70, 3))
    assert str(caught.value) == (
        "model.base: Xception takes images of at least 71x71, got 70x70\n"
        "    Write `model: {image_size: 71}` or more, or `image_size: auto` for what it prefers."
    )


def test_without_a_network_the_packaged_weights_stand_in_and_say_so() -> None:
    base, notices = load_base(parse_entry("MobileNetV2"), (64, 64, 3))
    assert base.count_params() == 410_208
    assert "This run uses the smaller MobileNetV2 with alpha 0.35, whose ImageNet weights come with cnnkit." in notices[0]
    inputs = keras.Input((64, 64, 3))
    applied = apply_base(Model.model_validate({"base": "MobileNetV2"}), inputs)
    assert applied.architecture == {"MobileNetV2": {"alpha": 0.35, "weights": "none"}}  # by which a resumed run is built
    own = apply_base(Model.model_validate({"base": {"MobileNetV2": {"alpha": 0.5, "weights": "none"}}}), inputs)
    assert own.architecture == {"MobileNetV2": {"alpha": 0.5, "weights": "none"}}


def test_weights_that_cannot_be_had_are_an_error_with_the_ways_out() -> None:
    with pytest.raises(CnnkitError) as caught:
        load_base(parse_entry("VGG16"), (48, 48, 3))
    message = str(caught.value)
    assert "the ImageNet weights of VGG16 are not in " in message
    assert "or write `VGG16: {weights: none}` to start from random ones." in message


def test_a_silent_network_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.keras_api import downloads

    def silent(*arguments: Any, **options: Any) -> Any:
        time.sleep(30)

    monkeypatch.setattr(socket, "create_connection", silent)
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.3)
    begun = time.perf_counter()
    with pytest.raises(downloads.DownloadError, match=r"no answer from the network in 0\.3 s"):
        downloads.through_keras(lambda: keras.utils.get_file("x", "https://example.com/x", cache_dir="/nonexistent"), "x")
    assert time.perf_counter() - begun < 25


def test_unusable_model_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with pytest.raises(CnnkitError) as caught:
        load_model(path)
    assert str(caught.value) == f"{path}: no such model file"
    path.write_bytes(b"nonsense")
    with pytest.raises(CnnkitError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path}: is not a .keras file, or was cut short\n    A .keras file is a zip archive that Keras's model.save wrote."
    )
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs)).save(path)
    with pytest.raises(CnnkitError, match="holds code of its own, which cnnkit does not run"):
        load_model(path)


def test_a_layer_of_more_weights_than_memory_is_refused_before_any_is_taken() -> None:
    with pytest.raises(BuildError) as caught, mock.patch.object(keras.initializers.GlorotUniform, "__call__", side_effect=AssertionError):
        build([{"Dense": {"units": 900_000_000}}], (64,))
    assert caught.value.message.startswith(
        "Dense on the incoming (64,) needs more memory than there is: 57,600,000,000 weights take 214.6 GB, and "
    )
    assert (caught.value.location, caught.value.remedy) == ("model.layers[0].Dense", "Make it smaller, or pool before it.")


def test_more_layers_one_after_another_than_keras_connects_are_refused() -> None:
    with pytest.raises(BuildError) as caught:
        build([{"repeat": {"times": 1000, "layers": ["ReLU"]}}, "Flatten", SOFTMAX])
    assert caught.value.message == "the network has more layers one after another than Keras can connect, some 900"
    assert caught.value.location == "model.layers"
