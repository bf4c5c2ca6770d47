"""One writer a run: a lock on its folder that the kernel releases when the process dies, however it dies."""

import os
from pathlib import Path

from cnnkit.errors import CnnkitError

NAME = ".lock"  # stays in the folder; only a lock held on it counts, not that it is there


class RunLock:
    """Held until `release`, or until the process ends.

    Args:
        run: The run's folder, which exists.

    Raises:
        CnnkitError: Another process holds it, or the folder cannot be written.
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
            raise CnnkitError(f"{run}: another process is writing this run", "Wait for it, or name another --run-dir.") from error

    def release(self) -> None:
        """Let others write; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_locked(run: Path) -> bool:
    """Whether a living process is writing a run."""
    try:
        file = os.open(run / NAME, os.O_RDWR)
    except OSError:  # no lock file: nobody has written here since runs are locked
        return False
    try:
        _lock(file)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _lock(file: int) -> None:
    """Take the lock at once or raise OSError; closing the file gives it back."""
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
