"""The explanation of one prediction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cnnkit.interpret.deletion_curve import DeletionCurve

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """The explanation of one prediction.

    Attributes:
        example: The file's path, or `test example 3`.
        predictions: Name and value of each output, the most probable first.
        explained: The class, label or target that the heatmap is for.
        layer: The layer whose feature maps it is computed from.
        heatmap: Grad-CAM map `(rows, columns)` or `(steps,)`, in the layer's resolution, 0 or more.
        deletion: The deletion curve of the heatmap.
        folder: Folder of the plots.
        plots: File names of the plots, the main one first.
        note: A warning to show beside the prediction; may be empty.
    """

    example: str
    predictions: tuple[tuple[str, float], ...]
    explained: str
    layer: str
    heatmap: Array
    deletion: DeletionCurve
    folder: Path
    plots: tuple[str, ...]
    note: str

    def as_dict(self) -> dict[str, Any]:
        """The values ready for JSON."""
        deletion = self.deletion
        return {
            "example": self.example,
            "answers": [{"name": name, "value": value} for name, value in self.predictions],
            "explained": self.explained,
            "layer": self.layer,
            "heat": self.heatmap.tolist(),
            "removed": deletion.shares.tolist(),
            "hottest_removed": deletion.hottest.tolist(),
            "random_removed": deletion.random.tolist(),
            "area_between": deletion.area,
            "area_by_chance": deletion.chance,
            "note": self.note or None,
        }
