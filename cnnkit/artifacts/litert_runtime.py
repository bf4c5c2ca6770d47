"""A LiteRT file (`.tflite`) in its interpreter; no TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.artifacts.adapter import (
    Array,
    BatchedRuntime,
    cpu_threads,
    first_line,
    one_example,
    require_float32,
    require_one_each,
    two_dimensional,
)
from cnnkit.artifacts.litert_file import metadata_in
from cnnkit.errors import CnnkitError
from cnnkit.io.quiet import buffered_stderr


class LiteRtRuntime(BatchedRuntime):
    """A model of one float32 input `(batch, …)` and one float32 output, on the CPU, with LiteRT's builtin operators only.

    Args:
        path: The `.tflite` file.
        threads: Threads within one operator; 0 for all processors.

    Raises:
        CnnkitError: LiteRT cannot load it, or its inputs and outputs are of another kind.
    """

    @staticmethod
    def import_engine() -> None:
        """Import the package that runs the model."""
        import ai_edge_litert.interpreter  # noqa: F401

    def __init__(self, path: Path, threads: int = 0) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._path = path
        content = path.read_bytes()
        try:
            with buffered_stderr():
                self._interpreter = Interpreter(model_content=content, num_threads=cpu_threads(threads))
                inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except Exception as error:
            raise CnnkitError(f"LiteRT cannot load it: {first_line(error)}", location=path) from error
        require_one_each(len(inputs), len(outputs), path)
        require_float32(np.dtype(inputs[0]["dtype"]).name, np.dtype(outputs[0]["dtype"]).name, path)
        self._input, self._output = int(inputs[0]["index"]), int(outputs[0]["index"])
        signature = tuple(int(size) for size in inputs[0]["shape_signature"])
        self._batch = signature[0] if signature and signature[0] > 0 else None
        self.input_shape = one_example(signature, path)
        self._allocated = 0
        self.outputs = int(self(np.zeros((1, *self.input_shape), np.float32)).shape[1])

    @property
    def metadata(self) -> bytes | None:
        """The JSON that cnnkit stored in the file; None where there is none."""
        return metadata_in(self._path.read_bytes(), self._path)

    def _run(self, inputs: Array) -> Array:
        try:
            if len(inputs) != self._allocated:
                self._allocate(len(inputs))
            self._interpreter.set_tensor(self._input, np.ascontiguousarray(inputs, np.float32))
            self._interpreter.invoke()
            outputs: Any = self._interpreter.get_tensor(self._output)
        except Exception as error:
            self._allocated = 0
            raise CnnkitError(f"LiteRT cannot run it: {first_line(error)}", location=self._path) from error
        return two_dimensional(outputs, len(inputs), self._path)

    def _allocate(self, count: int) -> None:
        """Make room for batches of a size; the interpreter announces its delegate on standard error then."""
        if self._batch is None:
            self._interpreter.resize_tensor_input(self._input, (count, *self.input_shape))
        with buffered_stderr():
            self._interpreter.allocate_tensors()
        self._allocated = count
