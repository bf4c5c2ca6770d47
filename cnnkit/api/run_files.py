"""The files of a run as plain values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.artifacts.formats import KERAS, format_of
from cnnkit.artifacts.model_metadata import ModelMetadata, read_metadata
from cnnkit.artifacts.opening import open_model
from cnnkit.config.yaml_loader import read_file
from cnnkit.errors import CnnkitError
from cnnkit.io.json_file import read_json
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.listing import read_run
from cnnkit.runs.reopen import model_file


class RunFiles:
    """The files of a run's folder, or those beside a model file.

    Attributes:
        path: The run's folder; of a model file, the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._directory = RunDirectory(path.parent if format_of(path) is not None else path)

    def __repr__(self) -> str:
        return f"<Run {str(self.path)!r}>"

    @property
    def state(self) -> str:
        """`finished`, `interrupted`, `pruned`, `running`, `failed` or `unknown`."""
        return read_run(self._directory.path, self._directory.path).state

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config, defaults included, as plain values; `cnnkit.train(run.config)` trains the same again.

        Raises:
            ConfigError: It is missing or damaged.
        """
        return read_file(self._directory.config).value

    @property
    def history(self) -> list[dict[str, float]]:
        """A row for each epoch: `epoch` from 1, losses and metrics, `learning_rate`, `seconds`, `images_per_second`.

        Raises:
            CnnkitError: It is missing or damaged.
        """
        return [{name: int(value) if name == "epoch" else value for name, value in row.items()} for row in self._directory.read_history()]

    @property
    def metrics(self) -> dict[str, Any]:
        """The final evaluation, with `measured_on`; empty for a run that is not finished, or that had no examples to measure on.

        Raises:
            CnnkitError: It is damaged.
        """
        return self._read_json(self._directory.metrics)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, devices, seed, times and state; empty where they are missing.

        Raises:
            CnnkitError: The file is damaged.
        """
        return self._read_json(self._directory.environment)

    @property
    def metadata(self) -> ModelMetadata:
        """The data that the model was trained on (`data`, `stand_in_for`), `task.kind`, `task.names` and `notices`.

        Raises:
            CnnkitError: There is no model yet, or it cannot be opened.
        """
        stored = read_metadata(self.model_file) if format_of(self.model_file) is KERAS else None
        return stored if stored is not None else open_model(self.model_file).metadata

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, labels or targets, in the order of the model's outputs."""
        return self.metadata.task.names

    @property
    def notices(self) -> tuple[str, ...]:
        """What the run's user has to know, such as metrics that could be misread."""
        return tuple(self.metadata.notices)

    @property
    def model_file(self) -> Path:
        """The model's file.

        Raises:
            CnnkitError: The run has none yet.
        """
        return model_file(self.path)

    def _read_json(self, path: Path) -> dict[str, Any]:
        try:
            value: Any = read_json(path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CnnkitError(f"{path}: is damaged ({type(error).__name__})", "Train the run again.") from error
        if not isinstance(value, Mapping):
            raise CnnkitError(f"{path}: is damaged (no mapping)", "Train the run again.")
        return dict(value)
