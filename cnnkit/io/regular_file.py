"""Whether a path is a regular file: devices and pipes are endless, or wait for ever."""

import errno
import stat
from pathlib import Path

MAX_TABLE_BYTES = 256 * 2**20  # of a text table, which becomes Python objects of several times its size: millions of rows


def regular_file_size(path: Path) -> int:
    """The size in bytes of a regular file (or of the one that a link leads to), before anything of it is read.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a folder.
        OSError: It is a device, a pipe or a socket; or it may not be looked at.
        ValueError: No file can have that name.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL, "not a regular file")
    return status.st_size


def require_text_table(path: Path) -> None:
    """Refuse a text file that is no regular file or larger than `MAX_TABLE_BYTES`, before it is read.

    Raises:
        OSError: It is one of these, or is not there.
        ValueError: No file can have that name.
    """
    size = regular_file_size(path)
    if size > MAX_TABLE_BYTES:
        raise OSError(errno.EFBIG, f"{size / 2**20:,.0f} MB; text of at most {MAX_TABLE_BYTES // 2**20} MB is read")
