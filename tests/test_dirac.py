"""The initializer `Dirac`: kernels against PyTorch's definition in NumPy, what a network computes with them, and what is saved."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from test_run import Silent

from cnnkit.data.binding import load
from cnnkit.errors import ConfigError
from cnnkit.keras_api.own_initializers import Dirac
from cnnkit.model.compile import build_and_compile
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train


def dirac(shape: tuple[int, ...]) -> np.ndarray:
    """`torch.nn.init.dirac_`: filter i passes on channel i at `size // 2` of each axis."""
    kernel = np.zeros(shape)
    for channel in range(min(shape[-2:])):
        kernel[(*(size // 2 for size in shape[:-2]), channel, channel)] = 1
    return kernel


@pytest.mark.parametrize(
    "shape", [(3, 3, 4, 4), (3, 3, 4, 9), (3, 3, 9, 4), (5, 3, 2, 3), (2, 2, 3, 3), (7, 3, 5), (3, 3, 3, 2, 2), (4, 6)]
)
def test_the_first_filters_are_identities_and_the_others_random(shape: tuple[int, ...]) -> None:
    kernel = np.array(Dirac(keras.initializers.HeNormal(seed=3))(shape, "float32"))
    random = np.array(keras.initializers.HeNormal(seed=3)(shape, "float32"))
    count = min(shape[-2:])
    assert np.array_equal(kernel[..., :count], dirac(shape)[..., :count])
    assert np.array_equal(kernel[..., count:], random[..., count:])


def test_a_bias_is_refused() -> None:
    with pytest.raises(ValueError, match="wants a kernel"):
        Dirac()((8,))


def config(folder: Path, layers: list[str], train: str = "{epochs: 1}") -> Path:
    text = "\n".join(f"    - {layer}" for layer in layers)
    path = folder / "c.yaml"
    path.write_text(f"name: d\ndata: {{dataset: digits, limit: 64, batch_size: 32}}\nmodel:\n  layers:\n{text}\ntrain: {train}\n")
    return path


HEAD = ["Flatten", "Dense: {units: outputs, activation: softmax}"]


def test_a_stack_of_convolutions_begins_as_the_identity(tmp_path: Path) -> None:
    layers = ["Conv2D: {filters: 6, kernel_size: 3, padding: same, kernel_initializer: Dirac}"] * 4
    model = build_and_compile(load([config(tmp_path, [*layers, *HEAD])])).model
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1)).astype(np.float32)
    assert np.array_equal(keras.Model(model.input, model.layers[-3].output)(images)[..., :1], images)


def test_the_other_filters_are_those_of_the_config(tmp_path: Path) -> None:
    entry = "Conv2D: {filters: 6, kernel_size: 3, kernel_initializer: {Dirac: {other_initializer: {Constant: {value: 7}}}}}"
    kernel = np.array(build_and_compile(load([config(tmp_path, [entry, *HEAD])])).model.layers[1].kernel)
    assert np.array_equal(kernel[..., 0], dirac((3, 3, 1, 6))[..., 0])
    assert (kernel[..., 1:] == 7).all()


def test_plain_keras_loads_what_is_saved(tmp_path: Path) -> None:
    """In a process without cnnkit's registration there is no class DiracInitializer: the saved file must not name one."""
    layers = [
        "Conv2D: {filters: 4, kernel_size: 3, kernel_initializer: Dirac}",
        "Reshape: {target_shape: [36, 4]}",
        "Bidirectional: {layer: {SimpleRNN: {units: 3, kernel_initializer: Dirac}}}",
        "Dense: {units: outputs, activation: softmax, kernel_initializer: {Dirac: {}}}",
    ]
    train(prepare(load([config(tmp_path, layers)]), tmp_path / "run"), Silent())
    with zipfile.ZipFile(tmp_path / "run" / "model.keras") as file:
        assert b"Dirac" not in file.read("config.json")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{Dirac: {other: Zeros}}", "Dirac takes: other_initializer."),
        ("dirac", "Dirac"),
        ("{Dirac: {other_initializer: HeNorml}}", "HeNorml"),
    ],
)
def test_a_fault_names_its_line(tmp_path: Path, value: str, message: str) -> None:
    path = config(tmp_path, [f"Conv2D: {{filters: 4, kernel_size: 3, kernel_initializer: {value}}}", *HEAD])
    with pytest.raises(ConfigError) as error:
        build_and_compile(load([path]))
    assert f"{path}:5:" in str(error.value)
    assert message in str(error.value)


def test_a_bias_initializer_that_cannot_be_is_an_error_of_its_layer(tmp_path: Path) -> None:
    path = config(tmp_path, ["Conv2D: {filters: 4, kernel_size: 3, bias_initializer: Dirac}", *HEAD])
    with pytest.raises(ConfigError, match="wants a kernel") as error:
        build_and_compile(load([path]))
    assert f"{path}:5:" in str(error.value)


@pytest.mark.parametrize(
    ("layer", "fault"),
    [
        ("Conv2D: {filters: 4, kernel_size: 3, groups: 2, kernel_initializer: Dirac}", "of Conv2D with groups=2"),
        ("DepthwiseConv2D: {kernel_size: 3, depthwise_initializer: Dirac}", "of DepthwiseConv2D as its depthwise_initializer"),
        ("Conv2DTranspose: {filters: 4, kernel_size: 3, kernel_initializer: Dirac}", "of Conv2DTranspose as its kernel_initializer"),
        ("ConvLSTM1D: {filters: 4, kernel_size: 3, kernel_initializer: Dirac}", "of ConvLSTMCell as its kernel_initializer"),
    ],
)
def test_a_layer_that_would_not_begin_as_the_identity_is_refused_with_its_line(tmp_path: Path, layer: str, fault: str) -> None:
    """In Keras's own definition: the kernel of these is (…, channels / groups, filters), (…, channels, multiplier), (…, filters, channels)."""
    path = config(tmp_path, ["Conv2D: {filters: 4, kernel_size: 1}", layer, *HEAD])
    with pytest.raises(ConfigError) as error:
        build_and_compile(load([path]))
    at = f"{path}:6:7: model.layers[1].{layer.partition(':')[0]}"
    assert str(error.value) == (
        f"{at}: Dirac makes no identity {fault}\n    It is for the kernels of Conv1D, Conv2D, Conv3D, Dense and SimpleRNN."
    )
