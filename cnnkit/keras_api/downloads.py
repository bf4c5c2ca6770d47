"""Let Keras download a file of its own, with a limit on how long a silent network is waited for."""

import contextlib
import io
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from cnnkit.errors import CnnkitError

SECONDS_TO_ANSWER = 10  # a network that has not answered by then counts as none

Result = TypeVar("Result")


class DownloadError(CnnkitError):
    """A file of Keras's could not be downloaded."""


def keras_home() -> Path:
    """Keras's own folder for data and weights: `$KERAS_HOME`, else `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser())


def through_keras(load: Callable[[], Result], what: str) -> Result:
    """The result of a Keras call that may download.

    Raises:
        DownloadError: The network did not answer, or not with the file.
    """
    progress = sys.stderr if sys.stderr.isatty() else io.StringIO()
    try:
        with _impatient_sockets(), contextlib.redirect_stdout(progress):
            return load()
    except Exception as error:  # Keras raises a bare Exception("URL fetch failure on …")
        if isinstance(error, OSError) or str(error).startswith(("URL fetch failure", "Incomplete or corrupted file")):
            reason = str(error).removeprefix("URL fetch failure on ")[:200]
            raise DownloadError(f"{what} could not be downloaded: {reason}") from error
        raise


@contextlib.contextmanager
def _impatient_sockets() -> Iterator[None]:
    """Within: a connection, name look-up included, fails when there is none after SECONDS_TO_ANSWER."""
    connect, timeout = socket.create_connection, socket.getdefaulttimeout()

    def impatient(*arguments: Any, **options: Any) -> socket.socket:
        outcome: list[Any] = []

        def attempt() -> None:
            try:
                outcome.append(connect(*arguments, **options))
            except OSError as error:
                outcome.append(error)

        thread = threading.Thread(target=attempt, daemon=True)  # a name look-up cannot be interrupted, only left behind
        thread.start()
        thread.join(SECONDS_TO_ANSWER)
        answer = outcome[0] if outcome else TimeoutError(f"no answer from the network in {SECONDS_TO_ANSWER} s")
        if isinstance(answer, OSError):
            raise answer
        return answer  # type: ignore[no-any-return]

    socket.create_connection = impatient
    socket.setdefaulttimeout(SECONDS_TO_ANSWER)
    try:
        yield
    finally:
        socket.create_connection = connect
        socket.setdefaulttimeout(timeout)
