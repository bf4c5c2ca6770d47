"""Check a model file of any format before its runtime loads it."""

import stat
from itertools import islice
from pathlib import Path

from cnnkit.artifacts.formats import Format
from cnnkit.artifacts.named import named_object
from cnnkit.errors import CnnkitError

MAX_BYTES = 4 * 2**30  # of a model with all its files
MAX_FILES = 10_000  # in the folder of a SavedModel


def check_file(path: Path, model_format: Format) -> None:
    """Check a model file or folder of unknown origin; nothing of it is executed.

    Args:
        path: The file or folder, which exists.
        model_format: Its format, by its name.

    Raises:
        CnnkitError: It is too large, damaged, needs code or files from elsewhere, or cannot be read.
    """
    try:
        size = _size_of(path)
        _require_size(size, path)
        _require_size(size + named_object(model_format.check)(path), path)
    except OSError as error:
        raise CnnkitError(f"cannot be read ({error.strerror or type(error).__name__})", "Check its permissions.", path) from error


def _require_size(size: int, path: Path) -> None:
    if size > MAX_BYTES:
        raise CnnkitError(f"has {size:,} bytes; up to {MAX_BYTES:,} are opened", location=path)


def _size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder.

    Raises:
        CnnkitError: It is empty, or has something that is no regular file.
    """
    files = [file for file in islice(path.rglob("*"), MAX_FILES + 1) if not file.is_dir()] if path.is_dir() else [path]
    if len(files) > MAX_FILES:
        raise CnnkitError(f"has more than {MAX_FILES:,} files", "Name the folder of one SavedModel.", path)
    status = [file.stat() for file in files]
    if not all(stat.S_ISREG(each.st_mode) for each in status):
        raise CnnkitError("is or has a device or a pipe, no regular file", "Devices and pipes can be endless.", path)
    size = sum(each.st_size for each in status)
    if not size:
        raise CnnkitError("is empty", "Copy it again, or export it again.", path)
    return size
