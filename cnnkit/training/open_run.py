"""Open the folder of a run, whatever is there: nothing yet, an interrupted run to resume, or a finished one."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.load import LoadedConfig, load_config, resolved
from cnnkit.data.binding import BoundConfig, bind
from cnnkit.errors import CnnkitError
from cnnkit.runs.create import LockedRun, lock_run_directory, occupied
from cnnkit.runs.directory import RunDirectory, read_state
from cnnkit.runs.lock import NAME as LOCK_NAME
from cnnkit.runs.lock import RunLock
from cnnkit.training.checkpoint.store import CheckpointStore
from cnnkit.training.prepare import Prepared, prepare
from cnnkit.training.resume import Resumed, changes_text, config_changes, newest_checkpoint, resumed_from

# what a run killed before its first checkpoint can leave in its folder
BEFORE_FIRST_CHECKPOINT = re.compile(
    rf"{re.escape(LOCK_NAME)}|cache|checkpoints|config\.yaml|manifest\.csv|environment\.json|mlflow\.json|tensorboard|worker-\d+\.log"
)


@dataclass(frozen=True)
class OpenedRun:
    """A run's folder, and what has to be done in it.

    Attributes:
        loaded: The config, with its data opened where the run is not finished.
        locked: The folder and its lock; None on a worker that is not the chief, which only reads it.
        resumed: The run that is in the folder, opened to be resumed; None where there is none, or a finished one without checkpoints.
        is_finished: Whether the run is finished.
    """

    loaded: LoadedConfig
    locked: LockedRun | None
    resumed: Resumed | None
    is_finished: bool

    def prepare(self, on_progress: Callable[[int, int], None] = lambda done, total: None, *, without_test: bool = False) -> Prepared:
        """Prepare the run to be started or resumed.

        Args:
            on_progress: Called with the number of files scanned, and the total number.
            without_test: Whether a started run leaves the test examples untouched; see `training.prepare`.

        Raises:
            CnnkitError: The config or the data is not usable; the lock is then released.
        """
        if self.resumed is not None:
            return prepare(self.resumed.loaded, None, on_progress, self.resumed)
        return prepare(self.bound, self.locked, on_progress, without_test=without_test)

    @property
    def folder(self) -> LockedRun:
        """The folder and its lock, in a process that trains alone or is the chief."""
        assert self.locked is not None
        return self.locked

    @property
    def bound(self) -> BoundConfig:
        """The config of a run that is not finished, with its data opened."""
        assert isinstance(self.loaded, BoundConfig)
        return self.loaded


def open_run(loaded: LoadedConfig, folder: Path, *, is_chief: bool = True) -> OpenedRun:
    """Lock the folder of a run, create it where it does not exist, and find out what is in it.

    What a process left there that was killed before its first checkpoint is removed. A worker that is not the chief finds the same
    without a lock: the chief writes no checkpoint before all workers are there.

    Args:
        loaded: The config; its data is opened where that is not done yet.
        folder: The folder.
        is_chief: Whether this process will write the run; another worker of it only reads.

    Raises:
        CnnkitError: Another process is writing the run, the folder holds a run of another config or other files, or the data cannot
            be opened.
    """
    if not is_chief:
        return _open_to_read(loaded, RunDirectory(folder))
    bound = None if folder.exists() else _bound(loaded)  # so that a config that does not fit its data leaves no folder
    locked = lock_run_directory(folder)
    try:
        if CheckpointStore(locked.directory.checkpoints):
            resumed = _open_begun(loaded, locked.directory, locked.lock)
            return OpenedRun(resumed.loaded, locked, resumed, resumed.is_finished)
        if _is_finished_without_checkpoints(loaded, locked.directory):
            return OpenedRun(loaded, locked, None, is_finished=True)
        _remove_unbegun(loaded, locked.directory)
        return OpenedRun(bound or _bound(loaded), locked, None, is_finished=False)
    except CnnkitError:
        locked.lock.release()
        raise


def _bound(loaded: LoadedConfig) -> BoundConfig:
    return loaded if isinstance(loaded, BoundConfig) else bind(loaded)


def _open_to_read(loaded: LoadedConfig, directory: RunDirectory) -> OpenedRun:
    """What `open_run` finds, on a worker that is not the chief."""
    if CheckpointStore(directory.checkpoints):
        resumed = _open_begun(loaded, directory, None)
        return OpenedRun(resumed.loaded, None, resumed, resumed.is_finished)
    if directory.path.is_dir() and _is_finished_without_checkpoints(loaded, directory):
        return OpenedRun(loaded, None, None, is_finished=True)
    return OpenedRun(_bound(loaded), None, None, is_finished=False)


def _open_begun(loaded: LoadedConfig, directory: RunDirectory, lock: RunLock | None) -> Resumed:
    """Open a run that has a checkpoint."""
    checkpoint, notices = newest_checkpoint(directory, is_locked=lock is not None)
    changed = config_changes(checkpoint.state.run.config, loaded)
    if changed:
        raise _other_config(directory, changes_text(changed))
    return resumed_from(directory, lock, checkpoint, loaded, notices, {})


def _is_finished_without_checkpoints(loaded: LoadedConfig, directory: RunDirectory) -> bool:
    """Whether a finished run of the config is in a folder, its checkpoints removed by the user."""
    if read_state(directory) != "finished":
        return False
    _require_same_config(loaded, directory)
    return True


def _remove_unbegun(loaded: LoadedConfig, directory: RunDirectory) -> None:
    """Remove what a process left that was killed before the run's first checkpoint.

    Raises:
        CnnkitError: There are other files, or the run is that of another config.
    """
    directory.remove_leftovers()
    if not all(BEFORE_FIRST_CHECKPOINT.fullmatch(path.name) for path in directory.path.iterdir()):
        raise occupied(directory)
    if directory.config.exists():
        _require_same_config(loaded, directory)
    directory.remove_content()


def _require_same_config(loaded: LoadedConfig, directory: RunDirectory) -> None:
    before = json.loads(json.dumps(resolved(load_config([directory.config]).config)))
    if changed := config_changes(before, loaded):
        raise _other_config(directory, changes_text(changed))


def _other_config(directory: RunDirectory, changes: str) -> CnnkitError:
    return CnnkitError(
        f"{directory.path}: holds a run of another config:\n{changes}", "Put the config back as it was, or name another --run-dir."
    )
