"""Deletion curve: how a model's output changes as positions are deleted by their heatmap values, compared with random orders.

After Samek et al. 2017, "Evaluating the visualization of what a deep neural network has learned".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.interpret.gradcam import upsample

Array = npt.NDArray[Any]

STEPS = 20  # steps in which all positions are deleted
ORDERS = 10  # random orders
BLUR = 1 / 6  # standard deviation of the blur that replaces deleted pixels, as a share of the image's shorter side


@dataclass(frozen=True)
class DeletionCurve:
    """A model output over the share of positions that are deleted.

    Attributes:
        shares: Share of all positions that is deleted `(steps + 1,)`, 0 to 1.
        hottest: The output when the hottest positions are deleted first `(steps + 1,)`.
        random: The output when positions are deleted in random order `(orders, steps + 1)`.
        area: Area between the mean random curve and the hottest one: above 0 where hot positions matter more than others.
        chance: Standard deviation of that area over random orders: what an uninformative heatmap gives.
    """

    shares: Array
    hottest: Array
    random: Array
    area: float
    chance: float

    @property
    def matters(self) -> bool:
        """Whether the area exceeds two standard deviations of chance (one-sided p of about 0.025)."""
        return self.area > 2 * self.chance


def deletion_curve(
    predict: Callable[[Array], Array], example: Array, heatmap: Array, *, falls: bool = True, seed: int = 0
) -> DeletionCurve:
    """Delete positions step by step, hottest first, and for comparison in random orders; record the output at each step.

    For a random order the cells of the heatmap are shuffled and upsampled in the same way, so that the deleted patches are as
    large and smooth. Deleted pixels are replaced by those of a strongly blurred image, deleted steps of a signal by its mean.

    Args:
        predict: Maps raw inputs `(n, height, width, channels)` to one output each `(n,)`, such as the probability of a class.
        example: `(height, width, channels)` or `(steps, channels)`.
        heatmap: Grad-CAM heatmap of the example, `(rows, columns)` or `(steps,)`, in any resolution.
        falls: Whether deletion should lower the output (a probability); else any change of the output counts.
        seed: Seed of the random orders.
    """
    random = np.random.default_rng(seed)
    positions = example.shape[:-1]
    baseline = _baseline(example)
    counts = np.round(np.linspace(0, 1, STEPS + 1) * np.prod(positions)).astype(int)

    def curve(cells: Array) -> Array:
        relevance = upsample(cells, positions).ravel()
        ranks = np.empty(relevance.size, int)
        ranks[np.lexsort((random.random(relevance.size), -relevance))] = np.arange(relevance.size)  # ties are broken at random
        deleted = (ranks < counts[:, None]).reshape(len(counts), *positions, 1)
        return predict(np.where(deleted, baseline, example).astype(example.dtype))

    hottest = curve(heatmap)
    shuffled = np.stack([curve(random.permutation(heatmap.ravel()).reshape(heatmap.shape)) for _ in range(ORDERS)])
    shares = counts / counts[-1]
    lost = -shuffled if falls else np.abs(shuffled - hottest[0])
    random_areas = np.trapezoid(lost, shares)
    area = np.trapezoid(-hottest if falls else np.abs(hottest - hottest[0]), shares) - random_areas.mean()
    return DeletionCurve(shares, hottest, shuffled, float(area), float(random_areas.std()))


def _baseline(example: Array) -> Array:
    """The baseline that deleted positions are set to: an example without information."""
    from scipy import ndimage

    if example.ndim == 2:
        return np.broadcast_to(example.mean(axis=0), example.shape)
    deviation = BLUR * min(example.shape[:2])
    smooth: Array = ndimage.gaussian_filter(example.astype(np.float32), (deviation, deviation, 0), mode="nearest")
    return smooth
