"""Accept regular files only: devices and pipes can be endless or block for ever."""

import errno
import stat
from pathlib import Path

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
