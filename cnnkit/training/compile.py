"""A config to a compiled Keras model: the network with its optimizer, loss and metrics."""

from typing import TYPE_CHECKING

from cnnkit.config.schema import Config, Train
from cnnkit.config.tasks import default_loss, default_metrics
from cnnkit.data.catalogue import BUILT_IN, Facts
from cnnkit.errors import BuildError, Fault
from cnnkit.keras_objects import build, first_sentence
from cnnkit.model.builder import Network, build_network

if TYPE_CHECKING:
    import keras


def build_and_compile(config: Config) -> Network:
    """The network of a config, compiled with its optimizer, loss and metrics.

    Raises:
        BuildError: Keras refuses a layer or an argument; located by `LoadedConfig.located`.
    """
    import keras

    facts = BUILT_IN[config.data.dataset]
    keras.utils.set_random_seed(config.seed)
    network = build_network(config.model, facts.input_shape, facts.outputs(config.data.target))
    _compile(network.model, config.train, facts, config.data.target)
    return network


def _compile(model: "keras.Model", config: Train, facts: Facts, target: str | None) -> None:
    loss = config.loss if config.loss is not None else default_loss(facts, target)
    metrics = config.metrics if config.metrics is not None else default_metrics(facts, target)
    try:
        model.compile(
            optimizer=build("optimizers", config.optimizer, ("train", "optimizer")),
            loss=build("losses", loss, ("train", "loss")),
            metrics=[build("metrics", entry, ("train", "metrics", index)) for index, entry in enumerate(metrics)],
        )
    except (ValueError, TypeError) as error:
        raise BuildError(Fault(("train",), f"Keras cannot compile the model: {first_sentence(error)}")) from error
