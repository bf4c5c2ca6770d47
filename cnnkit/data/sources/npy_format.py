"""Read untrusted npy and npz files: headers are validated, truncated arrays refused, pickles never loaded."""

import contextlib
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.rows import available_memory
from cnnkit.errors import CnnkitError, format_value
from cnnkit.io.regular_file import regular_file_size

Array = npt.NDArray[Any]
Header = tuple[tuple[int, ...], np.dtype[Any], int]  # shape, dtype, bytes before the first value

BOMB_BYTES, BOMB_RATIO = 2**28, 100  # uncompressed bytes above which an array may not exceed this compression ratio

BROKEN = (  # what zipfile, zlib and NumPy's header reader raise on hostile bytes, as fuzzing shows
    OSError, EOFError, ValueError, TypeError, SyntaxError, IndexError, KeyError, OverflowError, RecursionError, MemoryError,
    NotImplementedError, RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class Member:
    """One array of an npz file, of which only the header has been read.

    Attributes:
        shape: `(n, …)`.
        dtype: Data type of the values.
        header_bytes: Bytes before the first value.
        stored: Whether it is uncompressed in the file.
    """

    def __init__(self, path: Path, member: zipfile.ZipInfo, archive: zipfile.ZipFile) -> None:
        self.path, self._member = path, member
        what = f"{path}: {format_value(member.filename)}"
        with _reporting_damage(what), archive.open(member) as stream:
            self.shape, self.dtype, self.header_bytes = _header(stream, what)
        self.stored = member.compress_type == zipfile.ZIP_STORED
        self._header_offset = member.header_offset
        there = path.stat().st_size if self.stored else member.file_size
        _check_size(what, self.header_bytes + self._bytes, min(member.file_size, there))

    @property
    def _bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def offset(self) -> int:
        """Offset of the values in the file, in bytes; for uncompressed arrays only."""
        with self.path.open("rb") as file:
            file.seek(self._header_offset + 26)  # zip local file header: lengths of name and extra field, then both
            name_length, extra_length = (int.from_bytes(file.read(2), "little") for _ in range(2))
        start = self._header_offset + 30 + name_length + extra_length + self.header_bytes
        _check_size(f"{self.path}: {format_value(self._member.filename)}", start + self._bytes, self.path.stat().st_size)
        return start

    @contextlib.contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Context manager: a stream of the bytes of the values, decompressed as it is read."""
        with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as stream:
            stream.read(self.header_bytes)
            yield stream

    def read(self) -> Array:
        """All values, bytes as texts.

        Raises:
            CnnkitError: They are damaged, are not UTF-8, or exceed the free memory.
        """
        what = f"{self.path}: {format_value(self._member.filename)}"
        if self._bytes > available_memory() // 2:
            remedy = "Save it with numpy.savez (not savez_compressed) or numpy.save: then it is read a batch at a time."
            raise CnnkitError(f"{what} takes {self._bytes / 2**30:.1f} GB unpacked", remedy)
        if self._bytes > BOMB_BYTES and self._bytes > BOMB_RATIO * self._member.compress_size:
            raise CnnkitError(f"{what} unpacks to more than {BOMB_RATIO} times its size, as a zip bomb does", "Save it with numpy.savez.")
        with _reporting_damage(what), zipfile.ZipFile(self.path) as archive, archive.open(self._member) as stream:
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read()  # to the end, where zipfile verifies the checksum
        return decoded(what, array)


def decoded(what: str, array: Array) -> Array:
    """Texts in place of bytes (dtype `S`, as h5py and `np.loadtxt` give them); other arrays as they are.

    Raises:
        CnnkitError: They are not UTF-8.
    """
    if array.dtype.kind != "S":
        return array
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise CnnkitError(f"{what}: {format_value(error.object)} is no text in UTF-8", "Save texts, such as `y.astype(str)`.") from error


def is_divided(members: Mapping[str, Member]) -> bool:
    """Whether an npz file has training and test examples in arrays of their own, as Keras's mnist.npz."""
    return {"x_train", "y_train", "x_test", "y_test"} <= members.keys()


def read_members(path: Path) -> dict[str, Member]:
    """The arrays of an npz file by name.

    Raises:
        CnnkitError: It does not exist, or is not an npz file.
    """
    try:
        regular_file_size(path)
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise CnnkitError(f"{path}: there is no such file") from None
    except BROKEN as error:
        raise CnnkitError(f"{path}: not a readable npz file ({_reason(error)})", "numpy.savez writes them.") from error
    with archive:
        return {
            info.filename.removesuffix(".npy"): Member(path, info, archive) for info in archive.infolist() if info.filename.endswith(".npy")
        }


def npy_header(path: Path) -> Header:
    """Shape, dtype and length in bytes of an npy file's header.

    Raises:
        CnnkitError: It does not exist, is not an npy file, or is shorter than its header states.
    """
    try:
        regular_file_size(path)
        with path.open("rb") as stream:
            shape, dtype, offset = _header(stream, str(path))
    except FileNotFoundError:
        raise CnnkitError(f"{path}: there is no such file") from None
    except BROKEN as error:
        raise CnnkitError(f"{path}: not a readable npy file ({_reason(error)})", "numpy.save writes them.") from error
    _check_size(str(path), offset + math.prod(shape) * dtype.itemsize, path.stat().st_size)
    return shape, dtype, offset


def _reason(error: Exception) -> str:
    """Why a file cannot be opened, without the number of the system's error."""
    return error.strerror if isinstance(error, OSError) and error.strerror else format_value(str(error))


def _header(stream: Any, what: str) -> Header:
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise CnnkitError(f"{what}: npy format {version} is not known")
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise CnnkitError(f"{what}: holds pickled Python objects, which cnnkit does not run", "Save plain numbers or texts.")
    if any(isinstance(side, bool) or side < 0 for side in shape) or dtype.shape or dtype.names:
        raise CnnkitError(f"{what}: is {format_value(shape)} {format_value(str(dtype))}", "Save a plain array of numbers or texts.")
    if fortran and len(shape) > 1:
        raise CnnkitError(f"{what}: is stored column after column", "Save it with numpy.ascontiguousarray.")
    return shape, dtype, stream.tell()


def _check_size(what: str, wanted: int, there: int) -> None:
    if there < wanted:
        raise CnnkitError(f"{what}: is cut short: {there:,} of {wanted:,} bytes")


@contextlib.contextmanager
def _reporting_damage(what: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise CnnkitError(f"{what} is damaged ({format_value(str(error))})", "Copy the file again, or save it again.") from error
