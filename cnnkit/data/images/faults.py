"""ImageFault, the error for image files that cannot be decoded, and the conversion of Pillow's exceptions to it."""

import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from PIL import Image

from cnnkit.config.picture_options import LARGEST_MAX_PIXELS
from cnnkit.errors import CnnkitError

PILLOW_RAISES = (  # on hostile bytes, as fuzzing and Pillow's sources show; all mean that the file is at fault
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its warnings about TIFF tags reach stderr


class Reason(StrEnum):
    """Why a file cannot be decoded."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not a JPEG, PNG, GIF, BMP, WebP or TIFF image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported kind of pixels"
    MAX_PIXELS = "over max_pixels"
    SIDE = "a side is too long"
    FEW_BYTES = "too few bytes for its pixels"
    TILES = "tiles larger than the picture"
    SCANS = "too many scans"


class ImageFault(CnnkitError):  # noqa: N818 — the file is at fault, not the program
    """A file that cannot be decoded.

    Attributes:
        reason: The kind of fault, stable across releases.
        detail: Further details; may be empty.
    """

    def __init__(self, reason: Reason, detail: str = "", source: Path | bytes = b"") -> None:
        self.reason = reason
        self.detail = detail
        name = str(source) if isinstance(source, Path) else "image"
        super().__init__(f"{reason} ({detail})" if detail else str(reason), _REMEDIES.get(reason, _REPLACE), name)


_REPLACE = "Replace the file, or leave it out of the data."
_SAVE_AGAIN = "Open it in an image editor and save it again, as PNG or JPEG, or leave it out of the data."
_REMEDIES = {
    Reason.MISSING: "Check the path.",
    Reason.UNREADABLE: "Check that it is a file which you may read.",
    Reason.NOT_AN_IMAGE: "Convert it to one of these formats, or leave it out of the data.",
    Reason.UNSUPPORTED: "Convert it to 8 or 16 bits a channel, grey or RGB, or leave it out of the data.",
    Reason.MAX_PIXELS: f"Make the picture smaller, or raise max_pixels (to {LARGEST_MAX_PIXELS} at most).",
    Reason.SIDE: "Cut the picture into parts, or leave it out of the data.",
    Reason.FEW_BYTES: "Make the picture smaller, or leave it out of the data.",
    Reason.TILES: _SAVE_AGAIN,
    Reason.SCANS: _SAVE_AGAIN,
}


class _Quiet:
    """Suppress Pillow's warnings while at least one thread decodes.

    `warnings.catch_warnings` alone is process-wide: overlapping threads would restore each other's filters.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._caught.__exit__(None, None, None)


_quiet = _Quiet()


@contextmanager
def pillow_faults(source: Path | bytes, data: bytes, max_pixels: int) -> Iterator[None]:
    """Context manager: whatever Pillow raises on a file becomes an ImageFault, each fault names the file, and no warning is printed.

    Args:
        source: The file that the error names, or the bytes of one.
        data: The bytes, whose end distinguishes a truncated file from a corrupt one; empty where they have not been read.
        max_pixels: The limit that applies to the file, named where Pillow refuses it for its own, larger one.
    """
    try:
        with _quiet:
            yield
    except ImageFault as fault:
        raise ImageFault(fault.reason, fault.detail, source) from fault.__cause__
    except Image.DecompressionBombError as error:
        raise ImageFault(Reason.MAX_PIXELS, f"more than {LARGEST_MAX_PIXELS} pixels, max_pixels is {max_pixels}", source) from error
    except PILLOW_RAISES as error:
        detail = first_line(error)
        cut = isinstance(error, EOFError) or "truncat" in detail.lower() or _ends_early(data)
        raise ImageFault(Reason.TRUNCATED if cut else Reason.CORRUPT, detail, source) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, shortened."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


def _ends_early(data: bytes) -> bool:
    """Whether a corrupt file lacks its end marker, or is shorter than its header states."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-4:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-8:]
    if data.startswith(b"GIF8"):
        return not data.endswith(b";")
    if data.startswith(b"BM"):
        return len(data) < int.from_bytes(data[2:6], "little")
    if data.startswith(b"RIFF"):
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return False
