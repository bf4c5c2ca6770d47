"""Bind a validated config to its data: open the source and check the config against the data spec."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnkit.config.data_check import check_against_data, warnings
from cnnkit.config.data_spec import DataSpec
from cnnkit.config.load import ConfigSource, LoadedConfig, load_config
from cnnkit.config.schema import Data
from cnnkit.config.target_encoding import TargetEncoding, target_encodings
from cnnkit.config.task import Task
from cnnkit.data.source import Source, open_source
from cnnkit.errors import BuildError, CnnkitError, Fault


@dataclass(frozen=True)
class BoundConfig(LoadedConfig):
    """A config whose source of examples has been opened.

    Attributes:
        source: The opened data source; its examples are listed, not read.
        encodings: Number of outputs that the network may have -> encoding of the targets, and the faults of the config with it.
        warnings: Warnings about metrics that could be misread.
    """

    source: Source
    encodings: Mapping[int, tuple[TargetEncoding, tuple[Fault, ...]]]
    warnings: tuple[str, ...]

    @property
    def spec(self) -> DataSpec:
        """The data spec, known before the examples are read."""
        return self.source.spec

    def target_encoding(self, outputs: int) -> TargetEncoding:
        """The encoding of the targets for a network with a number of outputs.

        Raises:
            BuildError: Loss or metrics do not fit the outputs.
        """
        encoding, faults = self.encodings[outputs]
        if faults:
            raise BuildError(faults[0])
        return encoding


def load(sources: Sequence[ConfigSource], overrides: Sequence[str] = (), trained: Task | None = None) -> BoundConfig:
    """Read and check a config as `load_config` does, open its data, and check the two against each other.

    Args:
        sources: Config files or mappings, later ones over earlier ones.
        overrides: `a.b.c=value`.
        trained: The task that a run of this config was trained on; None for a config that is yet to be trained.

    Raises:
        ConfigError: With every problem of the config; where it has none, with every problem of the config with its data.
    """
    return bind(load_config(sources, overrides), trained)


def bind(loaded: LoadedConfig, trained: Task | None = None, source: Source | None = None) -> BoundConfig:
    """Open the data that a checked config names, and check the config against it.

    Args:
        loaded: The config.
        trained: The task that a run of it was trained on: targets are interpreted for that task, and loss and metrics are
            not checked. None for a config that is yet to be trained.
        source: The source of its data, where it has been opened already.

    Raises:
        ConfigError: The data does not exist or cannot be used, or the config does not fit it.
    """
    data = loaded.config.data if trained is None else _read_as(loaded.config.data, trained)
    try:
        source = source or open_source(data)
    except CnnkitError as error:
        raise loaded.config_error([Fault(("data", data.source), error.headline, error.remedy)]) from error
    encodings = target_encodings(loaded.config, source.spec.task, source.spec.name)
    if faults := list(check_against_data(loaded.config, source.spec, encodings, trained=trained is not None)):
        raise loaded.config_error(faults)
    return BoundConfig(loaded.config, loaded.document, source, encodings, tuple(warnings(loaded.config)))


def _read_as(data: Data, task: Task) -> Data:
    """The `data` section with `task` and `classes`, where they are inferred from the targets, set to those of a trained run.

    The classes keep their order then, though others have come or an earlier version ordered them otherwise.
    """
    inferred: dict[str, object] = {}
    if data.source in ("csv", "npz", "npy"):
        inferred["task"] = task.kind  # also where the config names another, which earlier versions ignored for several columns
    takes_classes = task.is_classification or (task.is_multilabel and data.source == "csv")
    if data.dataset is None and data.classes is None and takes_classes:
        inferred["classes"] = list(task.names)
    return data.model_copy(update=inferred)
