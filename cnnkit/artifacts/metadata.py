"""What an exported model carries with it: everything that its user must know, as JSON inside the file or beside it."""

import base64
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.artifacts.adapter import KEY as KEY
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.errors import CnnkitError
from cnnkit.io.json_file import parse_json

Array = npt.NDArray[Any]

VERSION = 1
MOST_GOLDEN_BYTES = 64 * 2**20  # of one decompressed array


@dataclass(frozen=True)
class ArtifactMetadata:
    """The metadata of an exported model.

    Attributes:
        model: Data, task, names, stand-in, notices and how picture files are read.
        input_shape: Shape of one example, without the batch; float32 `(height, width, channels)` or `(steps, channels)`.
        value_range: Smallest and largest value of a raw input as in training; pixels are 0 to 255. None where there is no limit.
        temperature: What the logits are divided by inside the model; None where it was not calibrated.
        quantization: `int8` or `float16`; empty for float32.
        calibration: How many examples the int8 ranges were measured on, and of which split; None for other models.
        parity: The verdict of the comparison with the Keras model; empty where it was not made.
        golden_inputs: Examples `(n, …)` float32 on which any user can check the model.
        golden_outputs: The exported model's own outputs for them `(n, outputs)` float32.
        source: SHA-256 of the `.keras` file it was exported from.
        cnnkit: Version of cnnkit that exported it.
    """

    model: ModelMetadata
    input_shape: tuple[int, ...]
    value_range: tuple[float, float] | None = None
    temperature: float | None = None
    quantization: str = ""
    calibration: Mapping[str, Any] | None = None
    parity: Mapping[str, Any] = field(default_factory=dict)
    golden_inputs: Array | None = None
    golden_outputs: Array | None = None
    source: str = ""
    cnnkit: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; arrays as text."""
        return {
            "version": VERSION,
            "model": asdict(self.model),
            "input": {
                "shape": list(self.input_shape),
                "dtype": "float32",
                "value_range": list(self.value_range) if self.value_range is not None else None,
                "color_order": {1: "grey", 3: "rgb"}.get(self.input_shape[-1]) if self.model.image_reader is not None else None,
            },
            "temperature": self.temperature,
            "quantization": self.quantization or None,
            "calibration": dict(self.calibration) if self.calibration is not None else None,
            "parity": dict(self.parity) or None,
            "golden": None
            if self.golden_inputs is None or self.golden_outputs is None
            else {"inputs": _text_of(self.golden_inputs), "outputs": self.golden_outputs.tolist()},
            "source_sha256": self.source,
            "cnnkit": self.cnnkit,
        }

    def to_json(self) -> str:
        """As it stands in the file."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)


def parse_metadata(text: str | bytes, where: object) -> ArtifactMetadata:
    """Read what `ArtifactMetadata.to_json` wrote.

    Args:
        text: Of unknown origin.
        where: The file, which the message names.

    Raises:
        CnnkitError: It is damaged.
    """
    try:
        stored = parse_json(text.encode("utf-8") if isinstance(text, str) else text)
        inputs, golden = stored["input"], stored["golden"]
        return ArtifactMetadata(
            model=ModelMetadata.from_json(stored["model"]),
            input_shape=tuple(int(size) for size in inputs["shape"]),
            value_range=(float(inputs["value_range"][0]), float(inputs["value_range"][1])) if inputs["value_range"] else None,
            temperature=None if stored["temperature"] is None else float(stored["temperature"]),
            quantization=str(stored["quantization"] or ""),
            calibration=dict(stored["calibration"]) if stored["calibration"] is not None else None,
            parity=dict(stored["parity"] or {}),
            golden_inputs=None if golden is None else _array_of(golden["inputs"]),
            golden_outputs=None if golden is None else np.asarray(golden["outputs"], np.float32),
            source=str(stored["source_sha256"]),
            cnnkit=str(stored["cnnkit"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, zlib.error, EOFError) as error:
        raise CnnkitError(f"its cnnkit metadata is damaged ({type(error).__name__})", "Export it again.", where) from error


def _text_of(array: Array) -> str:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return base64.b64encode(zlib.compress(buffer.getvalue(), 9)).decode("ascii")


def _array_of(text: str) -> Array:
    unpacked = zlib.decompressobj()
    content = unpacked.decompress(base64.b64decode(text, validate=True), MOST_GOLDEN_BYTES)
    if unpacked.unconsumed_tail:
        raise ValueError("too large")
    array: Array = np.load(io.BytesIO(content), allow_pickle=False)
    return array.astype(np.float32)
