"""The file that serves a run: its ONNX export where there is one, else one made now, else the Keras model."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnnkit.artifacts.formats import KERAS, ONNX, format_of
from cnnkit.artifacts.model_metadata import read_metadata
from cnnkit.artifacts.opening import undescribed
from cnnkit.artifacts.origin import is_export_of
from cnnkit.errors import CnnkitError
from cnnkit.prediction.predict import Predictor
from cnnkit.runs.reopen import model_file
from cnnkit.serving.heatmap import HeatmapSource
from cnnkit.serving.service import Served

NO_KERAS = "There are no heatmaps: they need the layers of a network, which only a run or a .keras file keeps."
SWITCHED_OFF = "Heatmaps are switched off on this server."


@dataclass(frozen=True)
class Chosen:
    """What serves.

    Attributes:
        served: The model.
        path: The file that was named, or that belongs to the run.
        origin: What its runtime runs: the file's path, or how it was made.
        notices: For the user.
    """

    served: Served
    path: Path
    origin: str
    notices: tuple[str, ...]


def choose(what: Path | None, *, name: str = "", threads: int = 0, heatmaps: bool = True,
           on_export: Callable[[], None] = lambda: None) -> Chosen:  # fmt: skip
    """Open the model that serves a run or a file.

    A Keras model is served by ONNX Runtime where the extra `onnx` is installed: from the `.onnx` file beside it if that was exported
    from it, as its checksum says, else from one that is exported now, in another process, and compared as `cnnkit export` does.

    Args:
        what: A run, or a model file of any format; None for the newest run.
        name: The model's name in URLs; that of the run or file where empty.
        threads: Threads for the runtime; 0 for as many as there are processors.
        heatmaps: Whether a run's Keras model is loaded when the first heatmap is asked for.
        on_export: Called before an export, which takes some seconds.

    Raises:
        CnnkitError: There is no such model, or it cannot be opened.
    """
    if "/" in name:
        raise CnnkitError(f"--name {name}: wants a name without a slash, since it stands in URLs")
    source = model_file(what)
    if format_of(source) is not KERAS:
        predictor = Predictor(source, threads=threads)
        unknown = tuple(filter(None, [predictor.opened.unknown, predictor.opened.stale]))
        return Chosen(Served(name or source.stem, predictor, None, NO_KERAS), source, str(source), unknown)
    predictor, origin, notices = _for_keras(source, threads, on_export)
    reader = predictor.image_reader
    found = HeatmapSource(source, predictor.metadata.task, reader) if heatmaps and reader is not None else None
    without = "" if found is not None else SWITCHED_OFF if reader is not None else NO_KERAS
    is_described = read_metadata(source) is not None
    named = source.resolve().parent.name if is_described else source.stem
    notices = notices if is_described else (undescribed(source), *notices)
    return Chosen(Served(name or named, predictor, found, without), source, origin, notices)


def _for_keras(source: Path, threads: int, on_export: Callable[[], None]) -> tuple[Predictor, str, tuple[str, ...]]:
    """The model that stands for a `.keras` file, what it is, and notices."""
    if not source.exists():
        raise CnnkitError("no such model", location=source)
    try:
        ONNX.require()
    except CnnkitError as missing:
        return Predictor(source, threads=threads), str(source), (f"Served by Keras: {missing.message}. For more speed: {missing.remedy}",)
    beside = source.with_suffix(ONNX.suffix)
    if beside.exists():
        predictor = Predictor(beside, threads=threads)
        if _is_export_of(predictor, source):
            return predictor, str(beside), ()
    try:
        ONNX.require(export=True)
        on_export()
        return _exported(source, threads), f"exported from {source}", ()
    except CnnkitError as error:
        return Predictor(source, threads=threads), str(source), (f"Served by Keras, more slowly than ONNX Runtime would: {error.headline}",)


def _is_export_of(predictor: Predictor, source: Path) -> bool:
    """Whether a file was exported from a model in float32, and gave the same answers."""
    artifact = predictor.opened.artifact
    if artifact is None or artifact.quantization or artifact.parity.get("passed") is not True:
        return False
    return is_export_of(artifact, source)


def _exported(source: Path, threads: int) -> Predictor:
    """A model exported to a temporary file, by another process: what TensorFlow takes in memory ends with it.

    Raises:
        CnnkitError: It cannot be exported, or does not answer as the Keras model does.
    """
    with tempfile.TemporaryDirectory(prefix="cnnkit-serve-") as folder:
        target = Path(folder) / source.with_suffix(ONNX.suffix).name
        export = ["export", str(source.resolve()), "--format", ONNX.name, "--output", str(target), "--json"]
        command = [sys.executable, "-P", "-m", "cnnkit", *export]  # -P: no module of the folder that the server was started in
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            errors = [line.removeprefix("Error: ") for line in said if line.startswith("Error: ")]
            raise CnnkitError((errors or said or [f"the export ended with status {done.returncode}"])[-1][:300])
        return Predictor(target, threads=threads)
