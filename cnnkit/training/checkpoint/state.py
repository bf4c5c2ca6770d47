"""Where a run stands: the one schema that checkpoints are written from and read into."""

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cnnkit.training.checkpoint.callbacks import CallbackState
from cnnkit.training.history import Row

MOST_HALVINGS = 3  # times that `on_nan: restore` goes back before it gives up

_IN_EVERY_ROW = {"epoch", "loss", "learning_rate", "seconds", "images_per_second"}


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class DataIdentity(_Record):
    """The data that a run is trained on.

    Attributes:
        fingerprint: SHA-256 over its examples in all splits.
        name: Its name.
        stand_in_for: The data set that was asked for; empty where this is the one.
    """

    fingerprint: str
    name: str
    stand_in_for: str


class RunIdentity(_Record):
    """What stays the same throughout a run.

    Attributes:
        config: The resolved config.
        data: The data.
        base: The entry that builds the same pretrained base with random weights; None where there is no base.
        notices: Notices to the user from when the network was built, such as weights that stand in for others.
    """

    config: dict[str, Any]
    data: DataIdentity
    base: str | dict[str, Any] | None
    notices: list[str]


class BestEpoch(_Record):
    """The epoch with the lowest validation loss so far, over all phases.

    Attributes:
        epoch: From 1; 0 before the first.
        loss: Its validation loss; infinite before the first.
    """

    epoch: int = Field(default=0, ge=0)
    loss: float = math.inf

    def better(self, row: Row) -> "BestEpoch":
        """This one, or the epoch of a history row where its validation loss is lower."""
        loss = row.get("val_loss", math.inf)
        return BestEpoch(epoch=int(row["epoch"]), loss=loss) if loss < self.loss else self


class TrainingState(_Record):
    """Where a run stands, beside the values of its variables.

    Attributes:
        run: What stays the same throughout the run.
        phase: The phase that is trained now, from 0; between two phases the one that comes next.
        phase_started: Whether that phase has begun, so that optimizer and metrics are stored too.
        epochs_before_phase: Epochs that were done when it began.
        step: Optimizer steps done in the epoch under way; 0 between two epochs.
        epoch_seconds: Wall time of those.
        stopped: Whether a callback ended the phase after the last whole epoch.
        history: One row an epoch, as in history.csv.
        seconds: Wall time of the training loop so far.
        feature_seconds: Wall time in which features of a frozen base were computed.
        best: The best epoch so far.
        halvings: How often the learning rate was halved in this phase after the loss had diverged.
        callbacks: What the config's callbacks remember, in order; empty between two phases.
    """

    run: RunIdentity
    phase: int = Field(ge=0)
    phase_started: bool
    epochs_before_phase: int = Field(ge=0)
    step: int = Field(ge=0)
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
        """Whole epochs done."""
        return len(self.history)

    @model_validator(mode="after")
    def _is_consistent(self) -> "TrainingState":
        for number, row in enumerate(self.history, start=1):
            if not row.keys() >= _IN_EVERY_ROW or row["epoch"] != number:
                raise ValueError(f"row {number} of the history is not that of an epoch")
        if max(self.best.epoch, self.epochs_before_phase) > self.epoch:
            raise ValueError("an epoch is named that has not been trained")
        if math.isnan(self.best.loss):
            raise ValueError("the loss of the best epoch is not a number")
        if not self.phase_started and (self.step or self.callbacks or self.stopped):
            raise ValueError("a phase that has not begun has steps, callbacks or an end")
        return self
