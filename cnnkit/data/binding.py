"""A checked config bound to its data: the source is opened, and what only the data can tell is checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.data_check import check_against_data
from cnnkit.config.data_spec import DataSpec
from cnnkit.config.load import LoadedConfig, load_config
from cnnkit.data.source import Source, open_source
from cnnkit.errors import CnnkitError, Fault


@dataclass(frozen=True)
class BoundConfig(LoadedConfig):
    """A config whose source of examples has been opened.

    Attributes:
        source: Where the examples come from; listed, its examples not read.
    """

    source: Source

    @property
    def spec(self) -> DataSpec:
        """What is known of the examples before they are read."""
        return self.source.spec


def load(paths: Sequence[Path], overrides: Sequence[str] = ()) -> BoundConfig:
    """Read and check a config as `load_config` does, open its data, and check the two against each other.

    Raises:
        ConfigError: With every problem of the config; where it has none, with every problem of the config with its data.
    """
    return bind(load_config(paths, overrides))


def bind(loaded: LoadedConfig) -> BoundConfig:
    """Open the data that a checked config names, and check the config against it.

    Raises:
        ConfigError: The data is not there or cannot be used, or the config does not fit it.
    """
    data = loaded.config.data
    try:
        source = open_source(data)
    except CnnkitError as error:
        raise loaded.refused([Fault(("data", data.source), error.headline, error.remedy)]) from error
    if faults := list(check_against_data(loaded.config, source.spec)):
        raise loaded.refused(faults)
    return BoundConfig(loaded.config, loaded.document, source)
