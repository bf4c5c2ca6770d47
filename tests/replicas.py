"""Trains small networks on one device and on several logical CPUs, and prints by how much they differ, as JSON.

A process of its own, because logical devices have to be made before TensorFlow runs anything: `python -m tests.replicas 3`.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from cnnkit.config.schema import Train
from cnnkit.config.target_encoding import decide
from cnnkit.config.task import Task
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource
from cnnkit.data.rows import ArrayRows
from cnnkit.keras_api.checking import parse_entry
from cnnkit.model.compile import compile_model
from cnnkit.model.precision import dtype_policy
from cnnkit.training.distribution.strategy import StrategyDevices
from cnnkit.training.fit import Fit
from cnnkit.training.history import History
from cnnkit.training.step import Devices, OneDevice

EXAMPLES, BATCH, EPOCHS = 97, 8, 4  # the last batch has one example: fewer than there are replicas
THREE = Task("classification", ("a", "b", "c"))
SGD = {"SGD": {"learning_rate": 0.05, "momentum": 0.9}}

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipping by the norm of all gradients": {"optimizer": {"SGD": {"learning_rate": 0.05, "global_clipnorm": 0.3}}},
    "clipping by value": {"optimizer": {"SGD": {"learning_rate": 0.05, "clipvalue": 0.01}}},
    "gradient accumulation": {"optimizer": {"SGD": {"learning_rate": 0.05, "gradient_accumulation_steps": 3}}},
    "moving average": {"optimizer": {"SGD": {"learning_rate": 0.05, "use_ema": True, "ema_overwrite_frequency": 3}}},
    "weight decay": {"optimizer": {"SGD": {"learning_rate": 0.05, "weight_decay": 0.01}}},
    "constant loss scale": {"optimizer": {"SGD": {"learning_rate": 0.05, "loss_scale_factor": 64.0}}},
    "sum over the batch": {"loss": {"SparseCategoricalCrossentropy": {"reduction": "sum"}}, "optimizer": {"SGD": {"learning_rate": 0.002}}},
    "class weights": {"weights": [0.5, 1.0, 4.0]},
    "MixUp": {"augment": [{"MixUp": {"alpha": 0.3}}], "loss": {"CategoricalCrossentropy": {"label_smoothing": 0.1}}},
    "random layers": {"augment": [{"RandomFlip": {"mode": "horizontal"}}, {"RandomContrast": {"factor": 0.2}}]},
    "shift and alternating flip": {"augment": [{"shift": {"pixels": 2}}, "alternating_flip"]},
    "validation": {"validate": True},
    "layer decay": {"decay": True},
    "mixed_float16": {"precision": "mixed_float16", "epochs": 1},
    "saturated predictions": {"spread": 3.0, "optimizer": {"SGD": {"learning_rate": 0.001}}},
    "predictions by a sigmoid": {"activation": "sigmoid", "loss": "CategoricalFocalCrossentropy"},
}  # fmt: skip


def network(activation: str, spread: float) -> keras.Model:
    keras.utils.set_random_seed(5)
    inputs = keras.Input((8, 8, 3))
    hidden = keras.layers.Rescaling(1 / 255)(inputs)
    regularizers = {"kernel_regularizer": keras.regularizers.L2(1e-2)}
    if keras.config.dtype_policy().name == "float32":  # Keras cannot add a penalty of float16 to the loss
        regularizers["activity_regularizer"] = keras.regularizers.L2(1e-2)
    hidden = keras.layers.Conv2D(4, 3, **regularizers)(hidden)
    hidden = keras.layers.ReLU()(keras.layers.BatchNormalization()(hidden))
    initializer = keras.initializers.RandomNormal(0, spread, seed=1)
    output = keras.layers.Dense(3, activation=activation, kernel_initializer=initializer)(keras.layers.Flatten()(hidden))
    return keras.Model(inputs, output)


def source(count: int = EXAMPLES) -> BatchSource:
    random = np.random.default_rng(0)
    inputs, targets = random.integers(0, 256, (EXAMPLES, 8, 8, 3)).astype(np.uint8), random.integers(0, 3, EXAMPLES).astype(np.int32)
    return BatchSource(Examples(ArrayRows(inputs), np.arange(count), targets[:count]), BATCH)


class Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: None


def trained(devices: Devices, case: dict[str, Any]) -> tuple[list[Any], list[dict[str, float]]]:
    """Weights and history of a case."""
    precision = case.get("precision", "float32")
    train = Train(
        optimizer=parse_entry(case.get("optimizer", SGD)), loss=parse_entry(case["loss"]) if "loss" in case else None, precision=precision
    )
    augment = [parse_entry(each) for each in case.get("augment", ())]
    encoding = decide(THREE, train.loss, None, mixes="MixUp" in str(augment))[0]
    with devices.scope(), dtype_policy(precision):
        model = network(case.get("activation", "softmax"), case.get("spread", 0.1))
    compile_model(model, train, encoding, scope=devices.scope)
    if case.get("decay"):
        from cnnkit.training.phases import apply_layer_decay

        apply_layer_decay(model.optimizer, model, 0.5)
    weights = np.array(case["weights"]) if "weights" in case else None
    history = History()
    preparation = BatchPreparation(augment, 3, THREE, weights, encoding)
    validation = source(41) if case.get("validate") else None
    Fit(
        model, source(), validation, preparation, until=case.get("epochs", EPOCHS), history=history, seed=3, callbacks=[], listener=Silent(),
        should_stop=lambda: False, devices=devices,
    ).run()  # fmt: skip
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)], history.rows


def main(replicas: int) -> dict[str, dict[str, float]]:
    """Largest difference of a variable and of a metric, by case."""
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * replicas)
    several = StrategyDevices(tf.distribute.MirroredStrategy([f"CPU:{each}" for each in range(replicas)]))
    result = {}
    for name, case in CASES.items():
        (ones, rows), (manys, other_rows) = trained(OneDevice(), case), trained(several, case)
        variables = max(float(np.abs(one.astype(float) - many).max()) for one, many in zip(ones, manys, strict=True))
        names = [key for key in rows[0] if key not in ("seconds", "images_per_second")]
        metrics = max(abs(row[key] - other[key]) for row, other in zip(rows, other_rows, strict=True) for key in names)
        result[name] = {"variables": variables, "metrics": metrics}
    return result


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
