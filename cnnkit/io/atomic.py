"""Atomic file writes: readers, also after a crash, see the complete old file or the complete new one."""

import errno
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnkit.errors import CnnkitError

_TEMPORARY = re.compile(r"\.(?P<stem>.+)-[a-z0-9_]{8}(?P<suffix>\.[^.]+|)")  # as `tempfile.mkstemp` names them for `_write_beside`


class WriteError(CnnkitError, OSError):
    """A file could not be written: a full disk or a read-only folder. The previous file is unchanged."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file in the same folder, flush it to disk, then rename it to `path`.

    The temporary name keeps the suffix of `path`, by which Keras and matplotlib choose the format.

    Args:
        path: The file.
        write: Called with the path of the temporary file.

    Raises:
        WriteError: The folder cannot be written or the disk is full; `path` is then unchanged.
    """
    try:
        _write_beside(path, write)
    except WriteError:
        raise
    except OSError as error:
        reason = error.strerror or str(error).split("\n")[0][:200]
        raise WriteError(f"cannot be written ({reason})", "Make room on the disk, or make the folder writable.", path) from error


def _write_beside(path: Path, write: Callable[[Path], None]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_folder_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a new folder beside `path`, then rename it to `path`, where nothing must be yet.

    Args:
        path: The folder.
        write: Called with the path of the temporary folder, in which it makes at least one file.

    Raises:
        FileExistsError: Something is at `path`, which stays as it is: another process may have been faster.
        WriteError: The folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
        try:
            write(temporary)
            temporary.chmod(0o777 & ~_umask())
            temporary.rename(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if path.exists() and error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(error.errno, os.strerror(error.errno), str(path)) from error
        reason = error.strerror or str(error).split("\n")[0][:200]
        raise WriteError(f"cannot be written ({reason})", "Make room on the disk, or make the folder writable.", path) from error


def remove_leftovers(folder: Path, names: str) -> None:
    """Remove temporary files that killed processes left in a folder.

    Args:
        folder: The folder; it need not exist.
        names: Regular expression that matches the whole name of each file whose temporary files are removed.
    """
    for path in folder.glob(".*"):
        temporary = _TEMPORARY.fullmatch(path.name)
        if temporary is not None and re.fullmatch(names, f"{temporary['stem']}{temporary['suffix']}") and path.is_file():
            path.unlink(missing_ok=True)


def remove_leftover_folders(folder: Path, names: str) -> None:
    """Remove temporary folders that processes left which were killed within `write_folder_atomically`.

    Args:
        folder: The folder that they are in; it need not exist.
        names: Regular expression that matches the whole name of each folder whose temporary folders are removed.
    """
    for path in folder.glob(".*"):
        if re.fullmatch(rf"\.({names})-([a-z0-9_]{{8}}|old)", path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) atomically."""
    write_atomically(path, lambda temporary: _write_utf8(temporary, text))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; NaN and infinity, which JSON cannot represent, become null."""
    write_text(path, json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def without_nan(value: Any) -> Any:
    """The same nested value with NaN and infinite floats replaced by None."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a power failure (POSIX only; a no-op elsewhere)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_utf8(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
