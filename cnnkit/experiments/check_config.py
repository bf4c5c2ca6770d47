"""Check a config as far as is possible without training: its network is built, and a step of it tried."""

from dataclasses import dataclass

from cnnkit.data.binding import BoundConfig
from cnnkit.experiments.sweep.plan import check_networks, plan_sweep
from cnnkit.model.compile import build_and_compile
from cnnkit.model.summary.summarize import summarize
from cnnkit.training.distribution.opening import device_notices
from cnnkit.training.trial import try_training


@dataclass(frozen=True)
class CheckedConfig:
    """A config without errors.

    Attributes:
        layers: Number of layers of its network.
        parameters: Number of their parameters.
        notices: Options that do not do what they promise on this machine.
    """

    layers: int
    parameters: int
    notices: tuple[str, ...]


def check_config(loaded: BoundConfig) -> CheckedConfig:
    """Build and try a config's network, and those at the ends of its search space.

    Args:
        loaded: The config, with its data opened.

    Raises:
        ConfigError: Keras cannot build or train a network, with the line of the entry at fault.
    """
    network = build_and_compile(loaded)
    try_training(loaded, network)
    if loaded.config.sweep is not None:
        check_networks(plan_sweep(loaded))
    total = summarize(network.model, preprocess=network.preprocess).total_parameters
    return CheckedConfig(len(network.model.layers), total, tuple(device_notices(loaded.config.train)))
