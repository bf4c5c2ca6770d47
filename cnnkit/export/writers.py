"""A Keras model written in another format by Keras's own exporters, with stable names of its input and output."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.artifacts.adapter import first_line
from cnnkit.artifacts.formats import LITERT, ONNX, OPENVINO, Format
from cnnkit.artifacts.litert_file import with_metadata
from cnnkit.artifacts.metadata import KEY
from cnnkit.artifacts.openvino_runtime import openvino_without_telemetry
from cnnkit.artifacts.saved_model_runtime import ASSET, SIGNATURE
from cnnkit.errors import CnnkitError
from cnnkit.export.image_bytes import BYTES_SIGNATURE
from cnnkit.export.layer_faults import layer_at_fault
from cnnkit.io.atomic import WriteError, write_text
from cnnkit.io.quiet import without_output

if TYPE_CHECKING:
    import keras

INPUT, OUTPUT, BATCH = "input", "output", "batch"  # names in an ONNX file

BytesFunction = Callable[[Any], Any]


class NotExportableError(CnnkitError):
    """A network that a format cannot express.

    Attributes:
        layer: The layer at fault; None where it was not found.
    """

    def __init__(self, target: Format, layer: Any | None, reason: str) -> None:
        self.layer = layer
        subject = "the network" if layer is None else f"layer '{layer.name}' ({type(layer).__name__})"
        super().__init__(f"{target.label} cannot express {subject}: {reason}", "Choose another --format, or another layer in its place.")


@contextmanager
def conversion(model: "keras.Model", target: Format) -> Iterator[None]:
    """Context manager around a converter: what it prints is discarded, and what it cannot convert is an error that names the layer.

    Raises:
        NotExportableError: It failed.
        WriteError: The disk is full.
    """
    try:
        with without_output():
            yield
    except CnnkitError:
        raise
    except OSError as error:
        raise WriteError(f"{target.label}: cannot be written ({error.strerror or error})", "Make room on the disk.") from error
    except Exception as error:  # converters raise what they like
        layer = layer_at_fault(model, lambda alone, path: write_float(alone, target, path.with_suffix(target.suffix)))
        raise NotExportableError(target, layer, first_line(error)) from error


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
    inputs = [np.zeros((1, *(size or 1 for size in each.shape[1:])), np.float32) for each in model.inputs]
    model(inputs if len(inputs) > 1 else inputs[0], training=False)  # Keras exports only a model that was called
    _WRITERS[target.name](model, path, from_bytes)


def _write_onnx(model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
    import onnx

    model.export(str(path), format="onnx", verbose=False)
    exported = onnx.load(str(path))
    graph = exported.graph
    renamed = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in (graph.input[0], graph.output[0]):
        value.name = renamed[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    graph.name = model.name
    onnx.checker.check_model(exported)
    onnx.save(exported, str(path))


def _write_litert(model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
    import tensorflow as tf

    builtin = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}  # no interpreter of today runs TensorFlow's own operators
    model.export(str(path), format="litert", verbose=False, target_spec=builtin)


def write_litert_float16(model: "keras.Model", path: Path) -> None:
    """Write a LiteRT file whose weights are stored in float16; it computes in float32."""
    import tensorflow as tf

    options = {
        "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS], "supported_types": [tf.float16]},
        "optimizations": [tf.lite.Optimize.DEFAULT],
    }
    model.export(str(path), format="litert", verbose=False, **options)


def _write_openvino(model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
    openvino = openvino_without_telemetry()
    model.export(str(path), format="openvino", verbose=False)

    def first_output(loaded: Any, copy: Path) -> None:  # beside it stand the statistics of each BatchNormalization
        openvino.serialize(openvino.Model(loaded.outputs[:1], loaded.get_parameters(), model.name), str(copy))

    _rewrite_openvino(path, first_output)


def halve_openvino(source: Path, target: Path) -> None:
    """Write an OpenVINO model with its weights stored in float16; it computes in float32."""
    openvino = openvino_without_telemetry()
    openvino.save_model(openvino.Core().read_model(str(source)), str(target), compress_to_fp16=True)


def _rewrite_openvino(path: Path, save: Callable[[Any, Path], None]) -> None:
    """Replace a model's two files by what `save` writes of the loaded model."""
    openvino = openvino_without_telemetry()
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as folder:
        copy = Path(folder) / path.name
        loaded = openvino.Core().read_model(str(path))
        save(loaded, copy)
        del loaded  # it maps the file of weights
        path.write_bytes(copy.read_bytes())
        path.with_suffix(".bin").write_bytes(copy.with_suffix(".bin").read_bytes())


def _write_saved_model(model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    inputs = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)]
    archive.add_endpoint(SIGNATURE, lambda batch: {OUTPUT: model(batch, training=False)}, inputs)
    if from_bytes is not None:
        files = [tf.TensorSpec((None,), tf.string, name="image_bytes")]
        archive.add_endpoint(BYTES_SIGNATURE, lambda batch: {OUTPUT: from_bytes(batch)}, files)
    archive.write_out(str(path), verbose=False)


_WRITERS: dict[str, Callable[["keras.Model", Path, BytesFunction | None], None]] = {
    "onnx": _write_onnx,
    "litert": _write_litert,
    "openvino": _write_openvino,
    "saved_model": _write_saved_model,
}


def put_metadata(target: Format, path: Path, text: str) -> None:
    """Write cnnkit's metadata into an exported file.

    Args:
        target: Its format.
        path: The file or folder.
        text: JSON.
    """
    if target is ONNX:
        import onnx

        exported = onnx.load(str(path))
        kept = [(entry.key, entry.value) for entry in exported.metadata_props if entry.key != KEY]
        onnx.helper.set_model_props(exported, dict([*kept, (KEY, text)]))
        onnx.save(exported, str(path))
    elif target is LITERT:
        path.write_bytes(with_metadata(path.read_bytes(), text))
    elif target is OPENVINO:
        openvino = openvino_without_telemetry()

        def save(loaded: Any, copy: Path) -> None:
            loaded.set_rt_info(text, [KEY])
            openvino.serialize(loaded, str(copy))

        _rewrite_openvino(path, save)
    else:
        (path / ASSET).parent.mkdir(exist_ok=True)
        write_text(path / ASSET, text)
