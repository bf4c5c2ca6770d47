"""Build and compile a config's model: network, optimizer, loss and metrics."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.config.schema import Train
from cnnkit.config.target_encoding import TargetEncoding
from cnnkit.data.binding import BoundConfig
from cnnkit.errors import BuildError, Fault
from cnnkit.keras_api.building import build, first_sentence
from cnnkit.keras_api.checking import Entry
from cnnkit.keras_api.compat import fresh_names
from cnnkit.model.builder import Network, build_network
from cnnkit.model.learning_rate_factors import apply_learning_rate_factors, check_learning_rate_factors
from cnnkit.model.optimizer import TRIAL_STEPS, build_optimizer

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class CompiledNetwork(Network):
    """A network with its loss and metrics.

    Attributes:
        target_encoding: The form of the targets, which decides loss and metrics; batches are prepared in it.
    """

    target_encoding: TargetEncoding


def build_and_compile(loaded: BoundConfig, scope: Callable[[], AbstractContextManager[Any]] = nullcontext) -> CompiledNetwork:
    """The network of a config, compiled with its optimizer, loss and metrics.

    Args:
        loaded: The config.
        scope: Context manager in which network and optimizer are built, such as the scope of a `tf.distribute` strategy.

    Raises:
        ConfigError: Keras rejects a layer or an argument.
    """
    import keras

    config, spec = loaded.config, loaded.spec
    keras.utils.set_random_seed(config.seed)
    try:
        network = build_network(config.model, spec.input_shape, spec.task, config.train.precision, scope)
        check_learning_rate_factors(network.model, config.train.learning_rate_factors)
        encoding = loaded.target_encoding(int(network.model.output_shape[-1]))
        compile_model(network.model, config.train, encoding, scope=scope)
    except BuildError as error:
        raise loaded.located(error) from error
    return CompiledNetwork(**vars(network), target_encoding=encoding)


@fresh_names()
def compile_model(
    model: "keras.Model",
    train: Train,
    encoding: TargetEncoding,
    optimizer: Entry | None = None,
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
    total_steps: int = TRIAL_STEPS,
    whole: "keras.Model | None" = None,
) -> None:
    """Compile a model with the config's optimizer, and the loss and metrics of its target encoding.

    Args:
        model: Built; compiled in place.
        train: The `train` section.
        encoding: The target encoding.
        optimizer: A phase's own optimizer; None for `train.optimizer`.
        scope: Context manager in which the optimizer is built, such as the scope of a `tf.distribute` strategy; metrics are
            not built in it.
        total_steps: Optimizer steps of the training, of which learning-rate schedules name shares; the default is for a model
            that is not trained.
        whole: The whole model, of which the model to compile is a part, such as the head over a frozen base; None where it is the whole.

    Raises:
        BuildError: Keras rejects optimizer, loss or metrics.
    """
    try:
        with scope():
            entry = optimizer if optimizer is not None else train.optimizer
            built = build_optimizer(entry, ("train", "optimizer"), train.precision, total_steps)
            apply_learning_rate_factors(built, model, train.learning_rate_factors, whole)
        model.compile(
            optimizer=built,
            loss=build("losses", encoding.loss, ("train", "loss")),
            metrics=[build("metrics", entry, ("train", "metrics", index)) for index, entry in enumerate(encoding.metrics)],
            jit_compile=train.jit_compile,
            auto_scale_loss=False,  # by the policy of the whole model, which the head over a frozen base does not have
        )
    except (ValueError, TypeError) as error:
        raise BuildError(Fault(("train",), f"Keras cannot compile the model: {first_sentence(error)}")) from error
