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
    """An argument of a learning-rate schedule, or of an optimizer itself, that names shares of the training.

    Attributes:
        schedule: Name of the schedule, such as `CosineDecay`, or of the optimizer.
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
    """Whether an optimizer or its schedule names shares of the training."""
    return any(_resolved(kind, each, TRIAL_STEPS) != each.arguments for kind, each in _with_schedule(entry))


def step_arguments(entry: Entry, path: Path, total_steps: int) -> list[StepArgument]:
    """The arguments of an optimizer and its schedule that name shares of the training, resolved for a total number of steps.

    Args:
        entry: A valid entry of an optimizer.
        path: Its path, for errors.
        total_steps: Optimizer steps of the whole training, or of a phase.

    Raises:
        BuildError: Boundaries, of which some are shares and some are numbers, decrease.
    """
    found = []
    for kind, each in _with_schedule(entry):
        resolved = _resolved(kind, each, total_steps)
        boundaries, steps = each.arguments.get(BOUNDARIES, []), resolved.get(BOUNDARIES, [])
        if (index := decreasing(steps)) is not None:
            at = (*path, *entry.key, "learning_rate", each.name, BOUNDARIES, index)
            explained = f": of {total_steps:,} steps in all, they are step {steps[index]:,} and step {steps[index - 1]:,}"
            raise BuildError(decrease(at, boundaries[index - 1], boundaries[index], explained=explained))
        found += [StepArgument(each.name, name, value, resolved[name]) for name, value in each.arguments.items() if resolved[name] != value]
    return found


def with_loss_scaling(optimizer: Any) -> Any:
    """An optimizer that scales the loss and skips steps whose gradients overflow; one that scales it by a constant already as it is."""
    import keras

    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.loss_scale_factor is not None
    return optimizer if scales else keras.optimizers.LossScaleOptimizer(optimizer)


def _with_schedule(entry: Entry) -> list[tuple[str, Entry]]:
    """An optimizer's entry and, unless its rate is constant, that of its learning-rate schedule, each with its kind."""
    rate = entry.arguments.get("learning_rate")
    return [("optimizers", entry), *([("schedules", parse_entry(rate))] if isinstance(rate, Mapping) else [])]


def _with_steps(entry: Entry, total_steps: int) -> Entry:
    resolved = {kind: _resolved(kind, each, total_steps) for kind, each in _with_schedule(entry)}
    arguments = resolved["optimizers"]
    if "schedules" in resolved:
        arguments["learning_rate"] = {parse_entry(arguments["learning_rate"]).name: resolved["schedules"]}
    return replace(entry, arguments=arguments)


def _resolved(kind: str, entry: Entry, total_steps: int) -> dict[str, Any]:
    """An entry's arguments, with numbers of steps in place of `total_steps` and shares."""
    return {name: _steps_of(value, total_steps) if wants_steps(kind, name) else value for name, value in entry.arguments.items()}


def _steps_of(value: Any, total_steps: int) -> Any:
    return [step_count(item, total_steps) for item in value] if isinstance(value, list) else step_count(value, total_steps)
