"""Everything that is known of a model file, and whether it still answers as it did when it was exported."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.artifacts.formats import size_of
from cnnkit.artifacts.metadata import ArtifactMetadata
from cnnkit.artifacts.opening import OpenModel, open_model
from cnnkit.data.images.reader import ImageReader
from cnnkit.prediction.predict import trained_image_reader

ROUNDING = 1e-4  # of outputs, by which processors and versions of a runtime may differ; in standard deviations for numbers


@dataclass(frozen=True)
class GoldenCheck:
    """The stored examples, run now, against their stored outputs.

    Attributes:
        examples: Number of examples.
        largest_difference: Of any output; in the task's unit. Infinity where an output is not finite.
        allowed: What rounding explains; for a quantized model, also the difference that its export was accepted with.
    """

    examples: int
    largest_difference: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the model answers as it did."""
        return self.largest_difference <= self.allowed

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "examples": self.examples,
            "largest_difference": self.largest_difference,
            "allowed": self.allowed,
            "passed": self.passed,
        }


@dataclass(frozen=True)
class Description:
    """What is known of a model file.

    Attributes:
        opened: The model.
        runtime: Name and version of what runs it.
        size: Bytes of all its files.
        image_reader: How image files become its inputs; None for a model of arrays.
        temperature: What logits are divided by inside the model; None where it was not calibrated, or is not known.
        golden: The stored examples run again; None where none are stored.
    """

    opened: OpenModel
    runtime: str
    size: int
    image_reader: ImageReader | None
    temperature: float | None
    golden: GoldenCheck | None

    @property
    def artifact(self) -> ArtifactMetadata | None:
        """The metadata of an exported model."""
        return self.opened.artifact

    @property
    def parity(self) -> Mapping[str, Any]:
        """The comparison with the Keras model at the export; empty where none is stored."""
        return self.artifact.parity if self.artifact is not None else {}

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        opened, reader, artifact = self.opened, self.image_reader, self.artifact
        task = opened.metadata.task
        return {
            "path": str(opened.path),
            "format": opened.format.name,
            "runtime": self.runtime,
            "bytes": self.size,
            "data": opened.metadata.data if opened.is_described else None,
            "stand_in_for": opened.metadata.stand_in_for or None,
            "notices": list(opened.metadata.notices),
            "task": task.kind,
            "names": list(task.names),
            "input": {
                "shape": list(opened.input_shape),
                "size": list(reader.size) if reader is not None else None,
                "resize": reader.resize if reader is not None else None,
                "color_order": reader.color if reader is not None else None,
                "value_range": list(artifact.value_range) if artifact is not None and artifact.value_range is not None else None,
            },
            "temperature": self.temperature,
            "quantization": (artifact.quantization or None) if artifact is not None else None,
            "calibration": dict(artifact.calibration) if artifact is not None and artifact.calibration is not None else None,
            "parity": dict(self.parity) or None,
            "golden": self.golden.as_dict() if self.golden is not None else None,
            "source_sha256": (artifact.source or None) if artifact is not None else None,
            "cnnkit": (artifact.cnnkit or None) if artifact is not None else None,
            "unknown": opened.unknown or None,
        }


def describe(path: Path) -> Description:
    """Open a model file of any format, and run the examples that are stored in it.

    Args:
        path: The file or folder.

    Raises:
        CnnkitError: It cannot be opened.
    """
    opened = open_model(path)
    return Description(
        opened=opened,
        runtime=f"{opened.format.engine} {importlib.metadata.version(opened.format.distribution)}",
        size=size_of(path),
        image_reader=trained_image_reader(opened),
        temperature=_temperature_of(opened),
        golden=_golden_check(opened),
    )


def _temperature_of(opened: OpenModel) -> float | None:
    if opened.keras_model is None:
        return opened.artifact.temperature if opened.artifact is not None else None
    from cnnkit.model.temperature import temperature_of

    return temperature_of(opened.keras_model)


def _golden_check(opened: OpenModel) -> GoldenCheck | None:
    """The stored examples run now, one by one, as a user would."""
    artifact = opened.artifact
    if artifact is None or artifact.golden_inputs is None or artifact.golden_outputs is None or not len(artifact.golden_inputs):
        return None
    given = np.concatenate([opened.run(example[None]) for example in artifact.golden_inputs]).astype(np.float64)
    stored = artifact.golden_outputs.astype(np.float64)
    difference = float(np.abs(given - stored).max()) if given.shape == stored.shape else float("inf")
    allowed = ROUNDING * (_number(artifact.parity, "scale") or 1.0)
    if artifact.quantization:  # processors compute int8 in different ways
        allowed = max(allowed, _number(artifact.parity, "largest_difference") or 0.0)
    return GoldenCheck(len(stored), difference if np.isfinite(difference) else float("inf"), allowed)


def _number(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
