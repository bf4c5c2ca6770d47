"""What the Python interface shows of a training session: nothing, or what the command prints."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.console.session import SessionDisplay
from cnnkit.console.training import replicas_text, stand_in_text, unfinished_text
from cnnkit.keras_api.downloads import keras_home
from cnnkit.training.fit import Listener
from cnnkit.training.history import Row
from cnnkit.training.phase_schedules import PhaseSchedule
from cnnkit.training.phases import LayerState
from cnnkit.training.resume import Resumed
from cnnkit.training.run import TrainingResult
from cnnkit.training.session import Display


class StandInWarning(UserWarning):
    """A run uses stand-in data, since the data that its config names is not available."""


def session_display(*, verbose: bool) -> Display:
    """The display of a training session.

    Args:
        verbose: Whether to print what the command prints.
    """
    return SessionDisplay() if verbose else QuietDisplay()


class QuietDisplay:
    """Prints nothing, and warns of stand-in data; notices are in the run's metadata."""

    def on_notice(self, text: str) -> None:
        """Nothing."""

    def on_unfinished(self, run: Path) -> None:
        """Warn: a new folder was not what the user expects."""
        warnings.warn(unfinished_text(run), UserWarning, stacklevel=5)

    def on_stand_in(self, metadata: ModelMetadata) -> None:
        """Warn: results on other data must not be overlooked."""
        warnings.warn(stand_in_text(metadata, str(keras_home() / "datasets")), StandInWarning, stacklevel=5)

    def on_schedules(self, schedules: Sequence[PhaseSchedule]) -> None:
        """Nothing."""

    def on_other_devices(self, before: int, now: int) -> None:
        """Warn: the result is no longer the same bit for bit."""
        warnings.warn(replicas_text(before, now), UserWarning, stacklevel=5)

    def on_finished_before(self, run: Path, resumed: Resumed | None) -> None:
        """Nothing."""

    def scanning(self) -> AbstractContextManager[Callable[[int, int | None], None]]:
        """Nothing."""
        return nullcontext(lambda done, total: None)

    def training(self, epochs: int, steps: int, done: Sequence[Row]) -> AbstractContextManager[Listener]:
        """Nothing."""
        return nullcontext(QuietListener())

    def on_trained(self, run: Path, result: TrainingResult) -> None:
        """Nothing."""


class QuietListener:
    """A listener that prints nothing."""

    def on_phase(self, number: int, count: int, train: str, layers: Sequence[LayerState]) -> None:
        """Nothing."""

    def on_resume(self, rows: Sequence[Row], step: int) -> None:
        """Nothing."""

    def on_notice(self, text: str) -> None:
        """Warn: it is about the training itself, such as a rollback."""
        warnings.warn(text, UserWarning, stacklevel=2)

    def on_frozen(self, parameters: int, checksum: str) -> None:
        """Nothing."""

    def on_features(self, done: int, total: int) -> None:
        """Nothing."""

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """Nothing."""

    def on_epoch(self, row: Row) -> None:
        """Nothing."""
