"""Bootstrap percentile intervals of metrics.

Efron and Tibshirani 1993, "An Introduction to the Bootstrap": the examples are resampled with replacement, and each metric is
computed for each resample. Every metric here is a function of sums over the examples, so only the sums are resampled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
BLOCK = 2**21  # resampled counts in memory at a time


@dataclass(frozen=True)
class Interval:
    """The central 95 % range of a metric over the resamples, in its unit; NaN where the metric is NaN."""

    low: float
    high: float


def interval(values: Array) -> Interval:
    """The 95 % interval of a metric from its values in the resamples `(resamples,)`; NaN values are ignored."""
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(np.nan, np.nan)
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def resampled_counts(counts: Array) -> Array:
    """Resample counts of categories of examples.

    Args:
        counts: Number of examples in each category, of any shape.

    Returns:
        `(resamples, *counts.shape)`; each sums to the number of examples.
    """
    total = int(counts.sum())
    drawn = np.random.default_rng(SEED).multinomial(total, counts.ravel() / total, RESAMPLES)
    return drawn.reshape(RESAMPLES, *counts.shape)


def resampled_sums(rows: Array) -> Array:
    """Resample examples and sum their values.

    Args:
        rows: Values of each example, `(n, values)`.

    Returns:
        `(resamples, values)`.
    """
    generator, n, rows = np.random.default_rng(SEED), len(rows), rows.astype(np.float64)
    sums = np.empty((RESAMPLES, rows.shape[1]))
    block = max(1, BLOCK // n)
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        times = np.stack([np.bincount(generator.integers(0, n, n), minlength=n) for _ in range(size)])
        sums[start : start + size] = times.astype(np.float64) @ rows
    return sums
