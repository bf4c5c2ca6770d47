"""Write the file of one destination: its format and quantization choose the writer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.artifacts.formats import LITERT, OPENVINO, TF_SAVED_MODEL, Format
from cnnkit.errors import CnnkitError
from cnnkit.export.destination import Destination
from cnnkit.export.image_bytes import bytes_function
from cnnkit.export.quantize import calibration_examples, halve_onnx, quantize_litert, quantize_onnx
from cnnkit.export.subject import Subject
from cnnkit.export.writers import conversion, halve_openvino, write_float, write_litert_float16


@dataclass(frozen=True)
class Written:
    """A file that was written, before it is compared and put in its place.

    Attributes:
        path: The file or folder.
        unquantized: The same model in float32; `path` itself where it is not quantized.
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
    with conversion(model, target):
        full = folder / f"float32{target.suffix}"
        from_bytes = bytes_function(model, subject.opened.metadata.image_reader) if target is TF_SAVED_MODEL else None
        write_float(model, target, full, from_bytes)
        if not destination.quantization:
            return Written(full, full)
        made = folder / f"{destination.quantization}{target.suffix}"
        if destination.quantization == "int8":
            return Written(made, full, _write_int8(destination.format, subject, full, made))
        if target is LITERT:
            write_litert_float16(model, made)
        elif target is OPENVINO:
            halve_openvino(full, made)
        else:
            halve_onnx(full, made)
        return Written(made, full)


def _write_int8(target: Format, subject: Subject, full: Path, made: Path) -> dict[str, Any]:
    """Write the int8 file, and return the record of its calibration examples."""
    if subject.train is None:
        raise CnnkitError("int8 needs training examples, to measure the ranges of activations on")
    inputs, record = calibration_examples(subject.train, subject.seed)
    if target is LITERT:
        quantize_litert(subject.opened.require_keras("an export"), made, inputs)
    else:
        quantize_onnx(full, made, inputs)
    return record
