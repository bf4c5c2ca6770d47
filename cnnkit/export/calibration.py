"""The training examples on which the ranges of int8 activations are measured."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.data.examples import Examples

Array = npt.NDArray[Any]

CALIBRATION_EXAMPLES = 512  # more change the ranges hardly; drawn by the run's seed


def calibration_examples(train: Examples, seed: int) -> tuple[Array, dict[str, Any]]:
    """Training examples on which the ranges of activations are measured, read by the image reader as in training, without augmentation.

    Args:
        train: The training examples.
        seed: Of the draw; the run's.

    Returns:
        Raw inputs `(n, …)`, and for the metadata of the exported file a record of which they are: their positions in the split.
    """
    count = min(CALIBRATION_EXAMPLES, len(train))
    positions = np.sort(np.random.default_rng([seed, 8]).permutation(len(train))[:count])
    record = {"examples": count, "split": "train", "seed": seed, "of": len(train), "positions": " ".join(map(str, positions))}
    return train.rows.read(train.index[positions]), record
