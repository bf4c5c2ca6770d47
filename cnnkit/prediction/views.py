"""Test-time augmentation: predictions averaged over several views of each image.

The outputs themselves are averaged: probabilities, or numbers. The published networks average logits, which gives the geometric mean of
the probabilities; the arithmetic mean is also defined for regression, several labels and models in other formats, and stays a mean of
what the model predicts for each view.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from cnnkit.errors import CnnkitError
from cnnkit.prediction.tta import Tta

Array = npt.NDArray[np.float32]
Run = Callable[[Array], Array]

SHIFT = 1  # pixels


def averaged_over_views(run: Run, tta: Tta | None, input_shape: tuple[int, ...]) -> Run:
    """A runtime whose outputs are the mean over views of each image.

    `flip`: the image and its mirror image, each with weight 1/2. `shift`: these two with weight 1/4 each; and the image moved by one
    pixel down and to the right, and up and to the left, its borders reflected, each also mirrored, with weight 1/8 each (Jordan 2024,
    "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", `infer_mirror_translate`).

    Args:
        run: From images `(n, height, width, channels)` float32 to outputs `(n, outputs)`.
        tta: The views; None for the image itself.
        input_shape: Shape of one input of `run`.

    Raises:
        CnnkitError: The inputs are not images, or too small.
    """
    if tta is None:
        return run
    if len(input_shape) != 3:
        raise CnnkitError(
            f"--tta {tta} shows the model other views of an image, but it takes inputs of {input_shape}", "Leave --tta out for signals."
        )
    if tta == "shift" and min(input_shape[:2]) <= SHIFT:
        raise CnnkitError(f"--tta shift moves an image by {SHIFT} pixel, but the model takes inputs of {input_shape}", "Use --tta flip.")

    def mean(images: Array) -> Array:
        total: Array = sum(weight * run(view) for weight, view in _views(images, tta))  # type: ignore[assignment]
        return total.astype(np.float32)

    return mean


def _views(images: Array, tta: Tta) -> Iterator[tuple[float, Array]]:
    """The views `(n, height, width, channels)`, each with its weight; the weights add up to 1."""
    shifted = _shifted(images) if tta == "shift" else []
    share = 0.25 if shifted else 0.5
    for weight, view in ((share, images), *((share / len(shifted), each) for each in shifted)):
        yield weight, view
        yield weight, np.ascontiguousarray(view[:, :, ::-1])


def _shifted(images: Array) -> list[Array]:
    """The images moved down and right, and up and left, by `SHIFT` pixels, their borders reflected."""
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "reflect")
    _, height, width, _ = images.shape
    return [np.ascontiguousarray(padded[:, start : start + height, start : start + width]) for start in (0, 2 * SHIFT)]
