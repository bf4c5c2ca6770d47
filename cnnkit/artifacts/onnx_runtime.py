"""An ONNX file in ONNX Runtime; no TensorFlow."""

from pathlib import Path
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


class OnnxRuntime(BatchedRuntime):
    """A model of one float32 input `(batch, …)` and one float32 output, on the CPU.

    Args:
        path: The `.onnx` file. Operators that ONNX Runtime does not have, and data files outside of the model's folder, are
            refused by it.
        threads: Threads within one operator; 0 for all processors.

    Raises:
        CnnkitError: ONNX Runtime cannot load it, or its inputs and outputs are of another kind.
    """

    @staticmethod
    def import_engine() -> None:
        """Import the package that runs the model."""
        import onnxruntime  # noqa: F401

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cpu_threads(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong comes as an exception; the log would be a second voice
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CnnkitError(f"ONNX Runtime cannot load it: {first_line(error)}", location=path) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        require_one_each(len(inputs), len(outputs), path)
        require_float32(_dtype_name(inputs[0].type), _dtype_name(outputs[0].type), path)
        self._path = path
        self.input_name, self.output_name = _name_of(inputs[0], path), _name_of(outputs[0], path)
        self._batch = inputs[0].shape[0] if inputs[0].shape and isinstance(inputs[0].shape[0], int) else None
        self.input_shape = one_example(tuple(inputs[0].shape), path)
        self.outputs = int(self(np.zeros((1, *self.input_shape), np.float32)).shape[1])

    @property
    def metadata(self) -> str | None:
        """The JSON that cnnkit stored in the file; None where there is none."""
        try:
            stored: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise CnnkitError("its metadata is damaged (not UTF-8)", "Export it again.", self._path) from error
        return stored.get(KEY)

    def _run(self, inputs: Array) -> Array:
        try:
            (outputs,) = self._session.run(None, {self.input_name: np.ascontiguousarray(inputs, np.float32)})
        except Exception as error:
            raise CnnkitError(f"ONNX Runtime cannot run it: {first_line(error)}", location=self._path) from error
        return two_dimensional(np.asarray(outputs, np.float32), len(inputs), self._path)


def _name_of(value: Any, path: Path) -> str:
    """The name of an input; ONNX Runtime takes any bytes for it until it is asked for."""
    try:
        return str(value.name)
    except UnicodeDecodeError as error:
        raise CnnkitError("the name of its input is damaged (not UTF-8)", "Export it again.", path) from error


def _dtype_name(kind: str) -> str:
    """NumPy's name of the data type in `tensor(float)`."""
    inner = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)
