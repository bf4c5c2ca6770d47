"""The output of a worker that is not the chief: a line on its own standard output, and a log beside the run."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from cnnkit.training.distribution.workers import Workers


@contextlib.contextmanager
def worker_output(workers: Workers, run: Path) -> Iterator[None]:
    """Context manager: on a worker that is not the chief, what is printed, notices included, goes to `worker-N.log`.

    Args:
        workers: What the run is trained on.
        run: The run's folder on the chief. The log is in it where this machine has the folder, too, else in the working folder.
    """
    if workers.is_chief:
        yield
        return
    worker = workers.devices.worker
    path = (run if run.is_dir() else Path.cwd()) / f"worker-{worker}.log"
    sys.stdout.write(f"worker {worker} of {workers.devices.workers}: its log is {path}\n")
    sys.stdout.flush()
    with path.open("a", encoding="utf-8", buffering=1) as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield
