"""Export a trained model: write it in each format, run it with its own runtime beside the Keras model, and keep it if they agree."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.artifacts.adapter import Runtime
from cnnkit.artifacts.formats import KERAS, TF_SAVED_MODEL, Format, format_of, size_of
from cnnkit.artifacts.metadata import ArtifactMetadata
from cnnkit.artifacts.runtimes import load_runtime
from cnnkit.data.pipeline import batch_of
from cnnkit.errors import CnnkitError
from cnnkit.export.destination import Destination, destinations
from cnnkit.export.image_bytes import FILES, BytesDifference, measure_bytes_difference, png_files
from cnnkit.export.layer_faults import located_error
from cnnkit.export.parity import Parity, compare_outputs, same_answers
from cnnkit.export.placing import place, writable_folder
from cnnkit.export.speed import times_as_fast
from cnnkit.export.subject import Subject, subject_of
from cnnkit.export.write import Written, write_model
from cnnkit.export.writers.conversion import NotExportableError
from cnnkit.export.writers.writer import writer_of
from cnnkit.model.temperature import temperature_of
from cnnkit.runs.reopen import model_file
from cnnkit.version import __version__

Array = npt.NDArray[Any]

GOLDEN = 3  # examples that travel with the file
GOLDEN_BYTES = 4 * 2**20  # that they may take; of very large inputs there are fewer


@dataclass(frozen=True)
class Exported:
    """The result for one destination.

    Attributes:
        destination: What was asked for.
        seconds: What writing and comparing took.
        parity: How it compares with the Keras model; None where it could not be written.
        size: Bytes, of all its files; 0 where it could not be written.
        is_kept: Whether the file is at its destination.
        version: Its number, where the destination holds numbered versions.
        speed: How many times as fast as the float32 file of the same format it is for one example, on this machine; None for a
            float32 file.
        image_bytes: For a SavedModel of images: how its signature for image files compares with cnnkit's reader.
        error: Why it failed; None where it did not.
    """

    destination: Destination
    seconds: float
    parity: Parity | None = None
    size: int = 0
    is_kept: bool = False
    version: int | None = None
    speed: float | None = None
    image_bytes: BytesDifference | None = None
    error: CnnkitError | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "format": self.destination.format.name,
            "quantization": self.destination.quantization or None,
            "path": str(self.destination.path) if self.is_kept else None,
            "version": self.version,
            "bytes": self.size or None,
            "seconds": round(self.seconds, 2),
            "parity": self.parity.as_dict() if self.parity is not None else None,
            "times_as_fast_as_float32": self.speed,
            "image_bytes": self.image_bytes.as_dict() if self.image_bytes is not None else None,
            "error": str(self.error) if self.error is not None else None,
        }


@dataclass(frozen=True)
class Export:
    """The results of a request, in the order of its formats, and notices about all of them."""

    results: tuple[Exported, ...]
    notices: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Exported, ...]:
        """Those that failed."""
        return tuple(each for each in self.results if each.error is not None)

    def raise_failures(self) -> None:
        """Raise the errors of those that failed, if there are any.

        Raises:
            CnnkitError: One error as it is; of several, the texts of all.
        """
        errors = [each.error for each in self.results if each.error is not None]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise CnnkitError("\n".join(map(str, errors)))


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
    on_export: Callable[[int, int], None] = lambda done, total: None,
) -> Export:
    """Export a model into some formats, each compared with the Keras model.

    One format that fails does not undo the others: its result has the error.

    Args:
        what: A run's folder, its name, or a `.keras` file; None for the newest run.
        formats: Of the files to write.
        quantization: `int8`, `float16`, or empty for float32.
        output: The file for one format, or a folder; None for beside the model.
        config: The config that names the data, for a `.keras` file outside of a run.
        tolerance: Allowed difference, as `compare_outputs` takes it.
        keep: Whether to leave a file that failed the comparison.
        layout: `triton` for the folder layout of a Triton server; empty for the plain file.
        on_export: Called with the number of formats done and in all.

    Raises:
        CnnkitError: The request cannot be met: no such model, a missing package, data for int8 that is not available, a read-only
            folder.
    """
    source = keras_file(what)
    wanted = destinations(formats, quantization, source, output, layout)
    for each in wanted:
        each.format.require(export=True)
    results: list[Exported] = []
    with ExitStack() as stack:
        for folder in dict.fromkeys(each.path if each.is_versioned else each.path.parent for each in wanted):
            stack.enter_context(writable_folder(folder))
        subject = stack.enter_context(subject_of(source, config, needs_training=quantization == "int8"))
        on_export(0, len(wanted))
        expected = outputs_in_batches(subject.opened.run, subject.inputs)
        for each in wanted:
            results.append(_export(each, subject, expected, tolerance, keep=keep))
            on_export(len(results), len(wanted))
        notices = (subject.opened.metadata.note, *subject.notices)
        return Export(tuple(results), tuple(notice for notice in notices if notice))


def keras_file(what: Path | None) -> Path:
    """The `.keras` file of a run or a path.

    Raises:
        CnnkitError: There is no such run or file, or it is an exported model.
    """
    source = model_file(what)
    found = format_of(source)
    if not source.exists():
        raise CnnkitError("no such model", "See which runs there are: `cnnkit runs`.", source)
    if found is not KERAS and found is not None:
        raise CnnkitError(
            f"is exported already ({found.label}); only a Keras model can be exported", "Name the run or its .keras file.", source
        )
    return source


def _export(destination: Destination, subject: Subject, expected: Array, tolerance: float | None, *, keep: bool) -> Exported:
    """Write one file, compare it, and put it in its place, or leave nothing behind."""
    started = time.perf_counter()
    task, quantized = subject.opened.metadata.task, bool(destination.quantization)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as folder:
        try:
            written = write_model(destination, subject, Path(folder))
            runtime = load_runtime(written.path)
            outputs = outputs_in_batches(runtime, subject.inputs)
            parity = compare_outputs(
                expected, outputs, task, subject.split, quantized=quantized, tolerance=tolerance, targets=subject.targets
            )
        except NotExportableError as error:
            located = located_error(error, error.layer, subject.loaded, subject.opened.require_keras("an export"))
            return Exported(destination, time.perf_counter() - started, error=located)
        except CnnkitError as error:
            return Exported(destination, time.perf_counter() - started, error=error)
        image_bytes = _bytes_difference(written, subject, runtime) if destination.format is TF_SAVED_MODEL else None
        speed = _speed(written, subject, runtime) if quantized else None
        failure = None if parity.passed else _verdict(destination, parity)
        version = None
        is_kept = parity.passed or keep
        if is_kept:
            metadata = _metadata(destination, written, subject, outputs, parity, image_bytes)
            writer_of(destination.format).put_metadata(written.path, metadata.to_json())
            try:
                version = place(written.path, destination, task, subject.opened.input_shape, subject.opened.outputs)
            except CnnkitError as error:
                return Exported(destination, time.perf_counter() - started, parity, error=error)
        size = size_of(written.path)
    return Exported(destination, time.perf_counter() - started, parity, size, is_kept, version, speed, image_bytes, failure)


def _bytes_difference(written: Written, subject: Subject, run: Runtime) -> BytesDifference | None:
    """The measured difference of the signature for image files; None for a model of no images."""
    reader, task = subject.opened.metadata.image_reader, subject.opened.metadata.task
    if reader is None:
        return None
    files: Iterable[bytes] = (path.read_bytes() for path in subject.image_files[:FILES] if path.is_file())
    of = "image files of the run's data"
    if not subject.image_files:
        files, of = png_files(subject.inputs[:FILES]), f"{subject.split} examples as PNG files"
    return measure_bytes_difference(written.path, reader, run, files, of, lambda first, second: same_answers(first, second, task))


def _speed(written: Written, subject: Subject, run: Runtime) -> float:
    """How many times as fast as the float32 file a quantized one is, for one example."""
    return round(times_as_fast(run, load_runtime(written.unquantized), subject.inputs[:1].astype(np.float32)), 2)


def _metadata(
    destination: Destination, written: Written, subject: Subject, outputs: Array, parity: Parity, image_bytes: BytesDifference | None
) -> ArtifactMetadata:
    pixels = subject.opened.metadata.image_reader is not None
    golden = max(1, min(GOLDEN, GOLDEN_BYTES // subject.inputs[:1].nbytes))
    compared = parity.as_dict() | ({"image_bytes": image_bytes.as_dict()} if image_bytes is not None else {})
    return ArtifactMetadata(
        model=subject.opened.metadata,
        input_shape=tuple(subject.inputs.shape[1:]),
        value_range=(0.0, 255.0) if pixels else None,
        temperature=temperature_of(subject.opened.require_keras("an export")),
        quantization=destination.quantization,
        calibration=written.calibration,
        parity=_flat(compared),
        golden_inputs=subject.inputs[:golden],
        golden_outputs=outputs[:golden] if np.isfinite(outputs[:golden]).all() else None,
        source=hashlib.sha256(subject.opened.path.read_bytes()).hexdigest(),
        cnnkit=__version__,
    )


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested record as one of texts and numbers alone, with dotted names, since readers accept nothing deeper."""
    entries: dict[str, Any] = {}
    for name, value in record.items():
        entries |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return entries


def outputs_in_batches(run: Callable[[Array], Array], inputs: Array) -> Array:
    """The outputs `(n, outputs)` of a model for inputs `(n, …)` of any type, a batch at a time."""
    size = batch_of(inputs.shape[1:])
    parts = [run(inputs[start : start + size].astype(np.float32)) for start in range(0, len(inputs), size)]
    return np.concatenate(parts).reshape(len(inputs), -1)


def _verdict(destination: Destination, parity: Parity) -> CnnkitError:
    """Why a file failed the comparison."""
    if destination.quantization and parity.metrics:
        ours, theirs = parity.metrics[0].exported, parity.metrics[0].keras
        found = f"{parity.metric} {ours.text} instead of {theirs.text}"
    else:
        found = f"outputs differ by up to {parity.largest_difference:.3g}, and {parity.agreement:.2%} of the answers agree"
    return CnnkitError(
        f"{destination.label} does not answer as the Keras model does: {found}, on {parity.examples:,} {parity.split} examples",
        "Allow more with --tolerance, or keep the file all the same with --keep.",
    )
