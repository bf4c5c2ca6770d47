"""What a user names to be predicted: files, folders, patterns, tables, arrays and lists, as one stream of examples."""

import glob
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from cnnkit.config.schema import Data
from cnnkit.data.images.decode import SUFFIXES, Resize, read_image
from cnnkit.data.sources.arrays import INPUT_NAMES, array_name
from cnnkit.data.sources.csv_file import listed_paths
from cnnkit.data.sources.folder import image_files, natural
from cnnkit.data.sources.npy_format import npy_header, read_members
from cnnkit.errors import CnnkitError, format_value

Array = npt.NDArray[Any]

STANDARD_INPUT = "-"
ROWS_AT_ONCE = 64  # rows of an array read from its file in one go


@dataclass(frozen=True)
class Reading:
    """How examples are brought to what a model takes, by the same route as in its training.

    Attributes:
        input_shape: Shape of one example.
        resize: How a picture of another shape is fitted.
        max_pixels: Largest picture (width × height) that is opened.
    """

    input_shape: tuple[int, ...]
    resize: Resize
    max_pixels: int

    @classmethod
    def of(cls, input_shape: tuple[int, ...], data: Data | None) -> "Reading":
        """As a run's `data` section says; as its defaults say for a model outside a run."""
        data = data if data is not None else Data.model_construct()
        return cls(input_shape, data.resize, data.max_pixels)

    def picture(self, path: Path) -> Array:
        """The pixels of a file, uint8 in the model's size and colours.

        Raises:
            ImageFault: The file is missing, broken, or no picture.
        """
        height, width, channels = self.input_shape
        return read_image(path, size=(height, width), resize=self.resize, channels=1 if channels == 1 else 3, max_pixels=self.max_pixels)

    def require_pictures(self, what: str) -> None:
        """Refuse pictures for a model that does not take any.

        Raises:
            CnnkitError: Its input is not `(height, width, 1 or 3)`.
        """
        if len(self.input_shape) != 3 or self.input_shape[2] not in (1, 3):
            raise CnnkitError(
                f"{what}: the model takes arrays of {self.input_shape}, not pictures", "Give it an npz or npy file of such arrays."
            )


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

    def examples(self, reading: Reading) -> Iterator[Example]:
        """One after another, none of them read yet."""


@dataclass(frozen=True)
class Pictures:
    """Image files."""

    paths: Sequence[Path]

    @property
    def count(self) -> int:
        """How many files."""
        return len(self.paths)

    def examples(self, reading: Reading) -> Iterator[Example]:
        """The files in order."""
        if self.paths:
            reading.require_pictures(str(self.paths[0]))
        return (Example(str(path), partial(reading.picture, path)) for path in self.paths)


@dataclass(frozen=True)
class PictureList:
    """Image files whose paths come line by line, such as from another program."""

    lines: Iterable[bytes]

    @property
    def count(self) -> None:
        """Not known before the last line."""

    def examples(self, reading: Reading) -> Iterator[Example]:
        """A file a line; empty lines are passed over."""
        reading.require_pictures("the paths on standard input")
        names = (os.fsdecode(line.rstrip(b"\r\n")) for line in self.lines)
        return (Example(name, partial(reading.picture, Path(name))) for name in names if name)


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

    @property
    def count(self) -> int:
        """How many rows."""
        return self.shape[0]

    def examples(self, reading: Reading) -> Iterator[Example]:
        """The rows in order, called `x.npz[0]` and so on.

        Raises:
            CnnkitError: They are not what the model takes, or the file is damaged.
        """
        if self.shape[1:] != reading.input_shape:
            raise CnnkitError(
                f"{self.path}: '{self.name}' has examples of {self.shape[1:]}, but the model takes {reading.input_shape}",
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


def find_inputs(names: Sequence[str], column: str | None, lines: Iterable[bytes]) -> list[Inputs]:
    """What some names on the command line stand for, looked at but not read.

    Args:
        names: Image files, folders of them, patterns with `*`, CSV, npz and npy files; `-` for `lines`.
        column: The column of paths in a CSV, or the array in an npz; None for the usual names.
        lines: Paths of image files, one a line.

    Raises:
        CnnkitError: A name stands for nothing that can be predicted.
    """
    return [inputs for name in names for inputs in _find(name, column, lines)]


def _find(name: str, column: str | None, lines: Iterable[bytes]) -> list[Inputs]:
    path = Path(name)
    if name == STANDARD_INPUT:
        return [PictureList(lines)]
    if path.is_dir():
        paths = image_files(path)
        if not paths:
            raise CnnkitError(f"{name}: has no images in it, nor in folders below", f"Images end in {', '.join(SUFFIXES)}.")
        return [Pictures(paths)]
    if is_pattern(name):
        matches = glob.iglob(name, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        files = sorted((each for each in matches if Path(each).is_file()), key=natural)
        if not files:
            raise CnnkitError(f"{name}: no file matches the pattern", "`*` stands for any letters, `**` for folders within folders.")
        pictures = Pictures([Path(each) for each in files if Path(each).suffix.lower() not in _TABLES])
        return [pictures, *(inputs for each in files if Path(each).suffix.lower() in _TABLES for inputs in _find(each, column, lines))]
    opener = _TABLES.get(path.suffix.lower())
    return [opener(path, column) if opener is not None else Pictures([path])]


def is_pattern(name: str) -> bool:
    """Whether a name is a pattern such as `photos/*.jpg` that the shell has left as it is, and not a file called so."""
    return glob.has_magic(name) and not Path(name).exists()


def _open_csv(path: Path, column: str | None) -> Pictures:
    return Pictures(listed_paths(path, column))


def _open_npz(path: Path, column: str | None) -> StoredArray:
    members = read_members(path)
    only = next(iter(members)) if len(members) == 1 else None
    name = array_name(path, members, column or only, (*INPUT_NAMES, "x_test"), "--column")
    member = members[name]
    return _numbers(StoredArray(path, name, member.shape, member.dtype, member.opened))


def _open_npy(path: Path, column: str | None) -> StoredArray:
    shape, dtype, offset = npy_header(path)

    def opened() -> IO[bytes]:
        file = path.open("rb")
        file.seek(offset)
        return file

    return _numbers(StoredArray(path, path.name, shape, dtype, opened))


_TABLES: dict[str, Callable[[Path, str | None], Inputs]] = {".csv": _open_csv, ".npz": _open_npz, ".npy": _open_npy}


def _numbers(array: StoredArray) -> StoredArray:
    if array.dtype.kind not in "uif" or not array.shape or 0 in array.shape:
        raise CnnkitError(
            f"{array.path}: '{array.name}' is {array.shape} {array.dtype}",
            "Wanted are images (n, height, width, channels) or signals (n, steps, channels).",
        )
    return array


def _finite(name: str, row: Array) -> Array:
    if row.dtype.kind == "f" and not np.isfinite(row).all():
        raise CnnkitError("has NaN or infinite values", location=name)
    return row
