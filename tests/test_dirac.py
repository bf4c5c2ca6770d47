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
    """Filter i passes on channel i at the middle of each axis, as `torch.nn.init.dirac_` does for odd windows."""
    kernel = np.zeros(shape)
    for channel in range(min(shape[-2:])):
        kernel[(*((size - 1) // 2 for size in shape[:-2]), channel, channel)] = 1
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


@pytest.mark.parametrize("size", ["3", "2", "[4, 5]"])
def test_a_stack_of_convolutions_begins_as_the_identity(size: str, tmp_path: Path) -> None:
    layers = [f"Conv2D: {{filters: 6, kernel_size: {size}, padding: same, kernel_initializer: Dirac}}"] * 4
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


NOT_A_KERNEL = "Dirac is for the kernels of Conv1D, Conv2D, Conv3D, Dense and SimpleRNN, not for the "
GROUPED = "Dirac passes on the input channels in order, which a convolution of 2 groups does not see"


@pytest.mark.parametrize(
    ("layer", "argument", "message"),
    [
        ("Conv2D: {filters: 4, kernel_size: 3, bias_initializer: Dirac}", "bias_initializer", f"{NOT_A_KERNEL}bias_initializer of Conv2D"),
        ("DepthwiseConv2D: {kernel_size: 3, depthwise_initializer: {Dirac: {}}}", "depthwise_initializer",
         f"{NOT_A_KERNEL}depthwise_initializer of DepthwiseConv2D"),
        ("Conv2DTranspose: {filters: 4, kernel_size: 3, kernel_initializer: Dirac}", "kernel_initializer",
         f"{NOT_A_KERNEL}kernel_initializer of Conv2DTranspose"),
        ("Conv2D: {filters: 4, kernel_size: 3, groups: 2, kernel_initializer: Dirac}", "kernel_initializer", GROUPED),
    ],
    ids=["bias", "depthwise", "transposed", "groups"],
)  # fmt: skip
def test_a_weight_that_dirac_would_not_make_the_identity_is_refused_by_its_line(
    tmp_path: Path, layer: str, argument: str, message: str
) -> None:
    path = config(tmp_path, [layer, *HEAD])
    with pytest.raises(ConfigError) as error:
        load([path])
    (problem,) = error.value.problems
    assert (problem.path.rpartition(".")[2], problem.message) == (argument, message)
    assert problem.mark is not None
    assert problem.mark.line == 5


def test_the_pointwise_kernel_of_a_separable_convolution_may_be_the_identity(tmp_path: Path) -> None:
    layer = "SeparableConv2D: {filters: 5, kernel_size: 3, pointwise_initializer: Dirac}"
    kernel = np.array(build_and_compile(load([config(tmp_path, [layer, *HEAD])])).model.layers[1].pointwise_kernel)
    assert np.array_equal(kernel[..., :1], dirac((1, 1, 1, 5))[..., :1])
