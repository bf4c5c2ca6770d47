"""Build and try what training uses before it begins, so that what Keras rejects is an error of the config, with its line."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnkit.config.schema import Config, Phase
from cnnkit.config.task import Task
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.binding import BoundConfig
from cnnkit.data.encode import encode
from cnnkit.errors import BuildError, Fault, Path
from cnnkit.keras_api.building import build
from cnnkit.keras_api.compat import choose_direction, fresh_names
from cnnkit.model.compile import CompiledNetwork
from cnnkit.model.learning_rate_factors import PATH as FACTORS_PATH
from cnnkit.model.learning_rate_factors import untrained_factors
from cnnkit.model.loading.config_check import fault_of_config
from cnnkit.model.optimizer import TRIAL_STEPS, build_optimizer
from cnnkit.model.saving import STATELESS_OPTIMIZER
from cnnkit.training.phases import set_trainable
from cnnkit.training.step import build_metrics

if TYPE_CHECKING:
    import keras


@fresh_names()
def try_training(loaded: BoundConfig, network: CompiledNetwork) -> Sequence[Phase]:
    """Apply each phase and build its optimizer, run the augmentation on a small batch, build the callbacks, check the model's file.

    Args:
        loaded: The config.
        network: Its network; afterwards the layers of its first phase are trainable.

    Returns:
        The phases in order; a single one where the config has none.

    Raises:
        ConfigError: A phase names no layer; a learning-rate factor is of weights that no phase trains; Keras rejects the optimizer of a
            phase, an augmentation or a callback; or the saved model could not be loaded.
    """
    config, spec = loaded.config, loaded.spec
    try:
        phases = _phases(config, network)
        BatchPreparation(config.data.augment, config.seed, spec.task, None, network.target_encoding).check(spec.input_shape)
        if config.train.callbacks:
            _try_callbacks(config, network, spec.task)
        _check_file(network.model, ("model", "base" if config.model.layers is None else "layers"))
    except BuildError as error:
        raise loaded.located(error) from error
    return phases


def _phases(config: Config, network: CompiledNetwork) -> Sequence[Phase]:
    """Apply each phase, the first one last.

    Raises:
        BuildError: A phase names no layer, Keras rejects its optimizer, or a learning-rate factor is of weights that no phase trains.
    """
    model, train = network.model, config.train
    phases = config.phases
    untrained = set(train.learning_rate_factors)
    for number, phase in reversed(list(enumerate(phases))):
        path = ("train", "phases", number)
        if train.phases is not None:
            set_trainable(model, phase, path)
        if phase.optimizer is not None:
            build_optimizer(phase.optimizer, (*path, "optimizer"), train.precision, TRIAL_STEPS)
        if network.whitening is not None:
            network.whitening.freeze(model, 0)
        untrained &= untrained_factors(model, train.learning_rate_factors)
    for key in (key for key in train.learning_rate_factors if key in untrained):
        message = "has no effect, for every weight that it selects is frozen"
        remedy = "Leave it out, or train those layers in a phase: `train: all`, and `batch_norm: train` for BatchNormalization in a base."
        raise BuildError(Fault((*FACTORS_PATH, key), message, remedy, on_key=True))
    return phases


def _try_callbacks(config: Config, network: CompiledNetwork, task: Task) -> None:
    """Build the callbacks, and let each choose between high and low values, as it does after the first epoch."""
    import tensorflow as tf

    model = network.model
    targets = tf.zeros((1,), tf.int32) if task.is_classification else tf.zeros((1, task.outputs))
    build_metrics(model, tf.zeros((1, *model.input_shape[1:])), encode(targets, network.target_encoding))
    for index, entry in enumerate(config.train.callbacks):
        path = ("train", "callbacks", index)
        callback = build("callbacks", entry, path)
        callback.set_model(model)
        try:
            choose_direction(callback)
        except ValueError as error:
            raise BuildError(
                Fault(
                    (*path, *entry.key),
                    f"Keras cannot tell whether {callback.monitor} is better high or low",
                    "Write `mode: max` where high is better, or `mode: min`.",
                    on_key=True,
                )
            ) from error


def _check_file(model: "keras.Model", path: Path) -> None:
    """Check the model's config by the rules by which its file is loaded again.

    Args:
        model: The compiled model.
        path: Path of the entry that decides its layers.

    Raises:
        BuildError: It would be refused.
    """
    import keras

    stored = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    stored["compile_config"]["optimizer"] = STATELESS_OPTIMIZER  # as `write_model` has it
    if fault := fault_of_config(stored):
        message = f"cnnkit would not load the saved model again: its file {fault}"
        raise BuildError(Fault(path, message, "Use fewer or other layers.", on_key=True))
