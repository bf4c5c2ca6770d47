"""The history of a run, a row per epoch, and the progress within the current epoch."""

from dataclasses import dataclass, field
from pathlib import Path

from cnnkit.errors import CnnkitError

Row = dict[str, float]


@dataclass(frozen=True)
class OpenEpoch:
    """Progress within the current epoch; zero between two epochs.

    Attributes:
        step: Optimizer steps done.
        seconds: Their wall time.
        stopped: Whether a callback has ended the phase after the last complete epoch.
    """

    step: int = 0
    seconds: float = 0.0
    stopped: bool = False


class DivergedError(CnnkitError):
    """The loss or a weight became NaN or infinite."""

    def __init__(self, what: str, location: str, rate: float, run: Path | None = None) -> None:
        self.what, self.step_location, self.rate = what, location, rate
        saved = f"; everything up to the last checkpoint is saved: `cnnkit train --resume {run}`" if run is not None else ""
        super().__init__(
            f"{what} {location}, with a learning rate of {rate:g}{saved}",
            f"Try a learning rate of {rate / 10:g}, `clipnorm: 1.0` in the optimizer, or look for extreme values in the data; "
            "`train: {on_nan: restore}` rolls back to the last checkpoint and resumes with half the rate.",
        )


class PrunedError(Exception):
    """Raised by a listener after an epoch: the run is not worth training further. It ends there, in the state `pruned`."""


@dataclass
class History:
    """Losses and metrics, a row per epoch, with the wall time.

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
