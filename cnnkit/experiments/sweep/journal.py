"""Optuna's journal file, with a lock that survives killed workers and a repair of lines that they left unfinished.

Optuna reads a journal whose last line is torn, but the next record is appended to that line, and from then on nobody can read
it. So whoever takes the lock to append first removes a torn line: the record was not complete, so nobody has used it.
"""

import json
import os
from pathlib import Path
from typing import Any

from cnnkit.errors import CnnkitError
from cnnkit.io.file_lock import acquire, exclusive

LONGEST_RECORD = 1024 * 1024  # bytes that are searched for the end of the last whole line


class JournalLock:
    """The lock of a journal for Optuna's `JournalFileBackend`. Unlike Optuna's own, it never outlives its process.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Path) -> None:
        self._journal, self._file = journal, -1

    def acquire(self) -> bool:
        """Wait for the lock, then remove a torn line."""
        self._file = acquire(_lock_of(self._journal))
        _remove_torn_line(self._journal)
        return True

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)
        self._file = -1


def repair(journal: Path) -> str:
    """Remove the last line of a journal where it is torn.

    Returns:
        A notice for the user; empty where nothing was torn.
    """
    if not journal.exists():
        return ""
    with exclusive(_lock_of(journal)):
        removed = _remove_torn_line(journal)
    if not removed:
        return ""
    return (
        f"The last line of {journal} was torn ({removed:,} bytes of a record that was being written when a process was killed). "
        "It was removed; the trial that it belonged to is resumed."
    )


def open_journal(journal: Path) -> Any:
    """Optuna's storage on a journal.

    Raises:
        CnnkitError: A line other than the last is damaged.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalLock(journal)))
    except (ValueError, KeyError, AssertionError) as error:
        message = f"{journal}:{_damaged_line(journal)}: is damaged, so the trials cannot be read"
        raise CnnkitError(message, "Restore it from a backup, or begin anew under another name: `--set name=NAME`.") from error


def _lock_of(journal: Path) -> Path:
    return journal.with_name(f".{journal.name}.lock")


def _remove_torn_line(journal: Path) -> int:
    """Remove the last line where it has no end or is no record, and return its length in bytes; the lock has to be held."""
    if not journal.exists():
        return 0
    with journal.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - LONGEST_RECORD)
        file.seek(start)
        tail = file.read()
        before_last = tail.rfind(b"\n", 0, len(tail) - 1) + 1
        last = tail[before_last:]
        if not last or (last.endswith(b"\n") and _is_record(last)):
            return 0
        file.truncate(start + before_last)
        file.flush()
        os.fsync(file.fileno())
    return len(last)


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _damaged_line(journal: Path) -> int:
    """Number of the first line that is no record; 0 where every line is one."""
    with journal.open("rb") as file:
        return next((number for number, line in enumerate(file, start=1) if not _is_record(line)), 0)
