"""A config to a compiled Keras model: the network with its optimizer, loss and metrics."""

from typing import TYPE_CHECKING, Any

from cnnkit.config.data_check import DEFAULT_LOSS, DEFAULT_METRICS, mixes_labels
from cnnkit.config.schema import Config
from cnnkit.config.task import Task
from cnnkit.data.binding import BoundConfig
from cnnkit.errors import BuildError, Fault
from cnnkit.keras_api.building import build, first_sentence
from cnnkit.keras_api.names import fresh_names
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
        BuildError: Keras refuses optimizer, loss or metrics.
    """
    usual = "categorical_crossentropy" if mixes_labels(config) else DEFAULT_LOSS[task.kind]
    if task.is_classification and model.output_shape[-1] == 1:
        usual = "binary_crossentropy"
    train = config.train
    metrics = train.metrics if train.metrics is not None else DEFAULT_METRICS[task.kind]
    try:
        model.compile(
            optimizer=build("optimizers", optimizer if optimizer is not None else train.optimizer, ("train", "optimizer")),
            loss=build("losses", train.loss if train.loss is not None else usual, ("train", "loss")),
            metrics=[build("metrics", entry, ("train", "metrics", index)) for index, entry in enumerate(metrics)],
        )
    except (ValueError, TypeError) as error:
        raise BuildError(Fault(("train",), f"Keras cannot compile the model: {first_sentence(error)}")) from error
