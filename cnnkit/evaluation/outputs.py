"""Checks of a network's outputs before metrics are computed: finite, of the right number, and probabilities where required."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError

Array = npt.NDArray[Any]

ROUNDING = 1e-3  # by which float16 may carry a probability past 0 or 1


def probabilities_of(values: Array) -> Array:
    """Outputs as float64 `(n, outputs)` from 0 to 1.

    Raises:
        CnnkitError: Some are not finite, or too far below 0 or above 1.
    """
    values = finite(values)
    low, high = values.min(), values.max()
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise CnnkitError(
            f"the model gives values from {low:.4g} to {high:.4g}, which are not probabilities",
            "End the network with `activation: softmax`, or sigmoid for one unit or several labels.",
        )
    return values.clip(0, 1)


def check_outputs(values: Array, names: Sequence[str], noun: str) -> None:
    """Raise CnnkitError where outputs `(n, outputs)` are not as many as there are names."""
    if values.shape[1] != len(names):
        raise CnnkitError(
            f"the model predicts {values.shape[1]} {noun}, but the data has {len(names)}", "Name the data that it was trained on."
        )


def finite(values: Array) -> Array:
    """The values as float64 `(n, outputs)`.

    Raises:
        CnnkitError: Some are NaN or infinite.
    """
    values = np.asarray(values, np.float64).reshape(len(values), -1)
    bad = int((~np.isfinite(values)).any(axis=1).sum())
    if bad:
        raise CnnkitError(
            f"{bad} of {len(values)} predictions are not finite numbers",
            "The network has diverged, or its input has NaN: train again with a lower learning rate, or look at the data.",
        )
    return values
