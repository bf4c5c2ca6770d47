"""What an exported model carries with it: everything that its user must know, as JSON inside the file or beside it."""

import base64
import io
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.artifacts.adapter import KEY as KEY  # noqa: PLC0414 - exporters import it from here
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.errors import CnnkitError, format_value
from cnnkit.io.json_file import parse_json

Array = npt.NDArray[Any]

VERSION = 1
MOST_GOLDEN = 16  # examples
MOST_GOLDEN_BYTES = 64 * 2**20  # of their decompressed array
MOST_HEADER = 256  # bytes of an npy file's header
MOST_INTEGER = 2**63
MOST_ENTRIES = 500  # of the records of parity and calibration


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
        if stored["version"] != VERSION:
            raise CnnkitError(
                f"its cnnkit metadata is of version {format_value(stored['version'])}, and this cnnkit reads version {VERSION}",
                "Update cnnkit, or export it again.",
                where,
            )
        inputs, golden = stored["input"], stored["golden"]
        model = ModelMetadata.from_json(stored["model"])
        shape = tuple(inputs["shape"])
        if not shape or any(type(size) is not int or size < 1 for size in shape):
            raise ValueError(shape)
        return ArtifactMetadata(
            model=model,
            input_shape=shape,
            value_range=(_finite(inputs["value_range"][0]), _finite(inputs["value_range"][1])) if inputs["value_range"] else None,
            temperature=None if stored["temperature"] is None else _positive(stored["temperature"]),
            quantization=str(stored["quantization"] or ""),
            calibration=_scalars(stored["calibration"]) if stored["calibration"] is not None else None,
            parity=_scalars(stored["parity"] or {}),
            golden_inputs=None if golden is None else _array_of(golden["inputs"], shape),
            golden_outputs=None if golden is None else _rows_of(golden["outputs"]),
            source=str(stored["source_sha256"]),
            cnnkit=str(stored["cnnkit"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, zlib.error) as error:
        raise CnnkitError("its cnnkit metadata is damaged", "Export it again.", where) from error


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _positive(value: Any) -> float:
    number = _finite(value)
    if number <= 0:
        raise ValueError(number)
    return number


def _scalars(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A record of texts, numbers and truth values; a number that is not finite becomes None."""
    if len(stored) > MOST_ENTRIES or any(not isinstance(value, str | int | float | bool | None) for value in stored.values()):
        raise ValueError(len(stored))
    if any(isinstance(value, int) and abs(value) > MOST_INTEGER for value in stored.values()):
        raise ValueError("too large")
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in stored.items()}


def _rows_of(stored: Any) -> Array:
    """Outputs `(n, outputs)` float32, all finite."""
    rows = np.asarray(stored, np.float64)
    if rows.ndim != 2 or len(rows) > MOST_GOLDEN or not np.isfinite(rows).all():
        raise ValueError(rows.shape)
    return rows.astype(np.float32)


def _text_of(array: Array) -> str:
    buffer = io.BytesIO()
    np.save(buffer, array if array.dtype == np.uint8 else array.astype("<f4"), allow_pickle=False)
    return base64.b64encode(zlib.compress(buffer.getvalue(), 9)).decode("ascii")


def _array_of(text: str, example: tuple[int, ...]) -> Array:
    """The examples `(n, *example)` float32, all finite, of an npy file of float32 or uint8 packed as text.

    Nothing larger than `MOST_GOLDEN` examples is allocated.
    """
    most = MOST_GOLDEN * 4 * math.prod(example) + MOST_HEADER
    unpacked = zlib.decompressobj()
    content = io.BytesIO(unpacked.decompress(base64.b64decode(text, validate=True), min(most, MOST_GOLDEN_BYTES)))
    if unpacked.unconsumed_tail or np.lib.format.read_magic(content) != (1, 0):
        raise ValueError("too large")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(content)
    values = content.read()
    is_known = dtype in (np.dtype("<f4"), np.dtype("u1"))
    if shape[1:] != example or fortran or not is_known or len(values) != dtype.itemsize * math.prod(shape):
        raise ValueError(shape)
    array: Array = np.frombuffer(values, dtype).reshape(shape).astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("not finite")
    return array
