"""Train a prepared or resumed run phase by phase, evaluate the saved model, and write the run directory."""

import shutil
import time
from dataclasses import dataclass, replace

import numpy as np

from cnnkit.artifacts.model_metadata import ModelMetadata, read_metadata
from cnnkit.config.load import resolved
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import WriteError
from cnnkit.keras_api.building import build
from cnnkit.metrics import custom_names
from cnnkit.model.compile import compile_model
from cnnkit.model.precision import FLOAT32, in_float32
from cnnkit.plots.curves import plot_curves
from cnnkit.prediction.evaluate import Evaluation, evaluate_file, write_evaluation
from cnnkit.training.distribution.evaluation import help_evaluate, share_model_file, shared_outputs
from cnnkit.training.distribution.worker_run import ScratchDirectory
from cnnkit.training.environment import describe_environment
from cnnkit.training.fit import Fit, Listener
from cnnkit.training.history import DivergedError, History, PrunedError
from cnnkit.training.loggers import open_loggers
from cnnkit.training.phase_batches import StoppedError, phase_batches
from cnnkit.training.phases import (
    apply_layer_decay,
    count_parameters,
    frozen_checksum,
    frozen_weights,
    layer_states,
    require_unchanged,
    set_trainable,
)
from cnnkit.training.prepare import Prepared
from cnnkit.training.recorder import Recorder
from cnnkit.training.signals import StopRequest, stop_requests


@dataclass(frozen=True)
class TrainingResult:
    """The result of training a run.

    Attributes:
        history: Losses and metrics, a row per epoch.
        evaluation: The final evaluation, measured on the saved file; None for an interrupted run, or without held-out examples.
        exit_status: Exit status of the process: 0, or 128 plus the number of the signal that interrupted the run.
    """

    history: History
    evaluation: Evaluation | None
    exit_status: int = 0


def train(prepared: Prepared, listener: Listener) -> TrainingResult:
    """Train a prepared run, phase by phase, and write its files.

    Raises:
        CnnkitError: The loss diverged, memory ran out, or the disk cannot be written; the checkpoints written before are intact.
        PrunedError: The listener ended the run; it can be resumed as an interrupted one.
    """
    directory = prepared.directory
    started = time.time()
    environment = _describe(prepared, started)
    directory.write_environment({**environment, "state": "running"})
    config = prepared.loaded.config
    loggers = open_loggers(config.train.log, directory, resolved(config)) if prepared.workers.is_chief else []
    recorder = Recorder(directory.write_history, listener, prepared.checkpoint_manager.history, loggers)
    ended = "failed"
    try:
        result = _train(prepared, recorder, environment, started)
        ended = "interrupted" if result.history.interrupted else "finished"
    except KeyboardInterrupt:
        ended = "interrupted"
        raise
    except PrunedError:
        ended = "pruned"
        shutil.rmtree(directory.cache, ignore_errors=True)
        raise
    except WriteError as error:
        hint = f"Make room, then resume with `cnnkit train --resume {prepared.run_path}`: everything up to the last checkpoint is saved."
        raise CnnkitError(error.message, hint, error.location) from error
    except DivergedError as error:
        raise DivergedError(error.what, error.step_location, error.rate, prepared.run_path) from error
    finally:
        if ended != "finished":
            _write_end_state(prepared, {**environment, "state": ended})
        recorder.close(ended)
        prepared.lock.release()
        if isinstance(directory, ScratchDirectory):
            directory.remove()
    prepared.workers.devices.exchange(np.zeros(1))  # all end together: a worker that is gone while another works is a lost one
    return result


def _train(prepared: Prepared, listener: Recorder, environment: dict[str, object], started: float) -> TrainingResult:
    directory, manager, devices = prepared.directory, prepared.checkpoint_manager, prepared.workers.devices
    history = manager.history
    if manager.pending is not None:
        listener.on_resume(history.rows, manager.pending.state.step)
    with stop_requests() as stop:
        _train_remaining(prepared, listener, stop)
        if prepared.workers.is_chief:
            _save(prepared)
    exit_status = int(devices.exchange(np.array([stop.exit_status], np.float64)).max())  # that of the worker that was sent a signal
    if history.rows and prepared.workers.is_chief:
        _plot(prepared)
    evaluation = None if history.interrupted else _evaluate(prepared)
    shutil.rmtree(directory.cache, ignore_errors=True)
    environment |= {"epochs": len(history.rows), "best_epoch": manager.best.epoch or None}
    environment |= {"training_seconds": round(history.seconds, 2), "checkpoint_seconds": round(manager.saving_seconds, 3)}
    environment |= {"seconds": round(time.time() - started, 2)}
    directory.write_environment({**environment, "state": "interrupted" if history.interrupted else "finished"})
    directory.remove_leftovers()
    return TrainingResult(history, evaluation, exit_status if history.interrupted else 0)


def write_missing(prepared: Prepared, listener: Listener) -> TrainingResult:
    """Rewrite the missing and damaged files of a finished run from its checkpoints, without training.

    Args:
        prepared: The run, resumed from its last checkpoint.
        listener: Receives progress where features of a frozen base have to be computed again.

    Raises:
        CnnkitError: A checkpoint does not fit, or the disk cannot be written.
    """
    directory, manager = prepared.directory, prepared.checkpoint_manager
    history, kind = manager.history, prepared.metadata.task.kind
    unusable, evaluation = directory.unusable_files(kind), None
    stored = read_metadata(directory.model) if directory.metadata not in unusable else None
    manager.saved_epoch = stored.epoch if stored is not None else manager.best_to_save
    try:
        if directory.model in unusable or (stored is None and manager.best_to_save is None):  # callbacks know whose weights they restored
            with stop_requests() as stop:
                _train_remaining(prepared, listener, stop)
            if history.interrupted:
                return TrainingResult(history, None, stop.exit_status)
        if directory.model in unusable:
            if directory.calibration.exists() or (stored is not None and stored.epoch != manager.saved_epoch):
                unusable.append(directory.metrics)  # it was computed with the calibrated model, or with that of another epoch
            _save(prepared)
        elif directory.metadata in unusable:
            directory.write_metadata(_metadata(prepared))
        if directory.history in unusable:
            directory.write_history(history.rows)
        if directory.curves in unusable:
            _plot(prepared)
        if not {directory.metrics, *directory.evaluation_plots(kind)}.isdisjoint(unusable):
            evaluation = _evaluate(prepared)
        shutil.rmtree(directory.cache, ignore_errors=True)
    finally:
        prepared.lock.release()
    return TrainingResult(history, evaluation)


def _plot(prepared: Prepared) -> None:
    rows = prepared.checkpoint_manager.history.rows
    config = prepared.loaded.config
    custom = custom_names([entry.written for entry in config.train.metrics or []])
    plot_curves(rows, prepared.directory.curves, config.name, prepared.metadata.note, custom)


def _evaluate(prepared: Prepared) -> Evaluation | None:
    """Evaluate the saved model on the held-out examples and write the result; None where there are none."""
    if prepared.held_out is None:
        return None
    name, examples = prepared.held_out
    devices, model_file = prepared.workers.devices, prepared.directory.model
    share_model_file(devices, model_file)
    if not prepared.workers.is_chief:
        help_evaluate(devices, model_file, examples)
        return None
    evaluation = evaluate_file(model_file, examples, _metadata(prepared), name, shared_outputs(devices))
    write_evaluation(evaluation, prepared.directory, prepared.loaded.config.name)
    return evaluation


def _train_remaining(prepared: Prepared, listener: Listener, stop: StopRequest) -> None:
    """Train the remaining phases, then restore the weights of the epoch that `train.keep` chooses."""
    _train_phases(prepared, listener, stop)
    if notice := prepared.checkpoint_manager.keep_epoch():
        listener.on_notice(notice)


def _train_phases(prepared: Prepared, listener: Listener, stop: StopRequest) -> None:
    """Train the remaining phases; with `on_nan: restore`, return to the last checkpoint when the loss diverges."""
    manager = prepared.checkpoint_manager
    while manager.phase < len(prepared.phases) and not manager.history.interrupted:
        try:
            _train_phase(prepared, listener, stop)
        except StoppedError:
            manager.history.interrupted = True
        except DivergedError as fault:
            listener.on_notice(manager.roll_back(fault))
        else:
            if not manager.history.interrupted:
                manager.end_phase()


def _train_phase(prepared: Prepared, listener: Listener, stop: StopRequest) -> None:
    """Train one phase: unfreeze its layers, compile, fit, and check that frozen weights have not changed."""
    config, manager = prepared.loaded.config, prepared.checkpoint_manager
    model, number, phase = prepared.network.model, manager.phase, prepared.phases[manager.phase]
    if config.model.base is not None or config.train.phases is not None:
        set_trainable(model, phase, ("train", "phases", number))
        listener.on_phase(number + 1, len(prepared.phases), phase.train, layer_states(model))
    whitening = prepared.network.whitening
    manager.begin_phase()
    if whitening is not None:
        whitening.freeze(model, manager.epochs_before_phase)
    before = frozen_checksum(model)
    begun = time.perf_counter()
    batches = phase_batches(prepared, listener, stop)
    manager.history.feature_seconds += time.perf_counter() - begun
    compile_model(
        batches.model,
        config.train,
        prepared.network.target_encoding,
        phase.optimizer,
        prepared.workers.devices.scope,
        prepared.schedules[number].total_steps,
        whole=model,
    )
    manager.reduce_learning_rate(batches.model.optimizer)
    if phase.layer_decay is not None:
        apply_layer_decay(batches.model.optimizer, batches.model, phase.layer_decay, model)
    manager.set_trained_model(batches.model, batches.train.steps)
    callbacks = [build("callbacks", entry, ("train", "callbacks", i)) for i, entry in enumerate(config.train.callbacks)]
    Fit(
        batches.model,
        batches.train,
        batches.validation,
        batches.preparation,
        until=manager.epochs_before_phase + prepared.schedules[number].epochs,
        history=manager.history,
        seed=config.seed,
        callbacks=callbacks,
        listener=listener,
        should_stop=stop,
        checkpoint_manager=manager,
        devices=prepared.workers.devices,
        whitening=whitening,
    ).run()
    manager.note_epoch(callbacks)
    after = frozen_checksum(model)
    require_unchanged(before, after, number + 1)
    if frozen := count_parameters(frozen_weights(model)):
        listener.on_frozen(frozen, after)


def _save(prepared: Prepared) -> None:
    """Save the model for inference: raw inputs in, predictions in the original units out."""
    model, train = prepared.network.model, prepared.loaded.config.train
    if train.saved_precision == FLOAT32:
        model = in_float32(model)
    if prepared.target_scaler is not None:
        model = prepared.target_scaler.with_user_units(model)
    compile_model(model, train, prepared.network.target_encoding, prepared.phases[-1].optimizer)
    prepared.directory.save_model(model, _metadata(prepared))


def _metadata(prepared: Prepared) -> ModelMetadata:
    """The metadata of the trained model, with the epoch of its weights."""
    return replace(prepared.metadata, epoch=prepared.checkpoint_manager.saved_epoch)


def _describe(prepared: Prepared, started: float) -> dict[str, object]:
    dataset = prepared.dataset
    return {
        **describe_environment(),
        "replicas": prepared.workers.devices.replicas,
        "workers": prepared.workers.devices.workers,
        "seed": prepared.loaded.config.seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "resumed_after_epochs": len(prepared.checkpoint_manager.history.rows) if prepared.checkpoint_manager.pending is not None else None,
        "data": {
            "name": dataset.name,
            "stand_in_for": dataset.stand_in_for or None,
            "fingerprint": prepared.checkpoint_manager.run.data.fingerprint,
            "train": len(dataset.train),
            "validation": len(dataset.validation) if dataset.validation is not None else 0,
            "test": len(dataset.test) if dataset.test is not None else 0,
        },
    }


def _write_end_state(prepared: Prepared, environment: dict[str, object]) -> None:
    """Write the run's final state to `environment.json`, where that is still possible."""
    try:
        prepared.directory.write_environment(environment)
    except WriteError:  # the exception being handled reports it
        return
