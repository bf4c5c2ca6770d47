"""Let Keras download data and weights, with a timeout for an unresponsive network."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cnnkit.errors import CnnkitError, escape_unprintable
from cnnkit.keras_api.compat import download_failure, socket_timeout

TIMEOUT_SECONDS = 10  # after this the network counts as unreachable

Result = TypeVar("Result")


class DownloadError(CnnkitError):
    """Keras could not download a file."""


def keras_home() -> Path:
    """Keras's own folder for data and weights: `$KERAS_HOME`, else `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser())


def through_keras(load: Callable[[], Result], what: str) -> Result:
    """Call a Keras function that may download.

    Args:
        load: The call.
        what: Subject of the error message, such as `cifar10 is not at … and`.

    Returns:
        The result of `load`.

    Raises:
        DownloadError: The network is unreachable, or does not serve the file.
    """
    progress = sys.stderr if sys.stderr.isatty() else io.StringIO()
    try:
        with socket_timeout(TIMEOUT_SECONDS), contextlib.redirect_stdout(progress):
            return load()
    except Exception as error:  # Keras raises a bare Exception("URL fetch failure on …")
        if (reason := download_failure(error)) is not None:
            raise DownloadError(f"{what} could not be downloaded: {escape_unprintable(reason[:200])}") from error
        raise
