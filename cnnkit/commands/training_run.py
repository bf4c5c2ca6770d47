"""Training sessions in the terminal, shared by `train` and `transfer`; the process ends with the run's status."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from cnnkit.console.session import SessionDisplay
from cnnkit.console.text import print_error
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from cnnkit.config.load import LoadedConfig
    from cnnkit.data.binding import BoundConfig
    from cnnkit.training.distribution.cluster import Cluster
    from cnnkit.training.resume import Resumed
    from cnnkit.training.session import SessionResult


def train_and_print(loaded: "BoundConfig", run_dir: Path | None) -> NoReturn:
    """Train a new run.

    Args:
        loaded: The config with its data opened.
        run_dir: The run's folder; `runs/NAME` where None.
    """
    from cnnkit.training.session import start_or_resume

    _run(lambda cluster: start_or_resume(loaded, run_dir, SessionDisplay(), None, cluster))


def resume_and_print(open_resumed: "Callable[[bool], Resumed]") -> NoReturn:
    """Continue an interrupted run, or write missing files of a finished one again.

    Args:
        open_resumed: Opens the run; called with whether this process is the chief.
    """
    from cnnkit.training.session import resume

    _run(lambda cluster: resume(open_resumed(cluster is None or cluster.is_chief), SessionDisplay(), cluster))


def resume_or_start_and_print(loaded: "LoadedConfig", run_dir: Path | None) -> NoReturn:
    """Start a run in its folder, or resume it there, or leave it alone where it is finished.

    Args:
        loaded: The config.
        run_dir: The run's folder; `runs/NAME` where None.
    """
    from cnnkit.training.session import resume_or_start

    _run(lambda cluster: resume_or_start(loaded, run_dir, SessionDisplay(), cluster))


def _run(session: "Callable[[Cluster | None], SessionResult]") -> NoReturn:
    """Run a session in the cluster of the environment; exits with its status."""
    from cnnkit.training.distribution.lost_worker import exit_without_waiting
    from cnnkit.training.distribution.opening import find_cluster

    cluster = find_cluster()
    try:
        result = session(cluster)
    except CnnkitError as error:
        if cluster is None:
            raise
        print_error(str(error))
        exit_without_waiting(error.exit_status)
    raise typer.Exit(result.exit_status)
