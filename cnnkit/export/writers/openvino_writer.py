"""OpenVINO models: an `.xml` file with its weights in a `.bin` file beside it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.artifacts.formats import OPENVINO
from cnnkit.artifacts.metadata import KEY
from cnnkit.artifacts.openvino_runtime import openvino_without_telemetry
from cnnkit.export.writers.exportable import export_for_inference
from cnnkit.export.writers.writer import BytesFunction, Writer

if TYPE_CHECKING:
    import keras


class OpenVinoWriter(Writer):
    """Writes OpenVINO models."""

    def write_float(self, model: "keras.Model", path: Path, from_bytes: BytesFunction | None) -> None:
        """Write a model."""
        openvino = openvino_without_telemetry()
        export_for_inference(model, OPENVINO, path)

        def first_output(loaded: Any, copy: Path) -> None:  # beside it stand the statistics of each BatchNormalization
            openvino.serialize(openvino.Model(loaded.outputs[:1], loaded.get_parameters(), model.name), str(copy))

        _rewrite_openvino(path, first_output)

    def write_float16(self, model: "keras.Model", full: Path, path: Path) -> None:
        """Write an OpenVINO model with its weights stored in float16; it computes in float32."""
        openvino = openvino_without_telemetry()
        openvino.save_model(openvino.Core().read_model(str(full)), str(path), compress_to_fp16=True)

    def put_metadata(self, path: Path, text: str) -> None:
        """Write the metadata as an entry of `rt_info`."""

        def save(loaded: Any, copy: Path) -> None:
            loaded.set_rt_info(text, [KEY])
            openvino_without_telemetry().serialize(loaded, str(copy))

        _rewrite_openvino(path, save)


def _rewrite_openvino(path: Path, save: Callable[[Any, Path], None]) -> None:
    """Replace a model's two files by what `save` writes of the loaded model."""
    openvino = openvino_without_telemetry()
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as folder:
        copy = Path(folder) / path.name
        loaded = openvino.Core().read_model(str(path))
        save(loaded, copy)
        del loaded  # it maps the file of weights
        path.write_bytes(copy.read_bytes())
        path.with_suffix(".bin").write_bytes(copy.with_suffix(".bin").read_bytes())


WRITER = OpenVinoWriter()
