"""Create a run's folder, or lock an existing one; a run is never overwritten."""

from pathlib import Path
from typing import NamedTuple

from cnnkit.errors import CnnkitError
from cnnkit.runs.directory import RunDirectory, is_unfinished
from cnnkit.runs.lock import RunLock
from cnnkit.runs.names import RUNS


class LockedRun(NamedTuple):
    """A run's folder, and the lock that this process holds on it."""

    directory: RunDirectory
    lock: RunLock


def create_run_directory(name: str, run_dir: Path | None) -> LockedRun:
    """Create and lock a folder for a run: `runs/NAME`, `runs/NAME-2` and so on; or exactly `run_dir`.

    Raises:
        CnnkitError: `run_dir` is not empty, or the folder cannot be created.
    """
    try:
        if run_dir is not None:
            directory, lock = locked = lock_run_directory(run_dir)
            if not directory.is_empty:
                lock.release()
                raise occupied(directory)
            return locked
        RUNS.mkdir(exist_ok=True)
        for number in range(1, 100_000):
            path = RUNS / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return LockedRun(RunDirectory(path), RunLock(path))
    except OSError as error:
        raise _not_made(error) from error
    raise CnnkitError(f"{RUNS / name}: there are too many runs of that name", "Set another `name`.")


def lock_run_directory(path: Path) -> LockedRun:
    """Lock a run's folder, which is created where it does not exist.

    Raises:
        CnnkitError: Another process is writing the run, or the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_made(error) from error
    return LockedRun(RunDirectory(path), RunLock(path))


def _not_made(error: OSError) -> CnnkitError:
    return CnnkitError(f"{error.filename}: the run's folder cannot be made ({error.strerror})", "Name another with --run-dir.")


def occupied(directory: RunDirectory) -> CnnkitError:
    """The error that a folder for a new run is not empty."""
    if is_unfinished(directory):
        return CnnkitError(
            f"{directory.path}: holds an unfinished run, and a run is never overwritten",
            f"Resume it: `cnnkit train --resume {directory.path}`; or name another --run-dir.",
        )
    return CnnkitError(f"{directory.path}: is not empty, and a run is never overwritten", "Name another --run-dir, or remove it yourself.")
