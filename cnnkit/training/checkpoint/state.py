"""The training state of a run: the one schema that checkpoints are written from and read into."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cnnkit.metrics import LOSS_COLUMN, VALIDATION_PREFIX, Metric
from cnnkit.training.checkpoint.callbacks import MAX_INTEGER, CallbackState
from cnnkit.training.history import Row

MOST_HALVINGS = 3  # times that `on_nan: restore` rolls back in a phase before training fails

Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]

_ALWAYS_FINITE = {"epoch", "learning_rate", "seconds", "images_per_second"}
_IN_EVERY_ROW = {"loss", *_ALWAYS_FINITE}


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class DataIdentity(_Record):
    """The identity of the data that a run is trained on.

    Attributes:
        fingerprint: SHA-256 over its examples in all splits.
        name: Its name.
        stand_in_for: The requested data set that this one replaces; empty where this is the requested one.
    """

    fingerprint: str
    name: str
    stand_in_for: str


class RunIdentity(_Record):
    """The part of the training state that is constant throughout a run.

    Attributes:
        config: The resolved config.
        data: Identity of the data.
        base: Config entry that builds the same base with random weights; None where there is no base.
        notices: Notices to the user from building the network, such as substituted pretrained weights.
        without_test: Whether the final metrics are computed on the validation examples, because a choice between runs depends on them.
    """

    config: dict[str, Any]
    data: DataIdentity
    base: str | dict[str, Any] | None
    notices: list[str]
    without_test: bool = False


class BestEpoch(_Record):
    """The best epoch so far, over all phases.

    Attributes:
        epoch: From 1; 0 before the first.
        loss: Its validation loss; infinite before the first.
    """

    epoch: Count = 0
    loss: float = math.inf

    @classmethod
    def among(cls, rows: Sequence[Row], metric: Metric) -> "BestEpoch":
        """The best of some epochs by a metric; of equal ones that of the lowest validation loss, and of those the first.

        Args:
            rows: Rows of the history.
            metric: Its name is a column of theirs. An epoch where that is missing, NaN or infinite is not the best.
        """
        measured = [row for row in rows if math.isfinite(row.get(metric.name, math.nan))]
        if not measured:
            return cls()
        best = min(measured, key=lambda row: (metric.sort_key(row[metric.name]), _validation_loss(row), row["epoch"]))
        return cls(epoch=int(best["epoch"]), loss=_validation_loss(best))


def _validation_loss(row: Row) -> float:
    """The validation loss of an epoch; infinite where it was not measured or is NaN."""
    loss = row.get(f"{VALIDATION_PREFIX}{LOSS_COLUMN}", math.inf)
    return math.inf if math.isnan(loss) else loss


class TrainingState(_Record):
    """The training state of a run, except for the values of its variables.

    Attributes:
        run: The constant part.
        phase: The current phase, from 0; between two phases the next one.
        phase_started: Whether that phase has begun, so that optimizer and metrics are stored too.
        epochs_before_phase: Epochs done when it began.
        step: Optimizer steps done in the current epoch; 0 between two epochs.
        epoch_seconds: Their wall time.
        stopped: Whether a callback ended the phase after the last complete epoch.
        history: One row per epoch, as in history.csv.
        seconds: Wall time of the training loop so far.
        feature_seconds: Wall time in which features of a frozen base were computed.
        best: The best epoch so far.
        halvings: How often the learning rate was halved in this phase after the loss had diverged.
        callbacks: State of the config's callbacks, in order; empty between two phases.
    """

    run: RunIdentity
    phase: Count
    phase_started: bool
    epochs_before_phase: Count
    step: Count
    epoch_seconds: float = Field(ge=0, allow_inf_nan=False)
    stopped: bool
    history: list[dict[str, int | float]]
    seconds: float = Field(ge=0, allow_inf_nan=False)
    feature_seconds: float = Field(ge=0, allow_inf_nan=False)
    best: BestEpoch
    halvings: int = Field(ge=0, le=MOST_HALVINGS)
    callbacks: list[CallbackState]

    @property
    def epoch(self) -> int:
        """Complete epochs done."""
        return len(self.history)

    @model_validator(mode="after")
    def _is_consistent(self) -> "TrainingState":
        for number, row in enumerate(self.history, start=1):
            if not row.keys() >= _IN_EVERY_ROW or row["epoch"] != number:
                raise ValueError(f"row {number} of the history is not that of an epoch")
            if any(isinstance(value, int) and abs(value) > MAX_INTEGER for value in row.values()):
                raise ValueError(f"row {number} of the history has an integer out of range")
            if not all(math.isfinite(row[name]) for name in _ALWAYS_FINITE):
                raise ValueError(f"row {number} of the history has a time or a learning rate that is not finite")
        if max(self.best.epoch, self.epochs_before_phase) > self.epoch:
            raise ValueError("an epoch is named that has not been trained")
        if math.isnan(self.best.loss):
            raise ValueError("the loss of the best epoch is not a number")
        if not self.phase_started and (self.step or self.callbacks or self.stopped):
            raise ValueError("a phase that has not begun has steps, callbacks or an end")
        return self
