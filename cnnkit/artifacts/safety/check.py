"""Check a model file of any format before its runtime loads it."""

import stat
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from cnnkit.artifacts.formats import LITERT, ONNX, OPENVINO, TF_SAVED_MODEL, Format
from cnnkit.artifacts.safety.litert_file import check_litert
from cnnkit.artifacts.safety.onnx_file import check_onnx
from cnnkit.artifacts.safety.openvino_file import check_openvino
from cnnkit.artifacts.safety.saved_model_file import check_saved_model
from cnnkit.errors import CnnkitError

MAX_BYTES = 4 * 2**30  # of a model with all its files
MAX_FILES = 10_000  # in the folder of a SavedModel

_CHECKS: dict[str, Callable[[Path], int]] = {
    ONNX.name: check_onnx,
    LITERT.name: check_litert,
    OPENVINO.name: check_openvino,
    TF_SAVED_MODEL.name: check_saved_model,
}


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
        _require_size(size + _CHECKS[model_format.name](path), path)
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
