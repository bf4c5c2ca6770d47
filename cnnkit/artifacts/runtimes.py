"""The runtime of each format."""

import importlib
from pathlib import Path

from cnnkit.artifacts.adapter import Runtime
from cnnkit.artifacts.formats import LITERT, ONNX, OPENVINO, TF_SAVED_MODEL, Format, format_of, newest_version

_MODULES = {ONNX.name: "onnxruntime", LITERT.name: "ai_edge_litert.interpreter", TF_SAVED_MODEL.name: "tensorflow"}


def load_runtime(path: Path, threads: int = 0) -> Runtime:
    """A model file of another format than Keras's in its own runtime.

    Args:
        path: The file or folder; of a folder of numbered versions, the highest is loaded.
        threads: Threads that the runtime may use; 0 for all processors.

    Raises:
        CnnkitError: The runtime cannot use it.
    """
    path = newest_version(path)
    found = format_of(path)
    if found is ONNX:
        from cnnkit.artifacts.onnx_runtime import OnnxRuntime

        return OnnxRuntime(path, threads)
    if found is LITERT:
        from cnnkit.artifacts.litert_runtime import LiteRtRuntime

        return LiteRtRuntime(path, threads)
    if found is OPENVINO:
        from cnnkit.artifacts.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(path, threads)
    from cnnkit.artifacts.saved_model_runtime import SavedModelRuntime

    return SavedModelRuntime(path, threads)


def import_runtime(model_format: Format) -> None:
    """Import what runs files of a format other than Keras's, so that this is done while something else is under way."""
    if model_format is OPENVINO:
        from cnnkit.artifacts.openvino_runtime import openvino_without_telemetry

        openvino_without_telemetry()
    else:
        importlib.import_module(_MODULES[model_format.name])
