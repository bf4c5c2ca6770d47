"""Load a model file of unknown origin in a process of its own first: what crashes a runtime then crashes that process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cnnkit.errors import CnnkitError, escape_unprintable

SECONDS = 120.0  # of processor time, after which a trial is given up
PATIENCE = 600.0  # seconds by the clock: on a busy machine a runtime is slow to start
LEAST_MEMORY, MOST_MEMORY = 8 * 2**30, 16 * 2**30  # bytes of address space that a trial may use; the machine's memory between them
PYTHON_EXCEPTION = 1  # exit status: a fault of ours, which shows its traceback when the file is loaded here
MAX_ANSWER = 10_000  # bytes of its answer that are read

_CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from cnnkit.artifacts.trial import load_here
load_here(sys.argv[1])
"""


@contextlib.contextmanager
def tried_elsewhere(path: Path) -> Iterator[None]:
    """Context manager: loads a model and runs one example of zeros through it in another process, while its body runs.

    A file that cannot be used there is never loaded here. The process ends with this one: it is killed on any exception, on Linux also
    where this process is killed, and its processor time is limited.

    Raises:
        CnnkitError: What `load_runtime` raised there; or the process crashed or took too long.
    """
    command = [sys.executable, "-P", "-c", _CODE, str(path), json.dumps(sys.path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield
            answer, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise CnnkitError(f"takes longer than {PATIENCE:.0f} s to load and run one example", location=path) from None
        finally:
            process.kill()  # no effect on one that has ended
    if hasattr(signal, "SIGXCPU") and process.returncode == -signal.SIGXCPU:
        raise CnnkitError(f"takes longer than {SECONDS:.0f} s of processor time to load and run one example", location=path)
    if process.returncode not in (0, PYTHON_EXCEPTION):
        raise CnnkitError("crashes its runtime: it is damaged, or made to do harm", "Export it again.", path)
    if answer:
        message, _, remedy = answer[:MAX_ANSWER].decode("utf-8", "replace").partition("\n")
        raise CnnkitError(escape_unprintable(message), escape_unprintable(remedy), path)


def memory_limit() -> int:
    """Bytes of address space that a trial may use: the machine's memory, within `LEAST_MEMORY` and `MOST_MEMORY`."""
    try:
        return min(MOST_MEMORY, max(LEAST_MEMORY, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    except (AttributeError, ValueError, OSError):  # Windows
        return MOST_MEMORY


def load_here(path: str) -> None:
    """Load a model and run one example within limits, then end the process; writes the message and the remedy of an error, a line each."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what a runtime prints is no answer
    _limit_this_process()
    try:
        from cnnkit.artifacts.runtimes import load_runtime

        load_runtime(Path(path), threads=1)
    except CnnkitError as error:
        os.write(answer, f"{escape_unprintable(error.message)}\n{error.remedy}".encode("utf-8", "replace"))
    except MemoryError:
        os.write(answer, f"wants more than {memory_limit() / 2**30:.0f} GB of memory for one example\n".encode())
    os._exit(0)  # without the end of the runtime, which takes time


def _limit_this_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it within the code of a runtime too
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows; or a limit that is lower already
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS) + 5))
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit(), memory_limit()))
    if sys.platform == "linux":
        import ctypes

        kill_with_parent = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(kill_with_parent, signal.SIGKILL, 0, 0, 0)
