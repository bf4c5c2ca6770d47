"""A process that has TensorFlow imported, and forks for each command: starting anew would take five seconds each time.

TensorFlow can be forked as long as it has run nothing, so the parent imports other people's packages only. Requests and answers are
lines of JSON on standard input and output.
"""

import importlib
import json
import os
import socket
import sys
import traceback
from typing import Any

PRELOADED = (
    "numpy", "tensorflow", "keras", "sklearn.metrics", "sklearn.model_selection", "sklearn.datasets", "scipy.stats", "scipy.ndimage",
    "PIL.Image", "matplotlib.pyplot", "pydantic", "typer", "rich.progress", "jinja2", "yaml", "h5py", "safetensors.numpy",
)  # fmt: skip


def serve() -> None:
    """Answer requests until standard input ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _run(request: dict[str, Any]) -> int:
    """Fork, and wait for the child; its exit status as a shell tells it."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code
    status = 70
    try:
        status = _in_child(request)
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _in_child(request: dict[str, Any]) -> int:
    os.setsid()
    terminal = os.open(request["terminal"], os.O_RDWR | os.O_NOCTTY)
    for number in (0, 1, 2):
        os.dup2(terminal, number)
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))  # noqa: SIM115, PTH123
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    socket.create_connection = _refuse  # type: ignore[assignment]
    try:
        if "program" in request:
            exec(compile(request["program"], "page", "exec"), {"__name__": "__main__"})
        else:
            from cnnkit.cli import main

            sys.argv = ["cnnkit", *request["arguments"]]
            main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001 - what a block of Python raises is printed as Python does
        traceback.print_exc()
        return 1
    return 0


def _refuse(*arguments: Any, **options: Any) -> Any:
    raise OSError("pages are run without a network")


if __name__ == "__main__":
    serve()
