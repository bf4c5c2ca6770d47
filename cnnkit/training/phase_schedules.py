"""Epochs and optimizer steps of each phase, and the numbers of steps that its learning-rate schedule's shares stand for."""

import pathlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from cnnkit.config.schema import Phase, Train
from cnnkit.data.binding import BoundConfig
from cnnkit.data.source import Request
from cnnkit.errors import BuildError, Path
from cnnkit.model.optimizer import StepArgument, names_shares, step_arguments


@dataclass(frozen=True)
class PhaseSchedule:
    """The length of a phase.

    Attributes:
        epochs: Passes over the training examples, if no callback ends it earlier.
        steps_per_epoch: Optimizer steps in one of them, each on one batch; the last batch may be smaller.
        arguments: The arguments of its learning-rate schedule that name shares of its steps; none where all are numbers.
    """

    epochs: int
    steps_per_epoch: int
    arguments: Sequence[StepArgument] = ()

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole phase."""
        return self.epochs * self.steps_per_epoch


def phase_schedules(train: Train, phases: Sequence[Phase], examples: int, batch_size: int) -> list[PhaseSchedule]:
    """The length of each phase.

    Args:
        train: The `train` section.
        phases: The phases in order.
        examples: Training examples.
        batch_size: Examples in a batch; the last one of a pass may be smaller.

    Raises:
        BuildError: Boundaries of a schedule decrease with that many steps.
    """
    steps_per_epoch = -(-examples // batch_size)
    schedules = []
    for number, phase in enumerate(phases):
        epochs = train.epochs_of(phase)
        path: Path = ("train", "optimizer") if phase.optimizer is None else ("train", "phases", number, "optimizer")
        arguments = step_arguments(train.optimizer_of(phase), path, epochs * steps_per_epoch)
        schedules.append(PhaseSchedule(epochs, steps_per_epoch, arguments))
    return schedules


def schedules_of(loaded: BoundConfig) -> list[PhaseSchedule]:
    """The length of each phase of a config whose schedules name shares of the steps; none where all steps are numbers.

    The number of training examples decides it, so the data is read, unless it would have to be downloaded.

    Raises:
        CnnkitError: The data cannot be read.
        ConfigError: Boundaries of a schedule decrease with that many steps.
    """
    config, train = loaded.config, loaded.config.train
    has_shares = any(names_shares(train.optimizer_of(phase)) for phase in config.phases)
    if not has_shares or not loaded.source.is_local:
        return []
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        dataset = loaded.source.load(Request(config.data_seed, pathlib.Path(scratch), ()))
    try:
        return phase_schedules(train, config.phases, len(dataset.train), config.data.batch_size)
    except BuildError as error:
        raise loaded.located(error) from error
