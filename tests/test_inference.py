"""A network run as in use: what Keras's `predict` gives, from one trace, on the inputs that it takes."""

from pathlib import Path

import keras
import numpy as np
import pytest

from cnnkit.artifacts.opening import open_model
from cnnkit.data import pipeline
from cnnkit.data.examples import Examples
from cnnkit.data.rows import ArrayRows
from cnnkit.errors import CnnkitError
from cnnkit.model import inference
from cnnkit.model.inference import KerasRuntime, inference_function, input_shape_of, outputs_for


def examples(count: int, *shape: int) -> Examples:
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    return Examples(ArrayRows(pixels), np.arange(count)[::-1].copy(), np.zeros(count))


def test_outputs_are_those_of_keras_predict_from_one_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "EVALUATION_BATCH", 16)
    traces = []
    monkeypatch.setattr(inference, "inference_function", lambda network: traces.append(inference_function(network)) or traces[-1])
    inputs = keras.Input((4, 4, 1))
    hidden = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 3)(inputs))
    network = keras.Model(inputs, keras.layers.Dropout(0.5)(keras.layers.Flatten()(hidden)))
    given = examples(50, 4, 4, 1)  # three batches of 16 and one of 2
    outputs = outputs_for(KerasRuntime(network), given)
    assert [each.experimental_get_tracing_count() for each in traces] == [1]
    assert np.array_equal(outputs, network.predict(given.rows.read(given.index).astype(np.float32), batch_size=16, verbose=0))


def test_a_network_of_two_outputs_or_of_other_inputs_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((4, 4, 1))
    features = keras.layers.Flatten()(inputs)
    with pytest.raises(CnnkitError) as caught:
        input_shape_of(keras.Model(inputs, [keras.layers.Dense(3)(features), keras.layers.Dense(3)(features)]), Path("m.keras"))
    assert str(caught.value) == "m.keras: has 1 input and 2 outputs\n    A model with one of each is wanted."
    keras.Model(inputs, keras.layers.Dense(3)(features)).save(tmp_path / "m.keras")
    with pytest.raises(CnnkitError) as caught:
        open_model(tmp_path / "m.keras").require_fit(examples(2, 5, 5, 1), "photos")
    assert str(caught.value) == (
        f"{tmp_path}/m.keras: takes inputs of (4, 4, 1), but photos has (5, 5, 1)\n    Name the config of its data."
    )
