"""One training run from a checked config to a finished run directory."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.load import LoadedConfig
from cnnkit.data.examples import Dataset
from cnnkit.data.pipeline import BatchSource, evaluation_batch
from cnnkit.data.source import Request
from cnnkit.errors import BuildError, CnnkitError
from cnnkit.evaluation.evaluate import Evaluation, evaluate_file, write_evaluation
from cnnkit.evaluation.plots import plot_curves
from cnnkit.keras_objects import build
from cnnkit.model.builder import Network
from cnnkit.run_directory import Meaning, RunDirectory, create_run_directory
from cnnkit.training.batch import BatchPreparation, class_weights
from cnnkit.training.compile import build_and_compile, compile_model
from cnnkit.training.environment import describe_environment, fingerprint
from cnnkit.training.fit import History, Listener, Row, fit
from cnnkit.training.signals import stop_requests
from cnnkit.training.units import Units


@dataclass(frozen=True)
class Prepared:
    """A run before its first step: everything that can fail early has been tried.

    Attributes:
        loaded: The config.
        network: Built and compiled.
        dataset: Divided; the targets of a regression are standardized in its training and validation parts.
        units: How to get a regression's numbers back; None for other tasks.
        preparation: What is done to training batches.
        train: The training batches.
        meaning: What the model's numbers mean.
        directory: The run's folder.
    """

    loaded: LoadedConfig
    network: Network
    dataset: Dataset
    units: Units | None
    preparation: BatchPreparation
    train: BatchSource
    meaning: Meaning
    directory: RunDirectory


@dataclass(frozen=True)
class Finished:
    """A run after its last step.

    Attributes:
        history: What happened, epoch by epoch.
        evaluation: The final figures, measured on the saved file; None for an interrupted run, or without held-out examples.
        exit_status: 0, or what the signal that ended the run asks for.
    """

    history: History
    evaluation: Evaluation | None
    exit_status: int = 0


def prepare(loaded: LoadedConfig, run_dir: Path | None, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Prepared:
    """Build the network, get the data and make the run's folder.

    Raises:
        CnnkitError: The config, the data or the folder is not usable; no folder is left behind then.
    """
    config = loaded.config
    network = build_and_compile(loaded)
    directory = create_run_directory(config.name, run_dir)
    complete = False
    try:
        dataset = loaded.source.load(Request(config.seed, directory.cache, {}, on_progress))
        if not len(dataset.train):
            raise CnnkitError(f"{dataset.name}: no training examples are left", "Lower `data.test` and `data.validation`.")
        weights = class_weights(config.train.class_weight, dataset.train, dataset.task)
        preparation = BatchPreparation(config.data.augment, config.seed, dataset.task, weights)
        preparation.check(dataset.train.input_shape)
        complete = True
    except BuildError as error:
        raise loaded.located(error) from error
    finally:
        if not complete:
            shutil.rmtree(directory.path if run_dir is None else directory.cache)
    units = Units.of(dataset.train) if dataset.task.is_regression else None
    if units is not None:
        dataset = units.standardized(dataset)
    notices = (*network.notices, *dataset.notices)
    meaning = Meaning(dataset.name, dataset.task, dataset.stand_in_for, notices)
    directory.write_config(loaded.as_yaml())
    if dataset.manifest:
        directory.write_manifest(dataset.manifest)
    train = BatchSource(dataset.train, config.data.batch_size, balanced=config.data.sampling == "balanced")
    return Prepared(loaded, network, dataset, units, preparation, train, meaning, directory)


def train(prepared: Prepared, listener: Listener) -> Finished:
    """Train a prepared run and write its files.

    Raises:
        CnnkitError: The loss diverged.
    """
    config, directory, dataset = prepared.loaded.config, prepared.directory, prepared.dataset
    started = time.time()
    environment = _describe(prepared, started)
    directory.write_environment({**environment, "state": "running"})
    validation = dataset.validation
    with stop_requests() as stop:
        history = fit(
            prepared.network.model,
            prepared.train,
            BatchSource(validation, evaluation_batch(validation)) if validation is not None else None,
            prepared.preparation,
            epochs=config.train.epochs,
            seed=config.seed,
            callbacks=[build("callbacks", entry, ("train", "callbacks", i)) for i, entry in enumerate(config.train.callbacks)],
            listener=_Recorder(directory.write_history, listener),
            should_stop=stop,
        )
        _save(prepared)
    if history.rows:
        plot_curves(history.rows, directory.curves, config.name, prepared.meaning.note)
    evaluation = None
    held_out = ("test", dataset.test) if dataset.test is not None else ("validation", dataset.validation)
    if not history.interrupted and held_out[1] is not None:
        evaluation = evaluate_file(directory.model, held_out[1], prepared.meaning, held_out[0])
        write_evaluation(evaluation, directory, config.name)
    shutil.rmtree(directory.cache, ignore_errors=True)
    directory.write_environment(
        {
            **environment,
            "state": "interrupted" if history.interrupted else "finished",
            "epochs": len(history.rows),
            "training_seconds": round(history.seconds, 2),
            "seconds": round(time.time() - started, 2),
        }
    )
    return Finished(history, evaluation, stop.exit_status if history.interrupted else 0)


def _save(prepared: Prepared) -> None:
    """Write the model for use, which takes raw inputs and answers in the user's unit."""
    model = prepared.network.model
    if prepared.units is not None:
        model = prepared.units.with_user_units(model)
        compile_model(model, prepared.loaded.config, prepared.dataset.task)
        model.optimizer.build(model.trainable_variables)
    prepared.directory.save_model(model, prepared.meaning)


def _describe(prepared: Prepared, started: float) -> dict[str, object]:
    dataset = prepared.dataset
    return {
        **describe_environment(),
        "seed": prepared.loaded.config.seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "data": {
            "name": dataset.name,
            "stand_in_for": dataset.stand_in_for or None,
            "fingerprint": fingerprint(dataset),
            "train": len(dataset.train),
            "validation": len(dataset.validation) if dataset.validation is not None else 0,
            "test": len(dataset.test) if dataset.test is not None else 0,
        },
    }


class _Recorder:
    """Writes the history as each epoch ends, and hands everything on to the listener that draws."""

    def __init__(self, write: Callable[[list[Row]], None], listener: Listener) -> None:
        self._write = write
        self._listener = listener
        self._rows: list[Row] = []

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        self._listener.on_steps(epoch, step, logs, images_per_second)

    def on_epoch(self, row: Row) -> None:
        self._rows.append(row)
        self._write(self._rows)
        self._listener.on_epoch(row)
