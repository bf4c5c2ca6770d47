"""The Wilson interval of a share, for a number of examples that is yet to be measured on."""

import math

from cnnkit.evaluation.bootstrap import Interval

NORMAL_QUANTILE = 1.959964  # 97.5 % of the standard normal distribution, for a 95 % interval


def wilson_interval(share: float, count: int) -> Interval:
    """The 95 % interval of a probability, of which a share was seen in some examples.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    Args:
        share: From 0 to 1.
        count: Number of examples, at least 1.
    """
    square = NORMAL_QUANTILE**2
    middle = share + square / (2 * count)
    half = NORMAL_QUANTILE * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return Interval((middle - half) / (1 + square / count), (middle + half) / (1 + square / count))
