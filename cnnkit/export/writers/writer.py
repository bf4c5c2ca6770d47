"""What a writer does, and the writer of each format."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from cnnkit.artifacts.formats import Format
from cnnkit.export.writers.exportable import call_with_zeros

if TYPE_CHECKING:
    import keras

INPUT, OUTPUT, BATCH = "input", "output", "batch"  # names in an exported file

Array = npt.NDArray[Any]
BytesFunction = Callable[[Any], Any]


class Writer:
    """Writes files of one format by Keras's own exporters; each quantization is a method that is there where the format has it."""

    def write_float(self, model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
        """Write a model in float32, with batches of any size; see `write_float` below."""
        raise NotImplementedError

    def write_float16(self, model: "keras.Model", full: Path, path: Path) -> None:
        """Write a model with its weights in float16 and float32 ends.

        Args:
            model: The Keras model.
            full: Its float32 file.
            path: The file to write.
        """
        raise NotImplementedError

    def write_int8(self, model: "keras.Model", full: Path, path: Path, inputs: Array) -> None:
        """Write a model with weights per channel and activations in int8, and float32 ends.

        Args:
            model: The Keras model.
            full: Its float32 file.
            path: The file to write.
            inputs: Calibration examples `(n, …)`, on which the ranges of activations are measured.
        """
        raise NotImplementedError

    def put_metadata(self, path: Path, text: str) -> None:
        """Write cnnkit's metadata, which is JSON, into an exported file."""
        raise NotImplementedError


def writer_of(target: Format) -> Writer:
    """The writer of a format: `WRITER` in `cnnkit/export/writers/NAME_writer.py`."""
    writer: Writer = importlib.import_module(f"cnnkit.export.writers.{target.name}_writer").WRITER
    return writer


def write_float(model: "keras.Model", target: Format, path: Path, from_bytes: BytesFunction | None = None) -> None:
    """Write a model in float32, with batches of any size.

    Args:
        model: From raw inputs `(batch, …)` to outputs `(batch, outputs)`.
        target: The format.
        path: The file, or the folder of a SavedModel; it must not exist.
        from_bytes: For a SavedModel: from encoded image files `(batch,)` to outputs, as one more signature.

    Raises:
        Exception: Of any kind, from Keras's exporters; `conversion` makes them a NotExportableError.
    """
    call_with_zeros(model, [each.shape[1:] for each in model.inputs])
    writer_of(target).write_float(model, path, from_bytes)
