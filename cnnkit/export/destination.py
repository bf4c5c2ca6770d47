"""Where an exported file goes: its name, its layout, and everything about the request that can be refused before TensorFlow is loaded."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.artifacts.formats import FORMATS, ONNX, SAVED_MODEL, Format, version_numbers
from cnnkit.errors import CnnkitError, did_you_mean
from cnnkit.model.model_file import MODEL_NAME

TRITON = "triton"
LAYOUTS = (TRITON,)
QUANTIZATIONS = ("int8", "float16")


@dataclass(frozen=True)
class Destination:
    """A file to export.

    Attributes:
        format: Its format.
        quantization: `int8`, `float16`, or empty for float32.
        path: The file; for a SavedModel and in Triton's layout, the folder of its numbered versions.
        layout: `triton`, or empty.
    """

    format: Format
    quantization: str
    path: Path
    layout: str = ""

    @property
    def label(self) -> str:
        """Format and quantization as people call them: `ONNX int8`."""
        return f"{self.format.label} {self.quantization}".strip()

    @property
    def is_versioned(self) -> bool:
        """Whether each export becomes another numbered version, as servers expect it."""
        return not self.format.suffix or self.layout == TRITON


def destinations(formats: Sequence[Format], quantization: str, source: Path, output: Path | None, layout: str = "") -> list[Destination]:
    """Where the files of a request go.

    Args:
        formats: Their formats.
        quantization: `int8`, `float16`, or empty for float32.
        source: The `.keras` file.
        output: The file for one format; or a folder, which need not exist. None for beside the model.
        layout: `triton` for a Triton model repository, which `output` then is; or empty.

    Raises:
        CnnkitError: There is no such quantization or layout, a format does not have it, or `output` contradicts the formats.
    """
    if quantization and quantization not in QUANTIZATIONS:
        hint = did_you_mean(quantization, QUANTIZATIONS)
        raise CnnkitError(f"--quantize {quantization}: no such quantization.{hint}", f"There are: {', '.join(QUANTIZATIONS)}.")
    if layout and layout not in LAYOUTS:
        raise CnnkitError(f"--layout {layout}: no such layout.{did_you_mean(layout, LAYOUTS)}", f"There is: {TRITON}.")
    for each in formats:
        _require_supported(each, quantization, layout)
    return [_destination(each, quantization, source, output, layout, several=len(formats) > 1) for each in formats]


def _require_supported(target: Format, quantization: str, layout: str) -> None:
    if quantization and quantization not in target.quantizations:
        others = [each.name for each in FORMATS.values() if quantization in each.quantizations]
        has = f"it has {' and '.join(target.quantizations)}" if target.quantizations else "it has none"
        raise CnnkitError(f"--quantize {quantization}: not for {target.label}; {has}", f"{quantization} is for {' and '.join(others)}.")
    if layout == TRITON and target is not ONNX:
        raise CnnkitError(f"--layout {TRITON}: only for ONNX, not for {target.label}", f"Export with `--format onnx --layout {TRITON}`.")


def _destination(target: Format, quantization: str, source: Path, output: Path | None, layout: str, *, several: bool) -> Destination:
    if layout == TRITON:
        name = "-".join(part for part in (_model_name(source), quantization) if part)
        return Destination(target, quantization, (output or source.parent / TRITON) / name, layout)
    stem = "-".join(part for part in (source.stem, quantization) if part)
    name = f"{stem}{target.suffix}" if target.suffix else f"{stem}-saved_model"
    if output is None:
        return Destination(target, quantization, source.parent / name)
    if output.is_file() and (several or not target.suffix):
        raise CnnkitError("is a file, and a folder is wanted", "Name a folder with --output.", output)
    ending = output.suffix.lower()
    if ending in {each.suffix for each in FORMATS.values()} - {""} and not output.is_dir() and (several or ending != target.suffix):
        wanted = "several formats need a folder" if several else f"{target.label} is {_shape_of(target)}"
        raise CnnkitError(f"--output {output}: contradicts --format: {wanted}", "Name a folder, or leave --output out.")
    is_itself = not several and (_takes_versions(output) if not target.suffix else ending == target.suffix and not output.is_dir())
    return Destination(target, quantization, output if is_itself else output / name)


def _shape_of(target: Format) -> str:
    return f"a file that ends in {target.suffix}" if target.suffix else "a folder"


def _takes_versions(folder: Path) -> bool:
    """Whether a folder is new, or holds nothing but numbered versions, so that a SavedModel can be its next version."""
    if not folder.is_dir():
        return True
    if (folder / SAVED_MODEL).is_file():
        raise CnnkitError(
            "is a SavedModel itself; an export becomes a numbered version in the folder above it", "Name another --output.", folder
        )
    return bool(version_numbers(folder)) or not any(folder.iterdir())


def _model_name(source: Path) -> str:
    """Name of the model in a repository: that of the run's folder, or of the file outside of a run."""
    name = source.resolve().parent.name if source.name == MODEL_NAME else source.stem
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name) or "model"
