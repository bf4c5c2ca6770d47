"""What every source of data gives: training and test examples, and what their targets mean."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Examples:
    """Inputs and targets of the same length, in memory.

    Attributes:
        inputs: Images `(n, height, width, channels)` uint8 in 0..255, or signals `(n, steps, channels)` float32.
        targets: Class indices `(n,)` int32 for classification; values `(n,)` or `(n, outputs)` float32 for regression.
    """

    inputs: npt.NDArray[Any]
    targets: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Dataset:
    """A whole data set with its meaning.

    Attributes:
        name: What its figures are headed with: `cifar10`.
        train: Examples to learn from.
        test: Examples held out for the final figures.
        class_names: Names of the classes in the order of their indices; empty for regression.
        target_names: Names (with units) of the numbers to predict, for regression; empty for classification.
        stand_in_for: Name of the data set that was asked for and could not be had; empty where this is the real one.
    """

    name: str
    train: Examples
    test: Examples
    class_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    stand_in_for: str = field(default="")
