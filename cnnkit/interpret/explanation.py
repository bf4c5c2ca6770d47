"""What was found about one answer of a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cnnkit.interpret.deletion_curve import DeletionCurve

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """What was found about one answer.

    Attributes:
        example: The file's path, or `test example 3`.
        answers: What the network says, the likeliest first: name and value.
        explained: The class, label or number that the heatmap is for.
        layer: The layer whose maps it is made of.
        heatmap: The map `(rows, columns)` or `(steps,)`, in the layer's resolution.
        deletion: How the answer changes as the hottest places go.
        folder: Where the pictures are.
        pictures: Their names, the ones that matter first.
        note: What has to stand wherever the answer appears; may be empty.
    """

    example: str
    answers: tuple[tuple[str, float], ...]
    explained: str
    layer: str
    heatmap: Array
    deletion: DeletionCurve
    folder: Path
    pictures: tuple[str, ...]
    note: str

    def as_dict(self) -> dict[str, Any]:
        """The values ready for JSON."""
        deletion = self.deletion
        return {
            "example": self.example,
            "answers": [{"name": name, "value": value} for name, value in self.answers],
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
