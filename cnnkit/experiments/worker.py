"""A worker process: does one task after another, as its parent asks, and reports the progress of the runs in it."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cnnkit.config.load import LoadedConfig
from cnnkit.errors import CnnkitError
from cnnkit.keras_api import quiet_import
from cnnkit.runs.directory import RunDirectory, read_state
from cnnkit.runs.lock import RunLockedError

if TYPE_CHECKING:
    from cnnkit.artifacts.model_metadata import ModelMetadata
    from cnnkit.training.phase_schedules import PhaseSchedule
    from cnnkit.training.phases import LayerState
    from cnnkit.training.resume import Resumed
    from cnnkit.training.run import TrainingResult
    from cnnkit.training.session import Display

Row = dict[str, float]


class Task(Protocol):
    """What a worker is to do."""

    @property
    def name(self) -> str:
        """Its name among the tasks of its group, such as `seed-42`."""

    @property
    def folder(self) -> Path:
        """The folder that it writes."""

    def train(self, display: "Display") -> bool:
        """Train the run, or the runs, of this task.

        Args:
            display: Shows each run.

        Returns:
            Whether the task is finished; else a signal interrupted it, and everything is saved.

        Raises:
            CnnkitError: A run cannot be trained; `RunLockedError`: another process is writing it.
        """


@dataclass(frozen=True)
class RunTask:
    """A run to train.

    Attributes:
        name: Its name among the runs of its group, such as `seed-42`.
        loaded: Its config.
        folder: Its folder; what is there already is resumed, or left alone where it is finished.
    """

    name: str
    loaded: LoadedConfig
    folder: Path

    def train(self, display: "Display") -> bool:
        """Start the run, resume it, or find it finished; workers train side by side, each on one device, whatever the config names."""
        from cnnkit.training.session import resume_or_start
        from cnnkit.training.step import OneDevice

        result = resume_or_start(self.loaded, self.folder, display, devices=OneDevice()).result
        return result is None or not result.history.interrupted


@dataclass(frozen=True)
class RunBegan:
    """A run is prepared: epochs of all phases, optimizer steps an epoch, and the rows of the epochs that are done."""

    epochs: int
    steps: int
    rows: Sequence[Row]


@dataclass(frozen=True)
class StepsDone:
    """Some optimizer steps are done: epoch and step count from 1."""

    epoch: int
    step: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch is done: its row of the history."""

    row: Row


@dataclass(frozen=True)
class RunNotice:
    """A warning about a run."""

    text: str


@dataclass(frozen=True)
class RunIsLocked:
    """Another process is writing the run."""


@dataclass(frozen=True)
class RunEnded:
    """A run is finished (now or earlier), or it was interrupted by a signal and everything is saved."""

    is_finished: bool


@dataclass(frozen=True)
class RunFailed:
    """A run cannot be trained: the parts of a CnnkitError."""

    message: str
    remedy: str
    location: str


@dataclass(frozen=True)
class WorkerFailed:
    """A worker met an unexpected exception: its traceback."""

    traceback: str


Event = RunBegan | StepsDone | EpochDone | RunNotice | RunIsLocked | RunEnded | RunFailed | WorkerFailed


def work(connection: Connection, number: int, log: Path) -> None:
    """Train the runs that the parent process sends, until it sends None.

    The process has a session of its own, so that Ctrl-C reaches only the parent, which passes it on; and it stops as on SIGTERM when the
    parent ends without having said so.

    Args:
        connection: To the parent.
        number: The worker's number from 0.
        log: The file for what TensorFlow and others print.
    """
    if os.name == "posix":
        os.setsid()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    with log.open("a", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    quiet_import.install()
    with contextlib.suppress(EOFError):
        while (task := connection.recv()) is not None:
            _send(connection, _train(task, connection, number))


def _stop_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _train(task: Task, connection: Connection, number: int) -> Event:
    try:
        if read_state(RunDirectory(task.folder)) != "finished":  # then TensorFlow is not needed
            _use_one_gpu(number)
        is_finished = task.train(_Reporter(connection, task.name if isinstance(task, RunTask) else ""))
    except RunLockedError:
        return RunIsLocked()
    except CnnkitError as error:
        return RunFailed(error.message, error.remedy, error.location)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        _send(connection, WorkerFailed(traceback.format_exc()))
        raise
    return RunEnded(is_finished)


def _use_one_gpu(number: int) -> None:
    """Let each worker see one of several GPUs, and take of its memory only what it needs: workers may share a GPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return
    chosen = gpus[number % len(gpus)]
    with contextlib.suppress(RuntimeError):  # TensorFlow has begun to use them: an earlier run of this worker chose
        tf.config.set_visible_devices(chosen, "GPU")
        tf.config.experimental.set_memory_growth(chosen, True)


def _send(connection: Connection, event: Event) -> None:
    """Report to the parent; where it has ended, SIGTERM is on its way."""
    with contextlib.suppress(OSError):
        connection.send(event)


class _Reporter:
    """A display of training sessions, and listener of their runs, that reports to the parent.

    Args:
        connection: To the parent.
        run: The run's name, which notices about its training begin with; empty for none.
    """

    def __init__(self, connection: Connection, run: str = "") -> None:
        self._connection, self._run = connection, run

    def on_notice(self, text: str) -> None:
        """Report a notice about config or data, which other runs of a group have alike."""
        _send(self._connection, RunNotice(text))

    def on_unfinished(self, run: Path) -> None:
        """Not reported: the folders of a group are not chosen by what is in them."""

    def on_stand_in(self, metadata: "ModelMetadata") -> None:
        """Not reported: the summary of the group has it."""

    def on_schedules(self, schedules: "Sequence[PhaseSchedule]") -> None:
        """Not reported."""

    def on_other_devices(self, before: int, now: int) -> None:
        """Not reported: workers train on one device."""

    def on_finished_before(self, run: Path, resumed: "Resumed | None") -> None:
        """Not reported: `RunEnded` follows."""

    def scanning(self) -> contextlib.AbstractContextManager[Callable[[int, int | None], None]]:
        """Not reported."""
        return contextlib.nullcontext(lambda done, total: None)

    @contextlib.contextmanager
    def training(self, epochs: int, steps: int, done: "Sequence[Row]") -> Iterator["_Reporter"]:
        """Report that the run is prepared, then its progress."""
        _send(self._connection, RunBegan(epochs, steps, [dict(row) for row in done]))
        yield _RunReporter(self._connection, self._run) if self._run else self

    def on_trained(self, run: Path, result: "TrainingResult") -> None:
        """Not reported: `RunEnded` follows."""

    def on_phase(self, number: int, count: int, train: str, layers: "Sequence[LayerState]") -> None:
        """Not reported."""

    def on_resume(self, rows: Sequence[Row], step: int) -> None:
        """Not reported: `RunBegan` has the rows."""

    def on_frozen(self, parameters: int, checksum: str) -> None:
        """Not reported."""

    def on_features(self, done: int, total: int) -> None:
        """Not reported."""

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """Report the position; executions take about a quarter of a second, so this is seldom."""
        _send(self._connection, StepsDone(epoch, step))

    def on_epoch(self, row: Row) -> None:
        """Report the row."""
        _send(self._connection, EpochDone(dict(row)))


class _RunReporter(_Reporter):
    """The listener of a run in a group, whose notices say which run they are about."""

    def on_notice(self, text: str) -> None:
        """Report a notice about the training of the run, such as that it has diverged."""
        super().on_notice(f"{self._run}: {text}")
