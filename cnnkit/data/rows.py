"""Rows of inputs, read by index: in memory, in a file larger than memory, or in image files."""

import hashlib
import os
import tempfile
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


class Rows(Protocol):
    """Inputs that can be read by index.

    Attributes:
        shape: `(n, …)`.
        dtype: Data type of the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, indices: Indices) -> Array:
        """The rows at some indices, in that order: `(len(indices), …)`."""

    def identity(self) -> bytes:
        """Bytes that change when the rows do, such as a hash or the modification time of a file."""


class ArrayRows:
    """Rows of an array in memory."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype
        self._tensor: Any = None

    def read(self, indices: Indices) -> Array:
        """The rows at some indices, in that order."""
        return self.array[indices]

    def identity(self) -> bytes:
        """SHA-256 of all values."""
        return hashlib.sha256(np.ascontiguousarray(self.array).data).digest()

    def tensor(self) -> Any:
        """The whole array as a TensorFlow tensor in host memory, created once."""
        import tensorflow as tf

        if self._tensor is None:
            with tf.device("CPU"):
                self._tensor = tf.constant(self.array)
        return self._tensor


class DiskRows:
    """Rows of an array stored contiguously in a file, read on demand: memory use does not depend on the size of the file.

    The file is read by position, not memory-mapped, so that pages read do not count as the process's memory.

    Args:
        path: The file.
        shape: `(n, …)`.
        dtype: Data type of the values.
        offset: Bytes before the first row.
        writable: Whether rows can be written as well; the file, which has to be there, then gets the size of all rows.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int = 0, *, writable: bool = False) -> None:
        self.shape, self.dtype = shape, dtype
        self._offset = offset
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self._path = path
        self._file = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        if writable:
            _reserve(self._file, max(1, offset + self._row_bytes * shape[0]))

    def read(self, indices: Indices) -> Array:
        """The rows at some indices, in that order."""
        rows = np.empty((len(indices), *self.shape[1:]), self.dtype)
        flat = rows.reshape(len(indices), -1).view(np.uint8)
        for place, index in enumerate(indices):
            row = os.pread(self._file, self._row_bytes, self._offset + int(index) * self._row_bytes)
            flat[place] = np.frombuffer(row, np.uint8)
        return rows

    def identity(self) -> bytes:
        """The file's path, size and modification time."""
        status = os.fstat(self._file)
        return f"{self._path} {status.st_size} {status.st_mtime_ns}".encode()

    def write(self, indices: Indices, rows: Array) -> None:
        """Write rows at some indices."""
        flat = np.ascontiguousarray(rows).reshape(len(indices), -1).view(np.uint8)
        for place, index in enumerate(indices):
            os.pwrite(self._file, memoryview(flat[place]), self._offset + int(index) * self._row_bytes)


class ComputedRows:
    """Rows computed on demand, such as decoded image files, in parallel threads, and cached.

    Args:
        count: Number of rows.
        row_shape: Shape of one.
        compute: Returns the row at an index, uint8.
        identity: Bytes that change when the rows do.
        cache: Where rows are cached: `memory`, a folder for a file on disk, or None for no cache.
    """

    def __init__(
        self, count: int, row_shape: tuple[int, ...], compute: Callable[[int], Array], identity: bytes, cache: str | Path | None
    ) -> None:
        self.shape, self.dtype = (count, *row_shape), np.dtype(np.uint8)
        self._compute = compute
        self._identity = identity
        self._is_cached = np.zeros(count, bool)
        self._workers = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="decode")
        self._memory: Array | None = np.empty(self.shape, np.uint8) if cache == "memory" else None
        self._disk = scratch_rows(cache, "images-", self.shape, self.dtype) if isinstance(cache, Path) else None

    def read(self, indices: Indices) -> Array:
        """The rows at some indices, in that order; those not in the cache are computed."""
        cached = self._is_cached[indices]
        if self._memory is not None:
            self._fill(indices[~cached], self._memory.__setitem__)
            return self._memory[indices]
        if self._disk is not None and cached.all():
            return self._disk.read(indices)
        rows = np.empty((len(indices), *self.shape[1:]), np.uint8)
        if self._disk is not None and cached.any():
            rows[cached] = self._disk.read(indices[cached])
        missing = np.flatnonzero(~cached)
        for place, row in zip(missing, self._workers.map(self._compute, indices[missing].tolist()), strict=True):
            rows[place] = row
        if self._disk is not None and len(missing):
            self._disk.write(indices[missing], rows[missing])
            self._is_cached[indices[missing]] = True
        return rows

    def identity(self) -> bytes:
        """The identity given at construction: bytes that change when the rows do."""
        return self._identity

    def _fill(self, indices: Indices, put: Callable[[int, Array], None]) -> None:
        def compute(index: int) -> None:
            put(index, self._compute(index))
            self._is_cached[index] = True

        list(self._workers.map(compute, indices.tolist()))


def scratch_rows(folder: Path, prefix: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DiskRows:
    """Rows of zeros to write to, in an unlinked temporary file, freed when the process exits, killed or not.

    Args:
        folder: Folder of the file.
        prefix: First part of its name, while it has one.
        shape: `(n, …)`.
        dtype: Data type of the values.
    """
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=".cache", dir=folder)
    os.close(handle)
    rows = DiskRows(Path(name), shape, dtype, writable=True)
    Path(name).unlink()
    return rows


def _reserve(file: int, count: int) -> None:
    """Allocate a file of a given number of bytes; where the system can reserve them, a full disk is reported now, not during an epoch."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, count)
    else:
        os.ftruncate(file, count)


def available_memory() -> int:
    """Bytes of memory available without swapping."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - a kernel file, not a path of ours
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 2 * 2**30  # a conservative guess where the system does not report it
