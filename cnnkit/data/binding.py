"""A checked config bound to its data: the source is opened, and what only the data can tell is checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.data_check import check_against_data
from cnnkit.config.data_spec import DataSpec
from cnnkit.config.load import LoadedConfig, load_config
from cnnkit.config.schema import Data
from cnnkit.config.task import Task
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


def load(paths: Sequence[Path], overrides: Sequence[str] = (), trained: Task | None = None) -> BoundConfig:
    """Read and check a config as `load_config` does, open its data, and check the two against each other.

    Args:
        paths: Config files, later ones over earlier ones.
        overrides: `a.b.c=value`.
        trained: What a run of this config was trained to predict; None where it is yet to be trained.

    Raises:
        ConfigError: With every problem of the config; where it has none, with every problem of the config with its data.
    """
    return bind(load_config(paths, overrides), trained)


def bind(loaded: LoadedConfig, trained: Task | None = None) -> BoundConfig:
    """Open the data that a checked config names, and check the config against it.

    Args:
        loaded: The config.
        trained: What a run of it was trained to predict, as which its targets are read again; its loss and metrics are
            not checked then. None where it is yet to be trained.

    Raises:
        ConfigError: The data is not there or cannot be used, or the config does not fit it.
    """
    data = loaded.config.data if trained is None else _read_as(loaded.config.data, trained)
    try:
        source = open_source(data)
    except CnnkitError as error:
        raise loaded.refused([Fault(("data", data.source), error.headline, error.remedy)]) from error
    if faults := list(check_against_data(loaded.config, source.spec, trained=trained is not None)):
        raise loaded.refused(faults)
    return BoundConfig(loaded.config, loaded.document, source)


def _read_as(data: Data, task: Task) -> Data:
    """The `data` section with what it leaves to the rule for targets decided as a trained run has it."""
    if data.source not in ("csv", "npz", "npy") or data.task is not None:
        return data
    named = task.is_classification and data.source != "csv" and data.classes is None
    return data.model_copy(update={"task": task.kind, **({"classes": list(task.names)} if named else {})})
