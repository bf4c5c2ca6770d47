"""A run before its first step: network built, data divided, folder made; whatever can fail early has been checked."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnkit.config.data_check import warnings
from cnnkit.config.load import resolved
from cnnkit.config.schema import Phase
from cnnkit.data.augmentation import BatchPreparation, class_weights
from cnnkit.data.binding import BoundConfig
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.pipeline import BatchSource
from cnnkit.data.source import Request
from cnnkit.errors import BuildError, CnnkitError
from cnnkit.model.builder import Network
from cnnkit.model.compile import build_and_compile, encoding_for
from cnnkit.runs.directory import RunDirectory, create_run_directory
from cnnkit.runs.lock import RunLock
from cnnkit.runs.metadata import ModelMetadata
from cnnkit.training.checkpoint.manager import CheckpointManager
from cnnkit.training.checkpoint.state import DataIdentity, RunIdentity
from cnnkit.training.checkpoint.store import CheckpointStore
from cnnkit.training.environment import fingerprint
from cnnkit.training.phases import set_trainable
from cnnkit.training.resume import Resumed, check_data
from cnnkit.training.target_scaler import TargetScaler

COPIES = 5  # of weights and optimizer state on disk at most: three checkpoints, one being written, and room for the model


@dataclass(frozen=True)
class Prepared:
    """A run before its first step.

    Attributes:
        loaded: The config.
        network: Built and compiled.
        dataset: Divided; the targets of a regression are standardized in its training and validation parts.
        held_out: The examples that the final metrics are measured on, and what they are called, with targets in the user's
            unit; None where there are none.
        target_scaler: Converts a regression's outputs to the user's units; None for other tasks.
        phases: What is trained one after another; one phase where the config has none.
        preparation: Augmentation, label mixing and class weights of training batches.
        train: The training batches.
        metadata: What the model's numbers mean.
        directory: The run's folder.
        lock: Keeps other processes from writing there; held as long as this record lives.
        checkpoint_manager: Where the run stands: at its beginning, or where an interrupted one was left.
    """

    loaded: BoundConfig
    network: Network
    dataset: Dataset
    held_out: tuple[str, Examples] | None
    target_scaler: TargetScaler | None
    phases: Sequence[Phase]
    preparation: BatchPreparation
    train: BatchSource
    metadata: ModelMetadata
    directory: RunDirectory
    lock: RunLock
    checkpoint_manager: CheckpointManager

    @property
    def epochs(self) -> int:
        """Epochs of all phases, where no callback ends one earlier."""
        return sum(phase.epochs or self.loaded.config.train.epochs for phase in self.phases)


def prepare(
    loaded: BoundConfig,
    run_dir: Path | None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    resumed: Resumed | None = None,
) -> Prepared:
    """Build the network, get the data and make the run's folder, or open that of an interrupted run.

    Args:
        loaded: The config.
        run_dir: The folder for a new run; `runs/NAME` where None.
        on_progress: Called with how many of all files have been scanned.
        resumed: The interrupted run to go on with; None for a new one.

    Raises:
        CnnkitError: The config, the data or the folder is not usable; no folder is left behind then, and nothing of an
            interrupted run is changed.
    """
    if resumed is not None:
        network = replace(build_and_compile(resumed.without_weights), notices=tuple(resumed.checkpoint.state.run.notices))
        return _filled(loaded, network, _phases(loaded, network), resumed.directory, resumed.lock, on_progress, resumed)
    network = build_and_compile(loaded)
    phases = _phases(loaded, network)
    directory, lock = create_run_directory(loaded.config.name, run_dir)
    complete = False
    try:
        prepared = _filled(loaded, network, phases, directory, lock, on_progress, None)
        complete = True
    finally:
        if not complete:
            lock.release()
            _remove(directory, whole=run_dir is None)
    return prepared


def _filled(
    loaded: BoundConfig,
    network: Network,
    phases: Sequence[Phase],
    directory: RunDirectory,
    lock: RunLock,
    on_progress: Callable[[int, int], None],
    resumed: Resumed | None,
) -> Prepared:
    """A prepared run in a folder that is there."""
    config = loaded.config
    try:
        stand_in = resumed is not None and resumed.stand_in
        dataset = loaded.source.load(Request(config.seed, directory.cache, {}, on_progress, stand_in=stand_in))
        if not len(dataset.train):
            raise CnnkitError(f"{dataset.name}: no training examples are left", "Lower `data.test` and `data.validation`.")
        weights = class_weights(config.train.class_weight, dataset.train, dataset.task)
        encoding = encoding_for(network.model, config, dataset.task)
        preparation = BatchPreparation(config.data.augment, config.seed, dataset.task, weights, encoding)
        preparation.check(dataset.train.input_shape)
    except BuildError as error:
        raise loaded.located(error) from error
    held_out = dataset.held_out
    target_scaler = TargetScaler.of(dataset.train) if dataset.task.is_regression else None
    if target_scaler is not None:
        dataset = target_scaler.standardized(dataset)
    mark = fingerprint(dataset)
    if resumed is not None:
        check_data(resumed, mark)
    notices = (*network.notices, *dataset.notices, *warnings(config))
    metadata = ModelMetadata(dataset.name, dataset.task, dataset.stand_in_for, notices, loaded.source.image_reader)
    run = RunIdentity(
        config=json.loads(json.dumps(resolved(config))),  # as it is read back
        data=DataIdentity(fingerprint=mark, name=dataset.name, stand_in_for=dataset.stand_in_for),
        base=network.base,
        notices=list(network.notices),
    )
    manager = CheckpointManager(
        network.model, preparation.layers, config.train, CheckpointStore(directory.checkpoints), run, last_phase=len(phases) - 1
    )
    if resumed is not None:
        manager.forced = resumed.forced
        manager.resume_from(resumed.checkpoint)
    else:
        _check_room(directory, network)
    directory.write_config(loaded.as_yaml())
    if dataset.manifest:
        directory.write_manifest(dataset.manifest)
    train = BatchSource(dataset.train, config.data.batch_size, balanced=config.data.sampling == "balanced")
    return Prepared(loaded, network, dataset, held_out, target_scaler, phases, preparation, train, metadata, directory, lock, manager)


def _phases(loaded: BoundConfig, network: Network) -> Sequence[Phase]:
    """The phases of a config, each tried once, so that a misspelt layer is an error before the first epoch.

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


def _check_room(directory: RunDirectory, network: Network) -> None:
    """Refuse to begin where the disk has no room for the checkpoints.

    Raises:
        CnnkitError: It has not.
    """
    model = network.model
    weights, trained = (sum(_bytes(variable) for variable in each) for each in (model.variables, model.trainable_variables))
    needed = COPIES * (weights + 2 * trained)  # Adam keeps two numbers a weight
    free = shutil.disk_usage(directory.path).free
    if free < needed:
        raise CnnkitError(
            f"{directory.path}: the disk has {free / 2**20:,.1f} MB free, but the checkpoints of this run need {needed / 2**20:,.1f} MB",
            "Make room, or name a folder on another disk with --run-dir.",
        )


def _bytes(variable: Any) -> int:
    return 4 * int(math.prod(variable.shape))


def _remove(directory: RunDirectory, *, whole: bool) -> None:
    """Remove what a run that could not begin has made: its folder, or its files in a folder that was there before."""
    if whole:
        shutil.rmtree(directory.path, ignore_errors=True)
        return
    for path in list(directory.path.iterdir()):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
