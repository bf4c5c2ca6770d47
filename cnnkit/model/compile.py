"""A config to a compiled Keras model: the network with its optimizer, loss and metrics."""

from typing import TYPE_CHECKING, Any

from cnnkit.config.schema import Config
from cnnkit.config.target_encoding import TargetEncoding, target_encoding
from cnnkit.config.task import Task
from cnnkit.data.binding import BoundConfig
from cnnkit.errors import BuildError, Fault
from cnnkit.keras_api.building import build, first_sentence
from cnnkit.keras_api.compat import fresh_names
from cnnkit.model.builder import Network, build_network

if TYPE_CHECKING:
    import keras


def build_and_compile(loaded: BoundConfig) -> Network:
    """The network of a config, compiled with its optimizer, loss and metrics.

    Raises:
        ConfigError: Keras refuses a layer or an argument.
    """
    import keras

    config, spec = loaded.config, loaded.spec
    keras.utils.set_random_seed(config.seed)
    try:
        network = build_network(config.model, spec.input_shape, spec.task)
        compile_model(network.model, config, spec.task)
    except BuildError as error:
        raise loaded.located(error) from error
    return network


@fresh_names()
def compile_model(model: "keras.Model", config: Config, task: Task, optimizer: Any = None) -> None:
    """Compile a model as the config's `train` section says, perhaps with another optimizer, that of a phase.

    Raises:
        BuildError: Keras refuses optimizer, loss or metrics, or they do not fit the model's outputs.
    """
    train, encoding = config.train, encoding_for(model, config, task)
    try:
        model.compile(
            optimizer=build("optimizers", optimizer if optimizer is not None else train.optimizer, ("train", "optimizer")),
            loss=build("losses", encoding.loss, ("train", "loss")),
            metrics=[build("metrics", entry, ("train", "metrics", index)) for index, entry in enumerate(encoding.metrics)],
        )
    except (ValueError, TypeError) as error:
        raise BuildError(Fault(("train",), f"Keras cannot compile the model: {first_sentence(error)}")) from error


def encoding_for(model: "keras.Model", config: Config, task: Task) -> TargetEncoding:
    """How targets are given to a built model, whose outputs tell whether two classes share one.

    Raises:
        BuildError: Loss or metrics do not fit the model's outputs.
    """
    encoding, faults = target_encoding(config, task, int(model.output_shape[-1]))
    if faults:
        raise BuildError(faults[0])
    return encoding
