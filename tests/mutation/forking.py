"""Tests run in a forked process, which has TensorFlow imported already: starting anew for every mutant would take hours.

TensorFlow can be forked as long as it has run nothing. So the parent only imports other people's packages; cnnkit and its tests
are imported by the child, from the copy of the tree that holds the mutant.
"""

import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PRELOADED = (
    "numpy", "tensorflow", "keras", "sklearn.metrics", "sklearn.model_selection", "sklearn.datasets", "scipy.stats", "scipy.ndimage", "PIL.Image",
    "matplotlib.pyplot", "pydantic", "typer", "rich.progress", "jinja2", "yaml", "h5py", "safetensors.numpy", "pytest", "coverage",
)  # fmt: skip
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg",
}  # fmt: skip
EXTRA_MEMORY = 8 * 2**30  # bytes that a mutant may take: one that wants the whole memory must not get it
CLOCK = 3600.0  # seconds by the clock after which tests are ended that do not compute
LOOK = 0.05  # seconds between two looks at whether they have ended

OUT_OF_TIME = -1  # in place of an exit status
NOT_RUN = 70  # exit status where pytest itself could not be run


def preload() -> None:
    """Import what every child needs and no mutant changes."""
    os.environ.update(QUIET)
    for name in PRELOADED:
        importlib.import_module(name)


def run_pytest(tree: Path, tests: Sequence[str], log: Path, seconds: float, plugins: Sequence[Any] = (), *, stop: bool = True) -> int:
    """Run tests of a tree in a forked process.

    Args:
        tree: Where cnnkit and its tests stand.
        tests: Files or node ids, in the order in which they are to run.
        log: Gets what the process prints.
        seconds: Processor time that it may take.
        plugins: Pytest plugins.
        stop: Whether the first failure ends it.

    Returns:
        Pytest's exit status: 0 where all passed; `OUT_OF_TIME` where the process had to be ended.

    Raises:
        RuntimeError: Pytest could not be run.
    """
    options = ["-q", "--timeout", "0", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={log.with_suffix('.tmp')}"]

    def work() -> int:
        import pytest

        for name in [name for name in sys.modules if name.partition(".")[0] in ("cnnkit", "tests")]:
            del sys.modules[name]
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)  # for the processes that tests start
        sys.path[:] = [str(tree), *(place for place in sys.path if place not in ("", str(Path(tree).parents[1])))]
        return int(pytest.main([*options, *(["-x"] if stop else []), *tests], plugins=list(plugins)))

    status = _forked(work, log, seconds)
    if status == NOT_RUN:
        raise RuntimeError(f"{log}: {log.read_text(errors='replace').strip().splitlines()[-1]}")
    return status


def _forked(work: Callable[[], int], log: Path, seconds: float) -> int:
    child = os.fork()
    if not child:
        status = NOT_RUN
        try:
            with log.open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
            if sys.platform == "linux":
                memory = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + EXTRA_MEMORY
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            status = work()
        except BaseException:  # noqa: BLE001 - a forked process must never go on as its parent would
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return _wait(child)


def _wait(child: int) -> int:
    """Wait for a process; by counting, as a machine may halt both of them for long."""
    ended, status = 0, 0
    try:
        for _ in range(int(CLOCK / LOOK)):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            time.sleep(LOOK)
    finally:
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if ended and os.WIFEXITED(status) else OUT_OF_TIME
