"""`total_steps` and shares of it such as `10 %`: how a learning-rate schedule names numbers of steps that only the run knows."""

import re
from collections.abc import Iterator

from cnnkit.errors import Fault, Path, did_you_mean, format_value

TOTAL_STEPS = "total_steps"  # placeholder: the optimizer steps of the whole training, or of a phase
SHARE_PATTERN = r"[0-9]+(\.[0-9]+)? ?%"  # of `total_steps`
MISPLACED = "`total_steps` and shares of it stand for the steps of a learning-rate schedule: `CosineDecay: {decay_steps: total_steps, …}`."

_SHARE = re.compile(f"-?{SHARE_PATTERN}")
_WANTED = "wants a number of steps, `total_steps`, or a share of it such as `10 %`"


def wants_steps(kind: str, argument: str) -> bool:
    """Whether an argument of a Keras object counts optimizer steps: `decay_steps` and its like, and the `boundaries` of a schedule."""
    return kind == "schedules" and (argument == "boundaries" or argument.endswith("_steps"))


def share_of(value: object) -> float | None:
    """The share that a word stands for, such as 0.1 for `10 %` and 1 for `total_steps`; None for anything else."""
    if value == TOTAL_STEPS:
        return 1.0
    return float(value.rstrip("% ")) / 100 if isinstance(value, str) and _SHARE.fullmatch(value) else None


def step_count(value: object, total_steps: int) -> object:
    """The number of steps that a word stands for; anything else as it is.

    Args:
        value: `total_steps`, a share of it, or a number.
        total_steps: Optimizer steps of the whole training, at least 1.

    Returns:
        The share rounded to the nearest step: a share above 0 is at least one step.
    """
    share = share_of(value)
    if share is None:
        return value
    return max(round(share * total_steps), int(share > 0))


def check_steps(value: object, path: Path, *, is_list: bool) -> Iterator[Fault]:
    """Faults of an argument that counts steps.

    Args:
        value: A word, a negative number, or a list of words and numbers.
        path: Its path.
        is_list: Whether a list is wanted.
    """
    if isinstance(value, list) and is_list:
        for index, item in enumerate(value):
            yield from check_steps(item, (*path, index), is_list=False)
        return
    share = share_of(value)
    if share is not None and not 0 <= share <= 1:
        yield Fault(path, f"wants a share from 0 % to 100 % of `{TOTAL_STEPS}`, got {format_value(value)}")
    elif share is None and not (isinstance(value, int | float) and value >= 0):
        meant = did_you_mean(value, (TOTAL_STEPS,)) if isinstance(value, str) else ""
        yield Fault(path, f"{_WANTED}, got {format_value(value)}.{meant}" if meant else f"{_WANTED}, got {format_value(value)}")
