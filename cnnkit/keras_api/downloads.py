"""Let Keras download a file of its own, with a limit on how long a silent network is waited for."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cnnkit.errors import CnnkitError, escape_unprintable
from cnnkit.keras_api.compat import download_failure, impatient_sockets

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
        with impatient_sockets(SECONDS_TO_ANSWER), contextlib.redirect_stdout(progress):
            return load()
    except Exception as error:  # Keras raises a bare Exception("URL fetch failure on …")
        if (reason := download_failure(error)) is not None:
            raise DownloadError(f"{what} could not be downloaded: {escape_unprintable(reason[:200])}") from error
        raise
