"""Inputs without targets, as `cnnkit predict` takes them: image files, or the rows of an array, one after another."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from cnnkit.data.images.reader import ImageReader, require_pictures
from cnnkit.errors import CnnkitError, format_value

Array = npt.NDArray[Any]

ROWS_AT_ONCE = 64  # rows of an array read from its file in one go


@dataclass(frozen=True)
class Example:
    """One thing to predict: its name, and how to get its values `(…)`, which raises CnnkitError where it is broken."""

    name: str
    read: Callable[[], Array]


class Inputs(Protocol):
    """Examples from one place. `count` is None where it is known at the end only."""

    @property
    def count(self) -> int | None:
        """How many there are."""

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """One after another, none of them read yet.

        Args:
            input_shape: Shape of one example as the model takes it.
            reader: How image files are brought to it; None for a model that takes no pictures.

        Raises:
            CnnkitError: They are not what the model takes.
        """


@dataclass(frozen=True)
class Pictures:
    """Image files."""

    paths: Sequence[Path]

    @property
    def count(self) -> int:
        """How many files."""
        return len(self.paths)

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """The files in order."""
        if not self.paths:
            return iter(())
        read = require_pictures(reader, input_shape, str(self.paths[0])).read
        return (Example(str(path), partial(read, path)) for path in self.paths)


@dataclass(frozen=True)
class StoredArray:
    """The rows of an array in an npz or npy file, read a few at a time also where the file is compressed.

    Attributes:
        path: The file.
        name: What the array is called where something is wrong with it.
        shape: `(n, …)`.
        dtype: Of one value.
        opened: Opens the bytes of the values.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    opened: Callable[[], AbstractContextManager[IO[bytes]]]

    def __post_init__(self) -> None:
        if self.dtype.kind not in "uif" or not self.shape or 0 in self.shape:
            raise CnnkitError(
                f"{self.path}: '{self.name}' is {self.shape} {self.dtype}",
                "Wanted are images (n, height, width, channels) or signals (n, steps, channels).",
            )

    @property
    def count(self) -> int:
        """How many rows."""
        return self.shape[0]

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """The rows in order, called `x.npz[0]` and so on.

        Raises:
            CnnkitError: They are not what the model takes, or the file is damaged.
        """
        if self.shape[1:] != input_shape:
            raise CnnkitError(
                f"{self.path}: '{self.name}' has examples of {self.shape[1:]}, but the model takes {input_shape}",
                "Give it arrays of that shape; pictures in files are brought to it.",
            )
        return self._rows()

    def _rows(self) -> Iterator[Example]:
        row_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        try:
            with self.opened() as stream:
                for start in range(0, self.count, ROWS_AT_ONCE):
                    wanted = min(ROWS_AT_ONCE, self.count - start)
                    data = stream.read(wanted * row_bytes)
                    if len(data) < wanted * row_bytes:
                        raise EOFError("the file ends too early")
                    for place, row in enumerate(np.frombuffer(data, self.dtype).reshape(wanted, *self.shape[1:])):
                        name = f"{self.path}[{start + place}]"
                        yield Example(name, partial(_finite, name, row))
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CnnkitError(f"{self.path}: '{self.name}' is damaged ({format_value(str(error))})", "Save it again.") from error


def _finite(name: str, row: Array) -> Array:
    if row.dtype.kind == "f" and not np.isfinite(row).all():
        raise CnnkitError("has NaN or infinite values", location=name)
    return row
