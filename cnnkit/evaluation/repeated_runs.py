"""Mean, spread and interval of a metric over repeated runs, and tests of the difference between two groups of runs.

Runs with different seeds are independent of each other: Student's t. The runs of a cross-validation are not, since any two share most of
their training examples; their variance is corrected as by Nadeau and Bengio (2003), "Inference for the Generalization Error".

These intervals are symmetric, whatever the range of the metric: that of a few accuracies near 1 goes beyond 1. What is beyond the range is
cut off, which leaves the share of intervals that hold the true mean as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.metrics import UNBOUNDED, Bounds

Array = npt.NDArray[Any]

LEVEL = 0.95
ROUNDING = 1e-12  # of a metric, relative to its value: smaller differences are none
FEWEST_FOR_WILCOXON = 6  # pairs; with fewer, the smallest possible p-value of Wilcoxon's test is above 0.05


@dataclass(frozen=True)
class MeanEstimate:
    """A metric over repeated runs.

    Attributes:
        mean: Mean of the runs.
        deviation: Standard deviation of the runs (n - 1).
        low: Lower end of the 95 % interval of the mean, within the range of the metric.
        high: Its upper end, within that range.
        runs: Number of runs in which the metric is defined; with fewer than two, deviation and interval are NaN.
    """

    mean: float
    deviation: float
    low: float
    high: float
    runs: int


@dataclass(frozen=True)
class MeanDifference:
    """The difference of a metric's mean between two groups of runs.

    Attributes:
        test: Name of the test.
        pairs: Number of pairs; 0 where the runs are not paired.
        difference: Mean of the first group minus mean of the second.
        low: Lower end of its 95 % interval, within the range of such a difference.
        high: Its upper end, within that range.
        p: Two-sided p-value under the null hypothesis that the means are equal; NaN where no run differs from another.
        wilcoxon_p: Two-sided p-value of Wilcoxon's signed-rank test of the pairs; None where they are too few, or not paired.
    """

    test: str
    pairs: int
    difference: float
    low: float
    high: float
    p: float
    wilcoxon_p: float | None = None


def mean_estimate(values: Sequence[float], *, folds: bool, bounds: Bounds = UNBOUNDED) -> MeanEstimate:
    """Mean, standard deviation and 95 % interval of a metric.

    Args:
        values: The metric of each run; NaN where it is undefined.
        folds: Whether the runs are all the folds of one cross-validation.
        bounds: The range of the metric.
    """
    known = np.array([value for value in values if math.isfinite(value)])
    if len(known) < 2:
        return MeanEstimate(float(known.mean()) if len(known) else math.nan, math.nan, math.nan, math.nan, len(known))
    mean, deviation = float(known.mean()), math.sqrt(_variance(known, known))
    half = _t_quantile(len(known) - 1) * deviation * math.sqrt(_variance_factor(len(known), folds=folds))
    return MeanEstimate(mean, deviation, max(mean - half, bounds[0]), min(mean + half, bounds[1]), len(known))


def paired_difference(first: Sequence[float], second: Sequence[float], *, folds: bool, bounds: Bounds = UNBOUNDED) -> MeanDifference:
    """The difference of two groups whose runs are paired: by the seed, or by the fold.

    Args:
        first: The metric of each run of the first group.
        second: The metric of its partner in the second group; at least two pairs.
        folds: Whether the pairs are all the folds of one cross-validation.
        bounds: The range of the metric.
    """
    from scipy import stats

    differences = (np.array(first) - np.array(second)).round(12)  # equal differences are equal
    pairs = len(differences)
    mean = float(differences.mean())
    error = math.sqrt(_variance(differences, [*first, *second]) * _variance_factor(pairs, folds=folds))
    p = float(2 * stats.t.sf(abs(mean) / error, pairs - 1)) if error else math.nan
    half = _t_quantile(pairs - 1) * error
    name = "paired t-test, corrected for the overlap of folds" if folds else "paired t-test"
    wilcoxon = float(stats.wilcoxon(differences).pvalue) if pairs >= FEWEST_FOR_WILCOXON and not folds and differences.any() else None
    return MeanDifference(name, pairs, mean, *_interval_of_difference(mean, half, bounds), p, wilcoxon)


def welch_difference(first: Sequence[float], second: Sequence[float], *, bounds: Bounds = UNBOUNDED) -> MeanDifference:
    """The difference of two independent groups, by Welch's t-test (1947), which does not assume equal variances.

    Args:
        first: The metric of each run of the first group, at least two.
        second: The same of the second group.
        bounds: The range of the metric.
    """
    variances = [_variance(values, values) / len(values) for values in (first, second)]
    error = math.sqrt(sum(variances))
    difference = float(np.mean(first) - np.mean(second))
    if not error:
        return MeanDifference("Welch's t-test", 0, difference, difference, difference, math.nan)
    from scipy import stats

    freedom = error**4 / sum(variance**2 / (len(values) - 1) for variance, values in zip(variances, (first, second), strict=True))
    half = _t_quantile(freedom) * error
    p = float(2 * stats.t.sf(abs(difference) / error, freedom))
    return MeanDifference("Welch's t-test", 0, difference, *_interval_of_difference(difference, half, bounds), p)


def _interval_of_difference(difference: float, half: float, bounds: Bounds) -> tuple[float, float]:
    """The interval of a difference of two means, within what their metric's range leaves: an accuracy differs by 1 at most."""
    widest = bounds[1] - bounds[0]
    return max(difference - half, -widest), min(difference + half, widest)


def _variance(values: Sequence[float] | Array, measured: Sequence[float] | Array) -> float:
    """The variance of some values (n - 1): exactly 0 where they differ by no more than the rounding of what they were computed from."""
    rounding = ROUNDING * float(np.abs(measured).max())
    return float(np.var(values, ddof=1)) if np.ptp(values) > rounding else 0.0


def _variance_factor(runs: int, *, folds: bool) -> float:
    """Variance of the mean of some runs in units of their variance: 1/n; for n folds 1/n + the ratio of held-out to other examples."""
    return 1 / runs + 1 / (runs - 1) if folds else 1 / runs


def _t_quantile(freedom: float) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))
