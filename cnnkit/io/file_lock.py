"""An exclusive lock on a file, waited for; the kernel releases it when the process ends, however it ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Context manager: holds an exclusive lock on a file, which is created where it does not exist.

    Raises:
        OSError: The file cannot be written.
    """
    file = acquire(path)
    try:
        yield
    finally:
        os.close(file)


def acquire(path: Path) -> int:
    """Wait for the lock, and return the file descriptor that holds it until it is closed.

    Raises:
        OSError: The file cannot be written.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    else:
        import msvcrt
        import time

        while True:
            try:
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
                break
            except OSError:
                time.sleep(0.05)
    return file
