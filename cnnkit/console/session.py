"""A training session in the terminal: its notices, its progress, and the final evaluation."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.console.evaluation import print_evaluation
from cnnkit.console.progress import PlainProgress, Row, TerminalProgress, counting, progress_listener
from cnnkit.console.text import print_line, print_notice
from cnnkit.console.training import replicas_text, schedule_lines, stand_in_text, unfinished_text
from cnnkit.errors import count
from cnnkit.keras_api.downloads import keras_home

if TYPE_CHECKING:
    from cnnkit.artifacts.model_metadata import ModelMetadata
    from cnnkit.training.phase_schedules import PhaseSchedule
    from cnnkit.training.resume import Resumed
    from cnnkit.training.run import TrainingResult


class SessionDisplay:
    """Prints a training session."""

    def on_notice(self, text: str) -> None:
        """Print a panel."""
        print_notice(text)

    def on_unfinished(self, run: Path) -> None:
        """Print how to resume the unfinished run."""
        print_notice(unfinished_text(run))

    def on_stand_in(self, metadata: "ModelMetadata") -> None:
        """Print a panel that nobody overlooks."""
        print_notice(stand_in_text(metadata, str(keras_home() / "datasets")), title="A stand-in for the data")

    def on_schedules(self, schedules: "Sequence[PhaseSchedule]") -> None:
        """Print what shares of the steps stand for, where a schedule names any."""
        for line in schedule_lines(schedules):
            print_line(line)

    def on_other_devices(self, before: int, now: int) -> None:
        """Print a panel."""
        print_notice(replicas_text(before, now))

    def on_finished_before(self, run: Path, resumed: "Resumed | None") -> None:
        """Print that the run is finished, and the files that are written again."""
        if resumed is None:
            print_line(f"{run} is finished.")
            return
        epochs, further = count(resumed.epochs_done, "epoch"), f"cnnkit train --resume {run} --epochs N"
        if resumed.ended_by:
            print_line(f"{run} is finished: {resumed.ended_by} ended it after {epochs}. To train it further: {further} --force")
        else:
            print_line(f"{run} is finished, after {epochs}. To train it further: {further}")
        if resumed.unusable_files:
            names = ", ".join(path.name for path in resumed.unusable_files)
            print_line(f"Missing or damaged in it: {names}. Written again from its checkpoints, without training:")

    def scanning(self) -> AbstractContextManager[Callable[[int, int | None], None]]:
        """A progress bar of files."""
        return counting("files")

    def training(self, epochs: int, steps: int, done: "Sequence[Row]") -> TerminalProgress | PlainProgress:
        """A live display in a terminal, one plain line per epoch elsewhere."""
        return progress_listener(epochs, steps)

    def on_trained(self, run: Path, result: "TrainingResult") -> None:
        """Print the final evaluation, or how to resume."""
        if result.evaluation is not None:
            print_evaluation(result.evaluation)
        elif result.history.interrupted:
            hint = f"Resume it: cnnkit train --resume {run}"
            print_notice(f"Stopped in epoch {len(result.history.rows) + 1}; everything is saved. {hint}", title="Interrupted")
        print_line(f"Run: {run}")
