"""`total_steps` and shares of it such as `10 %`: how a learning-rate schedule names numbers of steps that only the run knows."""

import re
from collections.abc import Iterator
from typing import Any

from cnnkit.errors import Fault, Path, did_you_mean, format_value

TOTAL_STEPS = "total_steps"  # placeholder: the optimizer steps of the whole training, or of a phase
SHARE_PATTERN = r"[0-9]+(\.[0-9]+)? ?%"  # of `total_steps`
BOUNDARIES = "boundaries"  # argument of the piecewise schedules: a list of numbers of steps

_MOST = 2**31 - 1  # optimizer steps, which Keras counts in int32
_SHARE = re.compile(f"-?{SHARE_PATTERN}")
_WANTED = "wants a number of steps, `total_steps`, or a share of it such as `10 %`"


def wants_steps(kind: str, argument: str) -> bool:
    """Whether an argument counts steps of the training: `decay_steps` and its like of a schedule, `boundaries`, an optimizer's warmup."""
    if kind == "optimizers":
        return argument == "warmup_steps"
    return kind == "schedules" and (argument == BOUNDARIES or argument.endswith("_steps"))


def share_of(value: object) -> float | None:
    """The share that a word stands for, such as 0.1 for `10 %` and 1 for `total_steps`; None for anything else."""
    if value == TOTAL_STEPS:
        return 1.0
    return float(value.rstrip("% ")) / 100 if isinstance(value, str) and _SHARE.fullmatch(value) else None


def misplaced_remedy(value: object) -> str:
    """What to write in place of `total_steps`, or of a share of it, where no steps are counted."""
    if value == TOTAL_STEPS:
        return "It stands for the steps of a learning-rate schedule: `CosineDecay: {decay_steps: total_steps, …}`."
    return f"As a number it is written {share_of(value):g}; shares are of the steps of a learning-rate schedule."


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


def check_steps(argument: str, value: object, path: Path) -> Iterator[Fault]:
    """Faults of an argument that counts steps.

    Args:
        argument: Its name.
        value: Its value.
        path: Its path.
    """
    if argument != BOUNDARIES:
        yield from _check_count(value, path)
    elif not isinstance(value, list):
        yield Fault(path, f"wants a list of numbers of steps, got {format_value(value)}", f"Write `{BOUNDARIES}: [0 %, 50 %, 100 %]`.")
    else:
        for index, item in enumerate(value):
            yield from _check_count(item, (*path, index))


def _check_count(value: Any, path: Path) -> Iterator[Fault]:
    """The fault of one number of steps, or of the word in its place."""
    share = share_of(value)
    if share is not None:
        if not 0 <= share <= 1:
            yield Fault(path, f"wants a share from 0 % to 100 % of `{TOTAL_STEPS}`, got {format_value(value)}")
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and value > _MOST:
        yield Fault(path, f"wants at most {_MOST:,} steps, got {format_value(value)}")
    elif isinstance(value, float) and value == 1:
        yield Fault(path, f"{_WANTED}, got 1.0, which may be all of them", f"Write `{TOTAL_STEPS}` for all, or 1 for one step.")
    elif is_number and value >= 0 and float(value).is_integer():
        return
    elif is_number and 0 < value < 1:
        yield Fault(path, f"{_WANTED}, got {format_value(value)}", f"As a share it is written `{value * 100:g} %`.")
    else:
        meant = did_you_mean(value, (TOTAL_STEPS,)) if isinstance(value, str) else ""
        yield Fault(path, f"{_WANTED}, got {format_value(value)}" + (f".{meant}" if meant else ""))
