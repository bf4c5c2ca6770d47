"""One training run from a checked config to a finished run directory."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.config.load import LoadedConfig
from cnnkit.config.schema import Phase
from cnnkit.config.tasks import warnings
from cnnkit.data.examples import Dataset, Examples
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
from cnnkit.training.features import Augment, PassSource, compute_features, cut
from cnnkit.training.fit import BestWeights, History, Listener, Row, fit
from cnnkit.training.phases import LayerState, decay_updates, frozen_checksum, layer_states, require_unchanged, set_trainable
from cnnkit.training.signals import StopRequest, stop_requests
from cnnkit.training.units import Units

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Prepared:
    """A run before its first step: everything that can fail early has been tried.

    Attributes:
        loaded: The config.
        network: Built and compiled.
        dataset: Divided; the targets of a regression are standardized in its training and validation parts.
        units: How to get a regression's numbers back; None for other tasks.
        phases: What is trained one after another; one phase where the config has none.
        preparation: What is done to training batches.
        train: The training batches.
        meaning: What the model's numbers mean.
        directory: The run's folder.
    """

    loaded: LoadedConfig
    network: Network
    dataset: Dataset
    units: Units | None
    phases: Sequence[Phase]
    preparation: BatchPreparation
    train: BatchSource
    meaning: Meaning
    directory: RunDirectory

    @property
    def epochs(self) -> int:
        """Epochs of all phases."""
        return sum(phase.epochs or self.loaded.config.train.epochs for phase in self.phases)


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
    phases = _phases(loaded, network)
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
    notices = (*network.notices, *dataset.notices, *warnings(config))
    meaning = Meaning(dataset.name, dataset.task, dataset.stand_in_for, notices)
    directory.write_config(loaded.as_yaml())
    if dataset.manifest:
        directory.write_manifest(dataset.manifest)
    train = BatchSource(dataset.train, config.data.batch_size, balanced=config.data.sampling == "balanced")
    return Prepared(loaded, network, dataset, units, phases, preparation, train, meaning, directory)


def _phases(loaded: LoadedConfig, network: Network) -> Sequence[Phase]:
    """The phases of a config, each tried once, so that a misspelt layer is told before the first epoch.

    Raises:
        ConfigError: A phase names a layer that is not there.
    """
    config = loaded.config
    if config.train.phases is None:
        return [Phase(train="all" if config.model.base is None else "head")]
    try:
        for number, phase in reversed(list(enumerate(config.train.phases))):
            set_trainable(network.model, phase, ("train", "phases", number))
    except BuildError as error:
        raise loaded.located(error) from error
    return config.train.phases


def train(prepared: Prepared, listener: Listener) -> Finished:
    """Train a prepared run, phase by phase, and write its files.

    Raises:
        CnnkitError: The loss diverged.
    """
    config, directory, dataset = prepared.loaded.config, prepared.directory, prepared.dataset
    started = time.time()
    environment = _describe(prepared, started)
    directory.write_environment({**environment, "state": "running"})
    history = History()
    best = BestWeights(prepared.network.model, keep=len(prepared.phases) > 1 and config.data.validation != "test")
    with stop_requests() as stop:
        for number in range(len(prepared.phases)):
            _train_phase(prepared, number, history, _Recorder(directory.write_history, listener, history, best), stop)
            if history.interrupted:
                break
        best.restore()
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
            "best_epoch": best.epoch or None,
            "training_seconds": round(history.seconds, 2),
            "seconds": round(time.time() - started, 2),
        }
    )
    return Finished(history, evaluation, stop.exit_status if history.interrupted else 0)


def _train_phase(prepared: Prepared, number: int, history: History, listener: Listener, stop: StopRequest) -> None:
    """One phase: open its layers, compile, train, and prove that what is frozen has not changed."""
    config, dataset, phase = prepared.loaded.config, prepared.dataset, prepared.phases[number]
    model = prepared.network.model
    if config.model.base is not None or config.train.phases is not None:
        set_trainable(model, phase, ("train", "phases", number))
        listener.on_phase(number + 1, len(prepared.phases), phase.train, layer_states(model))
    before = frozen_checksum(model)
    begun = time.perf_counter()
    batches = _batches(prepared, listener)
    history.feature_seconds += time.perf_counter() - begun
    compile_model(batches.model, config, dataset.task, phase.optimizer)
    if phase.layer_decay is not None:
        decay_updates(batches.model.optimizer, batches.model, phase.layer_decay)
    fit(
        batches.model,
        batches.train,
        batches.validation,
        batches.preparation,
        epochs=phase.epochs or config.train.epochs,
        history=history,
        seed=config.seed,
        callbacks=[build("callbacks", entry, ("train", "callbacks", i)) for i, entry in enumerate(config.train.callbacks)],
        listener=listener,
        should_stop=stop,
    )
    require_unchanged(before, frozen_checksum(model), number + 1)


@dataclass(frozen=True)
class _Batches:
    """What a phase trains, and on what: the whole model on raw inputs, or its head on features computed once."""

    model: "keras.Model"
    train: BatchSource
    validation: BatchSource | None
    preparation: BatchPreparation


def _batches(prepared: Prepared, listener: Listener) -> _Batches:
    data, dataset, preparation = prepared.loaded.config.data, prepared.dataset, prepared.preparation
    validation = dataset.validation
    parts = cut(prepared.network.model) if not data.augment or data.augment_passes else None
    if parts is None:
        watched = BatchSource(validation, evaluation_batch(validation)) if validation is not None else None
        return _Batches(prepared.network.model, prepared.train, watched, preparation)
    passes = data.augment_passes if data.augment else None
    total = len(dataset.train) * (passes or 1) + (len(validation) if validation is not None else 0)
    done = 0

    def features_of(examples: Examples, augment: Augment | None = None) -> Examples:
        nonlocal done
        result = compute_features(
            parts.features, examples, prepared.directory.cache, lambda count: listener.on_features(done + count, total), augment
        )
        done += len(examples)
        return result

    train = [features_of(dataset.train, preparation if passes else None) for _ in range(passes or 1)]
    balanced = data.sampling == "balanced"
    watched = BatchSource(features_of(validation), 1024) if validation is not None else None
    return _Batches(parts.head, PassSource(train, data.batch_size, balanced=balanced), watched, preparation.of_features())


def _save(prepared: Prepared) -> None:
    """Write the model for use, which takes raw inputs and answers in the user's unit."""
    model = prepared.network.model
    if prepared.units is not None:
        model = prepared.units.with_user_units(model)
    compile_model(model, prepared.loaded.config, prepared.dataset.task, prepared.phases[-1].optimizer)
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
    """Writes the history as each epoch ends, remembers the best weights, and hands everything on to the listener that draws."""

    def __init__(self, write: Callable[[list[Row]], None], listener: Listener, history: History, best: BestWeights) -> None:
        self._write, self._listener, self._history, self._best = write, listener, history, best

    def on_phase(self, number: int, count: int, words: str, layers: Sequence[LayerState]) -> None:
        self._listener.on_phase(number, count, words, layers)

    def on_features(self, done: int, total: int) -> None:
        self._listener.on_features(done, total)

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        self._listener.on_steps(epoch, step, logs, images_per_second)

    def on_epoch(self, row: Row) -> None:
        self._write(self._history.rows)
        self._best.on_epoch(row)
        self._listener.on_epoch(row)
