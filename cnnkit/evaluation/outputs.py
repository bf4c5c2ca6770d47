"""Validation of a network's outputs before metrics are computed: finite, of the expected number, probabilities where required."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError

Array = npt.NDArray[Any]

ROUNDING = 1e-3  # rounding error by which float16 probabilities may exceed 0 or 1


def probabilities_of(values: Array) -> Array:
    """Validate probabilities; float64 `(n, outputs)` clipped to 0..1.

    Raises:
        CnnkitError: Some are not finite, or outside 0..1 by more than `ROUNDING`.
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
    """Check that outputs `(n, outputs)` match the names.

    Raises:
        CnnkitError: Their number differs.
    """
    if values.shape[1] != len(names):
        raise CnnkitError(
            f"the model predicts {values.shape[1]} {noun}, but the data has {len(names)}", "Name the data that it was trained on."
        )


def finite(values: Array) -> Array:
    """Validate outputs; float64 `(n, outputs)`.

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
