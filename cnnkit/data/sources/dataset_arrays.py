"""The four arrays of a generated or packaged data set."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True)
class DatasetArrays:
    """Training and test inputs and targets, as in `keras.datasets`.

    Attributes:
        x_train: Images `(n, height, width, channels)` uint8 in 0..255, or signals `(n, steps, channels)` float32.
        y_train: Class indices `(n,)` int32, or numbers `(n,)` float32.
        x_test: As x_train.
        y_test: As y_train.
    """

    x_train: npt.NDArray[Any]
    y_train: npt.NDArray[Any]
    x_test: npt.NDArray[Any]
    y_test: npt.NDArray[Any]
