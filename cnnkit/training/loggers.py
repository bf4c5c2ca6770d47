"""`train.log`: a run's metrics, config and files for TensorBoard and MLflow, where they are installed."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import write_text
from cnnkit.keras_api.building import first_sentence
from cnnkit.metrics import EPOCH, VALIDATION_PREFIX
from cnnkit.runs.directory import RunDirectory

Row = Mapping[str, float]

LONGEST_VALUE = 500  # characters of a parameter that every MLflow server takes


class Logger(Protocol):
    """Records the metrics of a run. After it was opened, its exceptions are reported once and do not end the run."""

    def on_epoch(self, row: Row) -> None:
        """After an epoch: its row of the history."""

    def close(self, state: str) -> None:
        """At the end, when all files in the run's folder are written; `state` is finished, interrupted or failed."""


def open_loggers(names: Sequence[str], directory: RunDirectory, config: Mapping[str, Any]) -> list[Logger]:
    """Open the loggers that a config names.

    Args:
        names: Of `tensorboard` and `mlflow`.
        directory: The run's folder.
        config: The resolved config.

    Raises:
        CnnkitError: One cannot be opened, such as an MLflow server that does not answer.
    """
    kinds: dict[str, Any] = {"tensorboard": TensorBoardLogger, "mlflow": MlflowLogger}
    loggers: list[Logger] = []
    for name in names:
        try:
            loggers.append(kinds[name](directory, config))
        except Exception as error:  # whatever a store, a server or its network does
            raise CnnkitError(f"train.log: {name} cannot be opened: {first_sentence(error)}", "Fix it, or leave it out.") from error
    return loggers


class TensorBoardLogger:
    """Scalars by epoch and the config as text, in `RUN/tensorboard`; training and validation are two curves in each chart."""

    def __init__(self, directory: RunDirectory, config: Mapping[str, Any]) -> None:
        import tensorflow as tf

        folder = directory.path / "tensorboard"
        self._writers = {part: tf.summary.create_file_writer(str(folder / part)) for part in ("train", "validation")}
        with self._writers["train"].as_default():
            tf.summary.text("config", f"```\n{directory.config.read_text(encoding='utf-8')}\n```", step=0)

    def on_epoch(self, row: Row) -> None:
        """Add a point to each chart."""
        import tensorflow as tf

        for name, value in logged_metrics(row).items():
            part = "validation" if name.startswith(VALIDATION_PREFIX) else "train"
            with self._writers[part].as_default():
                tf.summary.scalar(name.removeprefix(VALIDATION_PREFIX), value, step=int(row["epoch"]))
        for writer in self._writers.values():
            writer.flush()

    def close(self, state: str) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()


class MlflowLogger:
    """Parameters, metrics by epoch, the run's files and its model, to the store that `MLFLOW_TRACKING_URI` names.

    A resumed run continues its own MLflow run, whose id is stored in `RUN/mlflow.json`.
    """

    def __init__(self, directory: RunDirectory, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # cnnkit sends nothing that the user did not ask for
        from mlflow import MlflowClient

        self._directory = directory
        self._client = MlflowClient()
        self._id = self._stored_run() or self._new_run(config)
        self._client.update_run(self._id, status="RUNNING")

    def on_epoch(self, row: Row) -> None:
        """Add a point to each chart."""
        for name, value in logged_metrics(row).items():
            self._client.log_metric(self._id, name, value, step=int(row["epoch"]))

    def close(self, state: str) -> None:
        """Upload the run's files, and set the run's final status."""
        for path in sorted(self._directory.path.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                self._client.log_artifact(self._id, str(path), "model" if path.stem == "model" else None)
        self._client.set_terminated(self._id, {"finished": "FINISHED", "interrupted": "KILLED", "pruned": "KILLED"}.get(state, "FAILED"))

    def _stored_run(self) -> str | None:
        """The id of the MLflow run from before an interruption; None where there is none, or where the store no longer has it."""
        from mlflow.exceptions import MlflowException

        try:
            run_id = str(json.loads(self._marker.read_text(encoding="utf-8"))["run_id"])
            self._client.get_run(run_id)
        except (OSError, ValueError, KeyError, TypeError, MlflowException):
            return None
        return run_id

    def _new_run(self, config: Mapping[str, Any]) -> str:
        name = str(config["name"])
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = experiment.experiment_id if experiment is not None else self._client.create_experiment(name)
        run_id = str(self._client.create_run(experiment_id, run_name=self._directory.path.resolve().name).info.run_id)
        for key, value in flattened(config).items():
            self._client.log_param(run_id, key, str(value)[:LONGEST_VALUE])
        write_text(self._marker, json.dumps({"run_id": run_id}))
        return run_id

    @property
    def _marker(self) -> Path:
        return self._directory.path / "mlflow.json"


def logged_metrics(row: Row) -> dict[str, float]:
    """The values of a row to log: all but the epoch."""
    return {name: float(value) for name, value in row.items() if name != EPOCH}


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """A nested config as one level, by dotted keys in characters that MLflow accepts: `model.layers.2.Conv2D.filters`."""

    def walk(value: Any, key: str) -> list[tuple[str, Any]]:
        if isinstance(value, Mapping) and value:
            return [pair for inner, item in value.items() for pair in walk(item, f"{key}.{inner}".lstrip("."))]
        if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            return [pair for index, item in enumerate(value) for pair in walk(item, f"{key}.{index}")]
        return [(key, value)]

    return dict(walk(config, ""))
