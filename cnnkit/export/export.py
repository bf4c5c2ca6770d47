"""Export a trained model: write it in each format, run it with its own runtime beside the Keras model, and keep it if they agree."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit import __version__
from cnnkit.artifacts.formats import FORMATS, LITERT, OPENVINO, TF_SAVED_MODEL, Format
from cnnkit.artifacts.metadata import ArtifactMetadata
from cnnkit.artifacts.runtimes import load_runtime
from cnnkit.data.pipeline import batch_of
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.metrics import compute_metrics
from cnnkit.export.image_bytes import bytes_function
from cnnkit.export.parity import Parity, compare_outputs
from cnnkit.export.quantize import calibration_examples, halve_onnx, quantize_litert, quantize_onnx
from cnnkit.export.subject import Subject, subject_of
from cnnkit.export.writers import halve_openvino, put_metadata, write_float, write_litert_float16
from cnnkit.io.atomic import write_atomically, write_folder_atomically
from cnnkit.metrics import TASK_METRICS, headline
from cnnkit.model.temperature import temperature_of
from cnnkit.runs.reopen import model_file

if TYPE_CHECKING:
    pass

Array = npt.NDArray[Any]

GOLDEN = 3


@dataclass(frozen=True)
class Wanted:
    """One file to export.

    Attributes:
        format: Its format.
        quantization: `int8`, `float16`, or empty for float32.
        path: Where to.
    """

    format: Format
    quantization: str
    path: Path


@dataclass(frozen=True)
class Exported:
    """A file that was exported.

    Attributes:
        wanted: What was asked for.
        size: Bytes, of all its files.
        seconds: What writing and comparing took.
        parity: How it compares with the Keras model.
        notices: What its user has to know.
    """

    wanted: Wanted
    size: int
    seconds: float
    parity: Parity
    notices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "format": self.wanted.format.name,
            "quantization": self.wanted.quantization or None,
            "path": str(self.wanted.path),
            "bytes": self.size,
            "seconds": round(self.seconds, 2),
            "parity": self.parity.as_dict(),
            "notices": list(self.notices),
        }


def export_model(
    what: Path | None,
    formats: Sequence[Format],
    quantization: str = "",
    *,
    output: Path | None = None,
    config: Path | None = None,
    tolerance: float | None = None,
    keep: bool = False,
    layout: str = "",
    on_export: Callable[[Exported], None] = lambda exported: None,
) -> list[Exported]:
    """Export a model into some formats, each compared with the Keras model.

    Args:
        what: A run's folder, its name, or a `.keras` file; None for the newest run.
        formats: Of the files to write.
        quantization: `int8`, `float16`, or empty for float32.
        output: The file for one format, or a folder; None for beside the model.
        config: The config that names the data, for a `.keras` file outside of a run.
        tolerance: Allowed difference, as `compare_outputs` takes it.
        keep: Whether to leave a file that failed the comparison.
        layout: `triton` for the folder layout of a Triton server; empty for the plain file.
        on_export: Called with each result as soon as it is known.

    Returns:
        The results, in the order of the formats.

    Raises:
        CnnkitError: A format or its quantization cannot be had; the data for int8 is not at hand; a comparison failed.
    """
    source = model_file(what)
    wanted = [_wanted(each, quantization, source, output, several=len(formats) > 1) for each in formats]
    for each in wanted:
        each.format.require(export=True)
        each.path.parent.mkdir(parents=True, exist_ok=True)
    results = []
    with subject_of(source, config, needs_training=quantization == "int8") as subject:
        expected = _outputs(subject.opened.run, subject.inputs)
        for each in wanted:
            results.append(_export(each, subject, expected, tolerance, keep=keep))
            on_export(results[-1])
    return results


def _wanted(target: Format, quantization: str, source: Path, output: Path | None, *, several: bool) -> Wanted:
    if quantization and quantization not in target.quantizations:
        others = [name for name, each in FORMATS.items() if quantization in each.quantizations]
        raise CnnkitError(
            f"--quantize {quantization}: not for {target.label}, which takes {' and '.join(target.quantizations) or 'none'}",
            f"There is {quantization} for {' and '.join(others)}." if others else "There are int8 and float16.",
        )
    stem = "-".join(part for part in (source.stem, quantization) if part)
    name = f"{stem}{target.suffix}" if target.suffix else f"{stem}-saved_model"
    if output is None:
        return Wanted(target, quantization, source.parent / name)
    is_folder = several or output.is_dir() or (bool(target.suffix) and output.suffix.lower() != target.suffix)
    return Wanted(target, quantization, output / name if is_folder else output)


def _export(wanted: Wanted, subject: Subject, expected: Array, tolerance: float | None, *, keep: bool) -> Exported:
    """Write one file, compare it, and put it in its place, or remove it."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=".cnnkit-export-", dir=wanted.path.parent) as folder:
        name = f"model{wanted.format.suffix}"
        made = Path(folder) / name
        calibration = _write(wanted, subject, made)
        runtime = load_runtime(made)
        given = _outputs(runtime, subject.inputs)
        del runtime
        task = subject.opened.metadata.task
        parity = compare_outputs(
            expected, given, task, subject.split, quantized=bool(wanted.quantization), tolerance=tolerance, metric=_metric(subject)
        )
        if not parity.passed and not keep:
            raise CnnkitError(
                _verdict(wanted, parity), "Allow more with --tolerance, or keep the file all the same with --keep.", wanted.path
            )
        put_metadata(wanted.format, made, _metadata(wanted, subject, expected, parity, calibration).to_json())
        _place(made, wanted.path)
    notices = subject.notices if parity.passed else (*subject.notices, _verdict(wanted, parity))
    return Exported(wanted, _size_of(wanted), time.perf_counter() - started, parity, notices)


def _write(wanted: Wanted, subject: Subject, made: Path) -> dict[str, Any] | None:
    """Write the file; a record of the calibration examples where it is int8."""
    target, model = wanted.format, subject.opened.require_keras("an export")
    if not wanted.quantization or target is OPENVINO:
        from_bytes = bytes_function(model, subject.opened.metadata) if target is TF_SAVED_MODEL else None
        write_float(model, target, made, from_bytes)
        if target is OPENVINO and wanted.quantization == "float16":
            halve_openvino(made)
        return None
    if wanted.quantization == "float16" and target is LITERT:
        write_litert_float16(model, made)
        return None
    if wanted.quantization == "int8":
        assert subject.train is not None
        inputs, record = calibration_examples(subject.train, subject.seed)
        if target is LITERT:
            quantize_litert(model, made, inputs)
            return record
    full = made.with_name(f"float{target.suffix}")
    write_float(model, target, full)
    if wanted.quantization == "float16":
        halve_onnx(full, made)
        return None
    quantize_onnx(full, made, inputs)
    return record


def _metric(subject: Subject) -> tuple[str, Callable[[Array], float], bool] | None:
    """The metric that stands for the model: its name, its value for some outputs, and whether higher is better."""
    if subject.targets is None:
        return None

    def value(outputs: Array) -> float:
        measured = headline(compute_metrics(subject.targets, outputs, subject.opened.metadata.task).as_dict())
        return measured.value if measured is not None else float("nan")

    named = TASK_METRICS[subject.opened.metadata.task.kind].overall[0]
    return named.label, value, bool(named.higher_is_better)


def _metadata(wanted: Wanted, subject: Subject, expected: Array, parity: Parity, calibration: dict[str, Any] | None) -> ArtifactMetadata:
    pixels = subject.opened.metadata.image_reader is not None
    return ArtifactMetadata(
        model=subject.opened.metadata,
        input_shape=tuple(subject.inputs.shape[1:]),
        value_range=(0.0, 255.0) if pixels else None,
        temperature=temperature_of(subject.opened.require_keras("an export")),
        quantization=wanted.quantization,
        calibration=calibration,
        parity=parity.as_dict(),
        golden_inputs=subject.inputs[:GOLDEN],
        golden_outputs=expected[:GOLDEN],
        source=hashlib.sha256(subject.opened.path.read_bytes()).hexdigest(),
        cnnkit=__version__,
    )


def _outputs(run: Callable[[Array], Array], inputs: Array) -> Array:
    """The outputs `(n, outputs)` of a runtime, a batch at a time."""
    size = batch_of(inputs.shape[1:])
    parts = [run(inputs[start : start + size]) for start in range(0, len(inputs), size)]
    return np.concatenate(parts).reshape(len(inputs), -1)


def _verdict(wanted: Wanted, parity: Parity) -> str:
    """Why a file failed the comparison."""
    label = f"{wanted.format.label} {wanted.quantization}".strip()
    if wanted.quantization and parity.keras is not None and parity.exported is not None:
        return f"{label} does not answer as the Keras model does: {parity.metric} {parity.exported:.4f} against {parity.keras:.4f}"
    return (
        f"{label} does not answer as the Keras model does: outputs differ by up to {parity.largest_difference:.3g}, "
        f"and {parity.agreement:.2%} of {parity.examples:,} answers agree"
    )


def _place(made: Path, path: Path) -> None:
    """Move what was made to where it belongs: a file with its companion, or a folder, each in one step."""

    def copy(source: Path, target: Path) -> None:
        shutil.copyfile(source, target)

    if made.is_dir():
        versions = path / "1"
        write_folder_atomically(versions, lambda temporary: shutil.copytree(made, temporary, dirs_exist_ok=True))
        return
    if (weights := made.with_suffix(".bin")).exists():
        write_atomically(path.with_suffix(".bin"), lambda temporary: copy(weights, temporary))
    write_atomically(path, lambda temporary: copy(made, temporary))


def _size_of(wanted: Wanted) -> int:
    if wanted.path.is_dir():
        return sum(file.stat().st_size for file in wanted.path.rglob("*") if file.is_file())
    weights = wanted.path.with_suffix(".bin") if wanted.format is OPENVINO else None
    return wanted.path.stat().st_size + (weights.stat().st_size if weights is not None else 0)
