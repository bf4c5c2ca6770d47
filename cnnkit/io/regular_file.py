"""Paths and files as users name them: made absolute; regular files only, as devices and pipes can be endless or block for ever."""

import errno
import stat
from pathlib import Path

from cnnkit.errors import CnnkitError, format_value

MAX_TABLE_BYTES = 256 * 2**20  # of a text table; as Python objects it takes several times as much memory


def regular_file_size(path: Path) -> int:
    """The size in bytes of a regular file, symbolic links followed, before it is read.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a folder.
        OSError: It is a device, a pipe or a socket; or access is denied.
        ValueError: The path is invalid, such as one with a null byte.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL, "not a regular file")
    return status.st_size


def require_text_table(path: Path) -> None:
    """Refuse a text file that is no regular file or larger than `MAX_TABLE_BYTES`, before it is read.

    Raises:
        OSError: It is one of these, or does not exist.
        ValueError: The path is invalid, such as one with a null byte.
    """
    size = regular_file_size(path)
    if size > MAX_TABLE_BYTES:
        raise OSError(errno.EFBIG, f"{size / 2**20:,.0f} MB; text of at most {MAX_TABLE_BYTES // 2**20} MB is read")


def absolute(folder: Path, path: str) -> Path:
    """The absolute path of a path relative to a folder, `~` and symbolic links resolved; it need not exist.

    Raises:
        CnnkitError: Its home folder is unknown, or its symbolic links lead in a circle.
    """
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        raise CnnkitError(f"the home folder in {format_value(path)} is unknown", "Write the path in full.") from error
    try:
        return (folder / expanded).resolve()
    except RuntimeError as error:  # before Python 3.13
        raise CnnkitError(
            f"the symbolic links of {format_value(path)} lead in a circle", "Mend the link, or name the file itself."
        ) from error
