"""An OpenVINO model (`.xml` with `.bin` beside it) in its runtime; no TensorFlow."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cnnkit.artifacts.adapter import Array, cpu_threads, first_line, one_example, two_dimensional
from cnnkit.artifacts.metadata import KEY
from cnnkit.errors import CnnkitError


def openvino_without_telemetry() -> ModuleType:
    """The module `openvino`, imported without the package by which its converter reports its use."""
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None makes an import fail, as OpenVINO expects
    modules.setdefault("openvino_telemetry", None)
    import openvino

    module: ModuleType = openvino
    return module


class OpenVinoRuntime:
    """A model of one float32 input `(batch, …)` and one float32 output, on the CPU, computed in float32.

    Args:
        path: The `.xml` file.
        threads: Threads; 0 for all processors.

    Raises:
        CnnkitError: OpenVINO cannot load it, or its inputs and outputs are of another kind.
    """

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
            raise CnnkitError(f"OpenVINO cannot load it: {first_line(error)}", location=path) from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise CnnkitError(f"has {len(inputs)} inputs and {len(outputs)} outputs", "A model with one of each is wanted.", path)
        self.input_shape = one_example(shape, path)
        self.metadata = _metadata_of(model)
        self.outputs = int(self(np.zeros((1, *self.input_shape), np.float32)).shape[1])

    def __call__(self, inputs: Array) -> Array:
        """The outputs `(n, outputs)` float32 of a batch `(n, …)` float32."""
        try:
            outputs = np.array(self._compiled(np.ascontiguousarray(inputs, np.float32))[0], np.float32)
        except Exception as error:
            raise CnnkitError(f"OpenVINO cannot run it: {first_line(error)}", location=self._path) from error
        return two_dimensional(outputs, len(inputs), self._path)


def _metadata_of(model: Any) -> str | None:
    return str(model.get_rt_info([KEY]).astype(str)) if model.has_rt_info([KEY]) else None
