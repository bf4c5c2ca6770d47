"""Run training sessions in the user's process, which they leave as it was."""

import signal
from collections.abc import Callable
from pathlib import Path

from cnnkit.exit_status import CLEAN_STOPS
from cnnkit.keras_api.global_state import preserved_global_state
from cnnkit.training.distribution.cluster import Cluster
from cnnkit.training.distribution.opening import find_cluster
from cnnkit.training.session import SessionResult


def run_session(session: Callable[[Cluster | None], SessionResult]) -> Path:
    """Run a training session in the cluster of the environment.

    Args:
        session: The session; called with the workers that share the run, None for this process alone.

    Returns:
        The run's folder.

    Raises:
        KeyboardInterrupt: SIGINT interrupted it; everything is saved.
        SystemExit: SIGTERM interrupted it; everything is saved.
    """
    with preserved_global_state():
        result = session(find_cluster())
    raise_interruption(result.exit_status, f"everything is saved; continue with cnnkit.resume({str(result.run)!r})")
    return result.run


def raise_interruption(exit_status: int, hint: str) -> None:
    """Raise what the signal raises that has interrupted training.

    Args:
        exit_status: 0, or 128 plus the number of the signal.
        hint: How to continue.
    """
    if exit_status not in CLEAN_STOPS:
        return
    if exit_status == 128 + signal.SIGINT:
        raise KeyboardInterrupt(hint)
    raise SystemExit(exit_status)
