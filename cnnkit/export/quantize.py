"""Static quantization to int8, weights and activations, with ranges measured on training examples.

ONNX files are quantized by ONNX Runtime, LiteRT files by TensorFlow's converter. ai-edge-quantizer 0.10 (`static_wi8_ai8`) was
compared with the converter on the same 512 examples: a CIFAR-10 network of accuracy 0.6440 had 0.6460 by the converter and 0.6385 by
ai-edge-quantizer, a better trained one lost four points by it and none by the converter; and its files have int8 ends.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]

CALIBRATION_EXAMPLES = 512  # more change the ranges hardly; drawn by the run's seed
BATCH = 32


def calibration_examples(train: Examples, seed: int) -> tuple[Array, dict[str, Any]]:
    """Training examples on which the ranges of activations are measured, read by the image reader as in training, without augmentation.

    Args:
        train: The training examples.
        seed: Of the draw; the run's.

    Returns:
        Raw inputs `(n, …)`, and for the metadata of the exported file a record of which they are: their positions in the split.
    """
    count = min(CALIBRATION_EXAMPLES, len(train))
    positions = np.sort(np.random.default_rng([seed, 8]).permutation(len(train))[:count])
    record = {"examples": count, "split": "train", "seed": seed, "of": len(train), "positions": " ".join(map(str, positions))}
    return train.rows.read(train.index[positions]), record


def quantize_onnx(source: Path, target: Path, inputs: Array) -> None:
    """Quantize a float32 ONNX file: QDQ, int8 weights per channel and int8 activations; its ends stay float32.

    Args:
        source: The float32 file.
        target: The file to write.
        inputs: Calibration examples `(n, …)`.
    """
    import onnxruntime
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"]).get_inputs()[0].name

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # its package has no types
        def __init__(self) -> None:
            self._batches = iter(_batches(inputs))

        def get_next(self) -> dict[str, Array] | None:
            batch = next(self._batches, None)
            return None if batch is None else {name: batch}

    prepared = target.with_name(f".{target.stem}-prepared.onnx")
    try:
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(target),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
    finally:
        prepared.unlink(missing_ok=True)


def halve_onnx(source: Path, target: Path) -> None:
    """Convert a float32 ONNX file to float16; its ends stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(target))


def quantize_litert(model: "keras.Model", target: Path, inputs: Array) -> None:
    """Write an int8 LiteRT file by TensorFlow's converter: weights per channel and activations in int8, its ends in float32.

    Args:
        model: The Keras model.
        target: The file to write.
        inputs: Calibration examples `(n, …)`.
    """
    import tensorflow as tf

    operators = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    model.export(
        str(target),
        format="litert",
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([example[None].astype(np.float32)] for example in inputs),
        target_spec={"supported_ops": operators},
    )


def _batches(inputs: Array, size: int = BATCH) -> Iterator[Array]:
    return (inputs[start : start + size].astype(np.float32) for start in range(0, len(inputs), size))
