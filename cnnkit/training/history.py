"""The history of a run, epoch by epoch, and how much of the epoch under way is done."""

from dataclasses import dataclass, field

from cnnkit.errors import CnnkitError

Row = dict[str, float]


@dataclass(frozen=True)
class OpenEpoch:
    """How much of the epoch that is under way is done; nothing between two epochs.

    Attributes:
        step: Optimizer steps.
        seconds: Wall time of those.
        stopped: Whether a callback has ended the phase after the last whole epoch.
    """

    step: int = 0
    seconds: float = 0.0
    stopped: bool = False


class DivergedError(CnnkitError):
    """The loss, or a weight, is not a finite number any more."""

    def __init__(self, what: str, place: str, rate: float) -> None:
        self.place = place
        super().__init__(
            f"{what} {place}, with a learning rate of {rate:g}",
            f"Try a learning rate of {rate / 10:g}, `clipnorm: 1.0` in the optimizer, or look for extreme values in the data; "
            "`train: {on_nan: restore}` goes back to the last checkpoint and on with half the rate.",
        )


@dataclass
class History:
    """What happened, a row an epoch.

    Attributes:
        rows: epoch (from 1), loss and metrics, the same with `val_`, learning_rate, seconds (training and validation),
            images_per_second (training alone).
        interrupted: Whether training was asked to stop before its end.
        seconds: Wall time of the loop.
        feature_seconds: Wall time in which features of a frozen base were computed.
    """

    rows: list[Row] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0
    feature_seconds: float = 0.0
