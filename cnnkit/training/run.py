"""One training run from a checked config to a finished run directory."""

import time
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config import LoadedConfig
from cnnkit.config.schema import Config
from cnnkit.data.builtin import load_built_in
from cnnkit.data.examples import Dataset
from cnnkit.data.pipeline import EVALUATION_BATCH, BatchSource, Split, split
from cnnkit.errors import BuildError
from cnnkit.evaluation.evaluate import Evaluation, evaluate_file, write_evaluation
from cnnkit.evaluation.plots import plot_curves
from cnnkit.keras_objects import build
from cnnkit.model.builder import Network
from cnnkit.run_directory import Meaning, RunDirectory, create_run_directory
from cnnkit.training.compile import build_and_compile
from cnnkit.training.environment import describe_environment, fingerprint
from cnnkit.training.fit import History, Listener, Row, fit
from cnnkit.training.signals import stop_requests


@dataclass(frozen=True)
class Prepared:
    """A run before its first step: everything that can fail early has been tried."""

    config: Config
    network: Network
    dataset: Dataset
    split: Split
    train: BatchSource
    meaning: Meaning
    directory: RunDirectory


@dataclass(frozen=True)
class Finished:
    """A run after its last step.

    Attributes:
        history: What happened, epoch by epoch.
        evaluation: The final figures, measured on the saved file; None for an interrupted run.
        exit_status: 0, or what the signal that ended the run asks for.
    """

    history: History
    evaluation: Evaluation | None
    exit_status: int = 0


def prepare(loaded: LoadedConfig, run_dir: Path | None) -> Prepared:
    """Build the network, get the data and make the run's folder.

    Raises:
        CnnkitError: The config, the data or the folder is not usable.
    """
    config = loaded.config
    try:
        network = build_and_compile(config)
    except BuildError as error:
        raise loaded.located(error) from error
    data = config.data
    dataset = load_built_in(data.dataset, target=data.target, seed=config.seed, fallback=data.fallback)
    parts = split(dataset, data.validation, data.limit, config.seed)
    meaning = Meaning(dataset.name, dataset.stand_in_for, dataset.class_names, dataset.target_names, network.notices)
    directory = create_run_directory(config.name, run_dir)
    directory.write_config(loaded.as_yaml())
    return Prepared(config, network, dataset, parts, BatchSource(parts.train, data.batch_size), meaning, directory)


def train(prepared: Prepared, listener: Listener) -> Finished:
    """Train a prepared run and write its files.

    Raises:
        CnnkitError: The loss diverged.
    """
    config, directory, parts = prepared.config, prepared.directory, prepared.split
    started = time.time()
    environment = _describe(prepared, started)
    directory.write_environment({**environment, "state": "running"})
    with stop_requests() as stop:
        history = fit(
            prepared.network.model,
            prepared.train,
            BatchSource(parts.validation, EVALUATION_BATCH) if parts.validation else None,
            epochs=config.train.epochs,
            seed=config.seed,
            callbacks=[build("callbacks", entry, ("train", "callbacks", i)) for i, entry in enumerate(config.train.callbacks)],
            listener=_Recorder(directory, listener),
            should_stop=stop,
        )
        directory.save_model(prepared.network.model, prepared.meaning)
    if history.rows:
        plot_curves(history.rows, directory.curves, config.name, prepared.meaning.note)
    evaluation = None
    if not history.interrupted:
        evaluation = evaluate_file(directory.model, parts.test, prepared.meaning)
        write_evaluation(evaluation, directory, config.name)
    directory.write_environment({
        **environment,
        "state": "interrupted" if history.interrupted else "finished",
        "epochs": len(history.rows),
        "training_seconds": round(history.seconds, 2),
        "seconds": round(time.time() - started, 2),
    })
    return Finished(history, evaluation, stop.exit_status if history.interrupted else 0)


def _describe(prepared: Prepared, started: float) -> dict[str, object]:
    dataset, parts = prepared.dataset, prepared.split
    return {
        **describe_environment(),
        "seed": prepared.config.seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "data": {
            "name": dataset.name,
            "stand_in_for": dataset.stand_in_for or None,
            "fingerprint": fingerprint(dataset),
            "train": len(parts.train),
            "validation": len(parts.validation) if parts.validation else 0,
            "test": len(parts.test),
        },
    }


class _Recorder:
    """Writes the history as each epoch ends, and hands everything on to the listener that draws."""

    def __init__(self, directory: RunDirectory, listener: Listener) -> None:
        self._directory = directory
        self._listener = listener
        self._rows: list[Row] = []

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        self._listener.on_steps(epoch, step, logs, images_per_second)

    def on_epoch(self, row: Row) -> None:
        self._rows.append(row)
        self._directory.write_history(self._rows)
        self._listener.on_epoch(row)
