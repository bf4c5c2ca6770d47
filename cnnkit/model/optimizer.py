"""Build the optimizer of a config; here `total_steps` and shares of it in its learning-rate schedule become numbers of steps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cnnkit.errors import BuildError, Path
from cnnkit.keras_api.building import build
from cnnkit.keras_api.checking import Entry, parse_entry
from cnnkit.keras_api.schedule_points import decrease, decreasing
from cnnkit.keras_api.step_shares import BOUNDARIES, step_count, wants_steps
from cnnkit.model.precision import LOSS_SCALED

TRIAL_STEPS = 10_000  # taken for the total where an optimizer is only built to find errors, before the data is read


@dataclass(frozen=True)
class StepArgument:
    """An argument of a learning-rate schedule that names shares of the training.

    Attributes:
        schedule: Name of the schedule, such as `CosineDecay`.
        argument: Name of the argument, such as `decay_steps`.
        written: Its value in the config, such as `10 %`, or a list.
        steps: The number of optimizer steps that stands for, or a list of them.
    """

    schedule: str
    argument: str
    written: Any
    steps: Any


def build_optimizer(entry: Entry, path: Path, precision: str, total_steps: int) -> Any:
    """The Keras optimizer of a config entry.

    Args:
        entry: A valid entry of an optimizer.
        path: Its path, for errors.
        precision: `train.precision`; with float16, the loss is scaled.
        total_steps: Batches of the whole training, or of a phase. Keras's schedules count batches, also where gradients of several
            are accumulated.

    Raises:
        BuildError: Keras rejects an argument.
    """
    built = build("optimizers", _with_steps(entry, total_steps), path)
    return with_loss_scaling(built) if precision == LOSS_SCALED else built


def names_shares(entry: Entry) -> bool:
    """Whether an optimizer's schedule names shares of the training."""
    schedule = _schedule_of(entry)
    return schedule is not None and _resolved(schedule, TRIAL_STEPS) != schedule.arguments


def step_arguments(entry: Entry, path: Path, total_steps: int) -> list[StepArgument]:
    """The arguments of an optimizer's schedule that name shares of the training, resolved for a total number of steps.

    Args:
        entry: A valid entry of an optimizer.
        path: Its path, for errors.
        total_steps: Optimizer steps of the whole training, or of a phase.

    Raises:
        BuildError: Boundaries, of which some are shares and some are numbers, decrease.
    """
    schedule = _schedule_of(entry)
    if schedule is None:
        return []
    resolved = _resolved(schedule, total_steps)
    boundaries, steps = schedule.arguments.get(BOUNDARIES, []), resolved.get(BOUNDARIES, [])
    if (index := decreasing(steps)) is not None:
        at = (*path, *entry.key, "learning_rate", schedule.name, BOUNDARIES, index)
        explained = f": of {total_steps:,} steps in all, they are step {steps[index]:,} and step {steps[index - 1]:,}"
        raise BuildError(decrease(at, boundaries[index - 1], boundaries[index], explained=explained))
    return [
        StepArgument(schedule.name, name, written, resolved[name])
        for name, written in schedule.arguments.items()
        if resolved[name] != written
    ]


def with_loss_scaling(optimizer: Any) -> Any:
    """An optimizer that scales the loss and skips steps whose gradients overflow; one that scales it by a constant already as it is."""
    import keras

    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.loss_scale_factor is not None
    return optimizer if scales else keras.optimizers.LossScaleOptimizer(optimizer)


def _schedule_of(entry: Entry) -> Entry | None:
    """The learning-rate schedule of an optimizer's entry; None for a constant rate."""
    rate = entry.arguments.get("learning_rate")
    return parse_entry(rate) if isinstance(rate, Mapping) else None


def _with_steps(entry: Entry, total_steps: int) -> Entry:
    schedule = _schedule_of(entry)
    if schedule is None:
        return entry
    return replace(entry, arguments={**entry.arguments, "learning_rate": {schedule.name: _resolved(schedule, total_steps)}})


def _resolved(schedule: Entry, total_steps: int) -> dict[str, Any]:
    """A schedule's arguments, with numbers of steps in place of `total_steps` and shares."""
    return {name: _steps_of(value, total_steps) if wants_steps("schedules", name) else value for name, value in schedule.arguments.items()}


def _steps_of(value: Any, total_steps: int) -> Any:
    return [step_count(item, total_steps) for item in value] if isinstance(value, list) else step_count(value, total_steps)
