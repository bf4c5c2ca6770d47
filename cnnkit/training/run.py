"""One training run from its first step, or from where it was interrupted, to a finished run directory."""

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnkit.config.load import resolved
from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource, evaluation_batch
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import WriteError
from cnnkit.keras_api.building import build
from cnnkit.metrics import custom_names
from cnnkit.model.compile import compile_model
from cnnkit.plots.curves import plot_curves
from cnnkit.prediction.evaluate import Evaluation, evaluate_file, write_evaluation
from cnnkit.training.checkpoint.manager import PhaseCheckpointManager
from cnnkit.training.environment import describe_environment
from cnnkit.training.features import Augment, FrozenFeatures, PassSource, compute_features, cut
from cnnkit.training.fit import Fit, Listener
from cnnkit.training.history import DivergedError, History
from cnnkit.training.loggers import open_loggers
from cnnkit.training.phases import (
    count_parameters,
    decay_updates,
    frozen_checksum,
    frozen_weights,
    layer_states,
    require_unchanged,
    set_trainable,
)
from cnnkit.training.prepare import Prepared
from cnnkit.training.recorder import Recorder
from cnnkit.training.signals import StopRequest, stop_requests

if TYPE_CHECKING:
    import keras


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


class _Stopped(Exception):  # noqa: N818 - no error: the user asked for it
    """Training was asked to stop where no step is under way."""


def train(prepared: Prepared, listener: Listener) -> Finished:
    """Train a prepared run, phase by phase, and write its files.

    Raises:
        CnnkitError: The loss diverged, memory ran out, or the disk cannot be written; what was kept before is whole.
    """
    directory = prepared.directory
    started = time.time()
    environment = _describe(prepared, started)
    directory.write_environment({**environment, "state": "running"})
    config = prepared.loaded.config
    loggers = open_loggers(config.train.log, directory, resolved(config))
    recorder = Recorder(directory.write_history, listener, prepared.state.history, loggers)
    ended = "failed"
    try:
        result = _train(prepared, recorder, environment, started)
        ended = "interrupted" if result.history.interrupted else "finished"
    except KeyboardInterrupt:
        ended = "interrupted"
        raise
    except WriteError as error:
        hint = f"Make room, then go on with `cnnkit train --resume {directory.path}`: all up to the last checkpoint is whole."
        raise CnnkitError(str(error).partition("\n")[0], hint) from error
    except DivergedError as error:
        remedy = str(error).partition("\n    ")[2]
        message = f"{str(error).partition(chr(10))[0]}; what was learned before is kept: `cnnkit train --resume {directory.path}`"
        raise CnnkitError(message, remedy) from error
    finally:
        if ended != "finished":
            _mark(prepared, {**environment, "state": ended})
        recorder.close(ended)
        prepared.lock.release()
    return result


def _train(prepared: Prepared, listener: Recorder, environment: dict[str, object], started: float) -> Finished:
    config, directory, dataset, state = prepared.loaded.config, prepared.directory, prepared.dataset, prepared.state
    history = state.history
    if state.pending is not None:
        listener.on_resume(history.rows, state.pending.state["step"])
    with stop_requests() as stop:
        _train_phases(prepared, listener, stop)
        if len(prepared.phases) > 1 and config.data.validation != "test" and (notice := state.restore_best()):
            listener.on_notice(notice)
        _save(prepared)
    if history.rows:
        plot_curves(history.rows, directory.curves, config.name, prepared.metadata.note, custom_names(config.train.metrics))
    evaluation = None
    if not history.interrupted and dataset.held_out is not None:
        split, examples = dataset.held_out
        evaluation = evaluate_file(directory.model, examples, prepared.metadata, split)
        write_evaluation(evaluation, directory, config.name)
    shutil.rmtree(directory.cache, ignore_errors=True)
    environment |= {"epochs": len(history.rows), "best_epoch": state.best.epoch or None}
    environment |= {"training_seconds": round(history.seconds, 2), "checkpoint_seconds": round(state.saving_seconds, 3)}
    environment |= {"seconds": round(time.time() - started, 2)}
    directory.write_environment({**environment, "state": "interrupted" if history.interrupted else "finished"})
    return Finished(history, evaluation, stop.exit_status if history.interrupted else 0)


def _train_phases(prepared: Prepared, listener: Recorder, stop: StopRequest) -> None:
    """All phases from the one under way; gone back a little where the loss diverges and the config wants that."""
    state = prepared.state
    while state.phase < len(prepared.phases) and not state.history.interrupted:
        try:
            _train_phase(prepared, listener, stop)
        except _Stopped:
            state.history.interrupted = True
        except DivergedError as fault:
            listener.on_notice(state.go_back(fault))
        else:
            if not state.history.interrupted:
                state.end_phase()


def _train_phase(prepared: Prepared, listener: Recorder, stop: StopRequest) -> None:
    """One phase: open its layers, compile, train, and prove that what is frozen has not changed."""
    config, dataset, state = prepared.loaded.config, prepared.dataset, prepared.state
    model, number, phase = prepared.network.model, state.phase, prepared.phases[state.phase]
    if config.model.base is not None or config.train.phases is not None:
        set_trainable(model, phase, ("train", "phases", number))
        listener.on_phase(number + 1, len(prepared.phases), phase.train, layer_states(model))
    state.begin_phase()
    before = frozen_checksum(model)
    begun = time.perf_counter()
    batches = _batches(prepared, listener, stop)
    state.history.feature_seconds += time.perf_counter() - begun
    compile_model(batches.model, config, dataset.task, phase.optimizer)
    state.slow_down(batches.model.optimizer)
    if phase.layer_decay is not None:
        decay_updates(batches.model.optimizer, batches.model, phase.layer_decay)
    Fit(
        batches.model,
        batches.train,
        batches.validation,
        batches.preparation,
        until=state.phase_begun + (phase.epochs or config.train.epochs),
        history=state.history,
        seed=config.seed,
        callbacks=[build("callbacks", entry, ("train", "callbacks", i)) for i, entry in enumerate(config.train.callbacks)],
        listener=listener,
        should_stop=stop,
        checkpoint_manager=PhaseCheckpointManager(state, batches.model),
    ).run()
    after = frozen_checksum(model)
    require_unchanged(before, after, number + 1)
    if frozen := count_parameters(frozen_weights(model)):
        listener.on_frozen(frozen, after)


@dataclass(frozen=True)
class _Batches:
    """What a phase trains, and on what: the whole model on raw inputs, or its head on features computed once."""

    model: "keras.Model"
    train: BatchSource
    validation: BatchSource | None
    preparation: BatchPreparation


def _batches(prepared: Prepared, listener: Listener, stop: StopRequest) -> _Batches:
    data, dataset, preparation = prepared.loaded.config.data, prepared.dataset, prepared.preparation
    validation = dataset.validation
    parts = cut(prepared.network.model)
    if parts is None:
        watched = BatchSource(validation, evaluation_batch(validation)) if validation is not None else None
        return _Batches(prepared.network.model, prepared.train, watched, preparation)
    passes = (data.augment_passes or 0) if data.augment else 1  # 0: fresh pixels each epoch, so nothing to compute beforehand
    total = len(dataset.train) * passes + (len(validation) if validation is not None else 0)
    done = 0
    frozen = FrozenFeatures(parts.features)

    def on_progress(count: int) -> None:
        listener.on_features(done + count, total)
        if stop():
            raise _Stopped

    def features_of(examples: Examples, augment: Augment | None = None) -> Examples:
        nonlocal done
        result = compute_features(frozen, examples, prepared.directory.cache, on_progress, augment)
        done += len(examples)
        return result

    train = [features_of(dataset.train, preparation if data.augment else None) for _ in range(passes)]
    watched = BatchSource(features_of(validation), 1024) if validation is not None else None
    if not passes:
        return _Batches(parts.head, prepared.train, watched, preparation.through(parts.features))
    balanced = data.sampling == "balanced"
    return _Batches(parts.head, PassSource(train, data.batch_size, balanced=balanced), watched, preparation.of_features())


def _save(prepared: Prepared) -> None:
    """Write the model for use, which takes raw inputs and answers in the user's unit."""
    model = prepared.network.model
    if prepared.target_scaler is not None:
        model = prepared.target_scaler.with_user_units(model)
    compile_model(model, prepared.loaded.config, prepared.dataset.task, prepared.phases[-1].optimizer)
    model.optimizer.build(model.trainable_variables)
    prepared.directory.save_model(model, prepared.metadata)


def _describe(prepared: Prepared, started: float) -> dict[str, object]:
    dataset = prepared.dataset
    return {
        **describe_environment(),
        "seed": prepared.loaded.config.seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "resumed_after_epochs": len(prepared.state.history.rows) if prepared.state.pending is not None else None,
        "data": {
            "name": dataset.name,
            "stand_in_for": dataset.stand_in_for or None,
            "fingerprint": prepared.state.fixed["data"]["fingerprint"],
            "train": len(dataset.train),
            "validation": len(dataset.validation) if dataset.validation is not None else 0,
            "test": len(dataset.test) if dataset.test is not None else 0,
        },
    }


def _mark(prepared: Prepared, environment: dict[str, object]) -> None:
    """Say in the run's folder how it ended, where that can still be written."""
    try:
        prepared.directory.write_environment(environment)
    except WriteError:  # the error under way says it already
        return
