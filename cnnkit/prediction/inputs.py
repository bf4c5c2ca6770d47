"""Inputs named on the command line, such as files, folders, patterns, tables, arrays and lists, as streams of examples."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cnnkit.data.images.header import SUFFIXES
from cnnkit.data.images.reader import ImageReader, require_image_reader
from cnnkit.data.inputs import Example, ImageFiles, Inputs
from cnnkit.errors import CnnkitError

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class PictureList:
    """Image files whose paths are read line by line, such as from a pipe."""

    lines: Iterable[bytes]

    @property
    def count(self) -> None:
        """None: unknown before the last line."""

    def examples(self, input_shape: tuple[int, ...], reader: ImageReader | None) -> Iterator[Example]:
        """An example per line; empty lines are skipped."""
        read = require_image_reader(reader, input_shape, "the paths on standard input").read
        names = (os.fsdecode(line.rstrip(b"\r\n")) for line in self.lines)
        return (Example(name, partial(read, Path(name))) for name in names if name)


def find_inputs(names: Sequence[str], column: str | None, lines: Iterable[bytes]) -> list[Inputs]:
    """Resolve names on the command line to inputs, listed but not read.

    Args:
        names: Image files, folders of them, patterns with `*`, CSV, npz and npy files; `-` for `lines`.
        column: The column of paths in a CSV, or the array in an npz; None for the usual names.
        lines: Paths of image files, one a line.

    Raises:
        CnnkitError: A name matches nothing that can be predicted.
    """
    return [inputs for name in names for inputs in _find(name, column, lines)]


def _find(name: str, column: str | None, lines: Iterable[bytes]) -> list[Inputs]:
    if name == STANDARD_INPUT:
        return [PictureList(lines)]
    path = Path(name)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return [ImageFiles([path])]
    from cnnkit.data.source import open_inputs, source_of  # lazily: a picture is predicted without the schema of configs
    from cnnkit.data.sources.folder import natural

    if is_pattern(name):
        matches = glob.iglob(name, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        files = [Path(each) for each in sorted((each for each in matches if Path(each).is_file()), key=natural)]
        if not files:
            raise CnnkitError(f"{name}: no file matches the pattern", "`*` stands for any letters, `**` for folders within folders.")
        pictures = ImageFiles([path for path in files if source_of(path) is None])
        return [pictures, *(inputs for path in files if (inputs := open_inputs(path, column)) is not None)]
    return [open_inputs(path, column) or ImageFiles([path])]


def is_pattern(name: str) -> bool:
    """Whether a name is a pattern such as `photos/*.jpg` that the shell has not expanded, and not an existing file."""
    return glob.has_magic(name) and not Path(name).exists()
