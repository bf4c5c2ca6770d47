"""Prepare a run: build the network, split the data, create the run directory; everything that can fail early is checked here."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.callback_check import check_monitors
from cnnkit.config.kept_epoch import check_keep, epoch_choice
from cnnkit.config.load import resolved
from cnnkit.config.schema import Phase
from cnnkit.data.augmentation import BatchPreparation, class_weights
from cnnkit.data.binding import BoundConfig
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.pipeline import BatchSource
from cnnkit.data.source import Request
from cnnkit.errors import BuildError, CnnkitError
from cnnkit.model.compile import CompiledNetwork, build_and_compile
from cnnkit.runs.create import LockedRun, create_run_directory
from cnnkit.runs.directory import RunDirectory
from cnnkit.runs.lock import NAME as LOCK_NAME
from cnnkit.runs.lock import RunLock
from cnnkit.training.agreement import gather_json
from cnnkit.training.checkpoint.manager import CheckpointManager
from cnnkit.training.checkpoint.state import DataIdentity, RunIdentity
from cnnkit.training.checkpoint.store import CheckpointStore
from cnnkit.training.distribution.comparison import compare_configs, compare_start
from cnnkit.training.distribution.worker_run import ScratchDirectory, SharedCheckpoints
from cnnkit.training.distribution.workers import Workers
from cnnkit.training.environment import fingerprint
from cnnkit.training.phase_schedules import PhaseSchedule, phase_schedules
from cnnkit.training.resume import Resumed, check_data
from cnnkit.training.target_scaler import TargetScaler
from cnnkit.training.trial import try_training

CHOSEN_BY_FINAL_EXAMPLES = (
    "The saved epoch is chosen by the examples of which the final metrics are, which are therefore too good: hold out `data.test` as well, "
    "or write `train: {keep: last}`."
)
COPIES = 5  # of weights and optimizer state on disk at most: three checkpoints, one being written, and the model


@dataclass(frozen=True)
class Prepared:
    """A run that is ready for its first training step.

    Attributes:
        loaded: The config.
        network: The built and compiled network.
        dataset: The data in its splits; regression targets are scaled in the training and validation splits.
        held_out: Name and examples of the split that the final metrics are computed on, with targets in their original units;
            None where there is none.
        target_scaler: Scales regression targets; None for other tasks.
        phases: The phases of training in order; a single one where the config has none.
        schedules: Epochs and optimizer steps of each phase.
        preparation: Augmentation, label mixing and class weights for training batches.
        train: The training batches.
        metadata: Model metadata, for `model.json`.
        directory: The run's folder.
        lock: Lock on the run's folder against other writers.
        checkpoint_manager: Training state and checkpoints: at the beginning of the run, or at the checkpoint to resume.
        workers: What it is trained on.
        run_path: The run's folder on the chief.
    """

    loaded: BoundConfig
    network: CompiledNetwork
    dataset: Dataset
    held_out: tuple[str, Examples] | None
    target_scaler: TargetScaler | None
    phases: Sequence[Phase]
    schedules: Sequence[PhaseSchedule]
    preparation: BatchPreparation
    train: BatchSource
    metadata: ModelMetadata
    directory: RunDirectory
    lock: RunLock
    checkpoint_manager: CheckpointManager
    workers: Workers
    run_path: Path

    @property
    def epochs(self) -> int:
        """Epochs of all phases, if no callback ends one earlier."""
        return sum(schedule.epochs for schedule in self.schedules)


def prepare(
    loaded: BoundConfig,
    run_dir: Path | LockedRun | None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    resumed: Resumed | None = None,
    workers: Workers | None = None,
    *,
    without_test: bool = False,
) -> Prepared:
    """Build the network, load the data and create the run's folder, or reuse that of an interrupted run.

    Of several workers, the chief creates the folder, and the others a temporary one for their caches.

    Args:
        loaded: The config.
        run_dir: The folder for a new run, which may be locked already; `runs/NAME` where None.
        on_progress: Called with the number of files scanned, and the total number.
        resumed: The interrupted run to resume; None for a new one.
        workers: What to train on; None for one device.
        without_test: Whether to leave the test examples untouched, and to compute the final metrics on the validation examples;
            a resumed run is as it was begun.

    Raises:
        CnnkitError: The config, the data or the folder is not usable, or the workers differ in any of them; then no new folder
            remains, the files of an interrupted run are unchanged, and no lock is held.
    """
    workers = workers or Workers()
    locked = _locked_already(run_dir, resumed)
    complete = False
    try:
        compare_configs(workers.devices, workers.cluster, loaded.config)
        network = build_and_compile(loaded if resumed is None else resumed.without_weights, workers.devices.scope)
        if resumed is not None:
            network = replace(network, notices=tuple(resumed.checkpoint.state.run.notices))
        phases = try_training(loaded, network)
        if not workers.is_chief:
            scratch = ScratchDirectory.create(workers.devices.worker)
            locked = LockedRun(scratch, RunLock(scratch.path))
        elif locked is None:
            assert not isinstance(run_dir, LockedRun)
            locked = create_run_directory(loaded.config.name, run_dir)
        prepared = _prepare_in_folder(loaded, network, phases, *locked, on_progress, resumed, workers, without_test)
        complete = True
    finally:
        if not complete and locked is not None:
            is_own = not workers.is_chief
            _abandon(locked, is_new=is_own or resumed is None, with_folder=is_own or run_dir is None)
    return prepared


def _locked_already(run_dir: Path | LockedRun | None, resumed: Resumed | None) -> LockedRun | None:
    """The folder that this process has locked before; None for a new run, and on a worker that is not the chief."""
    if isinstance(run_dir, LockedRun):
        return run_dir
    return LockedRun(resumed.directory, resumed.lock) if resumed is not None and resumed.lock is not None else None


def _prepare_in_folder(
    loaded: BoundConfig,
    network: CompiledNetwork,
    phases: Sequence[Phase],
    directory: RunDirectory,
    lock: RunLock,
    on_progress: Callable[[int, int], None],
    resumed: Resumed | None,
    workers: Workers,
    without_test: bool,
) -> Prepared:
    """Load the data and set up checkpoints for a run whose folder exists and is locked."""
    config = loaded.config
    try:
        stand_in = resumed.stand_in if resumed is not None else None
        dataset = loaded.source.load(Request(config.data_seed, directory.cache, (), on_progress, stand_in=stand_in))
        if not len(dataset.train):
            raise CnnkitError(f"{dataset.name}: no training examples are left", "Lower `data.test` and `data.validation`.")
        has_validation, metrics = dataset.validation is not None, network.target_encoding.metrics
        watched = config.train.callbacks if resumed is None else []  # a run that was begun before this check goes on
        faults = list(check_monitors(watched, metrics, has_validation=has_validation))
        if faults := [*faults, *check_keep(config, metrics, has_validation=has_validation)]:
            raise loaded.config_error(faults)
        schedules = phase_schedules(config.train, phases, len(dataset.train), config.data.batch_size)
        weights = class_weights(config.train.class_weight, dataset.train, dataset.task)
        preparation = BatchPreparation(config.data.augment, config.seed, dataset.task, weights, network.target_encoding)
        target_scaler = TargetScaler.of(dataset, config.train.target_scale) if dataset.task.is_regression else None
    except BuildError as error:
        raise loaded.located(error) from error
    without_test = resumed.checkpoint.state.run.without_test if resumed is not None else without_test
    held_out = (replace(dataset, test=None) if without_test else dataset).held_out
    if target_scaler is not None:
        dataset = target_scaler.scaled(dataset)
    _fit_whitening(network, dataset, workers, is_new=resumed is None)
    train = BatchSource(dataset.train, config.data.batch_size, balanced=config.data.sampling == "balanced")
    data_fingerprint = fingerprint(dataset)
    if without_test:
        dataset = replace(dataset, test=None)
    if resumed is not None:
        check_data(resumed, data_fingerprint)
    choice = epoch_choice(config, metrics, has_validation=has_validation)
    chosen = [CHOSEN_BY_FINAL_EXAMPLES] if choice.keeps_best and held_out is not None and held_out[0] == "validation" else []
    notices = (*network.notices, *dataset.notices, *loaded.warnings, *chosen)
    metadata = ModelMetadata(dataset.name, dataset.task, dataset.stand_in_for, notices, loaded.source.image_reader)
    run = RunIdentity(
        config=json.loads(json.dumps(resolved(config))),  # as read back from JSON
        data=DataIdentity(fingerprint=data_fingerprint, name=dataset.name, stand_in_for=dataset.stand_in_for),
        base=network.base,
        notices=list(network.notices),
        without_test=without_test,
    )
    manager = CheckpointManager(
        network.model,
        preparation.layers,
        CheckpointStore(directory.checkpoints) if workers.cluster is None else SharedCheckpoints(directory.checkpoints, workers.devices),
        run,
        interval=config.train.checkpoint_interval,
        rolls_back=config.train.on_nan == "restore",
        last_phase=len(phases) - 1,
        choice=choice,
    )
    if resumed is not None:
        manager.forced = resumed.forced
        manager.resume_from(resumed.checkpoint)
    elif workers.is_chief:
        _check_disk_space(directory, network)
    compare_start(workers.devices, workers.cluster, dataset, network.model, resumed.checkpoint.name if resumed is not None else "")
    run_path = Path(gather_json(workers.devices, str(directory.path.resolve()))[0]) if workers.cluster is not None else directory.path
    directory.write_config(loaded.as_yaml())
    if dataset.manifest:
        directory.write_manifest(dataset.manifest)
    return Prepared(
        loaded,
        network,
        dataset,
        held_out,
        target_scaler,
        phases,
        schedules,
        preparation,
        train,
        metadata,
        directory,
        lock,
        manager,
        workers,
        run_path,
    )


def _fit_whitening(network: CompiledNetwork, dataset: Dataset, workers: Workers, *, is_new: bool) -> None:
    """Fit the convolution `whiten` of a new run, where the network has one; all workers use the weights that the chief computed."""
    if network.whitening is not None and is_new:
        network.whitening.fit(network.model, dataset.train, lambda weights: workers.devices.exchange(weights)[0])


def _check_disk_space(directory: RunDirectory, network: CompiledNetwork) -> None:
    """Check that the disk has space for the checkpoints.

    Raises:
        CnnkitError: It has too little.
    """
    model = network.model
    weights, trained = (sum(_bytes(variable) for variable in each) for each in (model.variables, model.trainable_variables))
    needed = COPIES * (weights + 2 * trained)  # Adam has two slot variables per weight
    free = shutil.disk_usage(directory.path).free
    if free < needed:
        raise CnnkitError(
            f"{directory.path}: the disk has {free / 2**20:,.1f} MB free, but the checkpoints of this run need {needed / 2**20:,.1f} MB",
            "Make room, or name a folder on another disk with --run-dir.",
        )


def _bytes(variable: Any) -> int:
    return 4 * int(math.prod(variable.shape))


def _abandon(run: LockedRun, *, is_new: bool, with_folder: bool) -> None:
    """Release the lock of a run that could not begin; of a new one, remove its files, or the whole folder unless the user named it."""
    if is_new:
        run.directory.remove_content()
    run.lock.release()
    if is_new and with_folder:
        shutil.rmtree(run.directory.path, ignore_errors=True)
    elif is_new:
        (run.directory.path / LOCK_NAME).unlink(missing_ok=True)
