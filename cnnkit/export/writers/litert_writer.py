"""LiteRT files, quantized by TensorFlow's converter."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnkit.artifacts.litert_file import with_metadata
from cnnkit.export.writers.writer import Array, BytesFunction, Writer

if TYPE_CHECKING:
    import keras


class LiteRtWriter(Writer):
    """Writes LiteRT files of builtin operations only."""

    def write_float(self, model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
        """Write a model."""
        import tensorflow as tf

        builtin = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}  # no interpreter of today runs TensorFlow's own operators
        model.export(str(path), format="litert", verbose=False, target_spec=builtin)

    def write_float16(self, model: "keras.Model", full: Path, path: Path) -> None:
        """Write a LiteRT file whose weights are stored in float16; it computes in float32."""
        import tensorflow as tf

        options = {
            "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS], "supported_types": [tf.float16]},
            "optimizations": [tf.lite.Optimize.DEFAULT],
        }
        model.export(str(path), format="litert", verbose=False, **options)

    def write_int8(self, model: "keras.Model", full: Path, path: Path, inputs: Array) -> None:
        """Write a model by TensorFlow's converter with weights per channel and activations in int8, its ends in float32."""
        import tensorflow as tf

        operators = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        model.export(
            str(path),
            format="litert",
            verbose=False,
            optimizations=[tf.lite.Optimize.DEFAULT],
            representative_dataset=lambda: ([example[None].astype(np.float32)] for example in inputs),
            target_spec={"supported_ops": operators},
        )

    def put_metadata(self, path: Path, text: str) -> None:
        """Append the metadata to the file."""
        path.write_bytes(with_metadata(path.read_bytes(), text))


WRITER = LiteRtWriter()
