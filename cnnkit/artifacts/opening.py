"""Open a model file of any format: its runtime, which turns inputs into outputs, and its metadata."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.artifacts.adapter import Array
from cnnkit.artifacts.foreign import foreign_model
from cnnkit.artifacts.formats import FORMATS, KERAS, Format, format_of, newest_version
from cnnkit.artifacts.metadata import ArtifactMetadata, parse_metadata
from cnnkit.artifacts.model_metadata import ModelMetadata, read_metadata
from cnnkit.artifacts.origin import stale_notice
from cnnkit.artifacts.runtimes import import_runtime, load_runtime
from cnnkit.artifacts.safety.check import check_file
from cnnkit.artifacts.trial import tried_elsewhere
from cnnkit.config.task import Task
from cnnkit.data.examples import Examples
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class OpenModel:
    """A model file that has been opened.

    Attributes:
        path: The file or folder.
        format: Its format.
        run: Turns a batch `(n, *input_shape)` float32 into outputs `(n, outputs)` float32.
        input_shape: Shape of one example, without the batch.
        outputs: Number of values it gives for one example.
        metadata: Data, task and image reader; guessed where none are stored with the model.
        is_described: Whether the metadata is stored with the model.
        artifact: The whole metadata of an exported model; None for a `.keras` file and for a model exported elsewhere.
        unknown: What is not known of a model exported elsewhere, for the user; empty otherwise.
        stale: Notice that it was exported from another model than the `.keras` file beside it; empty otherwise. One of the metadata's.
        keras_model: The Keras model; None for other formats.
    """

    path: Path
    format: Format
    run: Callable[[Array], Array] = field(repr=False)
    input_shape: tuple[int, ...]
    outputs: int
    metadata: ModelMetadata
    is_described: bool
    artifact: ArtifactMetadata | None = None
    unknown: str = ""
    stale: str = ""
    keras_model: "keras.Model | None" = None

    def require_fit(self, examples: Examples, data: str) -> None:
        """Check that some examples have the input shape of the model.

        Args:
            examples: Raw inputs `(n, …)`.
            data: Name of the examples, for the error message.

        Raises:
            CnnkitError: Their shape differs.
        """
        if self.input_shape != examples.input_shape:
            raise CnnkitError(
                f"{self.path}: takes inputs of {self.input_shape}, but {data} has {examples.input_shape}", "Name the config of its data."
            )

    def require_keras(self, purpose: str) -> "keras.Model":
        """The Keras model.

        Args:
            purpose: What it is needed for, for the error message.

        Raises:
            CnnkitError: The file is of another format.
        """
        if self.keras_model is None:
            raise CnnkitError(f"{self.path}: {purpose} needs the layers of a network, which {self.format.label} files do not keep",
                              "Name the run or its .keras file.")  # fmt: skip
        return self.keras_model


def open_model(path: Path, *, threads: int = 0, compiled: bool = False) -> OpenModel:
    """Open a model file or folder.

    Args:
        path: A `.keras`, `.onnx`, `.tflite` or OpenVINO `.xml` file, or the folder of a SavedModel. It may come from anywhere:
            files of other formats than Keras's are checked, and first loaded in a separate process, so that a crash there becomes an
            error here.
        threads: Number of threads for the runtime; 0 for as many as there are processors.
        compiled: Whether to load the loss and metrics of a `.keras` file as well.

    Raises:
        CnnkitError: There is no such file, it is damaged, its runtime is not installed, or it does not have exactly one input of
            a fixed shape and one output.
    """
    found = format_of(path)
    if found is KERAS:
        return _open_keras(path, compiled=compiled)
    if not path.exists():
        raise CnnkitError("no such model", location=path)
    if found is None:
        endings = ", ".join(each.suffix for each in FORMATS.values() if each.suffix)
        raise CnnkitError("is not a model", f"Model files end in {endings}; a SavedModel is a folder.", path)
    found.require()
    model = newest_version(path)
    check_file(model, found)
    with tried_elsewhere(model):
        import_runtime(found)
    runtime = load_runtime(model, threads)
    stored = runtime.metadata
    if stored is None:
        foreign = foreign_model(path, runtime)
        return OpenModel(path, found, foreign.run, foreign.input_shape, runtime.outputs, foreign.metadata, False, unknown=foreign.unknown)
    artifact = parse_metadata(stored, path)
    if artifact.input_shape != runtime.input_shape or not _names_outputs(artifact.model.task, runtime.outputs):
        raise CnnkitError("its cnnkit metadata is that of another network", "Export it again.", path)
    reader = artifact.model.image_reader
    if reader is not None and reader.shape != runtime.input_shape:
        raise CnnkitError(
            f"takes inputs of {runtime.input_shape}, but its cnnkit metadata reads pictures as {reader.shape}", "Export it again.", path
        )
    stale = stale_notice(path, artifact)
    metadata = replace(artifact.model, notices=(*artifact.model.notices, stale)) if stale else artifact.model
    return OpenModel(path, found, runtime, runtime.input_shape, runtime.outputs, metadata, True, artifact, stale=stale)


def _names_outputs(task: Task, outputs: int) -> bool:
    """Whether a task has a name for each output; a single probability stands for two classes."""
    return task.outputs == outputs or (task.is_classification and (outputs, task.outputs) == (1, 2))


def _open_keras(path: Path, *, compiled: bool) -> OpenModel:
    from cnnkit.model.inference import KerasRuntime, input_shape_of
    from cnnkit.model.loading.load import load_model

    model = load_model(path, compiled=compiled)
    shape, outputs = input_shape_of(model, path), int(model.output_shape[-1])
    stored = read_metadata(path)
    metadata = stored or guessed_metadata(model, path)
    if not _names_outputs(metadata.task, outputs):
        raise CnnkitError(f"{path}: gives {outputs} values, but its model.json names {metadata.task.outputs}", "Train the run again.")
    unknown = "" if stored is not None else undescribed(path)
    return OpenModel(path, KERAS, KerasRuntime(model), shape, outputs, metadata, stored is not None, unknown=unknown, keras_model=model)


def undescribed(path: Path) -> str:
    """What is not known of a `.keras` file without model metadata, for the user."""
    return f"{path.name} has no model.json beside it: names and training data are not known."


def guessed_metadata(model: "keras.Model", path: Path) -> ModelMetadata:
    """Metadata guessed from the last activation, for a model without `model.json`."""
    activation = getattr(getattr(model.layers[-1], "activation", None), "__name__", "")
    outputs = int(model.output_shape[-1])
    if activation == "softmax" or (activation == "sigmoid" and outputs == 1):
        return ModelMetadata(path.stem, Task("classification", tuple(map(str, range(max(outputs, 2))))))
    if activation == "sigmoid":
        return ModelMetadata(path.stem, Task("multilabel", tuple(map(str, range(outputs)))))
    return ModelMetadata(path.stem, Task("regression", tuple(f"output {i}" for i in range(outputs))))
