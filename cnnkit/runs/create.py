"""Create a run's folder, or lock an existing one; a run is never overwritten."""

from collections.abc import Iterator
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
        for path in _paths(name):
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return LockedRun(RunDirectory(path), RunLock(path))
    except OSError as error:
        raise _not_made(error) from error
    raise _too_many(name)


def unused_run_path(name: str, run_dir: Path | None) -> Path:
    """The folder that `create_run_directory` would create now.

    Raises:
        CnnkitError: `run_dir` is not empty.
    """
    if run_dir is None:
        path = next((path for path in _paths(name) if not path.exists()), None)
        if path is None:
            raise _too_many(name)
        return path
    if run_dir.exists() and not RunDirectory(run_dir).is_empty:
        raise occupied(RunDirectory(run_dir))
    return run_dir


def _paths(name: str) -> Iterator[Path]:
    """The folders for runs of a name, in the order in which they are taken."""
    return (RUNS / (name if number == 1 else f"{name}-{number}") for number in range(1, 100_000))


def _too_many(name: str) -> CnnkitError:
    return CnnkitError(f"{RUNS / name}: there are too many runs of that name", "Set another `name`.")


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
