"""A lock on a run's folder, so that only one process writes it; the kernel releases it when the process ends."""

import os
from pathlib import Path

from cnnkit.errors import CnnkitError

NAME = ".lock"  # the file stays in the folder; only a lock held on it counts, not its existence


class RunLockedError(CnnkitError):
    """Another process is writing the run."""


class RunLock:
    """An exclusive lock, held until `release` or the end of the process.

    Args:
        run: The run's existing folder.

    Raises:
        RunLockedError: Another process holds it.
        CnnkitError: The folder cannot be written.
    """

    def __init__(self, run: Path) -> None:
        try:
            self._file = os.open(run / NAME, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise CnnkitError(
                f"{run}: cannot be written ({error.strerror})", "Make it writable, or name another with --run-dir."
            ) from error
        try:
            _lock(self._file)
        except OSError as error:
            os.close(self._file)
            raise RunLockedError(f"{run}: another process is writing this run", "Wait for it, or name another --run-dir.") from error

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_locked(run: Path) -> bool:
    """Whether a running process is writing a run."""
    try:
        file = os.open(run / NAME, os.O_RDWR)
    except OSError:  # no lock file: written by a version without locks, or never
        return False
    try:
        _lock(file)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _lock(file: int) -> None:
    """Acquire the lock or raise OSError, without waiting; closing the file releases it."""
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
