"""A network run as in use: what Keras's `predict` gives, from one trace, on the inputs that it takes."""

from pathlib import Path

import keras
import numpy as np
import pytest

from cnnkit.data import pipeline
from cnnkit.data.examples import Examples
from cnnkit.data.rows import ArrayRows
from cnnkit.errors import CnnkitError
from cnnkit.model.inference import inference_function, outputs_for, require_fit


def examples(count: int, *shape: int) -> Examples:
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    return Examples(ArrayRows(pixels), np.arange(count)[::-1].copy(), np.zeros(count))


def test_outputs_are_those_of_keras_predict_from_one_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "EVALUATION_BATCH", 16)
    inputs = keras.Input((4, 4, 1))
    hidden = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 3)(inputs))
    network = keras.Model(inputs, keras.layers.Dropout(0.5)(keras.layers.Flatten()(hidden)))
    given = examples(50, 4, 4, 1)  # three batches of 16 and one of 2
    function = inference_function(network)
    outputs = outputs_for(function, given)
    assert function.experimental_get_tracing_count() == 1
    assert np.array_equal(outputs, network.predict(given.rows.read(given.index).astype(np.float32), batch_size=16, verbose=0))


def test_a_network_of_two_outputs_or_of_other_inputs_is_refused() -> None:
    inputs = keras.Input((4, 4, 1))
    features = keras.layers.Flatten()(inputs)
    for network, message in (
        (
            keras.Model(inputs, [keras.layers.Dense(3)(features), keras.layers.Dense(3)(features)]),
            "m.keras: has 1 input and 2 outputs\n    A model with one of each is wanted.",
        ),
        (
            keras.Model(inputs, keras.layers.Dense(3)(features)),
            "m.keras: takes inputs of (4, 4, 1), but photos has (5, 5, 1)\n    Name the config of its data.",
        ),
    ):
        with pytest.raises(CnnkitError) as caught:
            require_fit(network, Path("m.keras"), examples(2, 5, 5, 1), "photos")
        assert str(caught.value) == message
