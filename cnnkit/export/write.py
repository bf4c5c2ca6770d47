"""Write the file of one destination: its format and quantization choose the writer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.artifacts.formats import TF_SAVED_MODEL
from cnnkit.errors import CnnkitError
from cnnkit.export.bias_correction import corrected_biases
from cnnkit.export.calibration import calibration_examples
from cnnkit.export.destination import Destination
from cnnkit.export.image_bytes import bytes_function
from cnnkit.export.subject import Subject
from cnnkit.export.writers.conversion import conversion
from cnnkit.export.writers.writer import write_float, writer_of


@dataclass(frozen=True)
class Written:
    """A file that was written, before it is compared and put in its place.

    Attributes:
        path: The file or folder.
        unquantized: The same network in float32, of int8 with the biases that its file has, too; `path` itself where it is not quantized.
        calibration: Which examples the int8 ranges were measured on; None for other models.
    """

    path: Path
    unquantized: Path
    calibration: dict[str, Any] | None = None


def write_model(destination: Destination, subject: Subject, folder: Path) -> Written:
    """Write a model into an empty folder.

    Args:
        destination: Format and quantization.
        subject: The model, and the training examples for int8.
        folder: Where to.

    Raises:
        NotExportableError: A layer cannot be exported.
        CnnkitError: int8 is wanted without training examples.
    """
    target, model = destination.format, subject.opened.require_keras("an export")
    full, made = (folder / f"{name}{target.suffix}" for name in ("float32", destination.quantization or "float32"))
    if destination.quantization == "int8":
        if subject.train is None:
            raise CnnkitError("int8 needs training examples, to measure the ranges of activations on")
        inputs, record = calibration_examples(subject.train, subject.seed)
        with corrected_biases(model, inputs), conversion(model, target):
            write_float(model, target, full)
            writer_of(target).write_int8(model, full, made, inputs)
        return Written(made, full, record)
    from_bytes = bytes_function(model, subject.opened.metadata.image_reader) if target is TF_SAVED_MODEL else None
    with conversion(model, target):
        write_float(model, target, full, from_bytes)
        if destination.quantization == "float16":
            writer_of(target).write_float16(model, full, made)
    return Written(made, full)
