"""Load a model file of unknown origin in a process of its own first: what crashes a runtime then crashes that process."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cnnkit.errors import CnnkitError

SECONDS = 120.0  # after which a trial is given up
MEMORY = 16 * 2**30  # bytes of address space a trial may use

_CODE = """
import sys
from pathlib import Path
from cnnkit.artifacts.trial import load_here
load_here(Path(sys.argv[1]))
"""


def tried_elsewhere(path: Path) -> Callable[[], None]:
    """Begin to load a model and run one example of zeros through it in another process.

    Returns:
        Waits for the end. It raises a CnnkitError where the process crashed, ran out of memory or took too long; a plain error
        is left to whoever loads the file here.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def wait() -> None:
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise CnnkitError(f"takes longer than {SECONDS:.0f} s to load and run one example", location=path) from None
        if status < 0:
            raise CnnkitError("crashes its runtime, so it is damaged or made to do harm", "Export it again.", path)
        if status == 3:
            raise CnnkitError(f"wants more than {MEMORY // 2**30} GB of memory", location=path)

    return wait


def load_here(path: Path) -> None:
    """Load a model and run one example, within limits; exits with status 3 where memory runs out."""
    import contextlib

    from cnnkit.artifacts.runtimes import load_runtime

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):  # Windows; or a limit that is lower already
        pass
    try:
        with contextlib.suppress(CnnkitError):
            load_runtime(path, threads=1)
    except MemoryError:
        sys.exit(3)
