"""A training session: open devices, prepare a run, train it; the same for commands, Python and worker processes, but for the display."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.load import LoadedConfig
from cnnkit.data.binding import BoundConfig
from cnnkit.runs.create import LockedRun
from cnnkit.runs.directory import RunDirectory, is_unfinished
from cnnkit.runs.lock import RunLock, is_locked
from cnnkit.runs.names import RUNS
from cnnkit.training.distribution.cluster import Cluster
from cnnkit.training.distribution.lost_worker import lost_workers_named
from cnnkit.training.distribution.opening import device_notices, open_devices
from cnnkit.training.distribution.worker_log import worker_output
from cnnkit.training.distribution.workers import Workers
from cnnkit.training.fit import Listener
from cnnkit.training.history import Row
from cnnkit.training.open_run import open_run
from cnnkit.training.phase_schedules import PhaseSchedule
from cnnkit.training.prepare import Prepared, prepare
from cnnkit.training.resume import Resumed
from cnnkit.training.run import TrainingResult, train, write_missing
from cnnkit.training.step import Devices


@dataclass(frozen=True)
class SessionResult:
    """What a training session has done.

    Attributes:
        run: The run's folder, on the chief.
        result: The result of training; None where the run was finished before and nothing was missing in its folder.
    """

    run: Path
    result: TrainingResult | None

    @property
    def exit_status(self) -> int:
        """0, or 128 plus the number of the signal that interrupted the run."""
        return self.result.exit_status if self.result is not None else 0


class Display(Protocol):
    """Shows a training session; only that of the chief is called where there are several workers, except for `training`."""

    def on_notice(self, text: str) -> None:
        """A notice for the user."""

    def on_unfinished(self, run: Path) -> None:
        """The default folder holds an unfinished run; the new run gets another folder."""

    def on_stand_in(self, metadata: ModelMetadata) -> None:
        """Stand-in data is used in place of the requested data."""

    def on_schedules(self, schedules: Sequence[PhaseSchedule]) -> None:
        """The learning-rate schedules of the phases, whose steps are known now."""

    def on_other_devices(self, before: int, now: int) -> None:
        """The run was trained on another number of devices before."""

    def on_finished_before(self, run: Path, resumed: Resumed | None) -> None:
        """The run was finished before; missing and damaged files of it are written again."""

    def scanning(self) -> AbstractContextManager[Callable[[int, int | None], None]]:
        """While the files of the data are scanned: a function to be called with the number done, and the total number."""

    def training(self, epochs: int, steps: int, done: Sequence[Row]) -> AbstractContextManager[Listener]:
        """While the run is trained, for so many epochs of so many steps; `done` has the history's rows of the epochs before."""

    def on_trained(self, run: Path, result: TrainingResult) -> None:
        """Training has ended, or was interrupted."""


def start_or_resume(
    loaded: BoundConfig,
    run_dir: Path | LockedRun | None,
    display: Display,
    resumed: Resumed | None = None,
    cluster: Cluster | None = None,
    devices: Devices | None = None,
    *,
    resumes_itself: bool = False,
) -> SessionResult:
    """Train a new run, or an interrupted one to its end.

    Args:
        loaded: The config with its data opened.
        run_dir: The run's folder, which may be locked already; `runs/NAME` where None.
        display: Shows the session.
        resumed: The interrupted run to continue; None for a new one.
        cluster: The workers that share the run; None for this process alone.
        devices: What to train on; None to open the devices that the config names.
        resumes_itself: Whether the same command would resume the run that it starts now.

    Raises:
        CnnkitError: The config, the data or the folder is not usable, the loss diverged, or the disk cannot be written.
    """
    if run_dir is None and resumed is None and (cluster is None or cluster.is_chief):
        existing = RunDirectory(RUNS / loaded.config.name)
        if is_unfinished(existing) and not is_locked(existing.path):
            display.on_unfinished(existing.path)
    workers = Workers(devices or open_devices(loaded, cluster), cluster)
    if resumed is not None and workers.is_chief and resumed.replicas_before != workers.devices.replicas:
        display.on_other_devices(resumed.replicas_before, workers.devices.replicas)
    with lost_workers_named(cluster, "Start all workers again with the same command."), display.scanning() as on_progress:
        prepared = prepare(loaded, run_dir, on_progress, resumed, workers)
    goes_on = resumed is not None or resumes_itself
    command = "again with the same command" if goes_on else f"with `--resume {prepared.run_path}`"
    how_to_restart = f"Start all workers {command}: everything up to the last checkpoint is saved."
    try:
        with lost_workers_named(cluster, how_to_restart), worker_output(workers, prepared.run_path):
            return _train(prepared, display)
    finally:
        prepared.lock.release()  # also where a display raises before training begins, as warnings that are errors do


def _train(prepared: Prepared, display: Display) -> SessionResult:
    with training_displayed(prepared, display) as listener:
        result = train(prepared, listener)
    if prepared.workers.is_chief:
        display.on_trained(prepared.run_path, result)
    return SessionResult(prepared.run_path, result)


def training_displayed(prepared: Prepared, display: Display) -> AbstractContextManager[Listener]:
    """Show the notices of a prepared run; the context manager within which it is trained gives the listener of its progress."""
    if prepared.workers.is_chief:
        if prepared.metadata.stand_in_for:
            display.on_stand_in(prepared.metadata)
        for notice in (*device_notices(prepared.loaded.config.train, prepared.workers.devices), *prepared.metadata.notices):
            display.on_notice(notice)
        display.on_schedules(prepared.schedules)
    return _listener(prepared, display)


def _listener(prepared: Prepared, display: Display) -> AbstractContextManager[Listener]:
    return display.training(prepared.epochs, prepared.train.steps, prepared.checkpoint_manager.history.rows)


def resume(resumed: Resumed, display: Display, cluster: Cluster | None = None, devices: Devices | None = None) -> SessionResult:
    """Continue an interrupted run; of a finished one, write missing and damaged files again.

    Args:
        resumed: The run.
        display: Shows the session.
        cluster: The workers that share the run; None for this process alone.
        devices: What to train on; None to open the devices that the config names.

    Raises:
        CnnkitError: The data has changed or is not usable, the loss diverged, or the disk cannot be written.
    """
    is_chief = cluster is None or cluster.is_chief
    with _released(resumed.lock):
        for notice in resumed.notices if is_chief else ():
            display.on_notice(notice)
        if not resumed.is_finished:
            return start_or_resume(resumed.loaded, resumed.directory.path, display, resumed, cluster, devices)
        run, result = resumed.directory.path, None
        if is_chief:
            display.on_finished_before(run, resumed)
            if resumed.unusable_files:
                result = _write_missing(resumed, display)
        return SessionResult(run, result)


def resume_or_start(
    loaded: LoadedConfig, run_dir: Path | None, display: Display, cluster: Cluster | None = None, devices: Devices | None = None
) -> SessionResult:
    """Start a run in its folder, or resume it there after any interruption, or leave it alone where it is finished.

    Args:
        loaded: The config; its data is opened where that is not done yet.
        run_dir: The run's folder, created where it does not exist; `runs/NAME` where None.
        display: Shows the session.
        cluster: The workers that share the run; None for this process alone.
        devices: What to train on; None to open the devices that the config names.

    Raises:
        CnnkitError: Another process is writing the run, the folder holds a run of another config, or training fails.
    """
    is_chief = cluster is None or cluster.is_chief
    folder = run_dir if run_dir is not None else RUNS / loaded.config.name
    opened = open_run(loaded, folder, is_chief=is_chief)
    with _released(opened.locked.lock if opened.locked is not None else None):
        if opened.resumed is not None:
            return resume(opened.resumed, display, cluster, devices)
        if not opened.is_finished:
            return start_or_resume(opened.bound, opened.locked, display, None, cluster, devices, resumes_itself=True)
        if is_chief:
            display.on_finished_before(folder, None)
        return SessionResult(folder, None)


@contextmanager
def _released(lock: RunLock | None) -> Iterator[None]:
    """Context manager: releases a run's lock however the session ends, since the process may go on; a warning may be an error there."""
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _write_missing(resumed: Resumed, display: Display) -> TrainingResult:
    """Write the missing and damaged files of a finished run again, from its checkpoints."""
    with display.scanning() as on_progress:
        prepared = prepare(resumed.loaded, None, on_progress, resumed)
    with _listener(prepared, display) as listener:
        result = write_missing(prepared, listener)
    display.on_trained(prepared.run_path, result)
    return result
