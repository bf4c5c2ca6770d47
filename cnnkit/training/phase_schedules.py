"""Epochs and optimizer steps of each phase, and the numbers of steps that its learning-rate schedule's shares stand for."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.schema import Phase, Train
from cnnkit.data.binding import BoundConfig
from cnnkit.data.source import Request
from cnnkit.model.optimizer import TRIAL_STEPS, StepArgument, step_arguments


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


def phase_schedules(train: Train, phases: Sequence[Phase], steps_per_epoch: int) -> list[PhaseSchedule]:
    """The length of each phase.

    Args:
        train: The `train` section.
        phases: The phases in order.
        steps_per_epoch: Batches in one pass over the training examples.
    """
    schedules = []
    for phase in phases:
        epochs = phase.epochs or train.epochs
        optimizer = phase.optimizer if phase.optimizer is not None else train.optimizer
        schedules.append(PhaseSchedule(epochs, steps_per_epoch, step_arguments(optimizer, epochs * steps_per_epoch)))
    return schedules


def schedules_of(loaded: BoundConfig) -> list[PhaseSchedule]:
    """The length of each phase of a config whose schedules name shares of the steps; none where all steps are numbers.

    The number of training examples decides it, so the data is read, unless it would have to be downloaded.

    Raises:
        CnnkitError: The data cannot be read.
    """
    config, train = loaded.config, loaded.config.train
    phases = train.phases or [Phase()]
    names_shares = any(schedule.arguments for schedule in phase_schedules(train, phases, TRIAL_STEPS))
    if not names_shares or not loaded.source.is_local:
        return []
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        dataset = loaded.source.load(Request(config.data_seed, Path(scratch), {}))
    return phase_schedules(train, phases, -(-len(dataset.train) // config.data.batch_size))
