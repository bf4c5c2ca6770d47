"""An OpenVINO model (`.xml` with `.bin` beside it) in its runtime; no TensorFlow."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cnnkit.artifacts.adapter import (
    KEY,
    Array,
    BatchedRuntime,
    cpu_threads,
    first_line,
    one_example,
    require_float32,
    require_one_each,
    two_dimensional,
)
from cnnkit.errors import CnnkitError

_PLACE = re.compile(r"Exception from |Check '.*' failed at ")


def openvino_without_telemetry() -> ModuleType:
    """The module `openvino`, imported without the package by which its converter reports its use."""
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None makes an import fail, as OpenVINO expects
    modules.setdefault("openvino_telemetry", None)
    import openvino

    module: ModuleType = openvino
    return module


class OpenVinoRuntime(BatchedRuntime):
    """A model of one float32 input `(batch, …)` and one float32 output, on the CPU, computed in float32.

    Args:
        path: The `.xml` file.
        threads: Threads; 0 for all processors.

    Raises:
        CnnkitError: OpenVINO cannot load it, or its inputs and outputs are of another kind.
    """

    @staticmethod
    def import_engine() -> None:
        """Import the package that runs the model."""
        openvino_without_telemetry()

    def __init__(self, path: Path, threads: int = 0) -> None:
        openvino = openvino_without_telemetry()
        self._path = path
        # by its own choice it computes in bfloat16 where the processor can, which changes probabilities by 0.05
        properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(cpu_threads(threads))}
        try:
            model = openvino.Core().read_model(str(path))
            self._compiled = openvino.Core().compile_model(model, "CPU", properties)
            inputs, outputs = self._compiled.inputs, self._compiled.outputs
            shape = tuple(size.get_length() if size.is_static else None for size in inputs[0].get_partial_shape()) if inputs else ()
        except Exception as error:
            raise CnnkitError(f"OpenVINO cannot load it: {_reason(error)}", location=path) from error
        require_one_each(len(inputs), len(outputs), path)
        require_float32(_dtype_name(inputs[0]), _dtype_name(outputs[0]), path)
        self._batch = shape[0] if shape else None
        self.input_shape = one_example(shape, path)
        self.metadata = _metadata_of(model)
        self.outputs = int(self(np.zeros((1, *self.input_shape), np.float32)).shape[1])

    def _run(self, inputs: Array) -> Array:
        try:
            outputs = np.array(self._compiled(np.ascontiguousarray(inputs, np.float32))[0], np.float32)
        except Exception as error:
            raise CnnkitError(f"OpenVINO cannot run it: {_reason(error)}", location=self._path) from error
        return two_dimensional(outputs, len(inputs), self._path)


def _metadata_of(model: Any) -> str | None:
    return str(model.get_rt_info([KEY]).astype(str)) if model.has_rt_info([KEY]) else None


def _dtype_name(port: Any) -> str:
    """NumPy's name of the data type of an input or output."""
    return str(np.dtype(port.get_element_type().to_dtype()).name)


def _reason(error: Exception) -> str:
    """What OpenVINO says, without the places in its source code that it names first."""
    lines = [line for line in str(error).splitlines() if line.strip() and not _PLACE.match(line)]
    return first_line(RuntimeError("\n".join(lines)) if lines else error)
