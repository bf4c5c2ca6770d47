"""How fast models run: their times for the same inputs, measured in turns, so that what else the machine does falls on all alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

WARM_UP = 3  # runs before the first that counts


def times_in_turns(runs: Sequence[Callable[[Array], Array]], inputs: Array, seconds: float, most: int = 1000) -> list[list[float]]:
    """The times of some models for the same inputs, one after the other again and again.

    Args:
        runs: The models.
        inputs: A batch `(n, …)` float32.
        seconds: How long to measure, in all.
        most: Most measurements of each model.

    Returns:
        For each model its times in seconds, at least three.
    """
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        for _ in range(WARM_UP):
            run(inputs)
    end = time.perf_counter() + seconds
    while len(times[0]) < 3 or (len(times[0]) < most and time.perf_counter() < end):
        for run, found in zip(runs, times, strict=True):
            started = time.perf_counter()
            run(inputs)
            found.append(time.perf_counter() - started)
    return times


def times_as_fast(run: Callable[[Array], Array], reference: Callable[[Array], Array], inputs: Array, seconds: float = 0.5) -> float:
    """How many times as fast a model is as a reference; below 1 where it is slower. Medians, measured in turns."""
    ours, theirs = times_in_turns([run, reference], inputs, seconds)
    return statistics.median(theirs) / statistics.median(ours)
