"""Paired significance tests of two models on the same examples: McNemar's test, Wilcoxon's test, and Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FEWEST_FOR_CHI_SQUARED = 25  # discordant examples below which the exact test is used


@dataclass(frozen=True)
class PairedTest:
    """The result of a paired test.

    Attributes:
        name: Name of the test.
        first_better: Number of examples on which only the first model is correct (or has the smaller error).
        second_better: Number of examples on which only the second model is correct (or has the smaller error).
        p: Two-sided p-value under the null hypothesis that both models are equally good.
    """

    name: str
    first_better: int
    second_better: int
    p: float


def mcnemar(first: Array, second: Array) -> PairedTest:
    """McNemar's test (1947) of the correctness of two models.

    With fewer than 25 discordant examples the exact binomial test, else chi-squared with Edwards's continuity correction.

    Args:
        first: Whether the first model is correct `(n,)`.
        second: Whether the second model is correct on the same examples `(n,)`.
    """
    from scipy import stats

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    if discordant < FEWEST_FOR_CHI_SQUARED:
        p = float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0
        return PairedTest("McNemar's test, exact binomial", only_first, only_second, p)
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / discordant
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
    """p-values of several tests with the Holm-Bonferroni correction (Holm 1979), in the given order."""
    count = len(values)
    order = np.argsort(values)
    steps = np.maximum.accumulate(np.asarray(values)[order] * (count - np.arange(count)))
    corrected = np.empty(count)
    corrected[order] = np.minimum(steps, 1)
    return [float(value) for value in corrected]
