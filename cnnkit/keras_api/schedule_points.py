"""What arguments of a learning-rate schedule want of each other.

Of the piecewise schedules: how many values they take, which, and that boundaries do not decrease; of a warmup, that it has a target.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from cnnkit.errors import Fault, Path, count, format_value
from cnnkit.keras_api.step_shares import BOUNDARIES, share_of

_VALUES = "values"
_MORE_VALUES = {"PiecewiseConstantDecay": 1, "PiecewiseLinearDecay": 0}  # schedule -> values beyond the number of boundaries


def check_points(schedule: str, arguments: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    """Faults of the values of a piecewise schedule, and of its boundaries as far as they can be compared: numbers, or shares.

    Args:
        schedule: Name of the schedule; another one has no such faults.
        arguments: Its arguments as written.
        path: Its path.
    """
    boundaries, values = (arguments.get(name) for name in (BOUNDARIES, _VALUES))
    if schedule not in _MORE_VALUES or not isinstance(boundaries, list) or not isinstance(values, list):
        return
    for index, value in enumerate(values):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            yield Fault((*path, _VALUES, index), f"wants a learning rate, a finite number, got {format_value(value)}")
    more = _MORE_VALUES[schedule]
    wanted = len(boundaries) + more
    if not boundaries or len(values) != wanted:
        how_many = "one value more than boundaries" if more else "as many values as boundaries, and at least one"
        yield Fault((*path, _VALUES), f"{schedule} wants {how_many}, got {count(len(values), 'value')} and {len(boundaries)} boundaries")
    is_share = [isinstance(each, str) for each in boundaries]
    sizes = [share_of(each) if is_word else each for each, is_word in zip(boundaries, is_share, strict=True)]
    for kind in (True, False):
        alike = [(index, size) for index, size in enumerate(sizes) if is_share[index] is kind and isinstance(size, int | float)]
        for (before, smaller), (after, larger) in pairwise(alike):
            if larger < smaller:
                yield decrease((*path, BOUNDARIES, after), boundaries[before], boundaries[after])


def check_warmup(arguments: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    """The fault of a warmup without a target, which Keras leaves out without a word.

    Args:
        arguments: Those of a schedule, as written.
        path: Its path.
    """
    if arguments.get("warmup_steps") and arguments.get("warmup_target") is None and share_of(arguments["warmup_steps"]) != 0:
        remedy = "Write `initial_learning_rate: 0.0, warmup_target: 0.1`: the rate rises from the first to the second."
        yield Fault((*path, "warmup_steps"), "has no effect without `warmup_target`", remedy)


def decrease(path: Path, before: Any, after: Any, *, explained: str = "") -> Fault:
    """The fault of a boundary that is smaller than one before it.

    Args:
        path: Path of the later one.
        before: The earlier one, as written.
        after: The later one, as written.
        explained: What both stand for, where that does not show in them.
    """
    message = f"boundaries must not decrease, but {format_value(after)} comes after {format_value(before)}{explained}"
    return Fault(path, message, "Write them in ascending order, each with its value.")


def decreasing(boundaries: Sequence[int]) -> int | None:
    """The position of the first boundary that is smaller than the one before it; None where none is."""
    return next((index for index, (before, after) in enumerate(pairwise(boundaries), start=1) if after < before), None)
