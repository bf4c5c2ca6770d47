"""Inputs without targets for `cnnkit predict`: image files, or the rows of an array, one at a time."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from cnnkit.data.images.reader import ImageReader, require_image_reader
from cnnkit.errors import CnnkitError, format_value

if TYPE_CHECKING:
    from PIL import Image

Array = npt.NDArray[Any]

ROWS_AT_ONCE = 64  # rows of an array per read from its file


@dataclass(frozen=True)
class Example:
    """One input: its name, and a function that reads its values `(…)` and raises CnnkitError where they are invalid."""

    name: str
    read: Callable[[], Array]


class Inputs(Protocol):
    """Inputs from one place, such as a folder."""

    @property
    def count(self) -> int | None:
        """Number of examples; None where it is known only at the end."""

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """The examples one at a time; none is read yet.

        Args:
            input_shape: Shape of one example as the model expects it.
            reader: Reads image files into that shape; None for a model that takes no images.

        Raises:
            CnnkitError: Their shape is not the model's input shape.
        """


@dataclass(frozen=True)
class ImageFiles:
    """Image files."""

    paths: Sequence[Path]

    @property
    def count(self) -> int:
        """Number of files."""
        return len(self.paths)

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """The files in order."""
        if not self.paths:
            return iter(())
        read = require_image_reader(reader, input_shape, str(self.paths[0])).read
        return (Example(str(path), partial(read, path)) for path in self.paths)


@dataclass(frozen=True)
class StoredArray:
    """The rows of an array in an npz or npy file, read a few at a time also where the file is compressed.

    Attributes:
        path: The file.
        name: Name of the array in error messages.
        shape: `(n, …)`.
        dtype: Data type of the values.
        opened: Opens a stream of the values' bytes.
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
        """Number of rows."""
        return self.shape[0]

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """The rows in order, called `x.npz[0]` and so on.

        Raises:
            CnnkitError: Their shape is not the model's input shape, or the file is damaged.
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


@dataclass(frozen=True)
class ArrayRows:
    """The rows of an array in memory, or an array that is one example.

    Attributes:
        array: Images `(n, height, width, channels)` or signals `(n, steps, channels)`, or one of them without the `n`, in the
            units of the training data; a last axis of a single channel may be left out.
        name: Name of the array in messages.
    """

    array: Array
    name: str

    @property
    def count(self) -> None:
        """None: whether it is one example depends on the model."""

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """The rows in order, called `NAME[0]` and so on.

        Raises:
            CnnkitError: Their shape is not the model's input shape, or they are not numbers.
        """
        shape = self.array.shape
        accepted = (input_shape, input_shape[:-1]) if input_shape[-1] == 1 else (input_shape,)
        if self.array.dtype.kind not in "uif" or not any(fitting in (shape, shape[1:]) for fitting in accepted):
            wanted = ", ".join(("n", *map(str, input_shape)))
            remedy = f"Give it numbers of shape ({wanted}) in the units of the training data; image files and PIL images are resized."
            raise CnnkitError(f"{self.name}: is {shape} {self.array.dtype}, but the model takes {input_shape}", remedy)
        if shape in accepted:
            return iter([self._example(self.name, self.array.reshape(input_shape))])
        return (self._example(f"{self.name}[{place}]", row.reshape(input_shape)) for place, row in enumerate(self.array))

    def _example(self, name: str, row: Array) -> Example:
        return Example(name, partial(_finite, name, row))


@dataclass(frozen=True)
class OpenedImages:
    """Images that Pillow has opened or made, with their names."""

    images: Sequence[tuple[str, "Image.Image"]]

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.images)

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """The images in order, resized as in training."""
        if not self.images:
            return iter(())
        read = require_image_reader(reader, input_shape, self.images[0][0]).read_opened
        return (Example(name, partial(read, image)) for name, image in self.images)
