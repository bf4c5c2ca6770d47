"""ONNX files, quantized by ONNX Runtime."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnkit.artifacts.formats import ONNX
from cnnkit.artifacts.metadata import KEY
from cnnkit.export.writers.exportable import export_for_inference
from cnnkit.export.writers.writer import BATCH, INPUT, OUTPUT, Array, BytesFunction, Writer

if TYPE_CHECKING:
    import keras

CALIBRATION_BATCH = 32


class OnnxWriter(Writer):
    """Writes ONNX files."""

    def write_float(self, model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
        """Write a model; its batch, input and output get plain names."""
        import onnx

        export_for_inference(model, ONNX, path)
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

    def write_float16(self, model: "keras.Model", full: Path, path: Path) -> None:
        """Convert a float32 ONNX file to float16; its ends stay float32."""
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(str(full)), keep_io_types=True), str(path))

    def write_int8(self, model: "keras.Model", full: Path, path: Path, inputs: Array) -> None:
        """Quantize the float32 file: QDQ, int8 weights per channel and int8 activations; its ends stay float32."""
        import onnxruntime
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        name = onnxruntime.InferenceSession(str(full), providers=["CPUExecutionProvider"]).get_inputs()[0].name

        class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # its package has no types
            def __init__(self) -> None:
                self._batches = iter(_batches(inputs))

            def get_next(self) -> dict[str, Array] | None:
                batch = next(self._batches, None)
                return None if batch is None else {name: batch}

        prepared = path.with_name(f".{path.stem}-prepared.onnx")
        try:
            quant_pre_process(str(full), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(path),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
        finally:
            prepared.unlink(missing_ok=True)

    def put_metadata(self, path: Path, text: str) -> None:
        """Write the metadata as a property of the model."""
        import onnx

        exported = onnx.load(str(path))
        kept = [(entry.key, entry.value) for entry in exported.metadata_props if entry.key != KEY]
        onnx.helper.set_model_props(exported, dict([*kept, (KEY, text)]))
        onnx.save(exported, str(path))


def _batches(inputs: Array, size: int = CALIBRATION_BATCH) -> Iterator[Array]:
    return (inputs[start : start + size].astype(np.float32) for start in range(0, len(inputs), size))


WRITER = OnnxWriter()
