"""Run all workers to the end: pass on signals, end all when one dies, and restart them from the last checkpoint."""

import os
import selectors
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cnnkit.exit_status import CLEAN_STOPS, FINISHED, PEER_LOST, as_a_shell_tells_it, cause_of_death, exit_status
from cnnkit.launch.cluster import HOST, reserved_ports
from cnnkit.launch.shares import Share, shares
from cnnkit.launch.worker import STREAMS, Stream, Worker
from cnnkit.training.distribution.cluster import LAUNCHED, VARIABLE, tf_config
from cnnkit.training.signals import StopRequest, stop_requests

POLL_SECONDS = 0.1  # how soon a signal is passed on and a death noticed


class Listener(Protocol):
    """What is told of the workers."""

    def on_start(self, shares: Sequence[Share], restart: int, max_restarts: int) -> None:
        """All workers are started; restart counts from 0, which is the first start."""

    def on_line(self, worker: int, stream: Stream, line: str) -> None:
        """A worker has printed a line."""

    def on_death(self, worker: int, cause: str) -> None:
        """A worker has died, or has lost another one; the others are being ended."""

    def on_give_up(self, worker: int, restarts: int) -> None:
        """A worker has died, and there are no restarts left."""


@dataclass(frozen=True)
class Limits:
    """How long is waited, and how often is tried.

    Attributes:
        max_restarts: How often all workers are started again after a death.
        grace_seconds: From SIGTERM to SIGKILL for the others of a worker that died: they may wait for it for ever.
        finish_seconds: How long the others may go on after the chief has finished.
    """

    max_restarts: int = 3
    grace_seconds: float = 10.0
    finish_seconds: float = 60.0


def launch(
    command: Sequence[str], workers: int, listener: Listener, limits: Limits | None = None, port: int | None = None, columns: int = 80
) -> int:
    """Run workers until the run is finished, cannot be trained or is interrupted; restart all of them when one dies.

    The first SIGINT or SIGTERM is handed to all workers, which stop at the same step and save; a second one ends everything at once.

    Args:
        command: The command of a worker with its arguments, for the first start as for every other: it resumes the run where there is one.
        workers: The number of workers.
        listener: Receives lines, deaths and restarts.
        limits: Times and restarts.
        port: The port of the first worker, those of the others follow; None for free ones.
        columns: The width of what workers print.

    Returns:
        The exit status: that of the chief, or of the worker that failed.

    Raises:
        CnnkitError: A port is in use, or there are fewer GPUs than workers.
    """
    limits = limits or Limits()
    parts = shares(workers)
    with stop_requests() as stop:
        restart = 0
        while True:
            with reserved_ports(workers, port) as ports:
                environments = [_environment(ports, index, part, columns) for index, part in enumerate(parts)]
                attempt = _Attempt(command, environments, parts, listener, limits)
                listener.on_start(parts, restart, limits.max_restarts)
                failed = attempt.run(stop)
            if stop():
                chief = attempt.workers[0].status
                return chief if chief is not None and not exit_status(chief).is_restarted else stop.exit_status
            if failed is None:
                return FINISHED
            status = failed.status or FINISHED
            if not exit_status(status).is_restarted:
                return status
            listener.on_death(failed.number, cause_of_death(status))
            if restart == limits.max_restarts:
                listener.on_give_up(failed.number, restart)
                return as_a_shell_tells_it(status)
            restart += 1


def _environment(ports: list[int], index: int, share: Share, columns: int) -> Mapping[str, str]:
    """The variables of a worker that differ from those of the launcher."""
    environment = {
        VARIABLE: tf_config([f"{HOST}:{port}" for port in ports], index),
        LAUNCHED: "true",
        "TF_GRPC_REUSE_PORT": "true",  # see `reserved_ports`
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": str(columns),
    }
    if share.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(share.gpus)
    if not hasattr(os, "sched_setaffinity"):
        environment["TF_NUM_INTRAOP_THREADS"] = str(len(share.cores))
    return environment


class _Attempt:
    """All workers, from their start until each has ended."""

    def __init__(
        self,
        command: Sequence[str],
        environments: Sequence[Mapping[str, str]],
        parts: Sequence[Share],
        listener: Listener,
        limits: Limits,
    ) -> None:
        self._listener, self._limits = listener, limits
        self._told: dict[str, int] = {}  # lines on standard error, and the worker that printed each first
        self._selector = selectors.DefaultSelector()
        self.workers: list[Worker] = []
        for index, (environment, part) in enumerate(zip(environments, parts, strict=True)):
            worker = Worker(index, command, environment, part)
            self.workers.append(worker)
            for stream in STREAMS:
                self._selector.register(worker.file(stream), selectors.EVENT_READ, (worker, stream))

    def run(self, stop: StopRequest) -> Worker | None:
        """Wait for the end of all workers; returns the one that failed first, None where the chief has finished."""
        try:
            failed = self._wait(stop)
            if not stop():
                self._end(stop)
            return failed
        finally:
            for worker in self.workers:
                worker.kill()  # also what it has started and left behind
                for stream in STREAMS:
                    self._pass_on(worker, stream)
                worker.close()
            self._selector.close()

    def _wait(self, stop: StopRequest) -> Worker | None:
        """Until all workers have ended, one has failed, or those left behind by a clean end have had their time."""
        passed_on, ended_at = False, None
        while running := self._running():
            if stop() and not passed_on:
                passed_on = True
                for worker in running:
                    worker.send(stop.signal_number)
            self._read()
            if passed_on:
                continue
            failed = self._failed()
            if self.workers[0].status == FINISHED or (failed is not None and failed.status in CLEAN_STOPS):
                ended_at = ended_at or time.monotonic()
                if time.monotonic() > ended_at + self._limits.finish_seconds:
                    break
            elif failed is not None:
                return failed
        return None if self.workers[0].status == FINISHED else self._failed()

    def _end(self, stop: StopRequest) -> None:
        """End the workers that still run: they may wait for the dead one, and not heed SIGTERM."""
        for worker in self._running():
            worker.send(signal.SIGTERM)
        deadline = time.monotonic() + self._limits.grace_seconds
        while self._running() and time.monotonic() < deadline and not stop():
            self._read()

    def _running(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.status is None]

    def _failed(self) -> Worker | None:
        """The worker that failed: of several, one that was killed, and last those that have only lost another one."""
        failed = [worker for worker in self.workers if worker.status not in {None, FINISHED}]
        return min(failed, key=lambda worker: (worker.status == PEER_LOST, (worker.status or 0) >= 0), default=None)

    def _read(self) -> None:
        """Wait a moment for output and pass it on."""
        for key, _ in self._selector.select(POLL_SECONDS):
            worker, stream = key.data
            self._pass_on(worker, stream)
            if worker.status is not None or worker.has_closed(stream):  # its pipe would be ready for ever
                self._selector.unregister(key.fileobj)

    def _pass_on(self, worker: Worker, stream: Stream) -> None:
        """Pass lines on, except those on standard error that another worker has printed already: all workers find the same faults."""
        for line in worker.lines(stream):
            if stream == "stdout" or self._told.setdefault(line, worker.number) == worker.number:
                self._listener.on_line(worker.number, stream, line)
