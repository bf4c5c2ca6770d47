"""A worker process: trains one run after another, as its parent asks, and reports the progress of each."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.config.load import LoadedConfig
from cnnkit.errors import CnnkitError
from cnnkit.keras_api import quiet_import
from cnnkit.runs.directory import RunDirectory, read_state
from cnnkit.runs.lock import RunLockedError

if TYPE_CHECKING:
    from cnnkit.training.fit import Listener
    from cnnkit.training.phases import LayerState
    from cnnkit.training.prepare import Prepared

Row = dict[str, float]


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


def _train(task: RunTask, connection: Connection, number: int) -> Event:
    from cnnkit.training.resume_or_start import resume_or_start

    @contextlib.contextmanager
    def reporting(prepared: "Prepared") -> "Iterator[Listener]":
        rows = [dict(row) for row in prepared.checkpoint_manager.history.rows]
        _send(connection, RunBegan(prepared.epochs, prepared.train.steps, rows))
        for notice in prepared.metadata.notices:
            _send(connection, RunNotice(notice))
        yield _Reporter(connection)

    try:
        if read_state(RunDirectory(task.folder)) != "finished":  # then TensorFlow is not needed
            _use_one_gpu(number)
        result = resume_or_start(task.loaded, task.folder, reporting)
    except RunLockedError:
        return RunIsLocked()
    except CnnkitError as error:
        return RunFailed(error.message, error.remedy, error.location)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        _send(connection, WorkerFailed(traceback.format_exc()))
        raise
    return RunEnded(is_finished=result is None or not result.history.interrupted)


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
    """A listener that reports to the parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on_phase(self, number: int, count: int, train: str, layers: "Sequence[LayerState]") -> None:
        """Not reported."""

    def on_resume(self, rows: Sequence[Row], step: int) -> None:
        """Not reported: `RunBegan` has the rows."""

    def on_notice(self, text: str) -> None:
        """Report a warning."""
        _send(self._connection, RunNotice(text))

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
