"""Train many runs in a few worker processes: TensorFlow is imported once in each, and a killed worker's run is resumed by another."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from cnnkit.errors import CnnkitError, count
from cnnkit.experiments.worker import EpochDone, Event, RunEnded, RunFailed, RunIsLocked, RunNotice, Task, WorkerFailed, work
from cnnkit.training.signals import StopRequest, stop_requests

MOST_DEATHS = 3  # of workers in a row at one run, without an epoch done: then it is not tried again
POLL_SECONDS = 0.2  # how soon a signal is passed on
LOCKED_SECONDS = 2.0  # until a run that another process was writing is tried again

LOG = "workers.log"


@dataclass(frozen=True)
class RunAssigned:
    """A worker has been given the run."""


@dataclass(frozen=True)
class WorkerDied:
    """A worker process was killed or crashed; its run is resumed by another.

    Attributes:
        cause: How it ended, such as `signal 9`.
    """

    cause: str


OnEvent = Callable[[Task, Event | RunAssigned | WorkerDied], None]


@dataclass
class _Worker:
    process: Any  # a process of the spawn context
    connection: Connection
    task: Task | None = None


@dataclass
class _Pool:
    """The workers, and the runs that are under way or to be tried again."""

    tasks: Iterator[Task]
    on_event: OnEvent
    log: Path
    workers: list[_Worker | None]
    most_deaths: int
    again: list[tuple[float, Task]] = field(default_factory=list)
    deaths: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def run(self, stop: StopRequest) -> None:
        """Train all runs, or pass a requested stop on to the workers and wait for them."""
        passed_on = False
        while True:
            if not stop():
                self._assign()
            elif not passed_on:
                passed_on = True
                self.terminate()
            busy = [worker for worker in self.workers if worker is not None and worker.task is not None]
            if not busy and (stop() or not self.again):
                return
            waited_for = [each for worker in busy for each in (worker.connection, worker.process.sentinel)]
            if not waited_for:
                time.sleep(POLL_SECONDS)
                continue
            ready = wait(waited_for, timeout=POLL_SECONDS)
            for worker in busy:
                if worker.connection in ready or worker.process.sentinel in ready:
                    self._receive(worker, may_start=not stop())

    def terminate(self) -> None:
        """Ask each worker to stop: it finishes the current step and saves a checkpoint; one that is not training ends at once."""
        for worker in self.workers:
            if worker is not None:
                worker.process.terminate()

    def close(self) -> None:
        """End the workers; those that train finish the step under way."""
        for worker in self.workers:
            if worker is not None:
                if worker.task is not None:
                    worker.process.terminate()
                worker.connection.close()
        for worker in self.workers:
            if worker is not None:
                worker.process.join()

    def _assign(self) -> None:
        """Give each idle worker a run; a worker is started when there is a run for it."""
        for number, existing in enumerate(self.workers):
            if existing is not None and existing.task is not None:
                continue
            task = self._next_task()
            if task is None:
                return
            worker = existing or self._start(number)
            self.workers[number], worker.task = worker, task
            with contextlib.suppress(OSError):  # it has died: `_receive` finds out
                worker.connection.send(task)
            self.on_event(task, RunAssigned())

    def _next_task(self) -> Task | None:
        now = time.monotonic()
        ready = next((entry for entry in self.again if entry[0] <= now), None)
        if ready is None:
            return next(self.tasks, None)
        self.again.remove(ready)
        return ready[1]

    def _start(self, number: int) -> _Worker:
        context = get_context("spawn")  # a fork would copy TensorFlow's threads and locks in an undefined state
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, number, self.log), daemon=True)
        with _without_main_module():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _receive(self, worker: _Worker, *, may_start: bool) -> None:
        """Take all events that a worker has sent, and notice where it has died."""
        while worker.task is not None:
            try:
                event = worker.connection.recv() if worker.connection.poll() else None
            except (EOFError, OSError):
                self._replace(worker, may_start=may_start)
                return
            if event is None:
                return
            self._take(worker, worker.task, event, may_start=may_start)

    def _take(self, worker: _Worker, task: Task, event: Event, *, may_start: bool) -> None:
        match event:
            case RunNotice():
                if event.text in self.told:  # by another run of the group
                    return
                self.told.add(event.text)
            case EpochDone():
                self.deaths.pop(task.name, None)
            case RunIsLocked():
                worker.task = None
                self.again.append((time.monotonic() + LOCKED_SECONDS, task))
            case RunEnded():
                worker.task = None
                if not event.is_finished and may_start:  # somebody sent a signal to the worker alone
                    self.again.append((0.0, task))
            case RunFailed():
                worker.task = None
                raise CnnkitError(f"{task.name}: {event.message}" if not event.location else event.message, event.remedy, event.location)
            case WorkerFailed():
                error = RuntimeError(f"the worker that trains {task.folder} failed")
                error.add_note(event.traceback)
                raise error
        self.on_event(task, event)

    def _replace(self, worker: _Worker, *, may_start: bool) -> None:
        """Forget a dead worker and have its run resumed, unless it is the stop that ended it before it trained.

        Raises:
            CnnkitError: Workers die at this run again and again.
        """
        worker.process.join()
        worker.connection.close()
        self.workers[self.workers.index(worker)] = None
        task, status = worker.task, worker.process.exitcode
        if task is None:
            return
        if not may_start:
            self.on_event(task, RunEnded(is_finished=False))
            return
        cause = f"signal {-status}" if status < 0 else f"exit status {status}"
        self.deaths[task.name] = self.deaths.get(task.name, 0) + 1
        if self.deaths[task.name] >= self.most_deaths:
            raise CnnkitError(
                f"{task.folder}: its worker process died {count(self.most_deaths, 'time')} before the end of an epoch ({cause})",
                f"Too little memory is a frequent cause: use fewer --workers. What the workers printed: {self.log}.",
            )
        self.again.append((0.0, task))
        self.on_event(task, WorkerDied(cause))


@contextlib.contextmanager
def _without_main_module() -> Iterator[None]:
    """Context manager: a process started in it does not run the script that starts it, which may have no `__main__` guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def train_runs(tasks: Iterable[Task], workers: int, log_folder: Path, on_event: OnEvent, *, most_deaths: int = MOST_DEATHS) -> int:
    """Train runs in worker processes, each in its folder: started, resumed, or left alone where it is finished.

    SIGINT and SIGTERM are passed on to the workers, which finish the current step and save everything.

    Args:
        tasks: The runs; the next one is asked for when a worker is free.
        workers: The number of worker processes.
        log_folder: The folder for the file of what the workers print; removed again where it is empty.
        on_event: Called with every event of a run; with the same notice of several runs once.
        most_deaths: Workers that may die in a row at one task, without an epoch done, before it is not tried again.

    Returns:
        0 when all runs are finished, or 128 plus the number of the signal that interrupted them.

    Raises:
        CnnkitError: A run cannot be trained, or its workers die again and again; the other workers are stopped, their runs saved.
    """
    log = log_folder / LOG
    pool = _Pool(iter(tasks), on_event, log, [None] * workers, most_deaths)
    with stop_requests() as stop:
        try:
            pool.run(stop)
        finally:
            pool.close()
            if log.exists() and not log.stat().st_size:
                log.unlink()
    return stop.exit_status if stop() else 0
