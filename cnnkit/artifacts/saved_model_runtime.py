"""The folder of a SavedModel, run by TensorFlow."""

from pathlib import Path

import numpy as np

from cnnkit.artifacts.adapter import Array, first_line, one_example, two_dimensional
from cnnkit.artifacts.metadata import KEY
from cnnkit.errors import CnnkitError

SIGNATURE = "serving_default"
ASSET = Path("assets.extra") / f"{KEY}.json"


class SavedModelRuntime:
    """A model whose signature `serving_default` has one float32 input `(batch, …)` and one float32 output.

    Args:
        path: The folder.
        threads: Not used: TensorFlow's threads are those of the process.

    Raises:
        CnnkitError: TensorFlow cannot load it, or its inputs and outputs are of another kind.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        import tensorflow as tf

        self._path = path
        try:
            self._loaded = tf.saved_model.load(str(path))
            self._signature = self._loaded.signatures[SIGNATURE]
        except Exception as error:
            raise CnnkitError(f"TensorFlow cannot load it: {first_line(error)}", location=path) from error
        inputs, outputs = self._signature.structured_input_signature[1], self._signature.structured_outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise CnnkitError(f"has {len(inputs)} inputs and {len(outputs)} outputs", "A model with one of each is wanted.", path)
        (self._name, spec), (self._output, _) = next(iter(inputs.items())), next(iter(outputs.items()))
        if spec.dtype != tf.float32 or spec.shape.rank is None:
            raise CnnkitError(f"takes {spec.dtype.name}", "It has to be float32.", path)
        self.input_shape = one_example(tuple(spec.shape), path)
        asset = path / ASSET
        self.metadata = asset.read_bytes() if asset.is_file() else None
        self.outputs = int(self(np.zeros((1, *self.input_shape), np.float32)).shape[1])

    def __call__(self, inputs: Array) -> Array:
        """The outputs `(n, outputs)` float32 of a batch `(n, …)` float32."""
        import tensorflow as tf

        try:
            outputs = self._signature(**{self._name: tf.constant(inputs, tf.float32)})[self._output]
        except tf.errors.OpError as error:
            raise CnnkitError(f"TensorFlow cannot run it: {first_line(error)}", location=self._path) from error
        return two_dimensional(np.asarray(outputs, np.float32), len(inputs), self._path)
