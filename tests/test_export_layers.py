"""The layer that keeps a network from being exported is found and located in the config; no exporter runs here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnkit.artifacts.formats import ONNX
from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError, ConfigError
from cnnkit.export import layer_faults
from cnnkit.export.layer_faults import entry_of, layer_at_fault, located_error
from cnnkit.export.writers.writer import write_float
from cnnkit.keras_api.checking import parse_entry
from cnnkit.model.compile import build_and_compile

CONFIG = """\
data: {npz: data.npz}
model:
  layers:
    - Conv2D: {filters: 2, kernel_size: 3, padding: same}
    - repeat:
        times: 2
        layers:
          - Conv2D: {filters: 2, kernel_size: 3, padding: same}
          - LeakyReLU
    - Flatten
    - Dense: {units: outputs, activation: softmax}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    np.savez(tmp_path / "data.npz", x=np.zeros((30, 8, 8, 3), np.uint8), y=np.arange(30) % 3)
    (tmp_path / "net.yaml").write_text(CONFIG)
    return load([tmp_path / "net.yaml"])


class Exporter:
    """Refuses a class of layers, and remembers what it was given."""

    def __init__(self, refused: str) -> None:
        self.refused, self.tried = refused, []

    def __call__(self, model: keras.Model, path: Path) -> None:
        assert not path.exists()
        name = type(model.layers[-1]).__name__
        self.tried.append(name)
        if name == self.refused:
            raise RuntimeError("no such operator")


def test_the_layer_is_found_and_layers_alike_are_tried_once(loaded: Any) -> None:
    model = build_and_compile(loaded).model
    exporter = Exporter("LeakyReLU")
    assert layer_at_fault(model, exporter).name == "leaky_re_lu"
    nothing = Exporter("LSTM")
    assert layer_at_fault(model, nothing) is None
    assert sorted(nothing.tried) == ["Conv2D", "Conv2D", "Dense", "Flatten", "LeakyReLU"]  # of three input channels, and of two
    assert nothing.tried[-1] == "Conv2D"  # the most frequent class last


def test_layers_that_can_be_exported_are_not_accused() -> None:
    """By the exporter itself, which refuses models that were never called."""
    model = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
    assert layer_at_fault(model, lambda alone, path: write_float(alone, ONNX, path.with_suffix(".onnx"))) is None


def test_a_layer_inside_another_model_is_found() -> None:
    inputs = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.ELU()])
    model = keras.Model(inputs, keras.layers.Dense(2)(inner(inputs)))
    found = layer_at_fault(model, Exporter("ELU"))
    assert found is not None
    assert type(found).__name__ == "ELU"


def test_the_search_ends_in_time(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_faults, "SECONDS", -1.0)
    assert layer_at_fault(build_and_compile(loaded).model, Exporter("LeakyReLU")) is None


def test_the_error_has_the_line_of_the_config_entry(loaded: Any, tmp_path: Path) -> None:
    model = build_and_compile(loaded).model
    error = CnnkitError("ONNX cannot express it", "Choose another.")
    for name, line, path in (
        ("conv2d", 4, "model.layers[0].Conv2D"),
        ("conv2d_2", 8, "model.layers[1].repeat.layers[0].Conv2D"),
        ("leaky_re_lu_1", 9, "model.layers[1].repeat.layers[1]"),
    ):
        located = located_error(error, model.get_layer(name), loaded, model)
        assert isinstance(located, ConfigError)
        assert (located.message, located.remedy) == (error.message, error.remedy)
        assert located.location.startswith(f"{tmp_path}/net.yaml:{line}:")
        assert located.location.endswith(f": {path}")


def test_a_layer_of_a_base_is_located_at_the_base(loaded: Any) -> None:
    layer = keras.layers.Dense(1, name="inside_the_base")
    with_base = loaded.config.model.model_copy(update={"base": parse_entry("MobileNetV2")})
    config = loaded.config.model_copy(update={"model": with_base})
    bound = replace(loaded, config=config)
    model = build_and_compile(loaded).model
    assert entry_of(layer, bound, model) == ("model", "base")
    assert entry_of(layer, loaded, model) is None


def test_outside_of_a_run_and_for_no_layer_the_error_stays_as_it_is(loaded: Any) -> None:
    model = build_and_compile(loaded).model
    error = CnnkitError("x")
    assert located_error(error, model.layers[1], None, model) is error
    assert located_error(error, None, loaded, model) is error
