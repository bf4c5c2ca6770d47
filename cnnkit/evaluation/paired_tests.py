"""Whether two models differ on the same examples by more than chance: McNemar's test, Wilcoxon's, and Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FEWEST_FOR_CHI_SQUARED = 25  # examples on which two models disagree, below which the exact test is used


@dataclass(frozen=True)
class PairedTest:
    """What a paired test says.

    Attributes:
        name: Which test it is.
        first_better: Examples on which the first model is right (or nearer) and the second is not.
        second_better: Examples on which it is the other way round.
        p: Probability of a difference at least as large if both were equally good, two-sided.
    """

    name: str
    first_better: int
    second_better: int
    p: float


def mcnemar(first: Array, second: Array) -> PairedTest:
    """McNemar's test (1947) of which examples two models have right.

    Where they disagree on fewer than 25, the exact binomial test, else chi-squared with Edwards's continuity correction.

    Args:
        first: Whether the first model is right `(n,)`.
        second: Whether the second model is right on the same examples `(n,)`.
    """
    from scipy import stats

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    different = only_first + only_second
    if different < FEWEST_FOR_CHI_SQUARED:
        p = float(stats.binomtest(only_first, different).pvalue) if different else 1.0
        return PairedTest("McNemar's test, exact binomial", only_first, only_second, p)
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / different
    return PairedTest("McNemar's test, chi² with continuity correction", only_first, only_second, float(stats.chi2.sf(statistic, 1)))


def wilcoxon(first: Array, second: Array) -> PairedTest:
    """Wilcoxon's signed-rank test (1945) of the errors of two models.

    Args:
        first: Absolute errors of the first model `(n,)`.
        second: Absolute errors of the second model on the same examples `(n,)`.
    """
    from scipy import stats

    nearer, farther = int((first < second).sum()), int((first > second).sum())
    p = float(stats.wilcoxon(first, second).pvalue) if nearer + farther else 1.0
    return PairedTest("Wilcoxon's signed-rank test of the absolute errors", nearer, farther, p)


def holm(values: Sequence[float]) -> list[float]:
    """p-values of several tests, corrected for their number (Holm 1979)."""
    count = len(values)
    order = np.argsort(values)
    steps = np.maximum.accumulate(np.asarray(values)[order] * (count - np.arange(count)))
    corrected = np.empty(count)
    corrected[order] = np.minimum(steps, 1)
    return [float(value) for value in corrected]
