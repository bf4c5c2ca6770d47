"""The folder of a SavedModel, run by TensorFlow."""

from pathlib import Path

import numpy as np

from cnnkit.artifacts.adapter import KEY, Array, BatchedRuntime, first_line, one_example, require_float32, require_one_each, two_dimensional
from cnnkit.errors import CnnkitError

SIGNATURE = "serving_default"
ASSET = Path("assets.extra") / f"{KEY}.json"


class SavedModelRuntime(BatchedRuntime):
    """A model whose signature `serving_default` has one float32 input `(batch, …)` and one float32 output.

    Args:
        path: The folder.
        threads: Not used: TensorFlow's threads are those of the process.

    Raises:
        CnnkitError: TensorFlow cannot load it, or its inputs and outputs are of another kind.
    """

    @staticmethod
    def import_engine() -> None:
        """Import the package that runs the model."""
        import tensorflow  # noqa: F401

    def __init__(self, path: Path, threads: int = 0) -> None:
        import tensorflow as tf

        self._path = path
        try:
            self._loaded = tf.saved_model.load(str(path))
            self._signature = self._loaded.signatures[SIGNATURE]
        except Exception as error:
            raise CnnkitError(f"TensorFlow cannot load it: {first_line(error)}", location=path) from error
        inputs, outputs = self._signature.structured_input_signature[1], self._signature.structured_outputs
        require_one_each(len(inputs), len(outputs), path)
        (self._name, spec), (self._output, given) = next(iter(inputs.items())), next(iter(outputs.items()))
        require_float32(spec.dtype.name, given.dtype.name, path)
        self._batch = spec.shape[0] if spec.shape.rank else None
        if spec.shape.rank is None:
            raise CnnkitError("takes inputs of any shape", "Export it with a fixed input shape.", path)
        self.input_shape = one_example(tuple(spec.shape), path)
        asset = path / ASSET
        self.metadata = asset.read_bytes() if asset.is_file() else None
        self.outputs = int(self(np.zeros((1, *self.input_shape), np.float32)).shape[1])

    def _run(self, inputs: Array) -> Array:
        import tensorflow as tf

        try:
            outputs = self._signature(**{self._name: tf.constant(inputs, tf.float32)})[self._output]
        except tf.errors.OpError as error:
            raise CnnkitError(f"TensorFlow cannot run it: {first_line(error)}", location=self._path) from error
        return two_dimensional(np.asarray(outputs, np.float32), len(inputs), self._path)
